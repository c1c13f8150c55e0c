//! Supervise: one round of looking after an environment. What died is started again, what was interrupted is finished.

use rustix::process::Signal;

use super::Local;
use super::backoff::{Restart, decide};
use super::environment::{Environment, Wanted};
use super::slot::Slot;
use crate::diagnostics::Result;
use crate::spec::Target;
use crate::{Event, EventKind};

/// How long the files of a stopped deployment are kept, for its log: seven days, in milliseconds.
const KEPT: u64 = 7 * 24 * 3600 * 1000;

impl Local {
    /// One round.
    pub(super) async fn look_after(&self, target: &Target) -> Result<Vec<Event>> {
        let environment = Environment::of(target);
        let unusable = self.unusable("supervise");
        let mut events = Vec::new();
        let all = environment.all().map_err(&unusable)?;
        if environment.is_halted() || all.is_empty() {
            return Ok(events);
        }
        let _held = environment.lock().await.map_err(&unusable)?;
        // What is wanted may have changed before the environment was held.
        for wanted in environment.all().map_err(&unusable)?.into_values() {
            let slot = environment.slot(&wanted.spec.key);
            if wanted.running {
                self.keep_running(&environment, &slot, wanted, &mut events).await?;
            } else {
                self.keep_stopped(&slot, &wanted, &mut events)?;
            }
        }
        let generation = environment.publish().map_err(&unusable)?;
        self.keep_gateway(target, &generation, &mut events).await?;
        Ok(events)
    }

    async fn keep_running(
        &self,
        environment: &Environment,
        slot: &Slot,
        wanted: Wanted,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let unusable = self.unusable("supervise");
        let key = wanted.spec.key.clone();
        if slot.alive().map_err(&unusable)?.is_some() {
            let before = slot.life().map_err(&unusable)?;
            let now = slot.refresh().map_err(&unusable)?;
            slot.limit_logs().map_err(&unusable)?;
            if wanted.verified && before.address.is_none() && now.address.is_some() {
                events.push(event(&key, EventKind::Recovered, format!("The server of {key} serves again."), slot));
            }
            return Ok(());
        }
        if !wanted.verified {
            return Ok(());
        }
        let life = slot.life().map_err(&unusable)?;
        if wanted.told != life.nonce {
            let exit = self.exit(&life.nonce).await;
            slot.record(&super::slot::Life { exit: exit.clone(), ..life.clone() }).map_err(&unusable)?;
            environment.want(&Wanted { told: life.nonce.clone(), ..wanted.clone() }).map_err(&unusable)?;
            events.push(event(&key, EventKind::Died, format!("The server of {key} died. {exit}"), slot));
        }
        if decide(&life.starts, self.now()) == Restart::Now {
            events.push(match self.revive(slot, &wanted.spec).await {
                Ok(()) => event(&key, EventKind::Restarted, format!("The server of {key} was started again."), slot),
                Err(failure) => event(&key, EventKind::RestartFailed, failure.message, slot),
            });
        }
        Ok(())
    }

    /// Finishes a stop that was interrupted: told again to end, and killed once its time is over.
    fn keep_stopped(&self, slot: &Slot, wanted: &Wanted, events: &mut Vec<Event>) -> Result<()> {
        let unusable = self.unusable("supervise");
        let since = self.now().saturating_sub(wanted.stopped_at);
        if let Some(handle) = slot.alive().map_err(&unusable)? {
            let overdue = since > 2 * wanted.spec.drain_within * 1000 + 5000;
            handle.signal(if overdue { Signal::KILL } else { Signal::TERM });
            if overdue {
                let sentence = format!("The server of {} was killed: it did not end in time.", wanted.spec.key);
                events.push(event(&wanted.spec.key, EventKind::Stopped, sentence, slot));
            }
        } else if since > KEPT {
            std::fs::remove_dir_all(slot.folder()).map_err(&unusable)?;
        }
        Ok(())
    }

    /// The gateway runs for as long as there are endpoints, and follows their routes.
    async fn keep_gateway(&self, target: &Target, generation: &str, events: &mut Vec<Event>) -> Result<()> {
        let unusable = self.unusable("supervise");
        let environment = Environment::of(target);
        if environment.traffic().map_err(&unusable)?.is_empty() {
            return Ok(());
        }
        let slot = environment.gateway();
        if let Some(handle) = slot.alive().map_err(&unusable)? {
            slot.refresh().map_err(&unusable)?;
            slot.limit_logs().map_err(&unusable)?;
            let state = self.gateway_state(target).await;
            let nonce = slot.life().map_err(&unusable)?.nonce;
            if state.is_some_and(|state| state.instance == nonce && state.generation != generation) {
                handle.signal(Signal::HUP);
            }
            return Ok(());
        }
        let life = slot.life().map_err(&unusable)?;
        if life.exit.is_empty() && !life.nonce.is_empty() {
            let exit = self.exit(&life.nonce).await;
            slot.record(&super::slot::Life { exit: exit.clone(), ..life.clone() }).map_err(&unusable)?;
            events.push(event("gateway", EventKind::Died, format!("The gateway died. {exit}"), &slot));
        }
        if decide(&life.starts, self.now()) == Restart::Now {
            events.push(match self.run_gateway(target, "supervise").await {
                Ok(()) => event("gateway", EventKind::Restarted, "The gateway was started again.".to_owned(), &slot),
                Err(failure) => event("gateway", EventKind::RestartFailed, failure.message, &slot),
            });
        }
        Ok(())
    }
}

/// An event; what a dead process wrote last belongs to it.
fn event(key: &str, kind: EventKind, sentence: String, slot: &Slot) -> Event {
    let tail = if matches!(kind, EventKind::Died | EventKind::RestartFailed) { slot.tail() } else { String::new() };
    Event { key: key.to_owned(), kind, sentence, tail }
}
