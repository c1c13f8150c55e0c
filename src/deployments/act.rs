//! Pausing, resuming and retiring a deployment.

use std::collections::BTreeMap;

use countersign_runtimes::{Diagnostics, Step, Target};

use super::rules::DeploymentState;
use super::{DeploymentView, list, store};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::db::text_enum;
use crate::error::{self, Error, Result};
use crate::identity::access;
use crate::identity::{Action, Actor};
use crate::ids::DeploymentId;
use crate::{environments, operations};

text_enum! {
    /// What can be done with a deployment.
    pub enum Verb {
        /// Its endpoint takes no requests; its server runs on.
        Pause = "pause",
        /// Its endpoint takes requests again.
        Resume = "resume",
        /// Its server is stopped for good.
        Retire = "retire",
    }
}

impl Verb {
    /// The state it leads to, if it leads anywhere from `from`.
    const fn leads(self, from: DeploymentState) -> Option<DeploymentState> {
        match (self, from) {
            (Self::Pause, DeploymentState::Active) => Some(DeploymentState::Paused),
            (Self::Resume, DeploymentState::Paused) => Some(DeploymentState::Active),
            (Self::Retire, DeploymentState::Active | DeploymentState::Paused | DeploymentState::Failed) => {
                Some(DeploymentState::Retired)
            }
            _ => None,
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Pause => "deployment.paused",
            Self::Resume => "deployment.resumed",
            Self::Retire => "deployment.retired",
        }
    }
}

/// Pauses, resumes or retires a deployment. The machine comes first: what is written is what was reached there.
///
/// # Errors
/// `wrong_transition`, `environment_busy` while a release is applied there, `runtime_failed`; `not_found`, `forbidden`.
pub async fn act(app: &App, actor: &Actor, deployment: DeploymentId, verb: Verb) -> Result<DeploymentView> {
    let seen = list::show(app, actor, deployment).await?;
    access::authorise(app, &app.db, actor, Action::DeploymentManage, seen.model_id).await?;
    let after = reachable(&seen, verb)?;
    if !seen.external {
        on_machine(app, &seen, verb).await?;
    }
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[seen.model_id]).await?;
    let now = act.now;
    store::set_state(&mut act.tx, deployment, after, now).await?;
    act.record(
        Record::new(verb.done(), "deployment", deployment)
            .model(seen.model_id)
            .before(serde_json::json!({ "state": seen.state }))
            .after(serde_json::json!({ "state": after })),
    );
    act.tell("deployments");
    act.commit().await?;
    list::show(app, actor, deployment).await
}

/// Has the machine do it.
async fn on_machine(app: &App, seen: &DeploymentView, verb: Verb) -> Result<()> {
    if operations::is_busy(&app.db, seen.environment_id).await? {
        return Err(operations::busy_error());
    }
    let place = environments::read(app, seen.environment_id).await?;
    let target = environments::target(app, place.environment_id, &place.endpoint)?;
    reach(app, &target, seen, verb).await.map_err(|why| {
        Error::new(&error::RUNTIME_FAILED, why.message.clone()).hint(why.hint.clone()).fact("diagnostics", &why)
    })
}

/// The state that is reached. What others run can only be retired: then it is no longer looked at.
fn reachable(seen: &DeploymentView, verb: Verb) -> Result<DeploymentState> {
    let ended = seen.ended_at.is_some();
    let ours = !seen.external || verb == Verb::Retire;
    let registered = seen.external && seen.state == DeploymentState::Deploying;
    let state = if registered { DeploymentState::Active } else { seen.state };
    verb.leads(state).filter(|_| !ended && ours).ok_or_else(|| {
        let says = format!("The deployment is {}: it cannot {verb} now.", seen.state);
        Error::new(&error::WRONG_TRANSITION, says).fact("state", seen.state)
    })
}

async fn reach(app: &App, target: &Target, seen: &DeploymentView, verb: Verb) -> Result<(), Box<Diagnostics>> {
    if verb == Verb::Retire {
        return app.runtime.stop(target, &seen.runtime_key).await.map(drop);
    }
    let weights = BTreeMap::from([(seen.runtime_key.clone(), 100)]);
    let step = Step::Shift { model: seen.served_name().to_owned(), weights, paused: verb == Verb::Pause };
    app.runtime.execute(target, &step).await.map(drop)
}
