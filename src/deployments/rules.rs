//! Where a deployment stands, and what an observation makes of it. Pure.

use countersign_runtimes::live::{LiveDeployment, Status};

use crate::db::text_enum;

text_enum! {
    /// Where a deployment stands (3-lifecycle, Deployments).
    pub enum DeploymentState {
        /// Its release is being applied.
        Deploying = "deploying",
        /// Its endpoint answers, with the model's name and the approved digest.
        Active = "active",
        /// It does not serve.
        Failed = "failed",
        /// It runs, and its endpoint takes no requests.
        Paused = "paused",
        /// It was stopped for good.
        Retired = "retired",
    }
}

impl DeploymentState {
    /// Its icon, and the class of its status.
    #[must_use]
    pub const fn look(self) -> (&'static str, &'static str) {
        match self {
            Self::Deploying => ("clock", "status-info"),
            Self::Active => ("check", "status-ok"),
            Self::Failed => ("x", "status-bad"),
            Self::Paused => ("pause", "status-warn"),
            Self::Retired => ("x", "status-muted"),
        }
    }

    /// Whether it serves, or should.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Deploying | Self::Active | Self::Failed | Self::Paused)
    }
}

/// What an observation says of a deployment that was applied: its state, and why if it does not serve.
#[must_use]
pub fn observed(live: Option<&LiveDeployment>, paused: bool) -> (DeploymentState, Option<String>) {
    let Some(live) = live else {
        return (DeploymentState::Failed, Some("Its server does not run any more.".to_owned()));
    };
    match live.status {
        Status::Ready if paused => (DeploymentState::Paused, None),
        Status::Ready => (DeploymentState::Active, None),
        Status::Starting => (DeploymentState::Failed, Some("Its server is starting again.".to_owned())),
        Status::Unready => (DeploymentState::Failed, Some("Its server does not answer that it is ready.".to_owned())),
        Status::Mismatch => {
            (DeploymentState::Failed, Some("Its server answers for other bytes than approved.".to_owned()))
        }
        Status::Down if live.last_exit.is_empty() => (DeploymentState::Failed, Some("Its server is down.".to_owned())),
        Status::Down => (DeploymentState::Failed, Some(format!("Its server is down: {}", live.last_exit))),
    }
}
