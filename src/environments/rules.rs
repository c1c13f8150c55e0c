//! Runtimes, states, and the times in which nothing is released. Pure.
//!
//! Source: 4-delivery, *Environments and provisioning* and *Gates*.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};

use crate::db::text_enum;
use crate::error::Fields;

text_enum! {
    /// What carries the models of an environment.
    pub enum RuntimeKind {
        /// Supervised processes on this machine.
        Local = "local",
    }
}

text_enum! {
    /// Whether an environment can take releases.
    pub enum EnvironmentState {
        /// Described, not built yet.
        Draft = "draft",
        /// Being built.
        Installing = "installing",
        /// It takes releases.
        Ready = "ready",
        /// It could not be built.
        Failed = "failed",
        /// It does not answer.
        Offline = "offline",
    }
}

/// The shortest and the longest time for which a preview holds, in minutes.
pub const PREVIEW_MINUTES: std::ops::RangeInclusive<i64> = 1..=1440;

/// The endpoint of the first environment that names none has the port after this one.
const FIRST_PORT: i64 = 7100;

/// The endpoint of an environment that names none: a port of its own on this machine.
#[must_use]
pub fn default_endpoint(environments: i64) -> String {
    format!("127.0.0.1:{}", FIRST_PORT + 1 + environments % 20_000)
}

/// Reads where an environment is to be reached: an IP address and a port.
pub fn read_endpoint(fields: &mut Fields, text: &str) -> String {
    let endpoint = text.trim().parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    fields.check(endpoint.is_some(), "endpoint", "It is an IP address and a port, like 127.0.0.1:7101.");
    endpoint.map(|address| address.to_string()).unwrap_or_default()
}

/// Whether a freeze window is open at an instant. It starts with its first and ends before its last.
#[must_use]
pub fn is_frozen(starts_at: DateTime<Utc>, ends_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    starts_at <= now && now < ends_at
}
