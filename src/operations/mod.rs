//! Durable work of several steps: it goes on after a crash, is never done by two at once, and can be cancelled.
//!
//! An area queues an operation with its steps and their way back, and registers a [`Handler`] that takes a step and is
//! told what came of it. This area knows leases, fences and order; it knows no release and touches no machine.
//!
//! The lease says who works on an operation, and the fence rises with every change of hands: what was done under an
//! old fence is not recorded. A step says a state to reach, so whoever takes over takes it again.

use std::pin::Pin;

use chrono::{DateTime, Utc};
use countersign_runtimes::{Diagnostics, Done};
use serde::Serialize;

use crate::app::App;
use crate::audit::Act;
use crate::db::{self, Conn};
use crate::error::{self, Error, Result};
use crate::ids::{EnvironmentId, OperationId, UserId};

pub mod rules;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use rules::{OperationKind, OperationState, StepState};
pub use worker::{keep_working, recover, work};

/// A future that is sent between threads.
pub type Future<'a, Out> = Pin<Box<dyn std::future::Future<Output = Out> + Send + 'a>>;

/// What came of a step: what it did, or what went wrong where.
pub type Outcome = Result<Done, Box<Diagnostics>>;

/// Who carries out and is told about operations of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Handler {
    /// The kind.
    pub kind: OperationKind,
    /// Takes a step. It may be called again for the same step, and dropped at any await.
    pub take: for<'a> fn(&'a App, &'a Operation, &'a Step) -> Future<'a, Outcome>,
    /// Is told what happened, in the transaction that records it.
    pub told: for<'a> fn(&'a mut Act, &'a Operation, &'a Event<'a>) -> Future<'a, Result<()>>,
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step was begun, or begun again.
    Began(&'a Step),
    /// A step was done.
    Succeeded(&'a Step, &'a Done),
    /// A step failed.
    Failed(&'a Step, &'a Diagnostics),
    /// All steps were done.
    Done,
    /// A step failed, and the way back was gone.
    GaveUp(&'a Diagnostics),
    /// It was cancelled, and the way back was gone.
    Cancelled,
}

/// An operation, as whoever works on it holds it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Operation {
    /// Its number.
    pub operation_id: OperationId,
    /// The kind.
    pub kind: OperationKind,
    /// What it is about, by the number that the kind's area gives.
    pub subject_id: i64,
    /// Where it is carried out.
    pub environment_id: EnvironmentId,
    /// Who asked for it.
    pub requested_by_id: Option<UserId>,
    /// Rises with every change of hands.
    pub fence: i64,
    /// Whether it is to be given up.
    pub cancel_asked: bool,
}

/// One step of an operation.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Step {
    /// Its place, from 0; the way back comes after the way.
    pub position: i64,
    /// What it is.
    #[schema(example = "start")]
    pub name: String,
    /// What it does, as a sentence.
    pub sentence: String,
    /// What is to be done, as its area understands it.
    #[serde(skip)]
    pub step: String,
    /// Whether it belongs to the way back.
    pub is_undo: bool,
    /// How it stands.
    pub state: StepState,
    /// What came of it: facts, or diagnostics.
    #[schema(value_type = Option<Object>)]
    #[serde(serialize_with = "as_json")]
    pub detail: Option<String>,
    /// How often it was begun: more than once if a server was stopped in its middle.
    pub attempts: i64,
    /// When it was begun first.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

fn as_json<S: serde::Serializer>(text: &Option<String>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let value: Option<serde_json::Value> = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    value.serialize(serializer)
}

impl Step {
    /// What came of it, as a sentence; empty if nothing did yet.
    #[must_use]
    pub fn outcome(&self) -> String {
        let detail = self.detail.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let says = |name: &str| detail.as_ref().and_then(|value| value[name].as_str()).map(str::to_owned);
        says("sentence").or_else(|| says("message")).unwrap_or_default()
    }
}

/// A step to be queued.
#[derive(Debug, Clone)]
pub struct NewStep {
    /// What it is.
    pub name: String,
    /// What it does, as a sentence.
    pub sentence: String,
    /// What is to be done, as its area understands it.
    pub step: String,
    /// Whether it belongs to the way back.
    pub is_undo: bool,
}

/// An operation to be queued.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// The kind.
    pub kind: OperationKind,
    /// What it is about.
    pub subject_id: i64,
    /// Where it is carried out; there is one at a time.
    pub environment_id: EnvironmentId,
    /// Who asked for it.
    pub requested_by: UserId,
    /// The way, and after it the way back.
    pub steps: Vec<NewStep>,
}

/// Queues an operation. Call [`wake`] once the act is done.
///
/// # Errors
/// `environment_busy` if another operation is queued or running there.
pub async fn queue(act: &mut Act, new: NewOperation) -> Result<OperationId> {
    let now = act.now;
    let operation = store::insert(&mut act.tx, &new, now)
        .await
        .map_err(|cause| if db::is_duplicate(&cause) { busy_error() } else { cause.into() })?;
    store::insert_steps(&mut act.tx, operation, &new.steps).await?;
    Ok(operation)
}

/// The refusal of a second operation in an environment.
#[must_use]
pub fn busy_error() -> Error {
    Error::new(&error::ENVIRONMENT_BUSY, "Another release is being applied in this environment.")
}

/// Whether an operation is queued or running in an environment.
///
/// # Errors
/// Only failures of the database.
pub async fn is_busy(conn: impl Into<Conn<'_>>, environment: EnvironmentId) -> Result<bool> {
    Ok(store::is_busy(conn, environment).await?)
}

/// Asks for an operation to be given up between two steps; false if it has ended already.
///
/// # Errors
/// Only failures of the database.
pub async fn ask_cancel(act: &mut Act, kind: OperationKind, subject: i64) -> Result<bool> {
    Ok(store::ask_cancel(&mut act.tx, kind, subject).await? > 0)
}

/// The steps of the operation about something, in order; none if nothing was queued for it.
///
/// # Errors
/// Only failures of the database.
pub async fn steps_of(conn: impl Into<Conn<'_>>, kind: OperationKind, subject: i64) -> Result<Vec<Step>> {
    Ok(store::steps_of(conn, kind, subject).await?)
}

/// Something that the product itself refused, before any machine was asked.
#[must_use]
pub fn refusal(stage: &str, code: &str, message: &str, hint: &str) -> Diagnostics {
    Diagnostics {
        runtime: "product".to_owned(),
        stage: stage.to_owned(),
        host: String::new(),
        code: code.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        tail: String::new(),
    }
}

/// Lets the workers of this server look for work at once.
pub fn wake(app: &App) {
    app.work.notify_one();
}

/// What ended operations are called.
impl OperationState {
    fn after(event: &Event<'_>) -> Self {
        match event {
            Event::Done => Self::Done,
            Event::Cancelled => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}
