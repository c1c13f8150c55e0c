//! Where the value of a field comes from: a column, several, a template or a constant, then a table of values.
//!
//! A field is written in the mapping ([`Field`], [`DateField`]), checked by itself, then bound to the header of a file,
//! which turns names of columns into positions ([`BoundField`], [`BoundDate`]).

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use super::table::{Header, Row};
use super::template::{Part, parse_template};
use super::{ImportError, folded, one_line, shortened};

/// A text field as the mapping writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub column: Option<String>,
    #[serde(default)]
    pub columns: Vec<String>,
    /// What stands between the texts of several columns.
    pub separator: Option<String>,
    pub template: Option<String>,
    pub constant: Option<String>,
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// The value for what is not in `values`.
    pub default: Option<String>,
    /// The value where the file has none.
    pub when_blank: Option<String>,
}

/// A date field as the mapping writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DateField {
    pub column: String,
    #[serde(default = "iso_dates")]
    pub formats: Vec<String>,
    pub earliest: Option<NaiveDate>,
    pub latest: Option<NaiveDate>,
    #[serde(default)]
    pub on_error: OnDateError,
}

/// What to do with a text that is not a date in one of the formats and within the bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnDateError {
    /// The row has an error.
    #[default]
    Error,
    /// The field stays empty and the text becomes a note.
    Note,
    /// The field stays empty; another field or note tells of the text.
    Skip,
}

fn iso_dates() -> Vec<String> {
    vec!["%Y-%m-%d".to_owned()]
}

#[derive(Debug)]
pub(super) struct BoundField {
    key: String,
    source: Source,
    values: HashMap<String, String>,
    default: Option<String>,
    when_blank: Option<String>,
}

#[derive(Debug)]
enum Source {
    Columns(Vec<usize>, String),
    Template(Vec<Part>),
    Constant(String),
}

/// The words that stand for nothing, folded.
pub(super) type BlankWords = HashSet<String>;

impl Field {
    /// What can be known without a file: exactly one source, a sound template, a table without doubles.
    pub fn check(&self, key: &str) -> Result<(), ImportError> {
        let sources =
            [self.column.is_some(), !self.columns.is_empty(), self.template.is_some(), self.constant.is_some()];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            return Err(ImportError::mapping(key, "give one of column, columns, template or constant, and only one."));
        }
        if self.separator.is_some() && self.columns.is_empty() {
            return Err(ImportError::mapping(
                format!("{key}.separator"),
                "it belongs to columns, which are not given.",
            ));
        }
        if let Some(template) = &self.template {
            parse_template(template, |_| Ok(0)).map_err(|error| prefixed(key, "template", error))?;
        }
        if self.default.is_some() && self.values.is_empty() {
            let message = "it is for what is not in values, which are not given; for blank cells use when_blank.";
            return Err(ImportError::mapping(format!("{key}.default"), message));
        }
        let folded_values: HashSet<_> = self.values.keys().map(|value| folded(value)).collect();
        if folded_values.len() != self.values.len() {
            let message = "two entries are the same but for case and spaces; keep one of them.";
            return Err(ImportError::mapping(format!("{key}.values"), message));
        }
        Ok(())
    }

    /// Checks that everything the mapping itself can put into the field is allowed there.
    pub fn check_results(&self, key: &str, allowed: &[&str]) -> Result<(), ImportError> {
        let results = self.values.iter().map(|(from, to)| (format!("{key}.values.\"{from}\""), to));
        let singles = [("default", &self.default), ("when_blank", &self.when_blank), ("constant", &self.constant)];
        let singles = singles.into_iter().filter_map(|(name, value)| Some((format!("{key}.{name}"), value.as_ref()?)));
        for (place, result) in results.chain(singles) {
            if !allowed.contains(&result.as_str()) {
                let message = format!("\"{result}\" is not one of {}.", allowed.join(", "));
                return Err(ImportError::mapping(place, message));
            }
        }
        Ok(())
    }

    pub fn bind(&self, key: &str, header: &Header) -> Result<BoundField, ImportError> {
        let source = if let Some(template) = &self.template {
            Source::Template(parse_template(template, |name| header.find(&format!("{key}.template"), name))?)
        } else if let Some(constant) = &self.constant {
            Source::Constant(constant.clone())
        } else {
            let place = format!("{key}.{}", if self.column.is_some() { "column" } else { "columns" });
            let found = self.column.iter().chain(&self.columns).map(|name| header.find(&place, name));
            let separator = self.separator.clone().unwrap_or_else(|| " ".to_owned());
            Source::Columns(found.collect::<Result<_, _>>()?, separator)
        };
        Ok(BoundField {
            key: key.to_owned(),
            source,
            values: self.values.iter().map(|(from, to)| (folded(from), to.clone())).collect(),
            default: self.default.clone(),
            when_blank: self.when_blank.clone(),
        })
    }
}

impl BoundField {
    /// The columns that the value is made of.
    pub fn columns(&self) -> Vec<usize> {
        match &self.source {
            Source::Columns(columns, _) => columns.clone(),
            Source::Template(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Cell { column, .. } => Some(*column),
                    Part::Text(_) => None,
                })
                .collect(),
            Source::Constant(_) => Vec::new(),
        }
    }

    /// What the row says, before the table of values; `when_blank` if it says nothing, which may be nothing.
    pub fn text(&self, row: &Row, blank: &BlankWords) -> String {
        let cell = |column: usize| Some(row.cell(column)).filter(|text| !is_blank(text, blank));
        let text = match &self.source {
            Source::Constant(constant) => constant.clone(),
            Source::Columns(columns, separator) => {
                columns.iter().filter_map(|column| cell(*column)).collect::<Vec<_>>().join(separator)
            }
            // A template with a hole in it says nothing.
            Source::Template(parts) => {
                parts.iter().map(|part| part.fill(cell)).collect::<Option<String>>().unwrap_or_default()
            }
        };
        if text.is_empty() { self.when_blank.clone().unwrap_or_default() } else { text }
    }

    /// What the table of values makes of a text; a sentence if it does not know it.
    pub fn look_up(&self, text: &str) -> Result<String, String> {
        if self.values.is_empty() || text.is_empty() || self.when_blank.as_deref() == Some(text) {
            return Ok(text.to_owned());
        }
        let known = self.values.get(&folded(text)).or(self.default.as_ref());
        known.cloned().ok_or_else(|| {
            let text = shortened(&one_line(text), 60);
            format!("\"{text}\" is not in the mapping's {}.values; add it there, or give a default.", self.key)
        })
    }
}

impl DateField {
    pub fn bind(&self, key: &str, header: &Header) -> Result<BoundDate, ImportError> {
        Ok(BoundDate { column: header.find(&format!("{key}.column"), &self.column)?, field: self.clone() })
    }
}

#[derive(Debug)]
pub(super) struct BoundDate {
    pub column: usize,
    pub field: DateField,
}

impl BoundDate {
    /// The date that a text names, and whether it names the day; none if it is no date within the bounds.
    pub fn parse(&self, text: &str) -> Option<(NaiveDate, bool)> {
        let text = one_line(text);
        // A year outside these two centuries is a slip of the pen, whatever the mapping says.
        let in_bounds = |date: &NaiveDate| {
            (1900..2200).contains(&date.year())
                && self.field.earliest.is_none_or(|earliest| *date >= earliest)
                && self.field.latest.is_none_or(|latest| *date <= latest)
        };
        self.field.formats.iter().find_map(|format| {
            // A month or a year alone stands for its first day, and says that it is not exact.
            ["", " %d", " %m %d"].into_iter().find_map(|missing| {
                let first = missing.replace("%m", "1").replace("%d", "1");
                let date = NaiveDate::parse_from_str(&format!("{text}{first}"), &format!("{format}{missing}")).ok()?;
                Some((date, missing.is_empty())).filter(|(date, _)| in_bounds(date))
            })
        })
    }
}

fn prefixed(key: &str, name: &str, error: ImportError) -> ImportError {
    match error {
        ImportError::Mapping { message, .. } => ImportError::mapping(format!("{key}.{name}"), message),
        other => other,
    }
}

pub(super) fn is_blank(text: &str, blank: &BlankWords) -> bool {
    text.is_empty() || !blank.is_empty() && blank.contains(&folded(text))
}
