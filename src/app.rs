//! The running product: configuration, database, clock, randomness, policy, live events.
//!
//! It is built once and passed to every function that needs it; nothing is global.

use std::ops::Deref;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use countersign_runtimes::{Local, Runtime, local};
use tokio::sync::{Notify, Semaphore};

use crate::approvals::DecisionHandler;
use crate::audit::live::Live;
use crate::db::{self, Db};
use crate::error::Result;
use crate::identity::Actor;
use crate::identity::policy::Policy;
use crate::operations::Handler;
use crate::training;
use crate::web::Badges;
use crate::web::metrics::Metrics;

mod failpoint;

/// Tells the time. Tests hold it still.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The instant now.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time is taken from")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The settings that the running product reads.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where artifacts and the embedded database lie.
    pub data: PathBuf,
    /// Whether cookies are marked `Secure`: the product is reached over HTTPS.
    pub secure_cookies: bool,
    /// Largest artifact or import file, in bytes.
    pub max_upload_bytes: usize,
    /// The aliases of a model's versions that mean production.
    pub production_aliases: Vec<String>,
    /// Whether the sign-in page may name the demo accounts.
    pub demo: bool,
    /// Milliseconds above which a deployment's median is amber.
    pub p50_amber_ms: f64,
    /// Milliseconds above which its P95 is red.
    pub p95_red_ms: f64,
    /// Percent of failed requests above which its error rate is red.
    pub errors_red_percent: f64,
    /// Folders of this machine whose files data sets may refer to.
    pub data_folders: Vec<PathBuf>,
    /// What training jobs may do.
    pub training: TrainingLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            secure_cookies: false,
            max_upload_bytes: 64 << 20,
            production_aliases: ["default", "production", "prod", "champion"].map(str::to_owned).to_vec(),
            demo: false,
            p50_amber_ms: 200.0,
            p95_red_ms: 500.0,
            errors_red_percent: 1.0,
            data_folders: Vec::new(),
            training: TrainingLimits::default(),
        }
    }
}

/// What the operator lets training jobs do.
#[derive(Debug, Clone)]
pub struct TrainingLimits {
    /// The programs that they may start.
    pub programs: Vec<PathBuf>,
    /// How many run at once on this server.
    pub at_once: usize,
    /// How many minutes one may take.
    pub minutes: i64,
    /// How much memory the processes of one may have together, in MiB.
    pub memory_mib: i64,
}

impl Default for TrainingLimits {
    fn default() -> Self {
        Self { programs: Vec::new(), at_once: 1, minutes: 60, memory_mib: 2048 }
    }
}

/// Told of each instant at which a crash could strike: whether before or after a step was begun, taken or recorded, and
/// the step's name. Answers whether to behave as if it had. Tests set one; without it nothing ever strikes.
pub type OnBoundary = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// What reaches machines, and what tests put in its place.
#[derive(Clone)]
pub struct Drivers {
    /// Starts, observes and stops model servers.
    pub runtime: Arc<dyn Runtime>,
    /// Told of each instant at which a crash could strike.
    pub on_boundary: Option<OnBoundary>,
    /// For how long an operation is held without a sign of life.
    pub lease: Duration,
    /// This program, which training jobs are started with.
    pub program: PathBuf,
}

impl Default for Drivers {
    /// Model servers are processes of this program, on this machine.
    fn default() -> Self {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("countersign"));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let mut runtime = Local::new(local::Config { program: program.clone(), host }, local::system_clock());
        let mut on_boundary: Option<OnBoundary> = None;
        if let Some(wanted) = failpoint::wanted() {
            let here = wanted.clone();
            runtime = runtime.on_point(Arc::new(move |point| failpoint::strike(&here, point)));
            on_boundary = Some(Arc::new(move |instant, step| {
                failpoint::strike(&wanted, &format!("{instant}:{step}"));
                false
            }));
        }
        Self { runtime: Arc::new(runtime), on_boundary, lease: failpoint::lease(), program }
    }
}

/// Counts what the sidebar shows to a person: the frame of the pages knows no area.
pub type BadgeCounter = for<'a> fn(&'a App, &'a Actor) -> Pin<Box<dyn Future<Output = Result<Badges>> + Send + 'a>>;

/// A handle on the running product; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// What the product is made of.
pub struct Parts {
    /// The settings.
    pub settings: Settings,
    /// The database.
    pub db: Db,
    /// Who may do what.
    pub policy: Policy,
    /// Tells open pages what changed.
    pub live: Live,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The turn to hash a password: one at a time.
    pub hashing: tokio::sync::Semaphore,
    /// Counts what the sidebar shows.
    pub badges: BadgeCounter,
    /// What a decided ticket does, by kind: the areas that ask are told the answer.
    pub decisions: Vec<DecisionHandler>,
    /// How many passwords are checked at once: each takes 19 MB and tens of milliseconds.
    pub password_checks: Semaphore,
    /// Reaches the machines that models run on.
    pub runtime: Arc<dyn Runtime>,
    /// Who carries out operations, by their kind.
    pub operations: Vec<Handler>,
    /// Rung when there may be work for the workers.
    pub work: Notify,
    /// For how long an operation is held without a sign of life.
    pub lease: Duration,
    /// This program, which training jobs are started with.
    pub program: PathBuf,
    /// What is known of training jobs only while the server runs.
    pub training: training::Hall,
    on_boundary: Option<OnBoundary>,
    clock: Box<dyn Clock>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).field("db", &self.db).finish_non_exhaustive()
    }
}

/// So few that a flood of sign-ins leaves memory and processors to everybody else.
const PASSWORD_CHECKS: usize = 4;

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(settings: Settings, db: Db, policy: Policy, clock: Box<dyn Clock>) -> Self {
        Self::with(settings, db, policy, clock, Drivers::default())
    }

    /// Puts the parts together with other drivers.
    #[must_use]
    pub fn with(settings: Settings, db: Db, policy: Policy, clock: Box<dyn Clock>, drivers: Drivers) -> Self {
        Self(Arc::new(Parts {
            settings,
            db,
            policy,
            live: Live::default(),
            metrics: Metrics::default(),
            hashing: tokio::sync::Semaphore::new(1),
            badges: crate::count_badges,
            decisions: crate::decision_handlers(),
            password_checks: Semaphore::new(PASSWORD_CHECKS),
            runtime: drivers.runtime,
            operations: crate::operation_handlers(),
            work: Notify::new(),
            lease: drivers.lease,
            program: drivers.program,
            training: training::Hall::default(),
            on_boundary: drivers.on_boundary,
            clock,
        }))
    }

    /// The instant now, with the precision that the database keeps.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        db::storable(self.clock.now())
    }

    /// Whether to behave as if a crash had struck at this instant; only ever in tests.
    #[must_use]
    pub fn boundary(&self, instant: &str, step: &str) -> bool {
        self.on_boundary.as_ref().is_some_and(|told| told(instant, step))
    }

    /// Fresh random bytes from the operating system.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        rand::random()
    }

    /// A fresh secret of 256 bits, as 64 hexadecimal digits.
    #[must_use]
    pub fn secret(&self) -> String {
        hex::encode(self.random::<32>())
    }
}
