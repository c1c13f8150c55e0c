//! Drivers that touch machines: model servers are started, verified, given traffic, observed and stopped.
//!
//! A [`Runtime`] plans against what really runs, and takes the plan's steps one at a time. Each step is a state to
//! reach, so whoever was interrupted in the middle of one takes it again. Nothing here knows people, approvals or SQL.
//!
//! - [`spec`], [`live`], [`plan`]: what should run, what runs, the steps between the two. Plain data, pure functions
//! - [`canary`], [`exposition`]: whether a new version keeps to its limits; Prometheus' text format, read
//! - [`local`]: supervised processes on this machine
//! - [`gateway`]: the environment's endpoint, which splits the traffic; a process of its own
//! - [`diagnostics`]: failures, with the end of the real output

pub mod canary;
pub mod diagnostics;
pub mod exposition;
pub mod gateway;
mod http;
pub mod live;
pub mod local;
pub mod plan;
pub mod spec;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use diagnostics::{Diagnostics, Result};
pub use live::LiveState;
pub use local::Local;
pub use plan::{Done, Plan, Step};
pub use spec::{DeploymentSpec, Desired, DesiredState, Strategy, Target};

/// A kind of machine that models run on.
///
/// Every function may be dropped at any await, and called again: by this process, or by the one that comes after it.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// The kind: `local`.
    fn kind(&self) -> &'static str;

    /// Whether releases can be made by the strategy here.
    fn supports(&self, strategy: &Strategy) -> bool;

    /// What it would take to bring the model's endpoint from how it is to how it should be.
    ///
    /// # Errors
    /// `strategy_unsupported`, `spec_invalid`, or that the live state cannot be read.
    async fn plan(&self, target: &Target, desired: &DesiredState, strategy: &Strategy) -> Result<Plan>;

    /// Takes one step. Taking it again does no harm and never makes a second server.
    ///
    /// # Errors
    /// What went wrong; the environment may be between two states, and the plan's `undo` leads back.
    async fn execute(&self, target: &Target, step: &Step) -> Result<Done>;

    /// What runs, asked from the machine and from the servers themselves.
    ///
    /// # Errors
    /// That the state cannot be read; a server that does not answer is no error but a status.
    async fn observe(&self, target: &Target) -> Result<LiveState>;

    /// Starts again what should run and does not, ends what should not run and does, and tells what it saw. To be
    /// called every second or so, for each environment.
    ///
    /// # Errors
    /// That the state cannot be read.
    async fn supervise(&self, target: &Target) -> Result<Vec<Event>>;

    /// The end of a deployment's own log; empty if it has none.
    ///
    /// # Errors
    /// That the log cannot be read.
    async fn log(&self, target: &Target, key: &str) -> Result<String>;

    /// Drains and stops one deployment, and sees to it that it is gone. It gets no traffic any more.
    ///
    /// # Errors
    /// `not_stopped`, or that the state cannot be written.
    async fn stop(&self, target: &Target, key: &str) -> Result<Done>;

    /// Stops everything of the environment, and keeps in mind what it was: supervision rests until
    /// [`resume_all`](Self::resume_all).
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    async fn stop_all(&self, target: &Target) -> Result<Done>;

    /// Lets supervision look after the environment again after [`stop_all`](Self::stop_all): it starts what ran. Does
    /// nothing where nothing was stopped.
    ///
    /// # Errors
    /// That the state cannot be written.
    async fn resume_all(&self, target: &Target) -> Result<Done>;
}

/// Something that supervision saw or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The deployment's key, or `gateway`.
    pub key: String,
    /// What it was.
    pub kind: EventKind,
    /// As a sentence.
    pub sentence: String,
    /// The end of the log, where a process died.
    pub tail: String,
}

/// What supervision can see or do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A process that should run is gone. Told once for each death.
    Died,
    /// It was started again.
    Restarted,
    /// It has become ready after a restart, and has its traffic back.
    Recovered,
    /// Its start failed; it is tried again after a while.
    RestartFailed,
    /// A stop that had been interrupted was finished.
    Stopped,
}
