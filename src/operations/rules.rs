//! States of operations and steps, and which step comes next. Pure.

use super::Step;
use crate::db::text_enum;

text_enum! {
    /// What an operation does.
    pub enum OperationKind {
        /// It applies a release.
        Release = "release",
    }
}

text_enum! {
    /// Where an operation stands.
    pub enum OperationState {
        /// It waits for a worker.
        Queued = "queued",
        /// A worker has it, or had it when its server was stopped.
        Running = "running",
        /// All steps were done.
        Done = "done",
        /// A step failed.
        Failed = "failed",
        /// It was given up on request.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// Where a step stands.
    pub enum StepState {
        /// Not begun.
        Waiting = "waiting",
        /// Begun.
        Running = "running",
        /// Done.
        Done = "done",
        /// Failed.
        Failed = "failed",
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy)]
pub enum Next<'a> {
    /// This step.
    Take(&'a Step),
    /// Nothing: all steps were done.
    Done,
    /// Nothing: this step failed, and the way back was gone.
    GaveUp(&'a Step),
    /// Nothing: it was cancelled, and the way back was gone.
    Cancelled,
}

/// The next step: forward until one fails or somebody cancels, then the way back to its end.
///
/// A step of the way back that fails does not stop the others. Once all forward steps are done it is too late to
/// cancel. If nothing was begun, there is no way back to go.
#[must_use]
pub fn next(steps: &[Step], cancel_asked: bool) -> Next<'_> {
    let forward = || steps.iter().filter(|step| !step.is_undo);
    let failed = forward().find(|step| step.state == StepState::Failed);
    let ahead = forward().find(|step| step.state != StepState::Done);
    let turned = steps.iter().any(|step| step.is_undo && step.state != StepState::Waiting);
    match (failed, ahead) {
        (None, None) => return Next::Done,
        (None, Some(step)) if !turned && !cancel_asked => return Next::Take(step),
        _ => (),
    }
    let begun = forward().any(|step| step.state != StepState::Waiting && step.name != CHECK);
    let open = |step: &&Step| step.is_undo && matches!(step.state, StepState::Waiting | StepState::Running);
    match (steps.iter().find(open).filter(|_| begun), failed) {
        (Some(step), _) => Next::Take(step),
        (None, Some(step)) => Next::GaveUp(step),
        (None, None) => Next::Cancelled,
    }
}

/// The name of a step that only looks: it needs no way back.
pub const CHECK: &str = "check";

/// The name of a step that may be left in its middle when the operation is cancelled: it only watches.
pub const OBSERVE: &str = "observe";
