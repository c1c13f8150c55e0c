//! A table with typed columns, read from CSV or Parquet.
//!
//! The types are found from the values: a column is of numbers, booleans or dates if every value is, otherwise of
//! text. Empty cells and the words `NA`, `N/A`, `NaN`, `null` and `?` are missing values.
//!
//! Memory is bounded by the limits below: a table of numbers at all of them takes 160 MB, and none takes a gigabyte,
//! whatever the file holds. Of a text column with more than [`MAX_CATEGORIES`] different values, or [`MAX_TEXT`] bytes
//! of them, only the summary and the preview are kept; no model uses such a column. Spaces around a value do not count.

use serde::{Deserialize, Serialize};

mod parquet;
mod read;
#[cfg(test)]
mod tests;

/// Rows that a table may have.
pub const MAX_ROWS: usize = 2_000_000;
/// Columns that a table may have.
pub const MAX_COLUMNS: usize = 1_000;
/// Cells that a table may have.
pub const MAX_CELLS: usize = 20_000_000;
/// Bytes that one line may have.
pub const MAX_LINE: usize = 1 << 20;
/// So far different values of a column are counted.
pub const MAX_DISTINCT: usize = 10_000;
/// Different texts that a feature may have. More are a name or a number of something, from which nothing is learned.
pub const MAX_CATEGORIES: usize = 256;
/// Bytes that the different texts of a column may have together to be kept.
pub const MAX_TEXT: usize = 64 << 10;
/// Rows of the preview.
pub const PREVIEW_ROWS: usize = 20;
/// Characters of a cell that the preview shows.
pub const PREVIEW_CHARACTERS: usize = 200;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Finite numbers, with a point.
    Number,
    /// `true` and `false`, or `yes` and `no`, in any case; models take them as text.
    Boolean,
    /// `2026-11-21`, with or without a time; models take them as text.
    Date,
    /// Anything else, and columns without a value.
    Text,
}

/// What is known of a column without its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the first line.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// Rows without a value.
    pub missing: usize,
    /// Different values; one more than [`MAX_DISTINCT`] stands for “more than those”.
    pub distinct: usize,
    /// The smallest number.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
}

impl Column {
    /// How many different values there are, in words.
    pub(crate) fn many(&self) -> String {
        if self.distinct > MAX_DISTINCT { format!("more than {MAX_DISTINCT}") } else { self.distinct.to_string() }
    }
}

/// The values of a column, one a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// NaN is missing.
    Numbers(Vec<f64>),
    /// Places in the dictionary; [`MISSING`] is missing.
    Texts { codes: Vec<u32>, dictionary: Vec<String> },
    /// Text with too many values to be of use.
    Varied,
}

/// The code of a missing text.
pub(crate) const MISSING: u32 = u32::MAX;

/// A table: columns of the same length.
#[derive(Debug, Clone)]
pub struct Table {
    /// How many rows it has, without the line of names.
    pub rows: usize,
    /// Its columns, in the order of the file.
    pub columns: Vec<Column>,
    /// The first rows as they are in the file; a missing value is `None`.
    pub preview: Vec<Vec<Option<String>>>,
    pub(crate) values: Vec<Values>,
}

impl Table {
    /// The values of the column with this name.
    pub(crate) fn values_of(&self, name: &str) -> Option<&Values> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        self.values.get(at)
    }
}

/// What a cell holds, or nothing where its value is missing.
fn value_of(cell: &str) -> Option<&str> {
    let cell = cell.trim();
    let missing = ["", "na", "n/a", "nan", "null", "?"].iter().any(|word| cell.eq_ignore_ascii_case(word));
    (!missing).then_some(cell)
}

/// The finite number that a cell spells. Words such as `inf`, which Rust would read as well, are text.
fn number_in(cell: &str) -> Option<f64> {
    let digits = cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = if digits { cell.parse().ok()? } else { return None };
    number.is_finite().then_some(number)
}

fn is_boolean(cell: &str) -> bool {
    ["true", "false", "yes", "no"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Whether a cell begins with a day of the calendar, alone or before a time.
fn is_date(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    if bytes.len() < 10 || !(bytes.len() == 10 || b"T ".contains(&bytes[10])) {
        return false;
    }
    let shape = bytes[..10].iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let two = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
    let rest = bytes[10..].iter().all(|byte| byte.is_ascii_digit() || b"T :.,+-Z".contains(byte));
    shape && rest && (1..=12).contains(&two(5)) && (1..=31).contains(&two(8))
}
