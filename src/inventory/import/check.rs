//! What is wrong with rows that only shows beside what the database holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::apply::Row;
use super::model::{ImportPlan, RowError, RowRule};
use super::store;
use crate::audit::Act;
use crate::error::Result;
use crate::ids::ModelId;

/// Takes the rows out that do not fit what there is, and says why.
pub(super) async fn take_out(act: &mut Act, plan: &ImportPlan, rows: &mut Vec<Row>) -> Result<Vec<RowError>> {
    let mut regions = store::region_codes(&mut act.tx).await?;
    let defined = plan.regions.iter().filter(|region| region.definition.is_some());
    regions.extend(defined.map(|region| region.code.clone()));
    let known = Known {
        regions,
        disabled: store::disabled_people(&mut act.tx).await?,
        teams: teams(rows),
        projects: store::known_projects(&mut act.tx).await?,
    };
    let mut errors: Vec<RowError> = rows.iter().filter_map(|row| known.error(row)).collect();
    let wrong: HashSet<u64> = errors.iter().map(|error| error.line).collect();
    rows.retain(|row| !wrong.contains(&row.model.line));

    let names: Vec<&str> = rows.iter().map(|row| row.after.name.as_str()).collect();
    let holders = store::names(&mut act.tx, &names).await?;
    let clashing = clashing(rows, &holders);
    errors.extend(rows.iter().filter(|row| clashing.contains(&row.model.line)).map(|row| {
        let name = &row.after.name;
        let hint = format!("Another model bears the name \"{name}\" already; rename one of the two.");
        error(row, name, RowRule::NameTaken, hint)
    }));
    rows.retain(|row| !clashing.contains(&row.model.line));
    Ok(errors)
}

struct Known {
    regions: HashSet<String>,
    disabled: HashSet<String>,
    /// The team of each project of the file, where it first stands.
    teams: BTreeMap<String, String>,
    projects: HashSet<String>,
}

impl Known {
    fn error(&self, row: &Row) -> Option<RowError> {
        let new_regions = row.after.regions.iter().filter(|code| !row.before_regions().contains(code));
        for code in new_regions {
            if !self.regions.contains(code) {
                let hint = format!("There is no region \"{code}\"; add it first, or give the mapping a [[region]].");
                return Some(error(row, code, RowRule::UnknownRegion, hint));
            }
        }
        for email in row.new_people() {
            if self.disabled.contains(email) {
                let hint = format!("The account {email} is disabled; name somebody else, or enable it.");
                return Some(error(row, email, RowRule::DisabledPerson, hint));
            }
        }
        let (project, team) = (&row.model.project, &row.model.team);
        let first = self.teams.get(project).filter(|first| *first != team && !self.projects.contains(project))?;
        let hint = format!("The project \"{project}\" stands under the team \"{first}\" too; a project has one team.");
        Some(error(row, team, RowRule::ProjectTeam, hint))
    }
}

fn teams(rows: &[Row]) -> BTreeMap<String, String> {
    let mut teams = BTreeMap::new();
    for row in rows {
        teams.entry(row.model.project.clone()).or_insert_with(|| row.model.team.clone());
    }
    teams
}

/// The lines whose name is taken, by a model that keeps it or by a row before. A row that is taken out keeps its old
/// name, which may be one that another row wants: so until nothing more is found.
fn clashing(rows: &[Row], holders: &HashMap<String, ModelId>) -> BTreeSet<u64> {
    let mut clashing = BTreeSet::new();
    loop {
        let left = || rows.iter().filter(|row| !clashing.contains(&row.model.line));
        let renamed: HashSet<ModelId> = left().filter(|row| row.is_renamed()).filter_map(Row::model_id).collect();
        let mut taken = HashSet::new();
        let is_free = |row: &Row| {
            let holder = holders.get(&row.after.name).copied();
            holder.is_none_or(|holder| Some(holder) == row.model_id() || renamed.contains(&holder))
        };
        let found: Vec<u64> = left()
            .filter(|row| !is_free(row) || !taken.insert(row.after.name.as_str()))
            .map(|row| row.model.line)
            .collect();
        if found.is_empty() {
            return clashing;
        }
        clashing.extend(found);
    }
}

fn error(row: &Row, value: &str, rule: RowRule, hint: String) -> RowError {
    RowError { line: row.model.line, column_index: None, column: None, value: super::shortened(value, 80), rule, hint }
}
