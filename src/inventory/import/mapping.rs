//! The mapping file: which columns of a CSV file become which fields of a model. `docs/import.md` is its manual.
//!
//! Everything that can be checked without a CSV file is checked here, so that [`Mapping::parse`] alone can tell
//! somebody who writes a mapping whether it is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use chrono::NaiveDate;
use chrono::format::{Item, Numeric, StrftimeItems};
use encoding_rs::Encoding;
use serde::Deserialize;

use super::field::{DateField, Field};
use super::model::{RegionDefinition, STATUSES, TIERS};
use super::{ImportError, MAX_REGION_CODE_CHARS, one_line};

/// A mapping file, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// A short name for where the inventory comes from; the external keys begin with it.
    source: String,
    #[serde(default)]
    pub(super) file: FileOptions,
    pub(super) key: KeyOptions,
    pub(super) model: ModelFields,
    #[serde(default, rename = "region")]
    regions: Vec<RegionTable>,
    #[serde(default)]
    pub(super) notes: NoteOptions,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileOptions {
    encoding: String,
    delimiter: String,
    pub header_line: u64,
    /// Words that stand for "nothing" where a field is filled, such as `N/A`.
    pub blank: Vec<String>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { encoding: "auto".to_owned(), delimiter: ",".to_owned(), header_line: 1, blank: Vec::new() }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyOptions {
    column: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    template: Option<String>,
    #[serde(default)]
    pub on_repeat: OnRepeat,
}

/// What to do with a row whose key stood in the file before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnRepeat {
    /// It is an error.
    #[default]
    Error,
    /// The second gets `#2`, the third `#3`.
    Number,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFields {
    pub name: Field,
    /// The name of rows that would otherwise share one.
    pub name_on_clash: Option<Field>,
    pub description: Option<Field>,
    pub owner: PersonFields,
    pub developer: Option<PersonFields>,
    pub team: Field,
    pub project: Field,
    pub risk_tier: Field,
    pub status: Field,
    pub regions: Field,
    /// What stands between region codes in one cell.
    #[serde(default = "semicolon")]
    pub region_separator: String,
    pub initiated_on: Option<DateField>,
    pub planned_production_date: Option<DateField>,
    pub actual_production_date: Option<DateField>,
    pub retired_on: Option<DateField>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonFields {
    pub email: Field,
    /// The address, if the mapping names nothing better.
    pub name: Option<Field>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionTable {
    code: String,
    name: String,
    time_zone: String,
    #[serde(default)]
    requires_regional_approval: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoteOptions {
    pub mode: NoteMode,
    /// With `list` the columns to keep; with `all-unmapped` those to keep although a field uses them.
    pub columns: Vec<String>,
    /// Short labels, by column.
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NoteMode {
    #[default]
    AllUnmapped,
    List,
}

fn semicolon() -> String {
    ";".to_owned()
}

impl Mapping {
    /// Reads and checks the text of a mapping file.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let mapping: Self = toml::from_str(text)
            .map_err(|error| ImportError::MappingSyntax(error.to_string().trim_end().to_owned()))?;
        mapping.check()?;
        Ok(mapping)
    }

    /// The name of the inventory that this mapping describes.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How the mapping says to make a region, if it does.
    pub(super) fn region(&self, code: &str) -> Option<RegionDefinition> {
        self.regions.iter().find(|region| region.code == code).map(|region| RegionDefinition {
            name: region.name.clone(),
            time_zone: region.time_zone.clone(),
            requires_regional_approval: region.requires_regional_approval,
        })
    }

    fn check(&self) -> Result<(), ImportError> {
        check_source(&self.source)?;
        self.file.encoding()?;
        self.file.delimiter()?;
        if self.file.header_line == 0 {
            return Err(ImportError::mapping("file.header_line", "lines are counted from 1."));
        }
        self.key.field().check("key")?;
        for (key, field) in self.model.texts() {
            field.check(&key)?;
        }
        self.model.risk_tier.check_results("model.risk_tier", &TIERS.map(|(name, _)| name))?;
        self.model.status.check_results("model.status", &STATUSES.map(|(name, _)| name))?;
        if self.model.region_separator.is_empty() {
            return Err(ImportError::mapping("model.region_separator", "it is empty; \";\" is usual."));
        }
        for (key, date) in self.model.dates() {
            check_date(key, date)?;
        }
        self.check_regions()
    }

    fn check_regions(&self) -> Result<(), ImportError> {
        let mut codes = BTreeSet::new();
        for region in &self.regions {
            let code = &region.code;
            if code.is_empty() || *code != one_line(code) || code.chars().count() > MAX_REGION_CODE_CHARS {
                let message = format!("\"{code}\" is not a code: 1 to {MAX_REGION_CODE_CHARS} characters on one line.");
                return Err(ImportError::mapping("region.code", message));
            }
            if !codes.insert(code) {
                return Err(ImportError::mapping("region.code", format!("\"{code}\" is defined twice.")));
            }
            if region.name.trim().is_empty() {
                return Err(ImportError::mapping("region.name", format!("region \"{code}\" has no name.")));
            }
            if chrono_tz::Tz::from_str(&region.time_zone).is_err() {
                let message = format!("\"{}\" is not an IANA time zone, such as America/New_York.", region.time_zone);
                return Err(ImportError::mapping("region.time_zone", message));
            }
        }
        Ok(())
    }
}

impl FileOptions {
    /// The encoding that the mapping insists on; none if it is to be detected.
    pub fn encoding(&self) -> Result<Option<&'static Encoding>, ImportError> {
        if self.encoding.eq_ignore_ascii_case("auto") {
            return Ok(None);
        }
        Encoding::for_label(self.encoding.as_bytes()).map(Some).ok_or_else(|| {
            let message =
                format!("\"{}\" is not an encoding; use \"auto\", \"utf-8\" or \"windows-1252\".", self.encoding);
            ImportError::mapping("file.encoding", message)
        })
    }

    /// The byte between two cells.
    pub fn delimiter(&self) -> Result<u8, ImportError> {
        match self.delimiter.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | b'\0') => Ok(*byte),
            _ => {
                let message = format!("\"{}\" is not one character, such as \",\" \";\" or \"\\t\".", self.delimiter);
                Err(ImportError::mapping("file.delimiter", message))
            }
        }
    }
}

impl KeyOptions {
    /// The key as a field like any other.
    pub fn field(&self) -> Field {
        Field {
            column: self.column.clone(),
            columns: self.columns.clone(),
            template: self.template.clone(),
            ..Field::default()
        }
    }
}

impl ModelFields {
    /// Every field that yields text, with its key.
    pub fn texts(&self) -> Vec<(String, &Field)> {
        let mut fields = vec![("name", &self.name), ("team", &self.team), ("project", &self.project)];
        fields.extend([("risk_tier", &self.risk_tier), ("status", &self.status), ("regions", &self.regions)]);
        fields.push(("owner.email", &self.owner.email));
        fields.extend(self.owner.name.iter().map(|field| ("owner.name", field)));
        fields.extend(self.name_on_clash.iter().map(|field| ("name_on_clash", field)));
        fields.extend(self.description.iter().map(|field| ("description", field)));
        if let Some(developer) = &self.developer {
            fields.push(("developer.email", &developer.email));
            fields.extend(developer.name.iter().map(|field| ("developer.name", field)));
        }
        fields.into_iter().map(|(key, field)| (format!("model.{key}"), field)).collect()
    }

    /// Every date, with its key.
    pub fn dates(&self) -> Vec<(&'static str, &DateField)> {
        [
            ("model.initiated_on", &self.initiated_on),
            ("model.planned_production_date", &self.planned_production_date),
            ("model.actual_production_date", &self.actual_production_date),
            ("model.retired_on", &self.retired_on),
        ]
        .into_iter()
        .filter_map(|(key, date)| date.as_ref().map(|date| (key, date)))
        .collect()
    }
}

fn check_source(source: &str) -> Result<(), ImportError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=40).contains(&source.len()) && source.chars().all(allowed) {
        return Ok(());
    }
    let message = format!("\"{source}\" is not a short name: 1 to 40 small letters, digits and hyphens.");
    Err(ImportError::mapping("source", message))
}

fn check_date(key: &str, date: &DateField) -> Result<(), ImportError> {
    for format in &date.formats {
        let items: Vec<_> = StrftimeItems::new(format).collect();
        // `%y` leaves the century to the reader: 00 to 68 is this one.
        let year = items.iter().any(|item| matches!(item, Item::Numeric(Numeric::Year | Numeric::YearMod100, _)));
        if !year || items.contains(&Item::Error) {
            let message =
                format!("\"{format}\" is not a date format with a year, such as \"%Y-%m-%d\" or \"%m/%d/%Y\".");
            return Err(ImportError::mapping(format!("{key}.formats"), message));
        }
    }
    let bounds = (date.earliest.unwrap_or(NaiveDate::MIN), date.latest.unwrap_or(NaiveDate::MAX));
    if bounds.0 > bounds.1 {
        return Err(ImportError::mapping(format!("{key}.latest"), "it lies before earliest."));
    }
    Ok(())
}
