//! Observe a new version in its traffic: from the gateway's counters, for a window that outlives whoever watches.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::environment::{Environment, Traffic};
use super::slot::Slot;
use super::{ANSWERS, Local, files};
use crate::canary::{self, Limits, Reading, Snapshot, Verdict};
use crate::diagnostics::{Result, code};
use crate::gateway;
use crate::plan::Done;
use crate::spec::Target;

/// How often the counters are read.
const LOOK: Duration = Duration::from_millis(250);

/// A window that has begun; kept with the deployment until that is stopped, so that a later watcher goes on with it,
/// and comes to the same end if it had one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Window {
    /// The traffic that is observed: another share is another window.
    traffic: Traffic,
    /// The start of the server that is observed.
    nonce: String,
    /// Milliseconds since 1970.
    began: u64,
    /// The counters then.
    before: Snapshot,
}

impl Local {
    /// Watches until the window is over or a limit is broken.
    pub(super) async fn watch(
        &self,
        target: &Target,
        model: &str,
        key: &str,
        window: u64,
        limits: &Limits,
    ) -> Result<Done> {
        let begun = self.begin(target, model, key).await?;
        self.point("observe.begun");
        let slot = Environment::of(target).slot(key);
        loop {
            self.ensure_lives(&slot, key, &begun.nonce).await?;
            // The time is taken first, so that the counters hold all of a window that is over.
            let over = self.now().saturating_sub(begun.began) >= window * 1000;
            // A gateway that does not answer just now is looked after by supervision.
            if let Some(after) = self.counters(target, key).await {
                let reading = canary::read(&begun.before, &after);
                if let Some(outcome) = self.outcome(key, &reading, limits, over, &slot) {
                    return outcome;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn outcome(&self, key: &str, reading: &Reading, limits: &Limits, over: bool, slot: &Slot) -> Option<Result<Done>> {
        let Reading { samples, error_rate, p95 } = *reading;
        let facts = json!({ "samples": samples, "error_rate": error_rate, "p95_seconds": p95, "limits": limits });
        match canary::judge(reading, limits) {
            Verdict::Stop { reason } => {
                let message = format!("{key} broke its limits: {reason}");
                let hint = "The version before serves on. Find the cause in the log before another attempt.";
                Some(Err(self.failure("observe", code::CANARY_FAILED, message, hint).tail(slot.tail())))
            }
            Verdict::Continue if over => {
                let (percent, p95) = (error_rate * 100.0, p95.unwrap_or_default() * 1000.0);
                let sentence =
                    format!("{key} kept its limits: {samples} requests, {percent:.2} % failed, P95 {p95:.1} ms.");
                Some(Ok(Done { sentence, facts }))
            }
            Verdict::NotEnough if over && limits.min_samples == 0 => {
                Some(Ok(Done { sentence: format!("{key} had no traffic to be judged by."), facts }))
            }
            Verdict::NotEnough if over => {
                let least = limits.min_samples;
                let message = format!("{key} cannot be judged: it had {samples} requests, and {least} are needed.");
                let hint = "Send it traffic, make the window longer, or ask for fewer requests (0 passes it unjudged).";
                Some(Err(self.failure("observe", code::CANARY_NOT_JUDGED, message, hint)))
            }
            Verdict::Continue | Verdict::NotEnough => None,
        }
    }

    /// The window that runs for this traffic, or a new one.
    async fn begin(&self, target: &Target, model: &str, key: &str) -> Result<Window> {
        let environment = Environment::of(target);
        let unusable = self.unusable("observe");
        let slot = environment.slot(key);
        let traffic = environment.traffic().map_err(&unusable)?.remove(model).unwrap_or_default();
        let nonce = slot.life().map_err(&unusable)?.nonce;
        let known: Option<Window> = files::read(&slot.path("window.json")).map_err(&unusable)?;
        if let Some(known) = known.filter(|known| known.traffic == traffic) {
            return Ok(known);
        }
        let state = self.follow(target, "observe").await?;
        let Some(before) = self.counters(target, key).await else {
            let message = format!(
                "The gateway at {} does not tell its metrics (generation {}).",
                target.endpoint, state.generation
            );
            let slot = environment.gateway();
            let failure = self.failure("observe", code::GATEWAY_NOT_READY, message, "Its log says why.");
            return Err(failure.tail(slot.tail()));
        };
        let window = Window { traffic, nonce, began: self.now(), before };
        files::write(&slot.path("window.json"), &window).map_err(&unusable)?;
        Ok(window)
    }

    async fn ensure_lives(&self, slot: &Slot, key: &str, nonce: &str) -> Result<()> {
        let unusable = self.unusable("observe");
        let life = slot.life().map_err(&unusable)?;
        if life.nonce == nonce && slot.alive().map_err(&unusable)?.is_some() {
            return Ok(());
        }
        let message = format!("The server of {key} died while it was observed. {}", self.exit(nonce).await);
        let hint = "The version before serves on. Its log says why it died.";
        Err(self.failure("observe", code::CANARY_FAILED, message, hint).tail(slot.tail()))
    }

    async fn counters(&self, target: &Target, key: &str) -> Option<Snapshot> {
        let (status, body) = self.client.get(target.endpoint, "/metrics", ANSWERS).await.ok()?;
        let text = std::str::from_utf8(&body).ok().filter(|_| status.is_success())?;
        gateway::snapshot(text, key).ok()
    }
}
