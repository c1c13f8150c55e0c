//! Why a request was not answered: the protocol's `{"error": "…"}`, its status, and its name in the metrics.

use std::fmt;

/// The kinds of failure that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is not what the protocol or the model asks for.
    BadRequest,
    /// There is no such model, version or address.
    NotFound,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is compressed.
    UnsupportedEncoding,
    /// As many requests as may are waiting already.
    QueueFull,
    /// The model failed on this input.
    InferenceFailed,
    /// The server is about to stop.
    Draining,
    /// The time ran out before the model had begun.
    QueueTimeout,
    /// The time ran out while the model ran.
    Timeout,
    /// The client went away before the answer.
    Abandoned,
}

impl Kind {
    /// All of them, in the order of the metrics.
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::NotFound,
        Self::BodyTimeout,
        Self::TooLarge,
        Self::UnsupportedEncoding,
        Self::QueueFull,
        Self::InferenceFailed,
        Self::Draining,
        Self::QueueTimeout,
        Self::Timeout,
        Self::Abandoned,
    ];

    /// The label in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::BodyTimeout => "body_timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::QueueFull => "queue_full",
            Self::InferenceFailed => "inference_failed",
            Self::Draining => "draining",
            Self::QueueTimeout => "queue_timeout",
            Self::Timeout => "timeout",
            Self::Abandoned => "abandoned",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::BodyTimeout => 408,
            Self::TooLarge => 413,
            Self::UnsupportedEncoding => 415,
            Self::QueueFull => 429,
            Self::InferenceFailed => 500,
            Self::Draining | Self::QueueTimeout => 503,
            Self::Timeout => 504,
            // Nobody reads it; proxies log it as this.
            Self::Abandoned => 499,
        }
    }

    /// Whether the model had begun: only these tell of its speed.
    pub fn reached_the_model(self) -> bool {
        matches!(self, Self::InferenceFailed | Self::Timeout)
    }

    /// Whether the same request may well succeed a little later.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::QueueFull | Self::Draining | Self::QueueTimeout)
    }
}

/// A kind and a sentence.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub kind: Kind,
    pub sentence: String,
}

impl Refusal {
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into() }
    }

    /// A request that the client must change.
    pub fn bad(sentence: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, sentence)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence)
    }
}
