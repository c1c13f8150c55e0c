//! Applying a plan: one act, so that an import is there as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use axum::body::Bytes;
use serde_json::json;

use super::merge::{self, Particulars};
use super::model::{ImportPlan, ImportedModel, ImportedProject, LabelledNote, RowError};
use super::report::{ChangedModel, CreatedModel, ImportReport, MOST_ERRORS, MOST_MODELS};
use super::store::{self, Stored, Written};
use super::{Mapping, check, plan};
use crate::app::App;
use crate::audit::rules::changes;
use crate::audit::{Act, Record};
use crate::db::{DbError, is_duplicate};
use crate::error::{self, Error, Result};
use crate::identity::{Action, Actor, people};
use crate::ids::ModelId;
use crate::{readiness, tasks};

/// Reads a file by a mapping and imports it, or tells what that would do.
///
/// # Errors
/// `forbidden`, `invalid` if mapping or file cannot be read, else as [`import_inventory`].
pub async fn import_file(
    app: &App,
    actor: &Actor,
    file: Bytes,
    mapping: String,
    commit: bool,
    skip_bad_rows: bool,
) -> Result<ImportReport> {
    actor.may(app, Action::InventoryImport, &[])?;
    // A large file takes a second to read, in which this thread could serve others.
    let planned = tokio::task::spawn_blocking(move || plan(&file, &Mapping::parse(&mapping)?));
    let plan = planned.await.map_err(Error::internal)??;
    import_inventory(app, actor, plan, commit, skip_bad_rows).await
}

/// Makes what a plan says true in one act, or tells exactly what that would do: a preview is the same act, taken back.
///
/// Models are found by their external key. A field that the file has not changed since its last import stays as people
/// left it. The file's dates become notes: nobody ratified them.
///
/// # Errors
/// `forbidden`; `import_refused` if rows are wrong and not to be left out; `conflict` if somebody changed the inventory
/// at the same time.
pub async fn import_inventory(
    app: &App,
    actor: &Actor,
    plan: ImportPlan,
    commit: bool,
    skip_bad_rows: bool,
) -> Result<ImportReport> {
    actor.may(app, Action::InventoryImport, &[])?;
    refuse(&plan, skip_bad_rows)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let mut report = apply(&mut act, plan, skip_bad_rows).await?;
    if commit {
        act.commit().await?;
        report.committed = true;
    }
    Ok(report)
}

fn refuse(plan: &ImportPlan, skip_bad_rows: bool) -> Result<()> {
    let Some(first) = plan.errors.first().filter(|_| !skip_bad_rows) else { return Ok(()) };
    let lines: BTreeSet<u64> = plan.errors.iter().map(|error| error.line).collect();
    let detail =
        format!("{} of {} rows cannot be imported, so nothing was; the first is {first}", lines.len(), plan.rows);
    let errors: Vec<&RowError> = plan.errors.iter().take(MOST_ERRORS).collect();
    Err(Error::new(&error::IMPORT_REFUSED, detail).fact("errors", errors).fact("total", plan.errors.len()))
}

/// A row of the file beside the model that it describes.
#[derive(Debug)]
pub(super) struct Row {
    pub model: ImportedModel,
    pub after: Particulars,
    stored: Option<Stored>,
    notes: Vec<LabelledNote>,
    /// What the file says, as JSON, for the next import.
    imported_row: String,
}

impl Row {
    fn new(model: ImportedModel, stored: Option<Stored>) -> Result<Self> {
        let file = Particulars::of(&model);
        let after = stored.as_ref().map_or_else(
            || file.clone(),
            |stored| {
                let last = stored.imported_row.as_deref().and_then(|text| serde_json::from_str(text).ok());
                stored.now.merged(last.as_ref().unwrap_or(&stored.now), &file)
            },
        );
        let imported_row = serde_json::to_string(&file).map_err(Error::internal)?;
        Ok(Self { after, stored, notes: merge::notes(&model), imported_row, model })
    }

    pub(super) fn model_id(&self) -> Option<ModelId> {
        self.stored.as_ref().map(|stored| stored.model_id)
    }

    pub(super) fn before_regions(&self) -> &[String] {
        self.stored.as_ref().map_or(&[], |stored| &stored.now.regions)
    }

    pub(super) fn is_renamed(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.now.name != self.after.name)
    }

    /// The people whom the import gives the model.
    pub(super) fn new_people(&self) -> impl Iterator<Item = &String> {
        let before = self.stored.as_ref().map(|stored| &stored.now);
        let owner = Some(&self.after.owner).filter(|owner| before.is_none_or(|before| before.owner != **owner));
        let developer = self.after.developer.as_ref();
        let developer = developer.filter(|one| before.is_none_or(|before| before.developer.as_ref() != Some(*one)));
        owner.into_iter().chain(developer)
    }

    /// The model before, if the import changes it.
    fn changed(&self) -> Option<&Stored> {
        self.stored.as_ref().filter(|stored| stored.now != self.after || stored.notes != self.notes)
    }

    fn written(&self) -> Written<'_> {
        Written {
            model_id: self.model_id(),
            external_key: &self.model.external_key,
            after: &self.after,
            imported_row: &self.imported_row,
        }
    }
}

async fn apply(act: &mut Act, mut plan: ImportPlan, skip_bad_rows: bool) -> Result<ImportReport> {
    let models = std::mem::take(&mut plan.models);
    let keys: Vec<&str> = models.iter().map(|model| model.external_key.as_str()).collect();
    let mut stored = store::models(&mut act.tx, &keys).await?;
    let row = |model: ImportedModel| {
        let before = stored.remove(&model.external_key);
        Row::new(model, before)
    };
    let mut rows = models.into_iter().map(row).collect::<Result<Vec<Row>>>()?;
    let misfits = check::take_out(act, &plan, &mut rows).await?;
    plan.errors.extend(misfits);
    plan.errors.sort_by_key(|error| (error.line, error.column_index));
    refuse(&plan, skip_bad_rows)?;

    let mut report = report(&plan, &rows);
    make_what_is_missing(act, &plan, &rows, &mut report).await?;
    write(act, &rows).await?;
    record_import(act, &report);
    Ok(report)
}

fn report(plan: &ImportPlan, rows: &[Row]) -> ImportReport {
    let created = rows.iter().filter(|row| row.stored.is_none());
    let changed = rows.iter().filter_map(|row| Some((row, row.changed()?)));
    let (new, updated) = (created.clone().count(), changed.clone().count());
    ImportReport {
        committed: false,
        source: plan.source.clone(),
        file_digest: plan.file_digest.clone(),
        detected_encoding: plan.detected_encoding.clone(),
        rows: plan.rows,
        created: new,
        updated,
        unchanged: rows.len() - new - updated,
        skipped: plan.rows - rows.len(),
        new_people: 0,
        new_teams: 0,
        new_projects: 0,
        new_regions: 0,
        updated_models: changed.take(MOST_MODELS).map(|(row, before)| changed_model(row, before)).collect(),
        created_models: created.take(MOST_MODELS).map(created_model).collect(),
        total_errors: plan.errors.len(),
        errors: plan.errors.iter().take(MOST_ERRORS).cloned().collect(),
    }
}

fn changed_model(row: &Row, stored: &Stored) -> ChangedModel {
    let (before, after) = merge::difference((&stored.now, &stored.notes), (&row.after, &row.notes));
    let changes = changes(Some(&before.to_string()), Some(&after.to_string()));
    ChangedModel { line: row.model.line, model_id: stored.model_id, name: stored.now.name.clone(), changes }
}

fn created_model(row: &Row) -> CreatedModel {
    let Particulars { name, project, owner, .. } = row.after.clone();
    CreatedModel { line: row.model.line, name, project, owner }
}

/// Adds the people, regions, teams and projects that the rows refer to and that are not there.
async fn make_what_is_missing(act: &mut Act, plan: &ImportPlan, rows: &[Row], report: &mut ImportReport) -> Result<()> {
    let used: HashSet<&String> = rows.iter().flat_map(Row::new_people).collect();
    let wanted = plan.people.iter().filter(|person| used.contains(&person.email));
    let wanted: Vec<(String, String)> = wanted.map(|person| (person.email.clone(), person.name.clone())).collect();
    report.new_people = people::add_missing(act, &wanted).await?;

    let there = store::region_codes(&mut act.tx).await?;
    let used: HashSet<&String> = rows.iter().flat_map(|row| &row.after.regions).collect();
    for region in plan.regions.iter().filter(|region| used.contains(&region.code) && !there.contains(&region.code)) {
        let Some(definition) = &region.definition else { continue };
        let id = store::add_region(&mut act.tx, &region.code, definition).await?;
        act.record(Record::new("region.created", "region", id).after(region));
        act.tell("regions");
        report.new_regions += 1;
    }
    make_projects(act, rows, report).await
}

async fn make_projects(act: &mut Act, rows: &[Row], report: &mut ImportReport) -> Result<()> {
    let there = store::known_projects(&mut act.tx).await?;
    let missing = rows.iter().filter(|row| !there.contains(&row.after.project)).map(|row| &row.model);
    let missing: BTreeMap<&str, ImportedProject> = missing
        .map(|model| {
            (model.project.as_str(), ImportedProject { team: model.team.clone(), name: model.project.clone() })
        })
        .collect();
    let teams: BTreeSet<&str> = missing.values().map(|project| project.team.as_str()).collect();
    let teams = store::add_teams(&mut act.tx, &teams.into_iter().collect::<Vec<_>>()).await?;
    for (team, name) in &teams {
        act.record(Record::new("team.created", "team", team).after(json!({ "name": name })));
    }
    let projects = store::add_projects(&mut act.tx, &missing.values().collect::<Vec<_>>()).await?;
    for (project, name, team) in &projects {
        let after = json!({ "name": name, "team_id": team });
        act.record(Record::new("project.created", "project", project).after(after));
    }
    if !projects.is_empty() {
        act.tell("projects");
    }
    (report.new_teams, report.new_projects) = (teams.len(), projects.len());
    Ok(())
}

/// Writes the models, with their notes, their regions, and what follows from a change of them.
async fn write(act: &mut Act, rows: &[Row]) -> Result<()> {
    let changed: Vec<Written<'_>> = rows.iter().filter(|row| row.changed().is_some()).map(Row::written).collect();
    store::update(&mut act.tx, &changed).await.map_err(raced)?;
    let left = rows.iter().filter(|row| row.changed().is_none());
    let outdated = left.filter(|row| {
        row.stored.as_ref().is_some_and(|stored| stored.imported_row.as_ref() != Some(&row.imported_row))
    });
    store::remember(&mut act.tx, &outdated.map(Row::written).collect::<Vec<_>>()).await?;
    let new: Vec<Written<'_>> = rows.iter().filter(|row| row.stored.is_none()).map(Row::written).collect();
    let ids = store::insert(&mut act.tx, &new, act.now).await.map_err(raced)?;
    let id = |row: &Row| row.model_id().or_else(|| ids.get(&row.model.external_key).copied());

    let noted = rows.iter().filter(|row| row.stored.as_ref().is_none_or(|stored| stored.notes != row.notes));
    let noted: Vec<(ModelId, &[LabelledNote])> =
        noted.filter_map(|row| Some((id(row)?, row.notes.as_slice()))).collect();
    store::replace_notes(&mut act.tx, &noted).await?;
    let uses = rows.iter().filter_map(|row| Some((id(row)?, row))).flat_map(|(model, row)| {
        let added = row.after.regions.iter().filter(|code| !row.before_regions().contains(code));
        added.map(move |code| (model, code.as_str()))
    });
    store::add_regions(&mut act.tx, &uses.collect::<Vec<_>>()).await?;

    for row in rows {
        if let Some(model) = id(row).filter(|_| row.stored.is_none() || row.changed().is_some()) {
            act.record(model_record(model, row));
        }
    }
    follow(act, rows).await
}

/// Names and keys were free when they were looked up; a model was added or renamed since.
fn raced(cause: DbError) -> Error {
    if is_duplicate(&cause) {
        let error = Error::new(
            &error::CONFLICT,
            "Somebody changed the inventory while it was being imported; nothing was imported.",
        );
        error.hint("Import the file again.")
    } else {
        cause.into()
    }
}

fn model_record(model: ModelId, row: &Row) -> Record {
    let record = Record::new("model.imported", "model", model).model(model);
    match &row.stored {
        Some(stored) => {
            let (before, after) = merge::difference((&stored.now, &stored.notes), (&row.after, &row.notes));
            record.before(before).after(after)
        }
        None => record.after(NewModel {
            external_key: &row.model.external_key,
            particulars: &row.after,
            notes: row.notes.len(),
        }),
    }
}

#[derive(serde::Serialize)]
struct NewModel<'a> {
    external_key: &'a str,
    #[serde(flatten)]
    particulars: &'a Particulars,
    notes: usize,
}

/// Open tasks follow the owners, and what is ready follows owners, tiers and regions. New models have no versions yet.
async fn follow(act: &mut Act, rows: &[Row]) -> Result<()> {
    let changed = rows.iter().filter_map(|row| Some((row, row.changed()?)));
    let moved = changed.clone().filter(|(row, before)| row.after.owner != before.now.owner);
    let moved: Vec<ModelId> = moved.map(|(_, before)| before.model_id).collect();
    if !moved.is_empty() {
        tasks::owners_changed(act, &moved).await?;
    }
    let ready = |(row, before): &(&Row, &Stored)| {
        let (now, then) = (&row.after, &before.now);
        now.owner != then.owner || now.risk_tier != then.risk_tier || now.regions != then.regions
    };
    let models: Vec<ModelId> = changed.filter(ready).map(|(_, before)| before.model_id).collect();
    readiness::refresh(act, &models).await
}

fn record_import(act: &mut Act, report: &ImportReport) {
    let ImportReport { source, file_digest, rows, created, updated, unchanged, skipped, .. } = report;
    act.record(Record::new("inventory.imported", "inventory", source).after(json!({
        "file_digest": file_digest, "rows": rows, "created": created, "updated": updated, "unchanged": unchanged,
        "skipped": skipped, "new_people": report.new_people, "new_teams": report.new_teams,
        "new_projects": report.new_projects, "new_regions": report.new_regions,
    })));
    act.tell("models");
}
