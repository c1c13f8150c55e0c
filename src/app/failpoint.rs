//! What a debug build is asked by its environment, so that tests can strike a real server down where they like.
//!
//! The only place that reads these variables; a release build does not know them.

use std::time::Duration;

/// For how long an operation is held without a sign of life.
const LEASE: Duration = Duration::from_secs(10);

/// The instant at which this process is to die: `begun:start` for an instant of the operation's step, or one of
/// `countersign_runtimes::Local::POINTS`.
pub fn wanted() -> Option<String> {
    asked("COUNTERSIGN_FAILPOINT")
}

/// The length of a lease. Whoever waits for a dead server's lease in a test waits for a shorter one.
pub fn lease() -> Duration {
    asked("COUNTERSIGN_LEASE_MS").and_then(|text| text.parse().ok()).map_or(LEASE, Duration::from_millis)
}

/// Ends this process if it is to die here: at once, without any tidying, as SIGKILL would.
pub fn strike(wanted: &str, here: &str) {
    if wanted == here {
        std::process::abort();
    }
}

fn asked(name: &str) -> Option<String> {
    if cfg!(debug_assertions) { std::env::var(name).ok() } else { None }
}
