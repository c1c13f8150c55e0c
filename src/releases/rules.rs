//! Release states, gates, and what a preview covers. Pure.
//!
//! Source: 4-delivery, *Release lifecycle*.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::db::text_enum;
use crate::environments::rules::EnvironmentState;
use crate::error::{self, Code};
use crate::words::{Stage, ValidationState};

text_enum! {
    /// Where a release stands.
    pub enum LifecycleState {
        /// It waits for its approval.
        PendingApproval = "pending_approval",
        /// It may be applied.
        Approved = "approved",
        /// It is being applied.
        Applying = "applying",
        /// It serves, as verified.
        Applied = "applied",
        /// It could not be applied.
        Failed = "failed",
        /// It was applied, and its effect was undone.
        Rollback = "rollback",
        /// An approver rejected it.
        Rejected = "rejected",
        /// It was given up.
        Cancelled = "cancelled",
        /// Nobody approved it in time, or nobody applied it in time.
        Expired = "expired",
    }
}

/// For how long an approved release may be applied. What was agreed to has moved on by then.
pub const APPROVAL_HOLDS: TimeDelta = TimeDelta::days(7);

impl LifecycleState {
    /// Its icon, and the class of its status.
    #[must_use]
    pub const fn look(self) -> (&'static str, &'static str) {
        match self {
            Self::PendingApproval => ("clock", "status-warn"),
            Self::Approved => ("check", "status-info"),
            Self::Applying => ("rocket", "status-info"),
            Self::Applied => ("check", "status-ok"),
            Self::Failed | Self::Rejected => ("x", "status-bad"),
            Self::Rollback => ("undo", "status-muted"),
            Self::Cancelled | Self::Expired => ("x", "status-muted"),
        }
    }
}

text_enum! {
    /// What a release is for.
    pub enum ReleaseKind {
        /// It brings a version into an environment.
        Release = "release",
        /// It brings back a version that was applied there before.
        Rollback = "rollback",
    }
}

text_enum! {
    /// What stands between a version and an environment.
    pub enum Gate {
        /// The version's validation is approved.
        Validation = "validation",
        /// The region agrees, where it must.
        RegionalApproval = "regional_approval",
        /// Somebody approves the release, where the environment asks for it.
        Approval = "approval",
        /// No freeze window is open.
        Freeze = "freeze_window",
        /// The bytes are here, and are those that were approved.
        Artifact = "artifact",
        /// The environment takes releases.
        Environment = "environment",
        /// Nobody else is applying there.
        Turn = "turn",
    }
}

text_enum! {
    /// What a gate answers.
    pub enum Answer {
        /// It is open.
        Allow = "allow",
        /// It is closed until something changes.
        Deny = "deny",
        /// It opens by itself at an instant, or once somebody has decided.
        WaitUntil = "wait_until",
    }
}

/// A gate's answer, with the facts behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GateCheck {
    /// The gate.
    pub gate: Gate,
    /// Its answer.
    pub answer: Answer,
    /// Why, as a sentence.
    pub says: String,
    /// When it opens, where that is known.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
    /// The facts it rests on.
    #[serde(default)]
    pub facts: Map<String, Value>,
}

impl GateCheck {
    /// The code under which a release is refused at this gate.
    #[must_use]
    pub fn code(&self) -> &'static Code {
        match self.gate {
            Gate::Validation => &error::VALIDATION_MISSING,
            Gate::RegionalApproval => &error::REGIONAL_APPROVAL_REQUIRED,
            Gate::Freeze => &error::FREEZE_WINDOW,
            Gate::Artifact => &error::ARTIFACT_UNVERIFIED,
            Gate::Environment | Gate::Approval => &error::ENVIRONMENT_NOT_READY,
            Gate::Turn => &error::ENVIRONMENT_BUSY,
        }
    }

    /// Its icon, and the class of its status.
    #[must_use]
    pub const fn look(&self) -> (&'static str, &'static str, &'static str) {
        match self.answer {
            Answer::Allow => ("check", "status-ok", "Open"),
            Answer::Deny => ("x", "status-bad", "Closed"),
            Answer::WaitUntil => ("clock", "status-warn", "Wait"),
        }
    }
}

/// How the artifact was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// Here, and with the digest that the version names.
    Verified,
    /// The version names none.
    None,
    /// Only the digest is known here.
    Elsewhere,
    /// Here, with another digest.
    Damaged(String),
}

/// What the gates look at.
#[derive(Debug, Clone)]
pub struct GateFacts<'a> {
    /// Release or rollback.
    pub kind: ReleaseKind,
    /// The version.
    pub version_number: &'a str,
    /// The environment's region.
    pub region_code: &'a str,
    /// The environment.
    pub environment_name: &'a str,
    /// Its stage.
    pub stage: Stage,
    /// Whether it takes releases.
    pub state: EnvironmentState,
    /// Whether the version must be approved.
    pub needs_validation: bool,
    /// How far its validation is.
    pub validation: Option<ValidationState>,
    /// Whether the version is meant for the region.
    pub targeted: bool,
    /// Whether the region's own approval is missing.
    pub locked: bool,
    /// The roles that approve; none if nobody must.
    pub approvers: &'a [String],
    /// The open freeze window: its reason and its end.
    pub frozen: Option<(&'a str, DateTime<Utc>)>,
    /// The digest that the version names.
    pub digest: Option<&'a str>,
    /// How the artifact was found.
    pub bytes: &'a Bytes,
    /// Whether something is being applied there.
    pub busy: bool,
}

/// All gates, in the order in which a person would ask.
#[must_use]
pub fn gates(facts: &GateFacts<'_>) -> Vec<GateCheck> {
    vec![
        validation(facts),
        region(facts),
        approval(facts),
        freeze(facts),
        artifact(facts),
        environment(facts),
        turn(facts),
    ]
}

fn check(gate: Gate, answer: Answer, says: String, facts: Value) -> GateCheck {
    let facts = if let Value::Object(facts) = facts { facts } else { Map::new() };
    GateCheck { gate, answer, says, until: None, facts }
}

/// A rollback goes to what was approved and applied before; into development anything may go.
fn validation(facts: &GateFacts<'_>) -> GateCheck {
    let version = facts.version_number;
    let state = facts.validation.map_or("none", ValidationState::as_str);
    let (answer, says) = if facts.validation == Some(ValidationState::Approved) {
        (Answer::Allow, format!("The validation of {version} is approved."))
    } else if facts.kind == ReleaseKind::Rollback {
        (Answer::Allow, format!("{version} was applied here before."))
    } else if facts.stage == Stage::Development {
        (Answer::Allow, "Into development a version may go before its validation is approved.".to_owned())
    } else if !facts.needs_validation {
        (Answer::Allow, format!("{version} is a minor change, which needs no validation here."))
    } else {
        (Answer::Deny, format!("The validation of {version} is not approved."))
    };
    check(Gate::Validation, answer, says, json!({ "validation_state": state, "stage": facts.stage }))
}

fn region(facts: &GateFacts<'_>) -> GateCheck {
    let (version, region) = (facts.version_number, facts.region_code);
    let (answer, says) = if facts.stage == Stage::Development {
        (Answer::Allow, "Into development a version may go before its regions agree.".to_owned())
    } else if !facts.targeted {
        (Answer::Deny, format!("{version} is not meant for {region}."))
    } else if facts.locked && facts.kind == ReleaseKind::Release {
        (Answer::Deny, format!("{region} requires its own approval of {version} and has not given it."))
    } else {
        (Answer::Allow, format!("{region} has nothing against {version}."))
    };
    check(Gate::RegionalApproval, answer, says, json!({ "region": region, "locked": facts.locked }))
}

fn approval(facts: &GateFacts<'_>) -> GateCheck {
    let roles = facts.approvers.join(" and ");
    let (answer, says) = if facts.approvers.is_empty() {
        (Answer::Allow, format!("{} asks for no approval.", facts.environment_name))
    } else {
        (Answer::WaitUntil, format!("It waits for the approval of {roles}."))
    };
    check(Gate::Approval, answer, says, json!({ "approvers": facts.approvers }))
}

fn freeze(facts: &GateFacts<'_>) -> GateCheck {
    let Some((reason, until)) = facts.frozen else {
        return check(Gate::Freeze, Answer::Allow, "No freeze window is open.".to_owned(), Value::Null);
    };
    let says = format!("Frozen until {}: {reason}", until.format("%Y-%m-%d %H:%M UTC"));
    GateCheck { until: Some(until), ..check(Gate::Freeze, Answer::WaitUntil, says, json!({ "reason": reason })) }
}

fn artifact(facts: &GateFacts<'_>) -> GateCheck {
    let version = facts.version_number;
    let (answer, says) = match facts.bytes {
        Bytes::Verified => (Answer::Allow, format!("The artifact of {version} is here, with the digest it names.")),
        Bytes::None => (Answer::Deny, format!("{version} has no artifact.")),
        Bytes::Elsewhere => {
            (Answer::Deny, format!("Of the artifact of {version} only the digest is kept here: upload its bytes."))
        }
        Bytes::Damaged(found) => {
            (Answer::Deny, format!("The artifact kept for {version} has the digest {found}, not its own."))
        }
    };
    check(Gate::Artifact, answer, says, json!({ "digest": facts.digest }))
}

fn environment(facts: &GateFacts<'_>) -> GateCheck {
    let (answer, word) = match facts.state {
        EnvironmentState::Ready => (Answer::Allow, "ready"),
        state => (Answer::Deny, state.as_str()),
    };
    let says = format!("{} is {word}.", facts.environment_name);
    check(Gate::Environment, answer, says, json!({ "state": facts.state }))
}

fn turn(facts: &GateFacts<'_>) -> GateCheck {
    let (answer, says) = if facts.busy {
        (Answer::Deny, format!("Another release is being applied in {}.", facts.environment_name))
    } else {
        (Answer::Allow, format!("Nobody else is applying in {}.", facts.environment_name))
    };
    check(Gate::Turn, answer, says, Value::Null)
}

/// What a preview was made of: apply finds the same, or is refused.
pub type Covers = BTreeMap<String, Value>;

/// Something that is not as it was when the preview was made.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Moved {
    /// What it is.
    pub what: String,
    /// As it was.
    #[schema(value_type = Object)]
    pub before: Value,
    /// As it is.
    #[schema(value_type = Object)]
    pub after: Value,
}

/// What differs between two covers, by name.
#[must_use]
pub fn moved(before: &Covers, after: &Covers) -> Vec<Moved> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let value = |of: &Covers, name: &String| of.get(name).cloned().unwrap_or(Value::Null);
    let both = |name: &String| Moved { what: name.clone(), before: value(before, name), after: value(after, name) };
    names.into_iter().map(both).filter(|one| one.before != one.after).collect()
}

/// The digest of what a preview covers: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest(covers: &Covers) -> String {
    use sha2::Digest as _;
    let text = serde_json::to_string(covers).unwrap_or_default();
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(text)))
}

/// The name under which a runtime knows what a release starts: the version, as people know it, and the beginning of the
/// preview, since no two are alike.
#[must_use]
pub fn runtime_key(version: &str, preview_ref: &str) -> String {
    let version = version.trim_start_matches('v').chars();
    let plain: String = version.map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(40).collect();
    let short: String = preview_ref.chars().take(8).collect();
    format!("v{plain}-{short}")
}

/// The name under which a model is served: what addresses take, with the model's number so that no two are alike.
#[must_use]
pub fn served_name(model: &str, number: i64) -> String {
    let plain: String =
        model.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    format!("{}{}{number}", words.join("-"), if words.is_empty() { "model-" } else { "-" })
}
