//! How a person stands to a model, and whether they may act on it: what every area asks first.
//!
//! What one may not see does not exist (404); what one sees but may not do is refused (403).

use crate::app::App;
use crate::db::{Conn, DbError, Query, Tx, json_list};
use crate::error::{Error, Result};
use crate::ids::{ModelId, RegionId};

use super::rules::{Action, Relation};
use super::{Actor, Role};

#[derive(Debug, sqlx::FromRow)]
struct Standing {
    owner: bool,
    developer: bool,
    regional_owner: bool,
    can_deploy: bool,
    can_submit: bool,
    assignee: bool,
}

/// How `actor` stands to a model; `None` if there is no such model.
///
/// With a region, a regional owner counts only there; without one, anywhere.
///
/// # Errors
/// Only failures of the database.
pub async fn relations(
    app: &App,
    conn: impl Into<Conn<'_>>,
    actor: &Actor,
    model: ModelId,
    region: Option<RegionId>,
) -> Result<Option<Vec<Relation>>> {
    let standing: Option<Standing> = Query::new(
        "SELECT m.owner_id = $2 AS owner, COALESCE(m.developer_id = $2, FALSE) AS developer,
                EXISTS (SELECT 1 FROM model_regions r WHERE r.model_id = m.model_id AND r.regional_owner_id = $2
                        AND ($3 IS NULL OR r.region_id = $3)) AS regional_owner,
                EXISTS (SELECT 1 FROM delegations d WHERE d.model_id = m.model_id AND d.user_id = $2 AND d.can_deploy
                        AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $4)) AS can_deploy,
                EXISTS (SELECT 1 FROM delegations d WHERE d.model_id = m.model_id AND d.user_id = $2 AND d.can_submit_changes
                        AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $4)) AS can_submit,
                EXISTS (SELECT 1 FROM deployment_tasks t WHERE t.model_id = m.model_id AND t.assigned_to_id = $2) AS assignee
         FROM models m WHERE m.model_id = $1",
    )
    .bind(model)
    .bind(actor.user_id)
    .bind(region)
    .bind(app.now())
    .optional(conn)
    .await?;
    Ok(standing.map(|is| {
        [
            (is.owner, Relation::Owner),
            (is.developer, Relation::Developer),
            (is.regional_owner, Relation::RegionalOwner),
            (is.can_deploy, Relation::DelegateDeploy),
            (is.can_submit, Relation::DelegateSubmit),
            (is.assignee, Relation::Assignee),
        ]
        .into_iter()
        .filter_map(|(holds, relation)| holds.then_some(relation))
        .collect()
    }))
}

/// Lets an act on a model go on only if the policy permits it.
///
/// # Errors
/// `not_found` if there is no such model or the person may not see it, else `forbidden`.
pub async fn authorise(
    app: &App,
    conn: impl Into<Conn<'_>>,
    actor: &Actor,
    action: Action,
    model: ModelId,
) -> Result<Vec<Relation>> {
    let relations = relations(app, conn, actor, model, None).await?;
    let relations = relations.ok_or_else(|| Error::not_found("model", model))?;
    permit(app, actor, action, &relations, || Error::not_found("model", model))?;
    Ok(relations)
}

/// The decision on known relations: `hidden` is the answer to whoever may not even see the thing.
///
/// # Errors
/// What `hidden` makes, or `forbidden`.
pub fn permit(
    app: &App,
    actor: &Actor,
    action: Action,
    relations: &[Relation],
    hidden: impl FnOnce() -> Error,
) -> Result<()> {
    match actor.may(app, action, relations) {
        Err(_) if !actor.can(app, Action::ModelView, relations) => Err(hidden()),
        other => other,
    }
}

/// Locks models until the transaction ends, in the order of their numbers.
///
/// Every act that changes a fact of a model (its versions, validations, tasks, regions, owners)
/// locks it first, so that two such acts never interleave.
///
/// # Errors
/// Only failures of the database.
pub async fn lock_models(tx: &mut Tx, models: &[ModelId]) -> Result<(), DbError> {
    Query::new(
        "SELECT model_id FROM models WHERE model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY model_id",
    )
    .bind(json_list(models))
    .for_update()
    .all::<(ModelId,)>(tx)
    .await
    .map(drop)
}

/// Whether a person may see every model, whatever their relations.
#[must_use]
pub fn sees_all_models(app: &App, actor: &Actor) -> bool {
    actor.can(app, Action::ModelViewAll, &[])
}

/// A condition on `m` (a row of `models`) that holds for the models a MEMBER may see; `$1` is the
/// person, `$2` the instant. The same relations as the policy's rule `see-related-models`.
pub const VISIBLE_MODEL: &str = "(m.owner_id = $1 OR m.developer_id = $1
    OR EXISTS (SELECT 1 FROM model_regions vr WHERE vr.model_id = m.model_id AND vr.regional_owner_id = $1)
    OR EXISTS (SELECT 1 FROM delegations vd WHERE vd.model_id = m.model_id AND vd.user_id = $1 AND vd.revoked_at IS NULL
               AND (vd.expires_at IS NULL OR vd.expires_at > $2))
    OR EXISTS (SELECT 1 FROM deployment_tasks vt WHERE vt.model_id = m.model_id AND vt.assigned_to_id = $1))";

/// The numbers of the models a MEMBER may see, as a set: the same as [`VISIBLE_MODEL`], for statements
/// that count or list over many models and must not look at each.
pub const RELATED_MODELS: &str = "(SELECT model_id FROM models WHERE owner_id = $1
    UNION SELECT model_id FROM models WHERE developer_id = $1
    UNION SELECT model_id FROM model_regions WHERE regional_owner_id = $1
    UNION SELECT model_id FROM delegations WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
    UNION SELECT model_id FROM deployment_tasks WHERE assigned_to_id = $1)";

/// Whether a person has a role that makes them an approver of anything.
#[must_use]
pub fn approves(actor: &Actor) -> bool {
    [Role::GlobalApprover, Role::RegionalApprover, Role::Compliance].iter().any(|role| actor.is(*role))
}
