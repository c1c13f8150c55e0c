//! Start and verify: one process that serves, and the proof that it serves the approved bytes.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::environment::{Environment, Wanted};
use super::slot::{Launch, Slot, Started};
use super::{ANSWERS, Local, files};
use crate::diagnostics::{Diagnostics, Result, code};
use crate::http;
use crate::plan::Done;
use crate::spec::DeploymentSpec;

/// How often a server that is not ready yet is asked.
const LOOK: Duration = Duration::from_millis(25);

impl Local {
    /// Sees to it that the deployment's server runs.
    pub(super) async fn start(&self, environment: &Environment, spec: &DeploymentSpec) -> Result<Done> {
        let unusable = self.unusable("start");
        if let Some(fault) = spec.fault() {
            return Err(self.failure("start", code::SPEC_INVALID, fault, "Correct it and preview again."));
        }
        if !spec.artifact.is_file() {
            let message = format!("The artifact {} is not there.", spec.artifact.display());
            let hint = "See that the artifact store is complete, and release again.";
            return Err(self.failure("start", code::ARTIFACT_MISSING, message, hint));
        }
        let known = environment.wanted(&spec.key).map_err(&unusable)?;
        if let Some(other) = known.map(|known| known.spec.model).filter(|model| *model != spec.model) {
            let message = format!("The key {} belongs to a deployment of {other}.", spec.key);
            return Err(self.failure("start", code::SPEC_INVALID, message, "Give each deployment a key of its own."));
        }
        let slot = environment.slot(&spec.key);
        self.clear(environment, &slot, spec).await?;
        let _held = environment.lock().await.map_err(&unusable)?;
        let known = environment.wanted(&spec.key).map_err(&unusable)?;
        // A server that was verified stays so when its start is asked for again.
        let verified = known.is_some_and(|known| known.running && known.verified && known.spec == *spec);
        let wanted = Wanted { spec: spec.clone(), running: true, verified, stopped_at: 0, told: String::new() };
        environment.want(&wanted).map_err(&unusable)?;
        self.point("start.wanted");
        let point = |name: &'static str| self.point(start_point(name));
        let started = slot.start(&self.launch(spec), self.now(), &point).await;
        let started = started.map_err(|cause| self.slot_failure("start", &spec.key, &slot, cause))?;
        let (pid, what) = match started {
            Started::Lives(handle) => (Some(handle.pid), "runs already"),
            Started::New(child) => {
                let pid = child.id();
                self.reap(child, slot.life().map_err(&unusable)?.nonce);
                (pid, "was started")
            }
        };
        let process = pid.map_or_else(|| "It".to_owned(), |pid| format!("Process {pid}"));
        let sentence = format!("{process} for {} {} {what}.", spec.model, spec.version);
        Ok(Done { sentence, facts: json!({ "pid": pid, "key": spec.key }) })
    }

    /// Ends a server that stands in the way: one that was told to stop, or that serves something else under this key.
    async fn clear(&self, environment: &Environment, slot: &Slot, spec: &DeploymentSpec) -> Result<()> {
        let wanted = environment.wanted(&spec.key).map_err(self.unusable("start"))?;
        let Some(known) = wanted.filter(|known| !known.running || known.spec != *spec) else { return Ok(()) };
        let patience = Duration::from_secs(known.spec.drain_within);
        let ended = slot.end(patience, &|_| ()).await;
        ended.map_err(|cause| self.slot_failure("start", &spec.key, slot, cause))?;
        Ok(())
    }

    /// The command line of a model server.
    fn launch(&self, spec: &DeploymentSpec) -> Launch {
        let DeploymentSpec { model, version, artifact, digest, options, drain_within, .. } = spec;
        let (artifact, drain) = (files::absolute(artifact).display().to_string(), drain_within.to_string());
        let mut arguments = vec!["serve-model".to_owned()];
        // Port 0: the kernel chooses one that is free, and the server tells which. No port is ever taken twice.
        let own = [
            ("artifact", artifact.as_str()),
            ("name", model),
            ("version", version),
            ("digest", digest),
            ("listen", "127.0.0.1"),
            ("port", "0"),
            ("drain-seconds", &drain),
        ];
        let further = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.into_iter().chain(further) {
            // One argument each, so that a value that begins with a dash is a value.
            arguments.push(format!("--{name}={value}"));
        }
        Launch { program: self.config.program.clone(), arguments }
    }

    /// Starts a deployment's process again, if none lives; the caller holds the environment.
    pub(super) async fn revive(&self, slot: &Slot, spec: &DeploymentSpec) -> Result<()> {
        let started = slot.start(&self.launch(spec), self.now(), &|_| ()).await;
        if let Started::New(child) = started.map_err(|cause| self.slot_failure("supervise", &spec.key, slot, cause))? {
            self.reap(child, slot.life().map_err(self.unusable("supervise"))?.nonce);
        }
        Ok(())
    }

    /// Waits until the server is ready, and checks the model's name and the digest that it serves.
    pub(super) async fn verify(&self, environment: &Environment, key: &str) -> Result<Done> {
        let unusable = self.unusable("verify");
        let Some(wanted) = environment.wanted(key).map_err(&unusable)?.filter(|wanted| wanted.running) else {
            let message = format!("The deployment {key} is not running here.");
            return Err(self.failure("verify", code::NOT_RUNNING, message, "Start it first."));
        };
        let (slot, spec) = (environment.slot(key), &wanted.spec);
        let nonce = slot.life().map_err(&unusable)?.nonce;
        let until = Instant::now() + Duration::from_secs(spec.ready_within);
        let address = loop {
            let life = slot.life().map_err(&unusable)?;
            let lives = slot.alive().map_err(&unusable)?.is_some();
            // What it said before its death does not count: it may be another process that answers there now.
            if !lives || life.nonce != nonce {
                return Err(self.exited(spec, &slot, &nonce).await);
            }
            if let Some(address) = slot.address(&life).map_err(&unusable)?
                && http::is_ready(&self.client, address, &spec.model, ANSWERS).await
            {
                break address;
            }
            if Instant::now() > until {
                return Err(self.not_ready(spec, &slot));
            }
            tokio::time::sleep(LOOK).await;
        };
        self.point("verify.ready");
        let said = http::metadata(&self.client, address, &spec.model, ANSWERS).await;
        let (name, digest) = said.ok_or_else(|| self.not_ready(spec, &slot))?;
        self.check(spec, &slot, &name, &digest)?;
        if slot.alive().map_err(&unusable)?.is_none() {
            return Err(self.exited(spec, &slot, &nonce).await);
        }
        let _held = environment.lock().await.map_err(&unusable)?;
        let life = slot.refresh().map_err(&unusable)?;
        environment.want(&Wanted { verified: true, ..wanted.clone() }).map_err(&unusable)?;
        let sentence = format!("{} {} is ready and serves {digest}.", spec.model, spec.version);
        let pid = life.process.map(|process| process.pid);
        Ok(Done { sentence, facts: json!({ "key": key, "digest": digest, "address": address, "pid": pid }) })
    }

    fn check(&self, spec: &DeploymentSpec, slot: &Slot, name: &str, digest: &str) -> Result<()> {
        if name != spec.model {
            let message = format!("The server answers for the model “{name}”, not for “{}”.", spec.model);
            let hint = "The program that serves is not the one that was meant; see the configuration.";
            return Err(self.failure("verify", code::MODEL_MISMATCH, message, hint).tail(slot.tail()));
        }
        if digest != spec.digest {
            let said = if digest.is_empty() { "no digest".to_owned() } else { digest.to_owned() };
            let message = format!("The server serves {said}, but {} was approved.", spec.digest);
            let hint = "The stored artifact is not the approved one. Do not use it; find out how it was changed.";
            return Err(self.failure("verify", code::DIGEST_MISMATCH, message, hint).tail(slot.tail()));
        }
        Ok(())
    }

    async fn exited(&self, spec: &DeploymentSpec, slot: &Slot, nonce: &str) -> Box<Diagnostics> {
        let (exit, tail) = (self.exit(nonce).await, slot.tail());
        let (code, said) = last_words(&tail).unwrap_or((code::PROCESS_EXITED, String::new()));
        let DeploymentSpec { model, version, .. } = spec;
        let message = format!("The server of {model} {version} ended before it was ready. {exit} {said}");
        let hint = "Its log says why: often an artifact that cannot be loaded, or one with another digest.";
        self.failure("verify", code, message.trim_end(), hint).tail(tail)
    }

    fn not_ready(&self, spec: &DeploymentSpec, slot: &Slot) -> Box<Diagnostics> {
        let DeploymentSpec { model, version, ready_within, .. } = spec;
        let message = format!("The server of {model} {version} did not become ready within {ready_within} seconds.");
        let hint = "Its log says what it does. A large artifact may need more time: raise the limit.";
        self.failure("verify", code::NOT_READY, message, hint).tail(slot.tail())
    }
}

fn start_point(name: &str) -> &'static str {
    match name {
        "locked" => "start.locked",
        "intended" => "start.intended",
        "spawned" => "start.spawned",
        _ => "start.recorded",
    }
}

/// What a model server said of its own end, and which failure that is: a line of JSON with a `code` and a `message`.
fn last_words(log: &str) -> Option<(&'static str, String)> {
    let said: serde_json::Value = serde_json::from_str(log.lines().last()?).ok()?;
    let mismatch = said["code"].as_str()? == "artifact_digest_mismatch";
    let code = if mismatch { code::DIGEST_MISMATCH } else { code::PROCESS_EXITED };
    Some((code, said["message"].as_str()?.to_owned()))
}
