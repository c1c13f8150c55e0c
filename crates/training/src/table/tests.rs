//! Tables from CSV: types, missing values, summaries, and errors with their places.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorCode};

fn read(text: &str) -> Result<Table, Error> {
    Table::read(Cursor::new(text.as_bytes()))
}

fn kinds(text: &str) -> Vec<Kind> {
    read(text).unwrap().columns.into_iter().map(|column| column.kind).collect()
}

#[test]
fn types_are_found_from_all_values() {
    let text = "n,b,d,t,none,mixed,inf\n1,true,2026-01-02,x,,1,1\n-2.5e3,FALSE,2026-12-31T10:00:00Z,y,NA,x,inf\n";
    use Kind::{Boolean, Date, Number, Text};
    assert_eq!(kinds(text), [Number, Boolean, Date, Text, Text, Text, Text]);
}

#[test]
fn days_that_no_calendar_has_are_text() {
    assert_eq!(kinds("a,b,c\n2026-13-01,2026-00-10,2026-1-1\n"), [Kind::Text; 3]);
}

#[test]
fn missing_values_are_counted_and_do_not_change_the_type() {
    let table = read("a,b\n1,x\n,NA\nNaN,null\n ? ,N/A\n3,x\n").unwrap();
    assert_eq!(table.rows, 5);
    let [a, b] = &table.columns[..] else { panic!() };
    assert_eq!((a.kind, a.missing, a.distinct, a.min, a.max), (Kind::Number, 3, 2, Some(1.0), Some(3.0)));
    assert_eq!((b.kind, b.missing, b.distinct, b.min, b.max), (Kind::Text, 3, 1, None, None));
    assert_eq!(table.preview[1], [None, None]);
    assert_eq!(table.preview[4], [Some("3".to_owned()), Some("x".to_owned())]);
}

#[test]
fn semicolons_and_tabs_separate_too_and_a_byte_order_mark_is_no_name() {
    let table = read("\u{feff}a;b,c;d\n1;2,5;3\n").unwrap();
    assert_eq!(table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["a", "b,c", "d"]);
    assert_eq!(read("a\tb\n1\t2\n").unwrap().columns.len(), 2);
}

#[test]
fn a_line_of_another_length_is_refused_with_its_number() {
    let error = read("a,b\n1,2\n3\n").unwrap_err();
    assert_eq!((error.code, error.line), (ErrorCode::TableInvalid, Some(3)));
    assert_eq!(error.sentence, "Line 3: it has 1 cells, but the first line names 2 columns.");
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_line_and_column() {
    let error = Table::read(Cursor::new(b"a,b\n1,x\n2,\xff\n")).unwrap_err();
    assert_eq!((error.line, error.column.as_deref()), (Some(3), Some("b")));
    assert_eq!(error.sentence, "Line 3: the text in the column “b” is not UTF-8.");
}

#[test]
fn names_must_be_there_and_differ() {
    for (text, part) in [("", "empty"), ("a,\n1,2\n", "no name"), ("a,b, a\n1,2,3\n", "“a”")] {
        let error = read(text).unwrap_err();
        assert_eq!(error.code, ErrorCode::TableInvalid);
        assert!(error.sentence.contains(part), "{error}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let columns = (0..=MAX_COLUMNS).map(|at| format!("c{at}")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&columns).unwrap_err().code, ErrorCode::TableTooLarge);
    let endless = format!("a,b\n1,\"{}", "x".repeat(2 * MAX_LINE));
    assert_eq!(read(&endless).unwrap_err().code, ErrorCode::TableTooLarge);
}

#[test]
fn of_a_column_with_too_many_texts_only_the_summary_is_kept() {
    let rows: String = (0..=MAX_DISTINCT + 5).map(|at| format!("id{at}\n")).collect();
    let table = read(&format!("id\n{rows}")).unwrap();
    assert_eq!(table.columns[0].distinct, MAX_DISTINCT + 1);
    assert_eq!(table.values[0], Values::Varied);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Table::read(Cursor::new(bytes));
    }

    #[test]
    fn hostile_text_gives_a_whole_table_or_a_sentence(text in "[a-c0-9,;\"\n\r\t .?éN\u{feff}-]{0,200}") {
        match read(&text) {
            Ok(table) => for values in &table.values {
                let length = match values {
                    Values::Numbers(numbers) => numbers.len(),
                    Values::Texts { codes, .. } => codes.len(),
                    Values::Varied => table.rows,
                };
                prop_assert_eq!(length, table.rows);
            },
            Err(error) => prop_assert!(error.sentence.ends_with('.')),
        }
    }
}

/// A file of the product's tests.
fn file(name: &str) -> std::fs::File {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data");
    std::fs::File::open(format!("{folder}/{name}")).unwrap()
}

#[test]
fn a_parquet_file_is_the_same_table_as_the_csv_file_that_it_was_made_of() {
    let (csv, parquet) = (
        Table::read_file(file("german-credit.csv")).unwrap(),
        Table::read_file(file("german-credit.parquet")).unwrap(),
    );
    assert_eq!((parquet.rows, &parquet.columns, &parquet.preview), (csv.rows, &csv.columns, &csv.preview));
    assert_eq!(format!("{:?}", parquet.values), format!("{:?}", csv.values));
}

#[test]
fn every_kind_of_a_parquet_column_is_read_and_lists_are_refused() {
    let table = Table::read_file(file("kinds.parquet")).unwrap();
    let kinds: Vec<_> =
        table.columns.iter().map(|column| (column.name.as_str(), column.kind, column.missing)).collect();
    assert_eq!(
        kinds,
        [
            ("when", Kind::Date, 1),
            ("at", Kind::Date, 0),
            ("us", Kind::Date, 0),
            ("small", Kind::Number, 1),
            ("f32", Kind::Number, 1),
            ("whole", Kind::Number, 0),
            ("good", Kind::Boolean, 0),
            ("text", Kind::Text, 1),
        ]
    );
    assert_eq!((table.columns[3].min, table.columns[4].max), (Some(1e-300), Some(0.2)));
    let refused = Table::read_file(file("list.parquet")).unwrap_err();
    assert!(refused.sentence.contains("“l” holds lists"), "{refused}");
    let refused = Table::read_file(file("zstd.parquet")).unwrap_err();
    assert!(refused.sentence.contains("Snappy"), "{refused}");
}
