//! What every test starts from: a product of its own on either database, a clock that stands
//! still, people who send requests, and things made in sentences.
//!
//! ```ignore
//! both! {
//!     async fn an_owner_sees_what_is_ready(t: T) {
//!         let anna = t.person("Anna").await;
//!         let uk = t.region("UK").requires_approval().await;
//!         let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await;
//!         model.version("2.1").planned("2026-04-30").approved().await;
//!         let answer = anna.get("/api/v1/deployment-tasks/ready-to-deploy").await.ok();
//!         assert_eq!(answer.json()["total_count"], 1);
//!     }
//! }
//! ```

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use countersign::app::{App, Clock, Drivers, Settings, SystemClock, TrainingLimits};
use countersign::audit::{Act, Who};
use countersign::db::Db;
use countersign::identity::policy::{self, Policy};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use crate::machines::{Machines, Strike};

#[path = "../support/postgres.rs"]
mod postgres;
use postgres::Postgres;

/// Runs each scenario twice: `a_sentence::sqlite` and `a_sentence::postgres`.
#[macro_export]
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($t:ident: T) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$meta])*
            async fn scenario($t: $crate::harness::T) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                scenario($crate::harness::T::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                scenario($crate::harness::T::postgres().await).await;
            }
        }
    )*};
}

/// One product with a database of its own; the clock stands at noon of 31 March 2026 until moved.
#[derive(Clone, Debug)]
pub struct T(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app: App,
    router: Router,
    clock: HeldClock,
    machines: Machines,
    strike: Strike,
    storage: Storage,
    folder: TempDir,
}

#[derive(Debug)]
enum Storage {
    Sqlite,
    Postgres { name: String },
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Storage::Postgres { name } = &self.storage {
            finished().lock().unwrap().push(name.clone());
        }
    }
}

/// Databases whose test is over; the next test that needs one drops them.
fn finished() -> &'static Mutex<Vec<String>> {
    static FINISHED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    &FINISHED
}

impl T {
    /// A product on the embedded database.
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("countersign.db"), migrated_file()).unwrap();
        Self::on_sqlite(folder).await
    }

    /// A product on the embedded database that stands in a folder already.
    pub async fn on_sqlite(folder: TempDir) -> Self {
        let db = Db::open_sqlite(folder.path()).await.unwrap();
        Self::new(db, folder, Storage::Sqlite)
    }

    /// A product on PostgreSQL.
    pub async fn postgres() -> Self {
        Self::on_postgres(fresh_database(migrated_database()).await).await
    }

    /// A product on a PostgreSQL database that is there already.
    pub async fn on_postgres(name: String) -> Self {
        let db = Db::open_postgres(&Postgres::shared(false).address(&name), 10).await.unwrap();
        Self::new(db, TempDir::new().unwrap(), Storage::Postgres { name })
    }

    fn new(db: Db, folder: TempDir, storage: Storage) -> Self {
        let clock = HeldClock(Arc::new(Mutex::new(instant("2026-03-31T12:00:00Z"))));
        let settings = Settings {
            data: folder.path().to_owned(),
            max_upload_bytes: MOST_BYTES,
            data_folders: vec![folder.path().join("tables")],
            training: TrainingLimits { programs: vec![PathBuf::from(PROGRAM)], ..TrainingLimits::default() },
            ..Settings::default()
        };
        let policy = Policy::parse(policy::BUILT_IN).unwrap();
        let machines = Machines::default();
        let strike = Strike::default();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_countersign"));
        let drivers = Drivers {
            runtime: Arc::new(machines.clone()),
            on_boundary: Some(strike.hook()),
            program,
            ..Drivers::default()
        };
        let app = App::with(settings, db, policy, Box::new(clock.clone()), drivers);
        let router = countersign::router::router(app.clone());
        Self(Arc::new(Inner { app, router, clock, machines, strike, storage, folder }))
    }

    /// The running product.
    pub fn app(&self) -> &App {
        &self.0.app
    }

    /// Another server on the same database.
    pub fn another_server(&self) -> App {
        let (app, policy) = (self.app(), Policy::parse(policy::BUILT_IN).unwrap());
        App::new(app.settings.clone(), app.db.clone(), policy, Box::new(self.0.clock.clone()))
    }

    /// The machines that its models run on.
    pub fn machines(&self) -> &Machines {
        &self.0.machines
    }

    /// Where its workers are struck down.
    pub fn strike(&self) -> &Strike {
        &self.0.strike
    }

    /// All its routes.
    pub fn router(&self) -> Router {
        self.0.router.clone()
    }

    /// Its data folder.
    pub fn folder(&self) -> PathBuf {
        self.0.folder.path().to_owned()
    }

    /// What `serve --database` and the like take to use the same database; none for SQLite, where
    /// `--data` names the folder.
    pub fn database_address(&self) -> Option<String> {
        match &self.0.storage {
            Storage::Sqlite => None,
            Storage::Postgres { name } => Some(Postgres::shared(false).address(name)),
        }
    }

    /// Sets the clock: `t.at("2026-03-31T12:00:00Z")`.
    pub fn at(&self, now: &str) -> &Self {
        *self.0.clock.0.lock().unwrap() = instant(now);
        self
    }

    /// Sets the clock to the machine's: for a scene that a real server will show.
    pub fn at_machine_time(&self) -> &Self {
        *self.0.clock.0.lock().unwrap() = SystemClock.now();
        self
    }

    /// Lets days pass.
    pub fn advance(&self, days: i64) -> &Self {
        *self.0.clock.0.lock().unwrap() += TimeDelta::days(days);
        self
    }

    /// The instant now.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.app.now()
    }

    /// The calendar date now, in UTC.
    pub fn today(&self) -> NaiveDate {
        self.now().date_naive()
    }

    /// An act of the product itself, for setting a scene that no route can set.
    pub async fn act(&self) -> Act {
        Act::begin(self.app(), &Who::system("test")).await.unwrap()
    }
}

/// How large an upload may be: less than in earnest, so that a test can go beyond it.
pub const MOST_BYTES: usize = 4 << 20;

/// The program that training jobs may start.
pub const PROGRAM: &str = "/bin/bash";

/// A clock that moves only when told.
#[derive(Clone, Debug)]
struct HeldClock(Arc<Mutex<DateTime<Utc>>>);

impl Clock for HeldClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// `2026-03-31T12:00:00Z` as an instant.
pub fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|_| panic!("“{text}” is not an instant"))
}

/// `2026-03-31` as a date.
pub fn date(text: &str) -> NaiveDate {
    text.parse().unwrap_or_else(|_| panic!("“{text}” is not a date"))
}

/// Runs a future to its end on a thread and runtime of its own: for what is made once a process,
/// which must not hang on the runtime of the test that happened to come first.
fn apart<F, Out>(future: F) -> Out
where
    F: Future<Output = Out> + Send + 'static,
    Out: Send + 'static,
{
    let work = move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    std::thread::spawn(work).join().unwrap()
}

/// An embedded database with the schema and nothing in it, as the bytes of its file.
fn migrated_file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let made = folder.path().to_owned();
        apart(async move {
            let db = Db::open_sqlite(&made).await.unwrap();
            db.migrate().await.unwrap();
            // A copy is whole: the file itself lacks what still stands in its write-ahead log.
            db.copy_into(&made.join("copy.db")).await.unwrap();
            db.close().await;
        });
        std::fs::read(folder.path().join("copy.db")).unwrap()
    })
}

/// A PostgreSQL database with the schema and nothing in it; tests copy it.
fn migrated_database() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        apart(async {
            let name = fresh_database("template0").await;
            let db = Db::open_postgres(&Postgres::shared(false).address(&name), 1).await.unwrap();
            db.migrate().await.unwrap();
            db.close().await;
            administer(&format!("ALTER DATABASE {name} RENAME TO migrated")).await;
        });
    });
    "migrated"
}

/// Makes a database as a copy of `template`, and drops those whose tests are over.
pub async fn fresh_database(template: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let name = format!("test_{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let over = std::mem::take(&mut *finished().lock().unwrap());
    for old in over {
        administer(&format!("DROP DATABASE {old} WITH (FORCE)")).await;
    }
    administer(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    name
}

/// The address of a PostgreSQL database of this process.
pub fn postgres_address(name: &str) -> String {
    Postgres::shared(false).address(name)
}

async fn administer(statement: &str) {
    let address = Postgres::shared(false).address("postgres");
    let mut connection = sqlx::PgConnection::connect(&address).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
