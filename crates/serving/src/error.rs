//! Why a server did not start, or did not end well.

use std::fmt;

/// Stable names for what can go wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// `artifact_unreadable`: the file is not there or cannot be read.
    ArtifactUnreadable,
    /// `artifact_digest_mismatch`: the file has another digest than asked.
    ArtifactDigestMismatch,
    /// `artifact_invalid`: the file is no ONNX model, or not one that can be run.
    ArtifactInvalid,
    /// `unsupported_operator`: the model uses an operator that the server does not have.
    UnsupportedOperator,
    /// `option_invalid`: an option that makes no sense.
    OptionInvalid,
    /// `listen_failed`: the address is taken, or not of this machine.
    ListenFailed,
    /// `drain_incomplete`: requests under way did not end in time.
    DrainIncomplete,
    /// `server_failed`: the operating system refused something.
    ServerFailed,
}

impl ErrorCode {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ArtifactUnreadable => "artifact_unreadable",
            Self::ArtifactDigestMismatch => "artifact_digest_mismatch",
            Self::ArtifactInvalid => "artifact_invalid",
            Self::UnsupportedOperator => "unsupported_operator",
            Self::OptionInvalid => "option_invalid",
            Self::ListenFailed => "listen_failed",
            Self::DrainIncomplete => "drain_incomplete",
            Self::ServerFailed => "server_failed",
        }
    }
}

/// A code for programs and a sentence for people.
#[derive(Debug, Clone)]
pub struct Error {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened and, where one can say it, what to do.
    pub sentence: String,
}

impl Error {
    pub(crate) fn new(code: ErrorCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }

    /// One line of JSON with `level`, `code` and `message`, as a supervisor reads it from standard error.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({ "level": "ERROR", "code": self.code.as_str(), "message": self.sentence }).to_string()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {}
