//! The `local` runtime: model servers are supervised processes on this machine, behind a gateway process.
//!
//! Both outlive whoever started them. Everything that is known about them is in the target's folder, so any later
//! [`Local`] takes them over. See `slot` for why there is never a second server, and `environment` for the files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde_json::json;
use tokio::process::Child;
use tokio::sync::watch;

use crate::diagnostics::{Diagnostics, Result, code};
use crate::http::Client;
use crate::live::LiveState;
use crate::plan::{Done, Plan, Step};
use crate::spec::{DesiredState, Strategy, Target};
use crate::{Event, Runtime};

mod backoff;
mod environment;
mod files;
mod observe;
mod process;
mod shift;
mod slot;
mod start;
mod stop;
mod supervise;
mod window;

use environment::Environment;
use slot::{Slot, SlotError};

pub use backoff::{Restart, decide};

/// How long one question to a server may take.
const ANSWERS: Duration = Duration::from_secs(2);

/// How many ends of children are remembered before old ones are forgotten.
const REMEMBERED_EXITS: usize = 256;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
/// The machine's clock.
#[must_use]
pub fn system_clock() -> Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that is injected")]
    Arc::new(SystemTime::now)
}

/// Who is told each instant at which a crash could strike; see [`Local::on_point`].
pub type OnPoint = Arc<dyn Fn(&'static str) + Send + Sync>;

/// What the runtime is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The program that is started as `PROGRAM serve-model …` and `PROGRAM gateway …`.
    pub program: PathBuf,
    /// This machine's name, for diagnostics.
    pub host: String,
}

/// The local runtime. It keeps nothing in memory that it needs: another one can go on at any time.
pub struct Local {
    config: Config,
    clock: Clock,
    client: Client,
    /// How the children of this process ended, by their nonce; empty while they live. Of those that others started
    /// nobody can know.
    exits: Mutex<HashMap<String, watch::Receiver<String>>>,
    on_point: OnPoint,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Local {
    /// Every instant that [`on_point`](Self::on_point) is told of.
    pub const POINTS: &[&str] = &[
        "start.wanted",
        "start.locked",
        "start.intended",
        "start.spawned",
        "start.recorded",
        "verify.ready",
        "shift.wanted",
        "shift.published",
        "gateway.locked",
        "gateway.intended",
        "gateway.spawned",
        "gateway.recorded",
        "observe.begun",
        "stop.wanted",
        "stop.shifted",
        "stop.terminated",
        "stop.gone",
    ];

    /// A runtime that takes the time from the clock.
    #[must_use]
    pub fn new(config: Config, clock: Clock) -> Self {
        Self { config, clock, client: Client::new(), exits: Mutex::default(), on_point: Arc::new(|_| ()) }
    }

    /// For tests: calls `told` at each of [`POINTS`](Self::POINTS), between two effects. It may end the process there.
    #[must_use]
    pub fn on_point(mut self, told: OnPoint) -> Self {
        self.on_point = told;
        self
    }

    fn point(&self, name: &'static str) {
        (self.on_point)(name);
    }

    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        let since = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// A failure on this machine.
    fn failure(&self, stage: &str, code: &str, message: impl Into<String>, hint: &str) -> Box<Diagnostics> {
        Box::new(Diagnostics {
            runtime: self.kind().to_owned(),
            stage: stage.to_owned(),
            host: self.config.host.clone(),
            code: code.to_owned(),
            message: message.into(),
            hint: hint.to_owned(),
            tail: String::new(),
        })
    }

    /// What turns a failed file operation into a failure of the stage.
    fn unusable(&self, stage: &'static str) -> impl Fn(std::io::Error) -> Box<Diagnostics> {
        move |cause| {
            if cause.kind() == std::io::ErrorKind::WouldBlock {
                let hint = "Another server may work on the same state folder. Wait, or stop it.";
                return self.failure(stage, code::LOCK_HELD, "The environment is held by another process.", hint);
            }
            let hint = "See that the folder exists, belongs to the server's user, and that the disk is not full.";
            self.failure(
                stage,
                code::STATE_UNUSABLE,
                format!("The environment's state folder cannot be used: {cause}."),
                hint,
            )
        }
    }

    fn slot_failure(&self, stage: &'static str, what: &str, slot: &Slot, cause: SlotError) -> Box<Diagnostics> {
        let failure = match cause {
            SlotError::File(cause) => return self.unusable(stage)(cause),
            SlotError::Held => self.failure(
                stage,
                code::LOCK_HELD,
                format!("Something holds the lock of {what}, and it is not the process that was started last."),
                "Find who has the file “lock” in its folder open (fuser), and end that process.",
            ),
            SlotError::Spawn(cause) => {
                let program = self.config.program.display();
                let message = format!("The program {program} cannot be started for {what}: {cause}.");
                self.failure(stage, code::SPAWN_FAILED, message, "See that the program is there and may be run.")
            }
            SlotError::Survived => self.failure(
                stage,
                code::NOT_STOPPED,
                format!("The process of {what} is still there after SIGKILL."),
                "It hangs in the kernel, most often on a disk that does not answer. Look at it with ps and dmesg.",
            ),
        };
        failure.tail(slot.tail())
    }

    /// Waits for a child's end, so that it leaves no zombie, and notes how it was.
    fn reap(&self, mut child: Child, nonce: String) {
        let (tell, told) = watch::channel(String::new());
        let mut exits = self.exits.lock().unwrap_or_else(PoisonError::into_inner);
        if exits.len() > REMEMBERED_EXITS {
            exits.retain(|_, exit| exit.borrow().is_empty());
        }
        exits.insert(nonce, told);
        tokio::spawn(async move {
            let sentence = child.wait().await.map_or_else(
                |cause| format!("How it ended cannot be known: {cause}."),
                |status| format!("It ended with {status}."),
            );
            tell.send_replace(sentence);
        });
    }

    /// How the process of that start ended, which is over, as far as it can be known.
    async fn exit(&self, nonce: &str) -> String {
        let told = self.exits.lock().unwrap_or_else(PoisonError::into_inner).get(nonce).cloned();
        if let Some(mut told) = told
            && let Ok(Ok(sentence)) = tokio::time::timeout(ANSWERS, told.wait_for(|exit| !exit.is_empty())).await
        {
            return sentence.clone();
        }
        "It is gone.".to_owned()
    }
}

#[async_trait]
impl Runtime for Local {
    fn kind(&self) -> &'static str {
        "local"
    }

    fn supports(&self, strategy: &Strategy) -> bool {
        match strategy {
            Strategy::Rolling | Strategy::BlueGreen { .. } | Strategy::Canary { .. } => true,
        }
    }

    async fn plan(&self, target: &Target, desired: &DesiredState, strategy: &Strategy) -> Result<Plan> {
        if !self.supports(strategy) {
            let message = "The runtime “local” does not know this strategy.";
            return Err(self.failure("plan", code::STRATEGY_UNSUPPORTED, message, "Choose another one."));
        }
        if let Some(fault) = desired.fault().or_else(|| strategy.fault()) {
            return Err(self.failure("plan", code::SPEC_INVALID, fault, "Correct it and preview again."));
        }
        Ok(Plan::make(self.observe(target).await?, desired, strategy))
    }

    async fn execute(&self, target: &Target, step: &Step) -> Result<Done> {
        let environment = Environment::of(target);
        match step {
            Step::Start { deployment } => self.start(&environment, deployment).await,
            Step::Verify { key } => self.verify(&environment, key).await,
            Step::Shift { model, weights, paused } => self.shift(target, model, weights, *paused).await,
            Step::Observe { model, key, window, limits } => self.watch(target, model, key, *window, limits).await,
            Step::Stop { key } => self.stop(target, key).await,
        }
    }

    async fn observe(&self, target: &Target) -> Result<LiveState> {
        self.look(target).await
    }

    async fn supervise(&self, target: &Target) -> Result<Vec<Event>> {
        self.look_after(target).await
    }

    async fn log(&self, target: &Target, key: &str) -> Result<String> {
        Ok(Environment::of(target).slot(key).tail())
    }

    async fn stop(&self, target: &Target, key: &str) -> Result<Done> {
        self.end(target, key).await
    }

    async fn stop_all(&self, target: &Target) -> Result<Done> {
        self.end_all(target).await
    }

    async fn resume_all(&self, target: &Target) -> Result<Done> {
        let environment = Environment::of(target);
        let unusable = self.unusable("supervise");
        let _held = environment.lock().await.map_err(&unusable)?;
        environment.set_halted(false).map_err(&unusable)?;
        Ok(Done { sentence: "Supervision looks after the environment again.".to_owned(), facts: json!({}) })
    }
}
