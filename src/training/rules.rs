//! States of jobs, who carries them out, and why they end. Pure.
//!
//! Source: 3-lifecycle, *Training jobs*.

use crate::db::text_enum;
use crate::error::Fields;

text_enum! {
    /// Where a training job stands.
    pub enum JobState {
        /// It waits for its turn.
        Queued = "queued",
        /// It is being carried out.
        Running = "running",
        /// It ended, and its artifact is kept.
        Complete = "complete",
        /// It ended without an artifact to be used.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether it waits or runs.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// How it looks: icon and class.
    #[must_use]
    pub fn look(self) -> (&'static str, &'static str) {
        match self {
            Self::Queued => ("clock", "status-muted"),
            Self::Running => ("play", "status-info"),
            Self::Complete => ("check", "status-ok"),
            Self::Failed => ("warning", "status-bad"),
            Self::Cancelled => ("x", "status-muted"),
        }
    }
}

text_enum! {
    /// What carries a job out.
    pub enum Executor {
        /// The training that this program brings.
        Builtin = "builtin",
        /// A program that the operator allows.
        Command = "command",
        /// Somebody elsewhere, who tells of it as an MLflow client.
        Mlflow = "mlflow",
    }
}

impl Executor {
    /// What people call it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Builtin => "Builtin",
            Self::Command => "Command",
            Self::Mlflow => "MLflow",
        }
    }
}

text_enum! {
    /// Why a job ended otherwise than complete.
    pub enum Cause {
        /// The program ended with an exit code that means failure.
        ExitCode = "exit_code",
        /// The program ended well, but left no artifact.
        NoArtifact = "no_artifact",
        /// The artifact is larger than what is taken.
        ArtifactTooLarge = "artifact_too_large",
        /// It took longer than it might.
        TimeLimit = "time_limit",
        /// It took more memory than it might.
        MemoryLimit = "memory_limit",
        /// The data set is not what it was when it was added.
        DataChanged = "data_changed",
        /// The program could not be started.
        NotStarted = "not_started",
        /// Its server was stopped while it ran.
        Interrupted = "interrupted",
        /// Its server could not say in time that it still runs.
        LeaseLost = "lease_lost",
        /// Somebody stopped it.
        Stopped = "stopped",
    }
}

/// A name of 3 to 100 characters, trimmed.
pub fn name(fields: &mut Fields, text: &str) -> String {
    let name = text.trim();
    let length = name.chars().count();
    fields.check((3..=100).contains(&length), "name", "The name must have 3 to 100 characters.");
    fields.check(!name.chars().any(char::is_control), "name", "Control characters are not allowed.");
    name.to_owned()
}
