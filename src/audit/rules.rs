//! How the ledger reads: acts in words, things as addresses, changes field by field. Pure.

use serde::Serialize;
use serde_json::Value;

/// An act in words: its name, what the person did, the icon, and the class of its mark in a timeline.
type Act = (&'static str, &'static str, &'static str, &'static str);

/// Every act that is recorded. A test finds the ones that are missing here.
pub const ACTS: &[Act] = &[
    ("account.locked", "was locked out after failed sign-ins", "lock", "is-bad"),
    ("approval.given", "gave an approval", "check", "is-ok"),
    ("approval.lapsed", "let an approval lapse", "undo", "is-warn"),
    ("approval.refused", "refused an approval", "x", "is-bad"),
    ("dataset.changed", "changed what is said of a data set", "flag", ""),
    ("dataset.created", "added a data set", "plus", ""),
    ("delegation.granted", "lent rights on the model", "user", ""),
    ("delegation.revoked", "took lent rights back", "undo", ""),
    ("deployment.active", "saw a deployment serve, verified", "check", "is-ok"),
    ("deployment.begun", "began a deployment", "rocket", ""),
    ("deployment.died", "saw a model server die", "warning", "is-bad"),
    ("deployment.not_deployed", "ended a deployment that never served", "x", "is-bad"),
    ("deployment.observed", "saw a deployment change", "info", "is-warn"),
    ("deployment.paused", "paused a deployment", "pause", "is-warn"),
    ("deployment.registered", "registered an endpoint that others run", "plus", ""),
    ("deployment.restart_failed", "could not restart a model server", "x", "is-bad"),
    ("deployment.restarted", "restarted a model server", "play", ""),
    ("deployment.resumed", "resumed a deployment", "play", "is-ok"),
    ("deployment.retired", "retired a deployment", "x", ""),
    ("drift.ended", "saw drift end", "check", "is-ok"),
    ("drift.found", "found drift", "warning", "is-warn"),
    ("environment.changed", "changed an environment", "server", ""),
    ("environment.created", "added an environment", "plus", ""),
    ("environment.frozen", "set a freeze window", "lock", "is-warn"),
    ("environment.thawed", "took a freeze window away", "lock", ""),
    ("experiment.created", "added an experiment", "plus", ""),
    ("experiment.deleted", "hid an experiment", "x", ""),
    ("experiment.renamed", "renamed an experiment", "version", ""),
    ("experiment.restored", "showed an experiment again", "undo", ""),
    ("model.alias_removed", "took an alias from the model", "undo", ""),
    ("model.alias_set", "pointed an alias of the model at a version", "flag", ""),
    ("model.changed", "changed the model", "model", ""),
    ("model.created", "added the model", "plus", ""),
    ("model.deleted", "deleted a model of which nothing was made", "x", ""),
    ("model.imported", "imported the model", "upload", ""),
    ("model.tagged", "changed a tag of the model", "model", ""),
    ("inventory.imported", "imported an inventory", "upload", ""),
    ("override.opened", "confirmed before approval", "flag", "is-warn"),
    ("override.reviewed", "reviewed an override", "flag", ""),
    ("project.changed", "changed a project", "version", ""),
    ("project.created", "added a project", "plus", ""),
    ("region.changed", "changed a region", "region", ""),
    ("region.created", "added a region", "plus", ""),
    ("regional_approval.granted", "gave a regional approval", "check", "is-ok"),
    ("regional_approval.lapsed", "let a regional approval lapse", "undo", "is-warn"),
    ("regional_approval.refused", "refused a regional approval", "x", "is-bad"),
    ("release.applied", "applied a release, verified", "check", "is-ok"),
    ("release.applying", "began to apply a release", "rocket", ""),
    ("release.approved", "approved a release", "check", "is-ok"),
    ("release.cancel_asked", "asked for a release to be given up", "x", ""),
    ("release.cancelled", "cancelled a release", "x", ""),
    ("release.expired", "let a release expire", "clock", "is-warn"),
    ("release.failed", "could not apply a release", "x", "is-bad"),
    ("release.pending_approval", "asked for a release’s approval", "inbox", ""),
    ("release.previewed", "previewed a release", "search", ""),
    ("release.rejected", "rejected a release", "x", "is-bad"),
    ("release.requested", "asked for a release", "rocket", ""),
    ("release.rollback_completed", "rolled a release back", "undo", "is-warn"),
    ("release.rollback_requested", "asked for a rollback", "undo", "is-warn"),
    ("release.step_failed", "failed at a step of a release", "x", "is-bad"),
    ("release.step_started", "began a step of a release", "play", ""),
    ("release.step_succeeded", "took a step of a release", "check", ""),
    ("rule.added", "added an approval rule", "plus", ""),
    ("rule.changed", "changed an approval rule", "flag", ""),
    ("rule.removed", "removed an approval rule", "x", ""),
    ("session.all_ended", "signed out everywhere", "user", ""),
    ("session.ended", "signed out", "user", ""),
    ("session.started", "signed in", "user", ""),
    ("task.adjusted", "moved a deployment to another date", "calendar", ""),
    ("task.cancelled", "cancelled a deployment", "x", ""),
    ("task.confirmed", "confirmed a deployment", "check", "is-ok"),
    ("task.created", "scheduled a deployment", "calendar", ""),
    ("task.evidenced", "attached a release’s evidence to a deployment task", "rocket", ""),
    ("task.reassigned", "gave a deployment to its new owner", "user", ""),
    ("task.unevidenced", "took a release’s evidence back from a deployment task", "undo", "is-warn"),
    ("team.changed", "changed a team", "people", ""),
    ("team.created", "added a team", "plus", ""),
    ("ticket.approved", "approved a ticket", "check", "is-ok"),
    ("ticket.asked", "asked for a decision", "inbox", ""),
    ("ticket.assigned", "gave a ticket to somebody", "user", ""),
    ("ticket.commented", "commented on a ticket", "info", ""),
    ("ticket.expired", "let a ticket expire", "clock", "is-warn"),
    ("ticket.rejected", "rejected a ticket", "x", "is-bad"),
    ("ticket.superseded", "replaced a ticket: what it asked about changed", "undo", ""),
    ("ticket.withdrawn", "took a ticket back", "undo", ""),
    ("token.created", "made an API token", "key", ""),
    ("token.revoked", "revoked an API token", "key", ""),
    ("user.added", "added a person", "plus", ""),
    ("user.disabled", "disabled a person’s account", "lock", ""),
    ("user.edited", "changed a person’s particulars", "user", ""),
    ("user.enabled", "enabled a person’s account", "user", ""),
    ("user.password_changed", "changed their password", "key", ""),
    ("user.password_set", "set a password", "key", ""),
    ("user.roles_set", "set a person’s roles", "user", ""),
    ("training.deleted", "deleted a training job", "x", ""),
    ("training.deployed", "deployed a training job", "rocket", "is-ok"),
    ("training.ended", "ended a training job", "flag", ""),
    ("training.queued", "queued a training job", "play", ""),
    ("training.restored", "restored a training job", "undo", ""),
    ("training.resumed", "resumed a training job", "play", ""),
    ("training.started", "started a training job elsewhere", "play", ""),
    ("training.registered", "made a version of a training job", "version", ""),
    ("training.stopped", "stopped a training job", "pause", "is-warn"),
    ("validation.approved", "completed a validation with its last approval", "shield", "is-ok"),
    ("validation.cancelled", "cancelled a validation", "x", ""),
    ("validation.moved", "moved a validation on", "shield", ""),
    ("validation.requested", "asked for a validation", "shield", ""),
    ("version.artifact_changed", "changed a version’s artifact", "upload", "is-warn"),
    ("version.deleted", "deleted a draft version", "x", ""),
    ("version.described", "described a version anew", "version", ""),
    ("version.planned", "planned a version’s production date", "calendar", ""),
    ("version.rolled_back", "rolled a version back out of production", "undo", "is-warn"),
    ("version.submitted", "submitted a version", "version", ""),
    ("version.tagged", "changed a tag of a version", "version", ""),
];

fn act(action: &str) -> Option<&'static Act> {
    ACTS.iter().find(|one| one.0 == action)
}

/// What was done, to be read after a name: `confirmed a deployment`. Where many acts of one kind follow one another,
/// it says which of them it was.
#[must_use]
pub fn sentence(action: &str, after: Option<&str>) -> String {
    let words = act(action).map_or_else(|| action.replace(['.', '_'], " "), |one| one.1.to_owned());
    let which = match action {
        "release.step_started" | "release.step_succeeded" | "release.step_failed" => "step",
        "deployment.observed" => "state",
        _ => return words,
    };
    let which = fields(after).into_iter().find(|(name, _)| name == which);
    which.map_or(words.clone(), |(_, value)| format!("{words}: {value}"))
}

/// The icon of an act and the class of its mark in a timeline.
#[must_use]
pub fn look(action: &str) -> (&'static str, &'static str) {
    act(action).map_or(("info", ""), |one| (one.2, one.3))
}

/// The page of a thing; the model's where the thing has none of its own.
#[must_use]
pub fn href(entity: &str, id: &str, model: Option<i64>) -> Option<String> {
    let own = match entity {
        "model" => Some("models"),
        "version" => Some("versions"),
        "validation" => Some("validations"),
        "ticket" => Some("inbox"),
        "user" => Some("people"),
        "region" => Some("regions"),
        "environment" => Some("environments"),
        "release" => Some("releases"),
        "preview" => Some("releases/previews"),
        "deployment" => Some("deployments"),
        _ => None,
    };
    own.map(|page| format!("/{page}/{id}")).or_else(|| model.map(|model| format!("/models/{model}")))
}

/// A field of a thing that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// Its name; empty if the thing is one value.
    pub field: String,
    /// Its value before; none if it was not there.
    pub before: Option<String>,
    /// Its value after; none if it is gone.
    pub after: Option<String>,
}

/// What differs between a thing before and after, field by field, in the order of their names.
#[must_use]
pub fn changes(before: Option<&str>, after: Option<&str>) -> Vec<Change> {
    let (before, after) = (fields(before), fields(after));
    let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let value =
        |list: &[(String, String)], name: &String| list.iter().find(|one| one.0 == *name).map(|one| one.1.clone());
    let both = |name: &String| (value(&before, name), value(&after, name));
    let change = |name: &String| {
        let (before, after) = both(name);
        Change { field: name.clone(), before, after }
    };
    names.into_iter().map(change).filter(|one| one.before != one.after).collect()
}

fn fields(text: Option<&str>) -> Vec<(String, String)> {
    match text.and_then(|text| serde_json::from_str(text).ok()) {
        Some(Value::Object(map)) => {
            map.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, plain(value))).collect()
        }
        Some(Value::Null) | None => Vec::new(),
        Some(value) => vec![(String::new(), plain(value))],
    }
}

/// A value without the quotation marks of JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
