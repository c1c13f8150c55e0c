//! The real federal inventory, whole and in part, and files made up to be difficult.

use std::collections::HashSet;

use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

const FEDERAL: &[u8] = include_bytes!("../../../tests/data/federal-ai-use-cases-2024.csv");
const EXCERPT: &[u8] = include_bytes!("../../../tests/data/federal-excerpt.csv");
const CREDIT: &[u8] = include_bytes!("../../../tests/data/german-credit.csv");
const FEDERAL_MAPPING: &str = include_str!("../../../docs/mappings/federal-ai-use-cases-2024.toml");

/// A mapping with one column per field, and room for more lines at its top and under `[model]`.
fn small(top: &str, model: &str) -> String {
    format!(
        r#"
source = "small"
{top}
[key]
column = "Id"
[model]
{model}
name = {{ column = "Name" }}
owner = {{ email = {{ column = "Owner" }} }}
team = {{ constant = "Team" }}
project = {{ constant = "Project" }}
risk_tier = {{ column = "Tier", values = {{ "high" = "TIER_1", "low" = "TIER_3" }} }}
status = {{ constant = "ACTIVE" }}
regions = {{ constant = "UK" }}
"#
    )
}

fn plan_small(csv: &str) -> ImportPlan {
    plan(csv.as_bytes(), &Mapping::parse(&small("", "")).unwrap()).unwrap()
}

fn mapping_error(text: &str) -> String {
    Mapping::parse(text).unwrap_err().to_string()
}

fn federal(bytes: &[u8]) -> ImportPlan {
    plan(bytes, &Mapping::parse(FEDERAL_MAPPING).unwrap()).unwrap()
}

fn note<'a>(model: &'a ImportedModel, label: &str) -> Option<&'a str> {
    model.notes.iter().find(|note| note.label == label).map(|note| note.text.as_str())
}

fn date(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

#[test]
fn the_whole_federal_inventory_comes_in_without_an_error() {
    let plan = federal(FEDERAL);
    assert_eq!(plan.errors, []);
    assert_eq!((plan.rows, plan.models.len()), (2_133, 2_133));
    assert_eq!(plan.detected_encoding, "windows-1252");
    assert_eq!(plan.projects.len(), 41);
    assert_eq!(plan.regions.len(), 1);
    assert_eq!(plan.regions[0].definition.as_ref().unwrap().time_zone, "America/New_York");
    let names: HashSet<_> = plan.models.iter().map(|model| model.name.to_lowercase()).collect();
    let keys: HashSet<_> = plan.models.iter().map(|model| &model.external_key).collect();
    assert_eq!((names.len(), keys.len()), (2_133, 2_133));
    let emails: HashSet<_> = plan.people.iter().map(|person| person.email.as_str()).collect();
    assert!(plan.models.iter().all(|model| emails.contains(model.owner.as_str())));
    assert!(plan.models.iter().all(|model| model.name.chars().count() <= MAX_NAME_CHARS));
}

#[test]
fn the_stages_impacts_and_dates_of_the_federal_inventory_are_mapped() {
    let models = federal(FEDERAL).models;
    let with = |status| models.iter().filter(|model| model.status == status).count();
    assert_eq!(with(ModelStatus::Active), 874 + 14 + 4);
    assert_eq!(with(ModelStatus::Retired), 142 + 5);
    assert_eq!(with(ModelStatus::InDevelopment), 404 + 370 + 287 + 20 + 9 + 4);
    let of = |tier| models.iter().filter(|model| model.risk_tier == tier).count();
    assert_eq!(of(RiskTier::Tier1), 195);
    assert_eq!(of(RiskTier::Tier2), 131 + 25 + 12 + 8 + 1 + 39);
    assert_eq!(of(RiskTier::Tier3), 1_722);
    assert!(models.iter().all(|model| model.actual_production_date <= date(2024, 12, 31)));
    assert_eq!(models.iter().filter(|model| model.planned_production_date.is_some()).count(), 5 + 3 + 2);
}

#[test]
fn a_date_that_is_none_or_not_exact_is_kept_as_a_note() {
    let plan = federal(EXCERPT);
    let noted = |label, text| plan.models.iter().find(|model| note(model, label) == Some(text)).unwrap();
    assert_eq!(noted("Date initiated", "10/12023").initiated_on, None);
    assert_eq!(noted("Date initiated", "22-Nov").initiated_on, date(2022, 11, 1));
    assert_eq!(noted("Date implemented", "TBD").actual_production_date, None);
    assert!(plan.models.iter().all(|model| note(model, "Date initiated") != Some("N/A")));
    let exact = plan.models.iter().find(|model| model.initiated_on == date(2023, 7, 1)).unwrap();
    assert_eq!(note(exact, "Date initiated"), None);
}

#[test]
fn no_text_of_the_federal_inventory_is_lost() {
    let plan = federal(FEDERAL);
    let mapping = Mapping::parse(FEDERAL_MAPPING).unwrap();
    let table = table::read(FEDERAL, &mapping.file).unwrap();
    for (row, model) in table.rows.iter().zip(&plan.models) {
        assert_eq!(row.line, model.line);
        let texts: HashSet<String> = model.notes.iter().map(|note| one_line(&note.text)).collect();
        for column in (4..62).filter(|column| !matches!(column, 7 | 11 | 13 | 14)) {
            let cell = one_line(row.cell(column));
            assert!(cell.is_empty() || texts.contains(&cell), "line {}, column {}", row.line, column + 1);
        }
        assert_eq!(one_line(&model.description), one_line(row.cell(7)));
    }
}

#[test]
fn names_that_stand_there_twice_are_made_distinct() {
    let names: Vec<_> = federal(EXCERPT).models.into_iter().map(|model| model.name).collect();
    assert!(names.contains(&"Generative AI Usage (ED, OSERS)".to_owned()));
    assert!(names.contains(&"Generative AI Usage (ED, OSERS) (6)".to_owned()));
}

#[test]
fn a_name_that_is_too_long_is_cut_at_a_word_and_kept_whole_as_a_note() {
    let models = federal(FEDERAL).models;
    let cut: Vec<_> = models.iter().filter(|model| note(model, "Full name").is_some()).collect();
    assert!(!cut.is_empty());
    for model in cut {
        let whole = note(model, "Full name").unwrap();
        let head = model.name.trim_end_matches('…');
        assert!(whole.starts_with(head) && whole[head.len()..].starts_with(' '), "{}", model.name);
    }
}

#[test]
fn a_file_whose_rows_are_reordered_brings_the_same_keys() {
    let mut bytes = b"Id,Name,Owner,Tier\n".to_vec();
    bytes.extend(b"2,B,b@x.example,low\n1,A,a@x.example,high\n");
    let keys = |plan: ImportPlan| plan.models.into_iter().map(|model| model.external_key).collect::<HashSet<_>>();
    let there = plan_small("Id,Name,Owner,Tier\n1,A,a@x.example,high\n2,B,b@x.example,low\n");
    let back = plan(&bytes, &Mapping::parse(&small("", "")).unwrap()).unwrap();
    assert_eq!(keys(there), keys(back));
}

#[test]
fn a_wrong_cell_is_named_by_line_and_column() {
    let plan = plan_small(
        "Id,Name,Owner,Tier\r\n1,\"A\r\nB\",a@x.example,high\r\n\r\n2,C,nobody,huge\r\n,D,d@x.example,low\r\n",
    );
    let errors: Vec<_> = plan.errors.iter().map(|error| (error.line, error.column_index, error.rule)).collect();
    assert_eq!(
        errors,
        [(5, Some(3), RowRule::Email), (5, Some(4), RowRule::UnknownValue), (6, Some(1), RowRule::Required)]
    );
    assert_eq!(
        plan.errors[1].to_string(),
        "line 5, column 4 \"Tier\": \"huge\" is not in the mapping's model.risk_tier.values; add it there, or give a default."
    );
    assert_eq!((plan.rows, plan.models.len()), (3, 1));
    assert_eq!((plan.models[0].line, plan.models[0].name.as_str()), (2, "A B"));
}

#[test]
fn a_key_that_stands_there_twice_is_an_error() {
    let plan = plan_small("Id,Name,Owner,Tier\n7,A,a@x.example,low\n 7 ,B,b@x.example,low\n");
    assert_eq!(plan.errors[0].rule, RowRule::RepeatedKey);
    assert!(plan.errors[0].hint.starts_with("Line 2 has the same key"));
}

#[test]
fn a_row_of_the_wrong_width_is_an_error_and_the_others_come_in() {
    let plan = plan_small("Id,Name,Owner,Tier\n1,A\n2,B,b@x.example,low,,\n3,C,c@x.example,low,more\n");
    assert_eq!(
        plan.errors.iter().map(|error| (error.line, error.rule)).collect::<Vec<_>>(),
        [(2, RowRule::Cells), (4, RowRule::Cells)]
    );
    assert_eq!(plan.models.len(), 1);
}

#[test]
fn a_quote_that_is_never_closed_is_an_error() {
    let plan = plan_small("Id,Name,Owner,Tier\n1,A,a@x.example,low\n2,B,b@x.example,\"low\n3,C,c@x.example,low\n");
    assert_eq!((plan.errors[0].line, plan.errors[0].rule), (3, RowRule::Cells));
    assert!(plan.errors[0].hint.contains("never closed"));
}

#[test]
fn a_cell_that_is_too_long_or_holds_a_nul_is_an_error() {
    let long = "x".repeat(MAX_CELL_CHARS + 1);
    let plan = plan_small(&format!("Id,Name,Owner,Tier\n1,{long},a@x.example,low\n2,B\0,b@x.example,low\n"));
    let errors: Vec<_> = plan.errors.iter().map(|error| (error.line, error.column_index, error.rule)).collect();
    assert_eq!(errors, [(2, Some(2), RowRule::TooLong), (3, Some(2), RowRule::Character)]);
}

#[test]
fn several_regions_in_one_cell_are_split_and_only_defined_ones_can_be_made() {
    let mapping = r#"
source = "regions"
[key]
column = "Id"
[model]
name = { column = "Id" }
owner = { email = { constant = "Owner@X.example" } }
team = { constant = "T" }
project = { constant = "P" }
risk_tier = { constant = "TIER_2" }
status = { constant = "ACTIVE" }
regions = { column = "Where", values = { "Great Britain" = "UK" }, default = "EU" }
[[region]]
code = "UK"
name = "United Kingdom"
time_zone = "Europe/London"
requires_regional_approval = true
"#;
    let plan = plan(b"Id,Where\n1,great  britain; France ;Spain\n2,\n", &Mapping::parse(mapping).unwrap()).unwrap();
    assert_eq!(plan.models[0].regions, ["UK", "EU"]);
    assert_eq!(plan.models[0].owner, "owner@x.example");
    let defined: Vec<_> =
        plan.regions.iter().map(|region| (region.code.as_str(), region.definition.is_some())).collect();
    assert_eq!(defined, [("EU", false), ("UK", true)]);
    assert_eq!((plan.errors[0].line, plan.errors[0].rule), (3, RowRule::Required));
}

#[test]
fn a_mapping_that_names_a_column_wrongly_is_told_the_nearest() {
    let mapping = Mapping::parse(&small("", "")).unwrap();
    let error = plan(b"Id,Nmae,Owner,Tier\n", &mapping).unwrap_err().to_string();
    assert!(error.contains("model.name.column") && error.contains("the nearest is \"Nmae\""), "{error}");
    let error = plan(b"Id;Name;Owner;Tier\n", &mapping).unwrap_err().to_string();
    assert!(error.contains("another delimiter"), "{error}");
    let error = plan(b"Id,Name,Name,Owner,Tier\n", &mapping).unwrap_err().to_string();
    assert!(error.contains("2 columns (2, 3)") && error.contains("\"#2\""), "{error}");
}

#[test]
fn a_mapping_is_strict_and_its_errors_say_what_is_allowed() {
    let error = mapping_error(&small("colour = 1", ""));
    assert!(error.contains("unknown field `colour`") && error.contains("`source`"), "{error}");
    let error = mapping_error(&small("", "").replace("TIER_1", "TIER_9"));
    assert!(error.contains("model.risk_tier.values.\"high\"") && error.contains("TIER_1, TIER_2, TIER_3"), "{error}");
    let error = mapping_error(&small("", "name_on_clash = { template = \"{Name|loud}\" }"));
    assert!(error.contains("model.name_on_clash.template") && error.contains("|slug"), "{error}");
    let error = mapping_error(&small("", "retired_on = { column = \"Id\", formats = [\"%Q\"] }"));
    assert!(error.contains("model.retired_on.formats"), "{error}");
    let error = mapping_error(&small("", "description = { column = \"Id\", constant = \"x\" }"));
    assert!(error.contains("only one"), "{error}");
    let error = mapping_error(&small("[file]\nencoding = \"klingon\"", ""));
    assert!(error.contains("file.encoding"), "{error}");
    let error = mapping_error(&small("[[region]]\ncode = \"UK\"\nname = \"x\"\ntime_zone = \"Mars/Base\"", ""));
    assert!(error.contains("Mars/Base"), "{error}");
}

#[test]
fn the_mapping_in_the_manual_works() {
    let manual = include_str!("../../../docs/import.md");
    let example = manual.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let csv =
        b"Model ID,Model,Desk,Purpose,Limits,Owner e-mail,Owner,Developer,Portfolio,Tier,State,Markets,Live since\n\
        1,PD,Homes,Lending,None,anna@firm.example,Anna,Ben Li,,1,live,UK;UK,03/2024\n";
    let plan = plan(csv, &Mapping::parse(example).unwrap()).unwrap();
    assert_eq!(plan.errors, []);
    let model = &plan.models[0];
    assert_eq!((model.external_key.as_str(), model.project.as_str()), ("retail-2025:1", "Other"));
    assert_eq!(model.developer.as_deref(), Some("ben-li@firm.example"));
    assert_eq!((model.actual_production_date, note(model, "Live since")), (date(2024, 3, 1), Some("03/2024")));
    assert_eq!(note(model, "State in the old system"), Some("live"));
    assert_eq!(model.description, "Lending\n\nNone");
}

#[test]
fn the_encoding_is_found_by_mark_by_validity_and_by_guess() {
    let found = |bytes: &[u8]| {
        let (text, encoding) = table::decode(bytes, None).unwrap();
        (text, encoding.name())
    };
    assert_eq!(found("\u{feff}é".as_bytes()), ("é".to_owned(), "UTF-8"));
    assert_eq!(found("naïve".as_bytes()), ("naïve".to_owned(), "UTF-8"));
    assert_eq!(found(b"\xff\xfea\0"), ("a".to_owned(), "UTF-16LE"));
    assert_eq!(found(b"The agency\x92s caf\xe9"), ("The agency’s café".to_owned(), "windows-1252"));
    assert!(table::decode(b"caf\xe9", encoding_rs::Encoding::for_label(b"utf-8")).is_err());
}

#[test]
fn another_table_is_read_row_by_row() {
    let table = table::read(CREDIT, &mapping::FileOptions::default()).unwrap();
    assert_eq!((table.header.0.len(), table.rows.len(), table.errors.len()), (21, 1_000, 0));
    assert_eq!(table.rows[999].line, 1_001);
}

#[test]
fn a_file_that_is_too_large_or_empty_is_refused() {
    let mapping = Mapping::parse(&small("", "")).unwrap();
    let error = plan(&vec![b'x'; MAX_FILE_BYTES + 1], &mapping).unwrap_err().to_string();
    assert!(error.contains("64 MB"), "{error}");
    assert!(plan(b"", &mapping).unwrap_err().to_string().contains("empty"));
}

#[test]
fn slugs_of_long_texts_stay_distinct() {
    let long = "Office of the Chief Information Officer and more";
    let (a, b) = (template::slug(&format!("{long} A"), Some(40)), template::slug(&format!("{long} B"), Some(40)));
    assert_ne!(a, b);
    assert!(a.len() <= 40 && a.starts_with("office-of-the-chief-information"), "{a}");
    assert_eq!(template::slug(" CMS / OIT ", None), "cms-oit");
}

proptest! {
    #[test]
    fn no_bytes_make_the_import_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mapping = Mapping::parse(&small("", "")).unwrap();
        let _ = plan(&bytes, &mapping);
        let _ = plan(&[b"Id,Name,Owner,Tier\n".as_slice(), &bytes].concat(), &mapping);
    }

    #[test]
    fn no_text_makes_the_mapping_panic(template in "[{}|a-z:# ]{0,20}") {
        let text = small("", &format!("description = {{ template = \"{template}\" }}"));
        let _ = Mapping::parse(&text).map(|mapping| plan(b"Id,Name,Owner,Tier\n1,a,b@c,low\n", &mapping));
    }

    #[test]
    fn a_row_knows_the_line_it_starts_on(
        rows in proptest::collection::vec(("[a-z\n\",]{0,12}", 0_usize..3, any::<bool>()), 1..20),
    ) {
        let (mut csv, mut expected) = ("Id,Text\r\n".to_owned(), Vec::new());
        for (id, (cell, blank_lines, windows)) in rows.iter().enumerate() {
            let end = if *windows { "\r\n" } else { "\n" };
            csv.push_str(&end.repeat(*blank_lines));
            expected.push((1 + csv.matches('\n').count() as u64, id.to_string(), cell.trim().to_owned()));
            csv.push_str(&format!("{id},\"{}\"{end}", cell.replace('"', "\"\"")));
        }
        let table = table::read(csv.as_bytes(), &mapping::FileOptions::default()).unwrap();
        prop_assert!(table.errors.is_empty());
        let found: Vec<_> = table.rows.iter().map(|row| (row.line, row.cell(0).to_owned(), row.cell(1).to_owned())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn names_are_distinct_and_never_too_long(names in proptest::collection::vec("[aA]{1,3}( \\([2-4]\\))?|b{195,210}", 0..30)) {
        let distinct = distinct::number(names.clone());
        let folded: HashSet<_> = distinct.iter().map(|name| folded(name)).collect();
        prop_assert_eq!(folded.len(), names.len());
        prop_assert!(distinct.iter().all(|name| name.chars().count() <= MAX_NAME_CHARS));
    }
}
