//! MLflow's interface, here and at MLflow's own server: the same data, the same requests, the same machine, SQLite both.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::app::App;
use countersign::audit::{Act, Who};
use countersign::db::Query;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use crate::client::{Connection, Load, Measured, Request, measure};
use crate::seed::{Caller, people, rows};
use crate::server::{Server, Storage};

const RUNS: i64 = 50_000;
const MODELS: i64 = 1_000;
const VERSIONS: i64 = 100_000;
/// How much a batch holds: the most that either takes.
const BATCH: usize = 1_000;
/// How many runs are written to, and how many batches are ready: enough for both measurements of a case.
const WRITTEN: usize = 8;
const BATCHES: usize = 2 * MOST;
/// How long one measurement lasts, and of how many requests at most.
const SECONDS: f64 = 5.0;
const MOST: usize = 600;

/// One case: here and there, for one client and for four.
#[derive(Debug)]
pub struct Compared {
    pub name: &'static str,
    pub ours: [Measured; 2],
    pub theirs: [Measured; 2],
}

impl Compared {
    /// How many times as many requests a second we answer, for one client and for four.
    pub fn throughput(&self) -> [f64; 2] {
        [0, 1].map(|at| self.ours[at].per_second / self.theirs[at].per_second)
    }

    /// How many times as long one of theirs takes, in the middle, for one client and for four.
    pub fn latency(&self) -> [f64; 2] {
        [0, 1].map(|at| self.theirs[at].percentile(50.0) / self.ours[at].percentile(50.0))
    }
}

/// Fills both, and asks both the same.
pub fn compare() -> Vec<Compared> {
    let storage = Storage::new("sqlite");
    eprintln!("mlflow: filling both with {RUNS} runs and {VERSIONS} versions");
    storage.fill_with(fill_ours);
    let theirs = Theirs::start();
    let ours = Server::start(&storage);
    let admin = Caller::Token("token-101".to_owned());
    let mut compared = Vec::new();
    for (name, requests) in cases() {
        eprintln!("mlflow: {name}");
        let two = |address: &str, statements: &dyn Fn() -> f64, caller: &Caller| {
            let mut requests = requests(caller);
            [1, 4].map(|clients| {
                measure(address, statements, &mut requests, Load { clients, seconds: SECONDS, most: MOST })
            })
        };
        let here = two(&ours.address, &|| ours.statements(), &admin);
        let there = two(&theirs.address, &|| 0.0, &Caller::Nobody);
        compared.push(Compared { name, ours: here, theirs: there });
    }
    compared
}

type Asking = Box<dyn Fn(&Caller) -> Vec<Request>>;

fn cases() -> Vec<(&'static str, Asking)> {
    let runs =
        r#"{"experiment_ids":["1"],"filter":"metrics.auc > 0.5","order_by":["metrics.auc DESC"],"max_results":100}"#;
    let versions = "/api/2.0/mlflow/model-versions/search?max_results=100&filter=\
        tags.team%20%3D%20%27team-3%27%20and%20tags.kind%20%3D%20%27kind-13%27";
    vec![
        ("log-batch, 1,000 metrics", Box::new(batches)),
        (
            "runs/search, metric and order",
            Box::new(move |caller| vec![Request::post("/api/2.0/mlflow/runs/search", runs, caller, false)]),
        ),
        ("model-versions/search, two tags", Box::new(move |caller| vec![Request::get(versions, caller)])),
    ]
}

/// Batches of points that nobody sent before.
fn batches(caller: &Caller) -> Vec<Request> {
    let batch = |number: usize| {
        let mut body = format!(r#"{{"run_id":"{}","metrics":["#, run(number % WRITTEN + 1));
        for at in 0..BATCH {
            let (key, step) = (at % 10, number * BATCH + at);
            let value = (step * 7919 % 100_003) as f64 / 100_003.0;
            let comma = if at == 0 { "" } else { "," };
            write!(
                body,
                r#"{comma}{{"key":"m{key}","value":{value},"timestamp":{},"step":{step}}}"#,
                1_700_000_000_000 + step
            )
            .unwrap();
        }
        body.push_str("]}");
        Request::post("/api/2.0/mlflow/runs/log-batch", &body, caller, true)
    };
    (0..BATCHES).map(batch).collect()
}

/// A run's 32 digits.
fn run(number: usize) -> String {
    format!("00000000000000000000000000{}", 100_000 + number)
}

/// An experiment of runs with five metrics, five parameters and three tags each; models of a hundred versions with two tags.
async fn fill_ours(app: &App) {
    let mut act = Act::begin(app, &Who::system("bench")).await.unwrap();
    let now = act.now;
    let tx = &mut act.tx;
    people(tx, now).await;
    for statement in [
        "INSERT INTO teams (name) VALUES ('Risk')",
        "INSERT INTO projects (name, team_id) SELECT 'Credit', team_id FROM teams",
        "INSERT INTO experiments (experiment_id, name, created_at, updated_at) SELECT 1, 'bench', created_at, created_at FROM users LIMIT 1",
    ] {
        Query::new(statement).run(&mut *tx).await.unwrap();
    }
    for (count, insert, select) in [
        (
            RUNS,
            "INSERT INTO training_jobs (run_uuid, experiment_id, name, executor, configuration, state, requested_by_id, created_at, started_at)",
            "SELECT '00000000000000000000000000' || (100000 + i), 1, 'run-' || i, 'mlflow', '{}', 'complete', 101, $2, $2 FROM n ORDER BY i",
        ),
        (
            5 * RUNS,
            "INSERT INTO job_metrics (job_id, name, points, step, value, at_ms)",
            "SELECT (i - 1) / 5 + 1, CASE i % 5 WHEN 0 THEN 'auc' ELSE 'metric-' || (i % 5) END, 1, 1, i * 7919 % 100003 / 100003.0,
                    1700000000000 FROM n WHERE $2 IS NOT NULL",
        ),
        (
            5 * RUNS,
            "INSERT INTO job_params (job_id, name, value)",
            "SELECT (i - 1) / 5 + 1, 'param-' || (i % 5), 'value-' || (i % 37) FROM n WHERE $2 IS NOT NULL",
        ),
        (
            3 * RUNS,
            "INSERT INTO job_tags (job_id, name, value)",
            "SELECT (i - 1) / 3 + 1, 'tag-' || (i % 3), 'value-' || (i % 23) FROM n WHERE $2 IS NOT NULL",
        ),
        (
            MODELS,
            "INSERT INTO models (name, owner_id, project_id, risk_tier, status, created_at)",
            "SELECT 'Model ' || i, 1, p.project_id, 'TIER_2', 'ACTIVE', $2 FROM n, projects p ORDER BY i",
        ),
        (
            VERSIONS,
            "INSERT INTO versions (model_id, number, major, minor, change_type, scope, description, submitted_by_id, created_at, ordinal, source)",
            "SELECT (i - 1) / 100 + 1, 'v1.' || ((i - 1) % 100) || '.0', 1, (i - 1) % 100, 'MINOR', 'GLOBAL', 'A change', 101, $2,
                    (i - 1) % 100 + 1, 'somewhere' FROM n ORDER BY i",
        ),
        (
            2 * VERSIONS,
            "INSERT INTO version_tags (version_id, name, value)",
            "SELECT (i - 1) / 2 + 1, CASE i % 2 WHEN 0 THEN 'team' ELSE 'kind' END,
                    CASE i % 2 WHEN 0 THEN 'team-' || ((i - 1) / 2 % 10) ELSE 'kind-' || ((i - 1) / 2 % 50) END FROM n WHERE $2 IS NOT NULL",
        ),
    ] {
        rows(tx, count, now, insert, select).await;
    }
    act.commit().await.unwrap();
    Query::new("ANALYZE").run(&app.db).await.unwrap();
}

/// The same in MLflow's own tables.
const FILL_THEIRS: &str = "
    INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
        VALUES (1, 'bench', 'mlflow-artifacts:/1', 'active', 1700000000000, 1700000000000);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :runs)
        INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, lifecycle_stage, artifact_uri, experiment_id)
        SELECT '00000000000000000000000000' || (100000 + i), 'run-' || i, 'LOCAL', '', '', 'bench', 'FINISHED', 1700000000000, 'active',
               'mlflow-artifacts:/1/' || i, 1 FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5 * :runs)
        INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
        SELECT CASE i % 5 WHEN 0 THEN 'auc' ELSE 'metric-' || (i % 5) END, i * 7919 % 100003 / 100003.0, 1700000000000, 1, 0,
               '00000000000000000000000000' || (100000 + (i - 1) / 5 + 1) FROM n;
    INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
        SELECT key, value, timestamp, step, is_nan, run_uuid FROM latest_metrics;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5 * :runs)
        INSERT INTO params (key, value, run_uuid)
        SELECT 'param-' || (i % 5), 'value-' || (i % 37), '00000000000000000000000000' || (100000 + (i - 1) / 5 + 1) FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3 * :runs)
        INSERT INTO tags (key, value, run_uuid)
        SELECT 'tag-' || (i % 3), 'value-' || (i % 23), '00000000000000000000000000' || (100000 + (i - 1) / 3 + 1) FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :models)
        INSERT INTO registered_models (name, creation_time, last_updated_time)
        SELECT 'Model ' || i, 1700000000000, 1700000000000 FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :versions)
        INSERT INTO model_versions (name, version, creation_time, last_updated_time, user_id, current_stage, source, status)
        SELECT 'Model ' || ((i - 1) / 100 + 1), (i - 1) % 100 + 1, 1700000000000, 1700000000000, 'bench', 'None', 'somewhere', 'READY' FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * :versions)
        INSERT INTO model_version_tags (key, value, name, version)
        SELECT CASE i % 2 WHEN 0 THEN 'team' ELSE 'kind' END,
               CASE i % 2 WHEN 0 THEN 'team-' || ((i - 1) / 2 % 10) ELSE 'kind-' || ((i - 1) / 2 % 50) END,
               'Model ' || ((i - 1) / 2 / 100 + 1), (i - 1) / 2 % 100 + 1 FROM n;
    ANALYZE;";

/// What its processes use in two seconds when nobody asks them, at most, in hundredths of a second.
const RESTING: u64 = 20;

/// MLflow's own server, of PyPI, as `mlflow server` starts it: without accounts, and with as many workers as it likes.
#[derive(Debug)]
struct Theirs {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Theirs {
    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("mlflow.db");
        // The first start makes the tables.
        drop(Self::serve(&file, TempDir::new().expect("a temporary folder")));
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
            let text = FILL_THEIRS.replace(":runs", &RUNS.to_string());
            let text = text.replace(":models", &MODELS.to_string()).replace(":versions", &VERSIONS.to_string());
            connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(text))).await.unwrap();
            connection.close().await.unwrap();
        });
        Self::serve(&file, folder)
    }

    fn serve(file: &Path, folder: TempDir) -> Self {
        let made = Command::new("tests/python/venv")
            .arg("tests/mlflow/requirements.txt")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        let python = String::from_utf8(made.expect("tests/python/venv runs").stdout).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python.trim())
            .args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--backend-store-uri", &format!("sqlite:///{}", file.display())])
            .current_dir(folder.path())
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that its workers end with it.
            .process_group(0)
            .spawn()
            .expect("MLflow's server starts");
        let started = Self { child, address: format!("127.0.0.1:{port}"), _folder: folder };
        started.wait();
        started
    }

    fn wait(&self) {
        let started = Instant::now();
        let ready = || {
            let mut connection = Connection::to(&self.address).ok()?;
            Some(connection.send(&Request::get("/health", &Caller::Nobody)).status == 200)
        };
        while ready() != Some(true) {
            assert!(started.elapsed() < Duration::from_secs(120), "MLflow's server is not ready");
            std::thread::sleep(Duration::from_millis(200));
        }
        // The first worker answers while the others still load: what is measured meanwhile shares the machine with them.
        let mut before = self.ticks();
        loop {
            std::thread::sleep(Duration::from_secs(2));
            let ticks = self.ticks();
            if ticks - before < RESTING {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(180), "MLflow's server does not come to rest");
            before = ticks;
        }
    }

    /// The processor time that its processes have used, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let group = self.child.id().to_string();
        let ticks = |entry: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            // Behind the name, which may hold anything: state, parent, group, …, and as 12th and 13th the times.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let is_its = fields.get(2) == Some(&group.as_str());
            is_its.then(|| [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum::<u64>())
        };
        std::fs::read_dir("/proc").expect("processes are listed").filter_map(ticks).sum()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
