//! Machines that exist in memory only: what the runtime would do to real ones, at once and on command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::app::OnBoundary;
use countersign_runtimes::live::{LiveDeployment, LiveModel, Status};
use countersign_runtimes::{DesiredState, Diagnostics, Done, Event, LiveState, Plan, Runtime, Step, Strategy, Target};

type Outcome<T> = Result<T, Box<Diagnostics>>;

/// All machines of one product.
#[derive(Clone, Debug, Default)]
pub struct Machines(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    /// What runs, by environment.
    live: BTreeMap<String, LiveState>,
    /// The step that is to fail, by its name.
    fails: Option<String>,
    /// The names of the steps that were taken, in order.
    taken: Vec<String>,
}

impl Machines {
    /// Lets the next step of this name fail, once.
    pub fn fail_at(&self, step: &str) {
        self.0.lock().unwrap().fails = Some(step.to_owned());
    }

    /// What runs: deployment keys with their weights, in all environments.
    pub fn running(&self) -> Vec<(String, u32)> {
        let world = self.0.lock().unwrap();
        let models = world.live.values().flat_map(|live| live.models.values());
        models.flat_map(|model| model.deployments.iter().map(|(key, one)| (key.clone(), one.weight))).collect()
    }

    /// The steps that were taken so far.
    pub fn taken(&self) -> Vec<String> {
        self.0.lock().unwrap().taken.clone()
    }

    /// Lets everything that runs run on, with other bytes.
    pub fn swap_bytes(&self) {
        for live in self.0.lock().unwrap().live.values_mut() {
            for one in live.models.values_mut().flat_map(|model| model.deployments.values_mut()) {
                one.running_digest = Some(format!("sha256:{}", "f".repeat(64)));
            }
        }
    }

    /// Kills everything.
    pub fn kill_all(&self) {
        for live in self.0.lock().unwrap().live.values_mut() {
            for one in live.models.values_mut().flat_map(|model| model.deployments.values_mut()) {
                one.status = Status::Down;
                "It was killed.".clone_into(&mut one.last_exit);
            }
        }
    }
}

impl World {
    fn take(&mut self, target: &Target, step: &Step) -> Outcome<Done> {
        self.taken.push(step.name().to_owned());
        if self.fails.take_if(|name| *name == step.name()).is_some() {
            return Err(failure(step.name()));
        }
        let live = self.live.entry(target.key.clone()).or_default();
        match step {
            Step::Start { deployment } => {
                let model = live.models.entry(deployment.model.clone()).or_default();
                model.deployments.entry(deployment.key.clone()).or_insert_with(|| LiveDeployment {
                    running_digest: Some(deployment.digest.clone()),
                    spec: deployment.clone(),
                    status: Status::Ready,
                    weight: 0,
                    pid: Some(1),
                    address: None,
                    started_at: None,
                    restarts: 0,
                    last_exit: String::new(),
                });
            }
            Step::Verify { key } if live.deployment(key).is_none() => return Err(failure("verify")),
            Step::Verify { .. } | Step::Observe { .. } => (),
            Step::Shift { model, weights, paused } => {
                let model = live.models.entry(model.clone()).or_default();
                model.paused = *paused;
                for (key, one) in &mut model.deployments {
                    one.weight = weights.get(key).copied().unwrap_or_default();
                }
            }
            Step::Stop { key } => remove(live, key),
        }
        Ok(Done { sentence: format!("Did it: {}", step.sentence()), facts: serde_json::json!({}) })
    }
}

fn remove(live: &mut LiveState, key: &str) {
    for model in live.models.values_mut() {
        model.deployments.remove(key);
    }
    live.models.retain(|_, model: &mut LiveModel| !model.deployments.is_empty());
}

fn failure(stage: &str) -> Box<Diagnostics> {
    let text = |text: &str| text.to_owned();
    Box::new(Diagnostics {
        runtime: text("memory"),
        stage: text(stage),
        host: text("nowhere"),
        code: text("process_exited"),
        message: text("The server exited with status 3."),
        hint: text("Read its log."),
        tail: text("panic: no such operator"),
    })
}

#[async_trait]
impl Runtime for Machines {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn supports(&self, strategy: &Strategy) -> bool {
        !matches!(strategy, Strategy::Canary { steps, .. } if steps.is_empty())
    }

    async fn plan(&self, target: &Target, desired: &DesiredState, strategy: &Strategy) -> Outcome<Plan> {
        Ok(Plan::make(self.observe(target).await?, desired, strategy))
    }

    async fn execute(&self, target: &Target, step: &Step) -> Outcome<Done> {
        self.0.lock().unwrap().take(target, step)
    }

    async fn observe(&self, target: &Target) -> Outcome<LiveState> {
        Ok(self.0.lock().unwrap().live.get(&target.key).cloned().unwrap_or_default())
    }

    async fn supervise(&self, _: &Target) -> Outcome<Vec<Event>> {
        Ok(Vec::new())
    }

    async fn log(&self, _: &Target, _: &str) -> Outcome<String> {
        Ok(String::new())
    }

    async fn stop(&self, target: &Target, key: &str) -> Outcome<Done> {
        self.execute(target, &Step::Stop { key: key.to_owned() }).await
    }

    async fn stop_all(&self, target: &Target) -> Outcome<Done> {
        self.0.lock().unwrap().live.remove(&target.key);
        Ok(Done { sentence: "Stopped everything.".to_owned(), facts: serde_json::json!({}) })
    }

    async fn resume_all(&self, _: &Target) -> Outcome<Done> {
        Ok(Done { sentence: "Nothing rested.".to_owned(), facts: serde_json::json!({}) })
    }
}

/// Strikes a worker down once at an instant of a step, as a crash would: nothing more of it is recorded.
#[derive(Clone, Debug, Default)]
pub struct Strike(Arc<Mutex<Option<(String, String)>>>);

impl Strike {
    /// Strikes at this instant (`before`, `begun`, `taken`, `recorded`) of the first step of this name.
    pub fn at(&self, instant: &str, step: &str) {
        *self.0.lock().unwrap() = Some((instant.to_owned(), step.to_owned()));
    }

    /// Whether it has not struck yet.
    pub fn waits(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }

    /// What the product is given.
    pub fn hook(&self) -> OnBoundary {
        let strike = self.clone();
        Arc::new(move |instant, step| {
            strike.0.lock().unwrap().take_if(|(at, of)| at == instant && of == step).is_some()
        })
    }
}
