//! The release binary, on a free port, over a database of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::app::{App, Settings, SystemClock};
use countersign::db::{Db, Query};
use countersign::identity::policy::{self, Policy};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use crate::client::{Connection, Request};
use crate::postgres::Postgres;
use crate::seed::{Caller, Scene, Sizes};

const BINARY: &str = env!("CARGO_BIN_EXE_countersign");

/// How large the binary is.
pub fn binary_bytes() -> u64 {
    std::fs::metadata(BINARY).expect("the binary was built").len()
}

/// Where a run's data lies.
#[derive(Debug)]
pub struct Storage {
    pub folder: TempDir,
    /// PostgreSQL's address; none for the embedded database.
    pub database: Option<String>,
}

impl Storage {
    pub fn new(engine: &str) -> Self {
        let database = (engine == "postgres").then(|| {
            static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
            let name = format!("bench_{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            // Durable: a confirmation waits for the disk, as it does in earnest.
            let server = Postgres::shared(true);
            create_database(&server.address("postgres"), &name);
            server.address(&name)
        });
        Self { folder: TempDir::new().expect("a temporary folder"), database }
    }
}

impl Storage {
    /// Fills it.
    pub fn fill(&self, sizes: Sizes) -> Scene {
        self.fill_with(async |app| {
            let scene = crate::seed::fill_database(app, sizes).await;
            crate::delivery::fill_table(app).await;
            scene
        })
    }

    /// Has something done to it, through the product's own code.
    pub fn fill_with<Out>(&self, fill: impl AsyncFnOnce(&App) -> Out) -> Out {
        run(async {
            let db = self.open().await;
            db.migrate().await.unwrap();
            let policy = Policy::parse(policy::BUILT_IN).unwrap();
            let app = App::new(Settings::default(), db, policy, Box::new(SystemClock));
            let made = fill(&app).await;
            app.db.close().await;
            made
        })
    }

    /// The one number that a statement asks for.
    pub fn number(&self, statement: &'static str) -> i64 {
        run(async { Query::new(statement).one::<(i64,)>(&self.open().await).await.unwrap().0 })
    }

    async fn open(&self) -> Db {
        match &self.database {
            None => Db::open_sqlite(self.folder.path()).await.unwrap(),
            Some(address) => Db::open_postgres(address, 2).await.unwrap(),
        }
    }
}

fn run<Out>(future: impl Future<Output = Out>) -> Out {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Makes an empty PostgreSQL database.
fn create_database(server: &str, name: &str) {
    run(async {
        let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
        let statement = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// The running binary.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: String,
    /// From its start to its first answer.
    pub first_answer: Duration,
}

impl Server {
    pub fn start(storage: &Storage) -> Self {
        let started = Instant::now();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-filter", "warn", "--data"]).arg(storage.folder.path());
        if let Some(database) = &storage.database {
            command.args(["--database", database]);
        }
        command.env("COUNTERSIGN_TRAINING_PROGRAMS", crate::training::PROGRAM);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let output = child.stdout.take().expect("its output is piped");
        let ready = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split("http://").nth(1).map(|address| address.trim_end_matches('/').to_owned()));
        let address = ready.expect("the server says where it listens");
        let reply = Connection::to(&address)
            .expect("the server takes connections")
            .send(&Request::get("/readyz", &Caller::Nobody));
        assert_eq!(reply.status, 200, "the server is not ready: {}", reply.start);
        Self { child, address, first_answer: started.elapsed() }
    }

    /// How many statements it has sent so far.
    pub fn statements(&self) -> f64 {
        let reply = Connection::open(self).send(&Request::get("/metrics", &Caller::Nobody));
        let text = String::from_utf8_lossy(&reply.body);
        let line = text.lines().find_map(|line| line.strip_prefix("countersign_db_statements "));
        line.and_then(|number| number.parse().ok()).expect("/metrics counts statements")
    }

    /// How long it has had a processor so far, for itself and in the system.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        // The name, in parentheses, may hold spaces; the times are the 12th and 13th fields behind it, in hundredths.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number of ticks")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Its resident memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).expect("VmRSS in kB");
        kib * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
