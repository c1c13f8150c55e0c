//! The running product: configuration, database, clock, randomness, policy, live events.
//!
//! It is built once and passed to every function that needs it; nothing is global.

use std::ops::Deref;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use crate::approvals::DecisionHandler;
use crate::audit::live::Live;
use crate::db::{self, Db};
use crate::error::Result;
use crate::identity::Actor;
use crate::identity::policy::Policy;
use crate::web::Badges;
use crate::web::metrics::Metrics;

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
    /// Whether the sign-in page may name the demo accounts.
    pub demo: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { data: PathBuf::from("data"), secure_cookies: false, max_upload_bytes: 64 << 20, demo: false }
    }
}

/// Counts what the sidebar shows to a person: the frame of the pages knows no area.
pub type BadgeCounter = for<'a> fn(&'a App, &'a Actor) -> Pin<Box<dyn Future<Output = Result<Badges>> + Send + 'a>>;

/// A handle on the running product; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// What the product is made of.
#[derive(Debug)]
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
    clock: Box<dyn Clock>,
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
            clock,
        }))
    }

    /// The instant now, with the precision that the database keeps.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        db::storable(self.clock.now())
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
