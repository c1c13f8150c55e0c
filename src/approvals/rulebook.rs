//! The rules as data: how many people of which role a decision needs, and which minor changes need
//! a validation at all.

use serde::{Deserialize, Serialize};

use super::rules::{ApprovalRule, TicketKind, check_rule};
use super::store;
use crate::app::App;
use crate::audit::{Act, Record};
use crate::db::{is_dangling, is_duplicate};
use crate::error::{self, Error, Result};
use crate::identity::{Action, Actor, Role};
use crate::ids::{RegionId, RuleId};
use crate::words::{RiskTier, Stage};

/// All rules about approvals.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Rulebook {
    /// Who must approve what; the most specific rule wins.
    pub approvals: Vec<ApprovalRule>,
    /// Which minor changes need a validation.
    pub minor_changes: Vec<MinorChangeRule>,
}

/// A rule that somebody wants to add.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// The kind of decision.
    pub kind: TicketKind,
    /// The role that decides.
    pub role: Role,
    /// The stage of the environments it holds for; all if absent. Only releases have one.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// The region it holds for; all if absent.
    #[serde(default)]
    pub region_id: Option<RegionId>,
    /// The risk tier it holds for; all if absent.
    #[serde(default)]
    pub risk_tier: Option<RiskTier>,
    /// How many different people of the role must approve, 1 to 9.
    #[schema(minimum = 1, maximum = 9)]
    pub needed: i64,
}

/// Whether minor changes of models of a risk tier need a validation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MinorChangeRule {
    /// The risk tier.
    pub risk_tier: RiskTier,
    /// Whether a minor change needs a validation.
    pub needs_validation: bool,
}

/// The rules in force. Everybody who is signed in may read them: they say who must approve.
///
/// # Errors
/// Only failures of the database.
pub async fn rulebook(app: &App, actor: &Actor) -> Result<Rulebook> {
    actor.may(app, Action::PeopleView, &[])?;
    Ok(Rulebook { approvals: store::rules(&app.db).await?, minor_changes: store::minor_rules(&app.db).await? })
}

/// Adds a rule for a region or a risk tier, or asks for a further role.
///
/// # Errors
/// `forbidden`, `invalid`; `conflict` if there is a rule for the same case.
pub async fn add_rule(app: &App, actor: &Actor, rule: NewRule) -> Result<ApprovalRule> {
    actor.may(app, Action::RuleManage, &[])?;
    check_rule(rule.kind, rule.role, rule.stage, rule.region_id, rule.needed)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let added = store::insert_rule(&mut act.tx, &rule).await.map_err(|cause| {
        if is_duplicate(&cause) {
            Error::new(
                &error::CONFLICT,
                "There is a rule for this kind, role, stage, region and tier; change that one.",
            )
        } else if is_dangling(&cause) {
            Error::field("region_id", "There is no such region.")
        } else {
            cause.into()
        }
    })?;
    act.record(Record::new("rule.added", "approval_rule", added.rule_id).after(&added));
    act.tell("rules");
    act.commit().await?;
    Ok(added)
}

/// Changes how many people a rule asks for. Tickets that were asked keep what they asked for.
///
/// # Errors
/// `forbidden`, `not_found`, `invalid`.
pub async fn change_rule(app: &App, actor: &Actor, rule_id: RuleId, needed: i64) -> Result<ApprovalRule> {
    actor.may(app, Action::RuleManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = find(&mut act, rule_id).await?;
    check_rule(before.kind, before.role, before.stage, before.region_id, needed)?;
    store::set_needed(&mut act.tx, rule_id, needed).await?;
    let after = ApprovalRule { needed, ..before.clone() };
    act.record(Record::new("rule.changed", "approval_rule", rule_id).before(&before).after(&after));
    act.tell("rules");
    act.commit().await?;
    Ok(after)
}

/// Takes a special rule away; the more general one holds again.
///
/// # Errors
/// `forbidden`, `not_found`; `conflict` for a general rule that the product needs.
pub async fn remove_rule(app: &App, actor: &Actor, rule_id: RuleId) -> Result<ApprovalRule> {
    actor.may(app, Action::RuleManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let rule = find(&mut act, rule_id).await?;
    if rule.is_required() {
        return Err(Error::new(&error::CONFLICT, "This is the general rule: some rule must say who approves.")
            .hint("Change how many people it needs, or add a special rule."));
    }
    store::delete_rule(&mut act.tx, rule_id).await?;
    act.record(Record::new("rule.removed", "approval_rule", rule_id).before(&rule));
    act.tell("rules");
    act.commit().await?;
    Ok(rule)
}

/// Says whether minor changes of a risk tier need a validation.
///
/// # Errors
/// `forbidden`.
pub async fn set_minor_rule(app: &App, actor: &Actor, rule: MinorChangeRule) -> Result<MinorChangeRule> {
    actor.may(app, Action::RuleManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    store::set_minor_rule(&mut act.tx, rule).await?;
    act.record(Record::new("rule.changed", "minor_change_rule", rule.risk_tier).after(rule));
    act.tell("rules");
    act.commit().await?;
    Ok(rule)
}

async fn find(act: &mut Act, rule_id: RuleId) -> Result<ApprovalRule> {
    store::rule(&mut act.tx, rule_id).await?.ok_or_else(|| Error::not_found("rule", rule_id))
}
