//! External endpoints: others run them, this product says what they serve, probes and measures them.
//!
//! An external deployment is a fact that an operator states. It was never released here, its bytes are not known, and it
//! ratifies nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::rules::DeploymentState;
use super::store::{self, Probed};
use super::{DeploymentView, list};
use crate::app::App;
use crate::audit::{Act, Record, Who};
use crate::db;
use crate::environments;
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, access};
use crate::ids::{DeploymentId, EnvironmentId, VersionId};
use crate::inventory::versions;
use crate::metrics::{self, MetricsSource, check_address};

/// How often external endpoints are asked whether they are ready.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// An endpoint that others run.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExternal {
    /// The environment it belongs to.
    pub environment_id: EnvironmentId,
    /// What it serves, as whoever registers it says.
    pub version_id: VersionId,
    /// Where it answers.
    #[schema(example = "http://models:8080/v2/models/credit")]
    pub endpoint: String,
    /// Where it says that it is ready, by answering 200; the endpoint's address and `/ready` if absent.
    #[serde(default)]
    pub readiness_url: Option<String>,
    /// Where its statistics are read; without it there are none.
    #[serde(default)]
    pub metrics: Option<MetricsSource>,
}

/// Registers an endpoint that others run. This server will call the addresses given, so only those who manage
/// environments may enter them.
///
/// Source: 3-lifecycle, *Deployments*: external endpoints.
///
/// # Errors
/// `forbidden`, `not_found`, `invalid`, or `conflict` if the endpoint is registered already.
pub async fn register(app: &App, actor: &Actor, body: NewExternal) -> Result<DeploymentView> {
    actor.may(app, Action::EnvironmentManage, &[])?;
    let version = versions::get(app, actor, body.version_id).await?;
    environments::show(app, actor, body.environment_id).await?;
    let body = checked(body)?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[version.model_id]).await?;
    let now = act.now;
    let digest = version.artifact_digest.unwrap_or_default();
    let deployment = store::insert_external(&mut act.tx, &body, version.model_id, &digest, now).await;
    let deployment = deployment.map_err(|cause| taken(cause, &body.endpoint))?;
    act.record(Record::new("deployment.registered", "deployment", deployment).model(version.model_id).after(&body));
    act.tell("deployments");
    act.commit().await?;
    list::show(app, actor, deployment).await
}

fn checked(body: NewExternal) -> Result<NewExternal> {
    let mut fields = Fields::default();
    let endpoint = body.endpoint.trim().trim_end_matches('/').to_owned();
    check_address(&mut fields, "endpoint", &endpoint);
    let readiness = body.readiness_url.filter(|text| !text.trim().is_empty());
    let readiness = readiness.map_or_else(|| format!("{endpoint}/ready"), |text| text.trim().to_owned());
    check_address(&mut fields, "readiness_url", &readiness);
    if let Some(source) = &body.metrics {
        source.check(&mut fields);
    }
    fields.done()?;
    Ok(NewExternal { endpoint, readiness_url: Some(readiness), ..body })
}

fn taken(cause: db::DbError, endpoint: &str) -> Error {
    if db::is_duplicate(&cause) {
        Error::new(&error::CONFLICT, format!("The endpoint {endpoint} is registered already; retire it first."))
    } else {
        cause.into()
    }
}

/// Asks every external endpoint whether it is ready, for as long as the server runs.
pub async fn keep_probing(app: App) {
    let mut beat = tokio::time::interval(PROBE_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if let Err(error) = probe_all(&app).await {
            tracing::warn!(%error, "cannot probe the external endpoints; trying again");
        }
    }
}

/// Asks every external endpoint once whether it is ready, and writes down what it says.
///
/// # Errors
/// Only failures of the database.
pub async fn probe_all(app: &App) -> Result<()> {
    let targets = store::externals(&app.db).await?;
    if targets.is_empty() {
        return Ok(());
    }
    let client = metrics::client()?;
    let mut under_way = JoinSet::new();
    for (deployment, address) in targets {
        let client = client.clone();
        under_way.spawn(async move { (deployment, probe(&client, &address).await) });
    }
    let found: Vec<_> =
        under_way.join_all().await.into_iter().map(|(deployment, why)| probed(deployment, why)).collect();
    note(app, &found).await
}

/// Why an endpoint is not ready, if it is not.
async fn probe(client: &reqwest::Client, address: &str) -> Option<String> {
    match client.get(address).send().await {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(format!("Asked whether it is ready, its endpoint answers {}.", answer.status())),
        Err(error) if error.is_timeout() => Some("Its endpoint does not answer in time.".to_owned()),
        Err(_) => Some("Its endpoint cannot be reached.".to_owned()),
    }
}

fn probed(deployment_id: DeploymentId, reason: Option<String>) -> Probed {
    let state = if reason.is_none() { DeploymentState::Active } else { DeploymentState::Failed };
    Probed { deployment_id, state, reason }
}

async fn note(app: &App, found: &[Probed]) -> Result<()> {
    let mut act = Act::begin(app, &Who::system("observation")).await?;
    let now = act.now;
    for (deployment, model, state) in store::lock_externals(&mut act.tx).await? {
        let Some(one) = found.iter().find(|one| one.deployment_id == deployment && one.state != state) else {
            continue;
        };
        act.record(
            Record::new("deployment.observed", "deployment", deployment)
                .model(model)
                .before(serde_json::json!({ "state": state }))
                .after(serde_json::json!({ "state": one.state, "reason": one.reason })),
        );
        act.tell("deployments");
    }
    store::probed(&mut act.tx, found, now).await?;
    act.commit().await
}
