//! A mapping whose columns have been found in the header of a file.

use std::collections::{BTreeSet, HashSet};

use super::field::{BlankWords, BoundDate, BoundField, DateField, Field};
use super::mapping::{Mapping, NoteMode, PersonFields};
use super::table::Header;
use super::{ImportError, MAX_NAME_CHARS, folded, one_line, shortened};

/// A mapping whose columns have been found in a header.
pub(super) struct Bound<'a> {
    pub mapping: &'a Mapping,
    pub header: &'a Header,
    pub blank: BlankWords,
    pub key: BoundField,
    pub name: BoundField,
    pub name_on_clash: Option<BoundField>,
    pub description: Option<BoundField>,
    pub owner: Person,
    pub developer: Option<Person>,
    pub team: BoundField,
    pub project: BoundField,
    pub risk_tier: BoundField,
    pub status: BoundField,
    pub regions: BoundField,
    pub initiated_on: Option<BoundDate>,
    pub planned_production_date: Option<BoundDate>,
    pub actual_production_date: Option<BoundDate>,
    pub retired_on: Option<BoundDate>,
    pub labels: Vec<String>,
    /// The columns kept as notes, in order.
    pub notes: BTreeSet<usize>,
}

pub(super) struct Person {
    pub email: BoundField,
    pub name: Option<BoundField>,
}

impl<'a> Bound<'a> {
    pub fn new(mapping: &'a Mapping, header: &'a Header) -> Result<Self, ImportError> {
        let model = &mapping.model;
        let person = |key: &str, fields: &PersonFields| -> Result<Person, ImportError> {
            let name = fields.name.as_ref().map(|name| name.bind(&format!("{key}.name"), header)).transpose()?;
            Ok(Person { email: fields.email.bind(&format!("{key}.email"), header)?, name })
        };
        let date = |key: &str, field: &Option<_>| -> Result<Option<BoundDate>, ImportError> {
            field.as_ref().map(|date: &DateField| date.bind(key, header)).transpose()
        };
        let optional = |key: &str, field: &Option<_>| -> Result<Option<BoundField>, ImportError> {
            field.as_ref().map(|field: &Field| field.bind(key, header)).transpose()
        };
        Ok(Self {
            mapping,
            header,
            blank: mapping.file.blank.iter().map(|word| folded(word)).collect(),
            key: mapping.key.field().bind("key", header)?,
            name: model.name.bind("model.name", header)?,
            name_on_clash: optional("model.name_on_clash", &model.name_on_clash)?,
            description: optional("model.description", &model.description)?,
            owner: person("model.owner", &model.owner)?,
            developer: model.developer.as_ref().map(|fields| person("model.developer", fields)).transpose()?,
            team: model.team.bind("model.team", header)?,
            project: model.project.bind("model.project", header)?,
            risk_tier: model.risk_tier.bind("model.risk_tier", header)?,
            status: model.status.bind("model.status", header)?,
            regions: model.regions.bind("model.regions", header)?,
            initiated_on: date("model.initiated_on", &model.initiated_on)?,
            planned_production_date: date("model.planned_production_date", &model.planned_production_date)?,
            actual_production_date: date("model.actual_production_date", &model.actual_production_date)?,
            retired_on: date("model.retired_on", &model.retired_on)?,
            labels: labels(mapping, header)?,
            notes: note_columns(mapping, header)?,
        })
    }
}

/// The label of each column.
fn labels(mapping: &Mapping, header: &Header) -> Result<Vec<String>, ImportError> {
    let mut labels: Vec<String> = Vec::with_capacity(header.0.len());
    let mut seen = HashSet::new();
    for (index, name) in header.0.iter().enumerate() {
        let label = shortened(name, MAX_NAME_CHARS);
        let number = index + 1;
        labels.push(match label.as_str() {
            "" => format!("Column {number}"),
            _ if !seen.insert(folded(name)) => format!("{} (column {number})", shortened(name, MAX_NAME_CHARS - 20)),
            _ => label,
        });
    }
    for (column, label) in &mapping.notes.labels {
        let label = one_line(label);
        if label.is_empty() || label.chars().count() > MAX_NAME_CHARS {
            let message = format!("the label of \"{column}\" is not 1 to {MAX_NAME_CHARS} characters long.");
            return Err(ImportError::mapping("notes.labels", message));
        }
        labels[header.find("notes.labels", column)?] = label;
    }
    Ok(labels)
}

/// The columns that become notes.
fn note_columns(mapping: &Mapping, header: &Header) -> Result<BTreeSet<usize>, ImportError> {
    let named = mapping.notes.columns.iter().map(|name| header.find("notes.columns", name));
    let mut columns = named.collect::<Result<BTreeSet<_>, _>>()?;
    if mapping.notes.mode == NoteMode::AllUnmapped {
        let mut used = BTreeSet::new();
        for (key, field) in mapping.model.texts() {
            used.extend(field.bind(&key, header)?.columns());
        }
        for (key, date) in mapping.model.dates() {
            used.insert(date.bind(key, header)?.column);
        }
        columns.extend((0..header.0.len()).filter(|column| !used.contains(column)));
    }
    Ok(columns)
}
