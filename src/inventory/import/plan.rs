//! From rows and a mapping to an import plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};

use super::bind::Bound;
use super::field::BoundField;
use super::mapping::{Mapping, OnRepeat};
use super::model::{ImportPlan, ImportedModel, ImportedPerson, ImportedProject, ImportedRegion};
use super::reader::{Key, Name, read_model};
use super::table::{self, Row, Table};
use super::{ImportError, distinct, folded, one_line};

/// Says what the file would bring in. Fails only if there is nothing to say about single rows: the file cannot be read
/// at all, or does not have the columns that the mapping names.
pub fn plan(bytes: &[u8], mapping: &Mapping) -> Result<ImportPlan, ImportError> {
    let Table { encoding, header, rows, errors } = table::read(bytes, &mapping.file)?;
    let bound = Bound::new(mapping, &header)?;
    let mut plan = ImportPlan {
        source: mapping.source().to_owned(),
        file_digest: hex::encode(Sha256::digest(bytes)),
        detected_encoding: encoding.to_owned(),
        rows: rows.len() + errors.len(),
        models: Vec::with_capacity(rows.len()),
        errors,
        regions: Vec::new(),
        projects: Vec::new(),
        people: Vec::new(),
    };
    let mut met = Met::default();
    // Keys and names are given to all rows, wrong ones too: putting a row right must not rename others.
    for ((row, key), name) in rows.iter().zip(keys(&bound, &rows)).zip(names(&bound, &rows)) {
        match read_model(&bound, row, key, name) {
            Ok((model, people)) => {
                met.see(&model, people);
                plan.models.push(model);
            }
            Err(errors) => plan.errors.extend(errors),
        }
    }
    plan.errors.sort_by_key(|error| (error.line, error.column_index));
    met.finish(mapping, &mut plan);
    Ok(plan)
}

fn keys(bound: &Bound<'_>, rows: &[Row]) -> Vec<Key> {
    let texts: Vec<String> = rows.iter().map(|row| folded(&bound.key.text(row, &bound.blank))).collect();
    let ordinals = distinct::ordinals(texts.iter().map(String::as_str));
    let mut first = HashMap::new();
    let mut keys = Vec::with_capacity(rows.len());
    for ((row, text), ordinal) in rows.iter().zip(&texts).zip(ordinals) {
        let first: u64 = *first.entry(text.as_str()).or_insert(row.line);
        let key = if text.is_empty() { String::new() } else { distinct::key(bound.mapping.source(), text) };
        keys.push(match (ordinal, bound.mapping.key.on_repeat) {
            (0, _) => Ok(key),
            (_, OnRepeat::Number) => Ok(format!("{key}#{}", ordinal + 1)),
            (_, OnRepeat::Error) => Err(first),
        });
    }
    keys
}

fn names(bound: &Bound<'_>, rows: &[Row]) -> Vec<Name> {
    let of = |field: &BoundField, row: &Row| one_line(&field.text(row, &bound.blank));
    let mut whole: Vec<String> = rows.iter().map(|row| of(&bound.name, row)).collect();
    if let Some(field) = &bound.name_on_clash {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for name in &whole {
            *counts.entry(folded(name)).or_default() += 1;
        }
        for (name, row) in whole.iter_mut().zip(rows) {
            let other = if counts[&folded(name)] > 1 { of(field, row) } else { String::new() };
            if !other.is_empty() {
                *name = other;
            }
        }
    }
    let distinct = distinct::number(whole.clone());
    distinct.into_iter().zip(whole).map(|(distinct, whole)| Name { distinct, whole }).collect()
}

/// The people, projects and regions that the models so far refer to.
#[derive(Default)]
struct Met {
    people: BTreeMap<String, String>,
    projects: BTreeSet<ImportedProject>,
    regions: BTreeSet<String>,
}

impl Met {
    fn see(&mut self, model: &ImportedModel, people: Vec<ImportedPerson>) {
        for person in people {
            self.people.entry(person.email).or_insert(person.name);
        }
        self.projects.insert(ImportedProject { team: model.team.clone(), name: model.project.clone() });
        self.regions.extend(model.regions.iter().cloned());
    }

    fn finish(self, mapping: &Mapping, plan: &mut ImportPlan) {
        plan.people = self.people.into_iter().map(|(email, name)| ImportedPerson { email, name }).collect();
        plan.projects = self.projects.into_iter().collect();
        let region = |code: String| ImportedRegion { definition: mapping.region(&code), code };
        plan.regions = self.regions.into_iter().map(region).collect();
    }
}
