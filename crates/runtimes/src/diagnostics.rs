//! What went wrong on a machine, told so that an operator need not go there to find out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a runtime's functions return. Boxed, so that what goes well is small.
pub type Result<T, E = Box<Diagnostics>> = std::result::Result<T, E>;

/// A failure of a runtime: where, at which stage, what, what to do, and the end of the real output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// The kind of runtime: `local`.
    pub runtime: String,
    /// What was being done: `plan`, `start`, `verify`, `shift`, `observe`, `stop`, `supervise`.
    pub stage: String,
    /// The machine it happened on.
    pub host: String,
    /// The stable code; all of them are in [`code`].
    pub code: String,
    /// What happened, as a sentence.
    pub message: String,
    /// What to do, as a sentence.
    pub hint: String,
    /// The last lines of the process's own log; empty where no process is at fault.
    pub tail: String,
}

/// The codes of [`Diagnostics`].
pub mod code {
    /// The runtime does not know the strategy.
    pub const STRATEGY_UNSUPPORTED: &str = "strategy_unsupported";
    /// A name, digest or option cannot be used.
    pub const SPEC_INVALID: &str = "spec_invalid";
    /// The artifact is not where the deployment says.
    pub const ARTIFACT_MISSING: &str = "artifact_missing";
    /// The state folder cannot be read or written.
    pub const STATE_UNUSABLE: &str = "state_unusable";
    /// Somebody else holds the environment or the deployment.
    pub const LOCK_HELD: &str = "lock_held";
    /// The program could not be started.
    pub const SPAWN_FAILED: &str = "spawn_failed";
    /// There is no such deployment here, or it was stopped.
    pub const NOT_RUNNING: &str = "not_running";
    /// The process ended by itself.
    pub const PROCESS_EXITED: &str = "process_exited";
    /// The process runs, but did not become ready in time.
    pub const NOT_READY: &str = "not_ready";
    /// The server answers for another model.
    pub const MODEL_MISMATCH: &str = "model_mismatch";
    /// The server serves other bytes than the approved ones.
    pub const DIGEST_MISMATCH: &str = "digest_mismatch";
    /// The gateway did not take the new routes in time.
    pub const GATEWAY_NOT_READY: &str = "gateway_not_ready";
    /// The canary broke its limits.
    pub const CANARY_FAILED: &str = "canary_failed";
    /// The canary had too few requests to be judged.
    pub const CANARY_NOT_JUDGED: &str = "canary_not_judged";
    /// The process outlived even SIGKILL.
    pub const NOT_STOPPED: &str = "not_stopped";
}

impl Diagnostics {
    /// With the end of the process's log.
    #[must_use]
    pub fn tail(mut self: Box<Self>, tail: String) -> Box<Self> {
        self.tail = tail;
        self
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} on {})", self.message, self.code, self.stage, self.host)
    }
}

impl std::error::Error for Diagnostics {}
