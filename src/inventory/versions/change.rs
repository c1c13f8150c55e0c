//! Submitting a change, planning it, and taking a bare draft back.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Act, Action, Actor, App, BTreeSet, ChangeType, Error, Fields, ModelId, Record, RegionId, Result, Revision,
    VersionId, VersionNumber, VersionScope, VersionView, access, check_revision, db, error, rules, store,
};
use crate::artifacts::{self, Digest};
use crate::ids::JobId;

/// What a change is made of.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionBody {
    /// How far it goes.
    pub change_type: ChangeType,
    /// Its number; the next one of its kind if nobody says.
    #[serde(default)]
    #[schema(example = "2.1")]
    pub version_number: Option<String>,
    /// Where it is meant to go.
    pub scope: VersionScope,
    /// The regions it names, of the model's; a REGIONAL change names at least one.
    #[serde(default)]
    pub affected_region_ids: Vec<RegionId>,
    /// What changes, and why; at most 10,000 characters.
    pub description: String,
    /// The day it is planned to go live.
    #[serde(default)]
    pub planned_production_date: Option<NaiveDate>,
    /// The SHA-256 of its artifact, if the bytes are kept elsewhere.
    #[serde(default)]
    pub artifact_digest: Option<String>,
}

/// What may change of a version.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionPatch {
    /// The day it is planned to go live; null takes the plan back.
    // Named, so that an empty body does not take the plan back.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    pub planned_production_date: Option<NaiveDate>,
}

/// Submits a change: makes the model's next version.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`, `version_creation_blocked` with what blocks, or `conflict`
/// if the number is taken.
pub async fn create(app: &App, actor: &Actor, model: ModelId, body: VersionBody) -> Result<VersionView> {
    access::authorise(app, &app.db, actor, Action::VersionSubmit, model).await?;
    let (body, given, digest) = checked(body)?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let (facts, used) = store::facts(&mut act.tx, model).await?;
    check_blockers(&facts)?;
    let number = given.unwrap_or_else(|| rules::next_number(&used, body.change_type));
    if rules::is_taken(&used, number) {
        return Err(taken(number));
    }
    let regions = store::model_regions(&mut act.tx, model).await?;
    check_plan(&body, &regions, act.now)?;
    let inserted = store::insert(&mut act.tx, model, number, &body, actor.user_id, act.now).await;
    let version = inserted.map_err(|cause| if db::is_duplicate(&cause) { taken(number) } else { cause.into() })?;
    if let Some(digest) = &digest {
        artifacts::record_reference(&mut act, digest, &digest.file_name(), actor.user_id).await?;
        store::set_artifact(&mut act.tx, version, digest.as_str()).await?;
    }
    let after = VersionBody { version_number: Some(number.to_string()), ..body };
    act.record(Record::new("version.submitted", "version", version).model(model).after(after));
    act.tell("models");
    act.commit().await?;
    super::view(app, version).await
}

/// An artifact that a training made, to become a version.
#[derive(Debug, Clone)]
pub struct Trained<'a> {
    /// The job; none if another version came from it already.
    pub job: Option<JobId>,
    /// The SHA-256 of the artifact, which is noted already.
    pub digest: &'a Digest,
    /// What it is, as a sentence.
    pub description: &'a str,
    /// What it came from, for the ledger.
    pub lineage: serde_json::Value,
}

/// Makes a draft of what a training made, as part of an act that has authorised it and locked the model. It is numbered
/// X.Y.0: a MINOR change, but for the model's first version, which is a MAJOR one (3-lifecycle, From job to deployment).
///
/// # Errors
/// `version_creation_blocked` with what blocks, or `conflict` if the job became a version already.
pub async fn register(act: &mut Act, actor: &Actor, model: ModelId, trained: Trained<'_>) -> Result<VersionId> {
    let (facts, used) = store::facts(&mut act.tx, model).await?;
    check_blockers(&facts)?;
    let number = VersionNumber { patch: Some(0), ..rules::next_number(&used, ChangeType::Minor) };
    let body = VersionBody {
        change_type: if used.is_empty() { ChangeType::Major } else { ChangeType::Minor },
        version_number: Some(number.to_string()),
        scope: VersionScope::Global,
        affected_region_ids: Vec::new(),
        description: trained.description.to_owned(),
        planned_production_date: None,
        artifact_digest: Some(trained.digest.to_string()),
    };
    let now = act.now;
    let version = store::insert(&mut act.tx, model, number, &body, actor.user_id, now).await?;
    store::set_artifact(&mut act.tx, version, trained.digest.as_str()).await?;
    if let Some(job) = trained.job {
        let says = "The training job became a version already.";
        let set = store::set_job(&mut act.tx, version, job).await;
        set.map_err(|why| if db::is_duplicate(&why) { Error::new(&error::CONFLICT, says) } else { why.into() })?;
    }
    let after = serde_json::json!({ "version": body, "job_id": trained.job, "lineage": trained.lineage });
    act.record(Record::new("version.submitted", "version", version).model(model).after(after));
    act.tell("models");
    Ok(version)
}

/// Plans the day a version goes live, or takes the plan back. Open tasks keep their own dates.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, or `invalid` if the day is past.
pub async fn update(
    app: &App,
    actor: &Actor,
    version: VersionId,
    seen: Revision,
    patch: VersionPatch,
) -> Result<VersionView> {
    let model = super::authorise(app, actor, Action::VersionSubmit, version).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let state = store::state(&mut act.tx, version).await?.ok_or_else(|| Error::not_found("version", version))?;
    check_revision("version", seen, state.revision)?;
    let (before, after) = (state.planned_production_date, patch.planned_production_date);
    if before == after {
        drop(act);
        return super::view(app, version).await;
    }
    let zones = store::target_zones(&mut act.tx, version).await?;
    let mut fields = Fields::default();
    check_date(&mut fields, after, zones.iter().map(String::as_str), act.now);
    fields.done()?;
    store::plan(&mut act.tx, version, after).await?;
    let planned = |date| serde_json::json!({ "planned_production_date": date });
    act.record(
        Record::new("version.planned", "version", version).model(model).before(planned(before)).after(planned(after)),
    );
    act.tell("models");
    act.commit().await?;
    super::view(app, version).await
}

/// Deletes a bare draft; its number is never given again.
///
/// # Errors
/// `not_found`, `forbidden`, or `version_in_use` if it ever had a validation or a task.
pub async fn delete(app: &App, actor: &Actor, version: VersionId) -> Result<VersionView> {
    let model = super::authorise(app, actor, Action::VersionDelete, version).await?;
    let view = super::view(app, version).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let state = store::state(&mut act.tx, version).await?.ok_or_else(|| Error::not_found("version", version))?;
    let history = [
        (state.has_validation, "a validation"),
        (state.has_task, "a deployment task"),
        (state.live_ever, "a deployment"),
    ];
    let history: Vec<_> = history.into_iter().filter_map(|(has, what)| has.then_some(what)).collect();
    if !history.is_empty() {
        let detail =
            format!("Version {} has {}, and what happened is never deleted.", state.number, history.join(" and "));
        return Err(Error::new(&error::VERSION_IN_USE, detail));
    }
    store::delete(&mut act.tx, version).await?;
    act.record(Record::new("version.deleted", "version", version).model(model).before(&view));
    act.tell("models");
    act.commit().await?;
    Ok(view)
}

/// The rules that need no database.
fn checked(mut body: VersionBody) -> Result<(VersionBody, Option<VersionNumber>, Option<Digest>)> {
    let mut fields = Fields::default();
    body.description = fields.text("description", &body.description, 10_000);
    let number = body.version_number.as_deref().map(str::parse::<VersionNumber>).transpose();
    let number = number.unwrap_or_else(|rule| {
        fields.refuse("version_number", rule);
        None
    });
    let digest = body.artifact_digest.as_deref().map(str::parse::<Digest>).transpose();
    let digest = digest.unwrap_or_else(|rule| {
        fields.refuse("artifact_digest", rule);
        None
    });
    body.artifact_digest = digest.as_ref().map(ToString::to_string);
    fields.check(
        rules::names_enough_regions(body.scope, body.affected_region_ids.len()),
        "affected_region_ids",
        "A REGIONAL change names at least one region.",
    );
    fields.done()?;
    Ok((body, number, digest))
}

fn check_blockers(facts: &[rules::Facts]) -> Result<()> {
    let blockers = rules::blockers(facts);
    if blockers.is_empty() {
        return Ok(());
    }
    let sentences: Vec<_> = blockers.iter().map(|blocker| blocker.sentence.as_str()).collect();
    Err(Error::new(&error::VERSION_CREATION_BLOCKED, sentences.join(" ")).fact("blockers", blockers))
}

fn taken(number: VersionNumber) -> Error {
    let sentence = format!("The number {number} was given already, and no number is given twice.");
    Error::new(&error::CONFLICT, sentence)
        .hint("Leave the number out to get the next free one.")
        .fact("field", "version_number")
}

/// The rules on regions and dates: `regions` are the model's.
fn check_plan(body: &VersionBody, regions: &[(RegionId, String)], now: DateTime<Utc>) -> Result<()> {
    let mut fields = Fields::default();
    let named: BTreeSet<RegionId> = body.affected_region_ids.iter().copied().collect();
    for region in named.iter().filter(|region| !regions.iter().any(|(known, _)| known == *region)) {
        fields.refuse("affected_region_ids", format!("The model is not used in region {region}."));
    }
    let targets = regions.iter().filter(|(region, _)| named.is_empty() || named.contains(region));
    check_date(&mut fields, body.planned_production_date, targets.map(|(_, zone)| zone.as_str()), now);
    fields.done()
}

/// A planned day may be today wherever it is still today.
fn check_date<'a>(
    fields: &mut Fields,
    date: Option<NaiveDate>,
    zones: impl Iterator<Item = &'a str>,
    now: DateTime<Utc>,
) {
    let today = zones.map(|zone| rules::today(zone, now)).min().unwrap_or_else(|| now.date_naive());
    let possible = date.is_none_or(|date| date >= today && date <= db::far_date());
    fields.check(possible, "planned_production_date", &format!("The day must not be past; today is {today}."));
}
