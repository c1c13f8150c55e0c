//! What a preview covers and what its gates look at, as they are now.

use chrono::{DateTime, Utc};
use countersign_runtimes::{DeploymentSpec, DesiredState, LiveState, Strategy, Target};
use serde_json::json;

use super::rules::{self, Bytes, Covers, GateCheck, GateFacts, ReleaseKind};
use super::store::{self, Facts};
use crate::app::App;
use crate::approvals::rules::{Case, TicketKind, approvers};
use crate::artifacts;
use crate::audit::Act;
use crate::db::Conn;
use crate::environments::{self, EnvironmentView};
use crate::error::{self, Error, Result};
use crate::identity::Role;
use crate::ids::{EnvironmentId, VersionId};
use crate::{approvals, operations};

/// A release to be previewed, or the one that a preview was made for.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub preview_ref: &'a str,
    pub strategy: &'a Strategy,
    pub options: &'a std::collections::BTreeMap<String, String>,
}

/// Everything that a preview rests on.
#[derive(Debug)]
pub struct Scene {
    pub facts: Facts,
    pub environment: EnvironmentView,
    pub target: Target,
    pub bytes: Bytes,
    pub busy: bool,
    pub approvers: Vec<Role>,
    pub freeze_approvers: Vec<Role>,
    policy: serde_json::Value,
}

impl Scene {
    /// Reads what there is.
    pub async fn read(
        app: &App,
        kind: ReleaseKind,
        environment: EnvironmentId,
        version: VersionId,
        verify_bytes: bool,
    ) -> Result<Self> {
        let environment = environments::read(app, environment).await?;
        let rules = approvals::rules_now(&app.db).await?;
        Self::with(app, Conn::Db(&app.db), kind, environment, version, &rules, verify_bytes).await
    }

    /// Reads it again inside an act, with the environment locked. The bytes are not read again: they are kept by their
    /// digest, and the runtime verifies what it starts.
    pub async fn read_in(
        act: &mut Act,
        kind: ReleaseKind,
        environment: EnvironmentId,
        version: VersionId,
    ) -> Result<Self> {
        let environment = environments::lock(act, environment).await?;
        let rules = approvals::current_rules(act).await?;
        let app = act.app().clone();
        Self::with(&app, Conn::Tx(&mut act.tx), kind, environment, version, &rules, false).await
    }

    async fn with(
        app: &App,
        mut conn: Conn<'_>,
        kind: ReleaseKind,
        environment: EnvironmentView,
        version: VersionId,
        rules: &[approvals::rules::ApprovalRule],
        verify_bytes: bool,
    ) -> Result<Self> {
        let facts = store::facts(conn.again(), version, environment.region_id).await?;
        let facts = facts.ok_or_else(|| Error::not_found("version", version))?;
        let busy = operations::is_busy(conn, environment.environment_id).await?;
        let ticket = ticket_kind(kind);
        let case =
            Case { stage: Some(environment.stage), region: Some(environment.region_id), tier: Some(facts.risk_tier) };
        let freeze_approvers = approvers(rules, TicketKind::FreezeOverride, case);
        let approvers = if environment.approval_required { approvers(rules, ticket, case) } else { Vec::new() };
        let asked: Vec<_> = rules.iter().filter(|rule| rule.kind == ticket).collect();
        let policy = json!({ "policy": app.policy.digest(), "approval_rules": asked });
        let bytes = bytes(app, &facts, verify_bytes).await?;
        let target = environments::target(app, environment.environment_id, &environment.endpoint)?;
        Ok(Self { facts, environment, target, bytes, busy, approvers, freeze_approvers, policy })
    }

    /// What the runtime is to reach.
    ///
    /// # Errors
    /// `artifact_unverified` if the version names no bytes.
    pub fn desired(&self, app: &App, wanted: &Wanted<'_>) -> Result<DesiredState> {
        let facts = &self.facts;
        let digest = facts.artifact_digest.as_deref().unwrap_or_default().parse::<artifacts::Digest>();
        let Ok(digest) = digest else {
            let says = format!("{} {} has no artifact.", facts.model_name, facts.version_number);
            return Err(Error::new(&error::ARTIFACT_UNVERIFIED, says));
        };
        let name = rules::served_name(&facts.model_name, facts.model_id.0);
        let key = rules::runtime_key(&facts.version_number, wanted.preview_ref);
        let path = std::path::absolute(artifacts::file_of(app, &digest)).map_err(Error::internal)?;
        let mut spec = DeploymentSpec::new(&key, &name, &facts.version_number, path, &format!("sha256:{digest}"));
        spec.options = wanted.options.clone();
        Ok(DesiredState::one(spec))
    }

    /// What the digest of a preview covers (4-delivery, *Release lifecycle*).
    pub fn covers(&self, wanted: &Wanted<'_>, live: &LiveState, rendered: &str) -> Covers {
        let (facts, place) = (&self.facts, &self.environment);
        let named = [
            ("version", json!({ "version_id": facts.version_id, "number": facts.version_number })),
            ("artifact", json!(facts.artifact_digest)),
            (
                "environment",
                json!({ "environment_id": place.environment_id, "region": place.region_code, "stage": place.stage,
                        "runtime": place.runtime, "endpoint": place.endpoint, "approval_required": place.approval_required }),
            ),
            ("manifest", json!(rendered)),
            ("strategy", json!(wanted.strategy)),
            ("variables", json!(wanted.options)),
            ("live_state", live.facts()),
            ("policy", self.policy.clone()),
        ];
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The gates that an approved release need not wait for. Who agreed to a freeze window's override agreed to that
    /// window, known by its end, and to no other.
    pub fn waived(&self, freeze_until: Option<DateTime<Utc>>) -> &'static [rules::Gate] {
        use rules::Gate;
        let agreed = freeze_until.is_some() && freeze_until == self.environment.frozen_until;
        if agreed { &[Gate::Approval, Gate::Freeze] } else { &[Gate::Approval] }
    }

    /// The gates' answers.
    pub fn checks(&self, kind: ReleaseKind) -> Vec<GateCheck> {
        let (facts, place) = (&self.facts, &self.environment);
        let approvers: Vec<String> = self.approvers.iter().map(|role| role.label().to_owned()).collect();
        rules::gates(&GateFacts {
            kind,
            version_number: &facts.version_number,
            region_code: &place.region_code,
            environment_name: &place.name,
            stage: place.stage,
            state: place.state,
            needs_validation: facts.needs_validation,
            validation: facts.validation_state,
            targeted: facts.targeted,
            locked: facts.locked,
            approvers: &approvers,
            frozen: place.frozen_reason.as_deref().zip(place.frozen_until),
            digest: facts.artifact_digest.as_deref(),
            bytes: &self.bytes,
            busy: self.busy,
        })
    }
}

/// What decides on a release of a kind.
pub fn ticket_kind(kind: ReleaseKind) -> TicketKind {
    match kind {
        ReleaseKind::Release => TicketKind::ReleaseApproval,
        ReleaseKind::Rollback => TicketKind::RollbackApproval,
    }
}

async fn bytes(app: &App, facts: &Facts, verify: bool) -> Result<Bytes> {
    let Some(digest) = facts.artifact_digest.as_deref().and_then(|text| text.parse::<artifacts::Digest>().ok()) else {
        return Ok(Bytes::None);
    };
    if !verify {
        return Ok(if facts.artifact_stored { Bytes::Verified } else { Bytes::Elsewhere });
    }
    Ok(match artifacts::hash_of(app, &digest).await? {
        None => Bytes::Elsewhere,
        Some(found) if found == digest => Bytes::Verified,
        Some(found) => Bytes::Damaged(found.to_string()),
    })
}

/// Refuses what a gate is closed for. `waits` are gates that may wait: an approval, or a freeze with a reason.
pub fn refuse_closed(checks: &[GateCheck], waits: &[rules::Gate]) -> Result<()> {
    let closed = checks.iter().find(|check| check.answer != rules::Answer::Allow && !waits.contains(&check.gate));
    match closed {
        None => Ok(()),
        Some(check) => {
            Err(Error::new(check.code(), check.says.clone()).fact("checks", checks).fact("until", check.until))
        }
    }
}
