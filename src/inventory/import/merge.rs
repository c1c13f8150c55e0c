//! What a row changes of the model it describes. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::{ImportedModel, LabelledNote};
use crate::words::{ModelStatus, RiskTier};

/// The fields of a model that an import fills, people by address and the rest by name: names mean the same before and
/// after, and in every database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    pub name: String,
    pub description: String,
    pub owner: String,
    pub developer: Option<String>,
    pub project: String,
    pub risk_tier: RiskTier,
    pub status: ModelStatus,
    /// The codes of the regions, sorted.
    pub regions: Vec<String>,
}

impl Particulars {
    /// What the row says.
    pub fn of(model: &ImportedModel) -> Self {
        let mut regions = model.regions.clone();
        regions.sort();
        Self {
            name: model.name.clone(),
            description: model.description.clone(),
            owner: model.owner.clone(),
            developer: model.developer.clone(),
            project: model.project.clone(),
            risk_tier: model.risk_tier,
            status: model.status,
            regions,
        }
    }

    /// The model after the import: a field that the file changed since the last import is the file's, every other stays
    /// as people left it. Regions are only added: one may be live, or wanted, without the file knowing.
    pub fn merged(&self, last: &Self, file: &Self) -> Self {
        fn one<T: PartialEq + Clone>(now: &T, last: &T, file: &T) -> T {
            if last == file { now.clone() } else { file.clone() }
        }
        let new = file.regions.iter().filter(|code| !last.regions.contains(code) && !self.regions.contains(code));
        let mut regions: Vec<String> = self.regions.iter().chain(new).cloned().collect();
        regions.sort();
        Self {
            name: one(&self.name, &last.name, &file.name),
            description: one(&self.description, &last.description, &file.description),
            owner: one(&self.owner, &last.owner, &file.owner),
            developer: one(&self.developer, &last.developer, &file.developer),
            project: one(&self.project, &last.project, &file.project),
            risk_tier: one(&self.risk_tier, &last.risk_tier, &file.risk_tier),
            status: one(&self.status, &last.status, &file.status),
            regions,
        }
    }
}

/// The notes of a row. Its dates are among them: they are what the file says, and nobody ratified them.
pub fn notes(model: &ImportedModel) -> Vec<LabelledNote> {
    let dates = [
        ("Work began", model.initiated_on),
        ("Planned production date", model.planned_production_date),
        ("Production date", model.actual_production_date),
        ("Retired", model.retired_on),
    ];
    let note = |(label, date): (&str, Option<chrono::NaiveDate>)| {
        date.map(|date| LabelledNote { label: label.to_owned(), text: date.to_string() })
    };
    dates.into_iter().filter_map(note).chain(model.notes.iter().cloned()).collect()
}

/// Those fields and notes of a model that differ, before and after, for the ledger and the preview.
pub fn difference(before: (&Particulars, &[LabelledNote]), after: (&Particulars, &[LabelledNote])) -> (Value, Value) {
    let (mut before, mut after) = (facts(before.0, before.1), facts(after.0, after.1));
    let same: Vec<String> =
        before.iter().filter(|(name, value)| after.get(*name) == Some(*value)).map(|(name, _)| name.clone()).collect();
    for name in same {
        before.remove(&name);
        after.remove(&name);
    }
    (Value::Object(before), Value::Object(after))
}

fn facts(particulars: &Particulars, notes: &[LabelledNote]) -> Map<String, Value> {
    let Ok(Value::Object(mut facts)) = serde_json::to_value(particulars) else { return Map::new() };
    for note in notes {
        let text = facts.entry(format!("Note: {}", note.label)).or_insert_with(|| Value::String(String::new()));
        if let Value::String(text) = text {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&note.text);
        }
    }
    facts
}
