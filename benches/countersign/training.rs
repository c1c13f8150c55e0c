//! Training: a run of a million points on one page, a run with a hundred watchers, and how the builtin training
//! compares with scikit-learn.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::app::App;
use countersign::audit::{Act, Who};
use countersign::db::Query;
use countersign::ids::JobId;
use countersign::training::points::{self, Point};
use countersign_training::{Config, Outcome, Table, train};
use serde_json::{Value, json};

use crate::client::{Connection, Load, Measured, Request, measure};
use crate::seed::{Caller, Sizes};
use crate::server::{Server, Storage};

/// What the watched run is carried out by.
pub const PROGRAM: &str = "/bin/bash";
/// Two metrics, twenty times a second, until it is killed.
const SCRIPT: &str = r#"for ((step = 1; ; step++)); do
    printf '{"metric":"loss","value":%d.5,"step":%d,"steps":100000}\n{"metric":"auc","value":0.%d,"step":%d}\n' $((step % 97)) $step $step $step
    sleep 0.05
done"#;

const POINTS: i64 = 1_000_000;
const METRICS: i64 = 4;
const AT_ONCE: i64 = 20_000;
const WATCHERS: usize = 100;
/// How long it is looked at what watching costs.
const WATCHED: Duration = Duration::from_secs(20);
const CREDIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/german-credit.csv");
const TARGET: &str = "creditability";

/// What training costs the server.
#[derive(Debug)]
pub struct Training {
    engine: &'static str,
    points_per_second: f64,
    /// The first time that the page of the large run is asked for: nothing of it was drawn yet.
    first_ms: f64,
    page: Measured,
    page_bytes: usize,
    /// Shares of one core while a run is carried out that nobody watches, and that all watch.
    alone: f64,
    watched: f64,
    /// How often each watcher was shown something new.
    shown: f64,
}

/// Measures on one engine.
pub fn run(engine: &'static str) -> Training {
    let storage = Storage::new(engine);
    let points_per_second = storage.fill_with(fill);
    let server = Server::start(&storage);
    let session = Caller::Session("session-101".to_owned());
    // A page without compression tells how large it is.
    let plain = Caller::Plain("session-101".to_owned());
    let mut connection = Connection::open(&server);
    let began = Instant::now();
    let first = connection.send(&Request::get("/training/jobs/1", &plain));
    let first_ms = began.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(first.status, 200, "{}", first.start);
    let mut requests = vec![Request::get("/training/jobs/1", &session)];
    let page =
        measure(&server.address, &|| server.statements(), &mut requests, Load { clients: 1, seconds: 3.0, most: 1000 });
    std::thread::sleep(Duration::from_secs(2));
    let alone = share(&server, || std::thread::sleep(WATCHED));
    let shown = AtomicU64::new(0);
    let watched = share(&server, || watch(&server, &shown));
    let shown = shown.into_inner() as f64 / WATCHERS as f64;
    Training { engine, points_per_second, first_ms, page, page_bytes: first.body_bytes, alone, watched, shown }
}

impl Training {
    pub fn print(&self) {
        let engine = self.engine;
        println!(
            "\n{engine}: a run of {POINTS} points, recorded at {:.0} a second: its page takes {:.0} ms at first, then p50 {:.1} ms, p95 {:.1} ms, \
             {} statements; {:.0} KB, {:.0} KB packed (wanted: 300 ms, 200 KB)",
            self.points_per_second,
            self.first_ms,
            self.page.percentile(50.0),
            self.page.percentile(95.0),
            self.page.statements,
            self.page_bytes as f64 / 1000.0,
            self.page.body_bytes as f64 / 1000.0,
        );
        println!(
            "{engine}: a run of 40 points a second takes {:.1} % of one core; with {WATCHERS} watchers, each shown {:.0} pictures in {} s, \
             {:.1} % (wanted: 20 % more)",
            self.alone * 100.0,
            self.shown,
            WATCHED.as_secs(),
            self.watched * 100.0,
        );
    }

    pub fn json(&self) -> Value {
        json!({ "engine": self.engine, "points": POINTS, "points_per_second": self.points_per_second,
            "first_page_ms": self.first_ms, "page_p50_ms": self.page.percentile(50.0), "page_p95_ms": self.page.percentile(95.0),
            "page_bytes": self.page_bytes, "packed_bytes": self.page.body_bytes, "statements": self.page.statements,
            "watchers": WATCHERS, "core_share_alone": self.alone, "core_share_watched": self.watched, "shown": self.shown })
    }

    /// Whether something did not work at all.
    pub fn is_missed(&self) -> bool {
        self.page.failure.is_some() || self.shown < 1.0
    }
}

/// The large run, and one that waits to be carried out. Answers how many points were recorded in a second.
async fn fill(app: &App) -> f64 {
    crate::seed::fill_database(app, Sizes { pairs: 200, open_tasks: 200 }).await;
    let command = json!({ "program": PROGRAM, "arguments": ["-c", SCRIPT], "script": null });
    let configuration = json!({ "command": command, "time_limit_minutes": 10, "memory_limit_mib": 1024 });
    let mut act = Act::begin(app, &Who::system("bench")).await.unwrap();
    let now = act.now;
    for (uuid, executor, state, configuration) in
        [("1", "mlflow", "complete", "{}".to_owned()), ("2", "command", "queued", configuration.to_string())]
    {
        Query::new(
            "INSERT INTO training_jobs (run_uuid, experiment_id, model_id, name, executor, configuration, state, requested_by_id,
                 created_at, started_at) VALUES ($1, 0, 1, 'Long run', $2, $3, $4, 101, $5, $5)",
        )
        .bind(uuid)
        .bind(executor)
        .bind(configuration)
        .bind(state)
        .bind(now)
        .run(&mut act.tx)
        .await
        .unwrap();
    }
    act.commit().await.unwrap();
    let began = Instant::now();
    for first in (0..POINTS).step_by(AT_ONCE as usize) {
        let point = |number: i64| Point {
            name: format!("metric_{}", number % METRICS),
            step: number / METRICS,
            epoch: None,
            value: Some(((number * 7919) % 10_007) as f64 / (number + 1) as f64),
            at_ms: number,
        };
        let lot: Vec<_> = (first..first + AT_ONCE).map(point).collect();
        let mut tx = app.db.begin().await.unwrap();
        points::record(&mut tx, JobId(1), &lot).await.unwrap();
        tx.commit().await.unwrap();
    }
    POINTS as f64 / began.elapsed().as_secs_f64()
}

/// The share of one core that the server takes meanwhile.
fn share(server: &Server, meanwhile: impl FnOnce()) -> f64 {
    let (before, started) = (server.processor_time(), Instant::now());
    meanwhile();
    (server.processor_time() - before).as_secs_f64() / started.elapsed().as_secs_f64()
}

/// Watches the run that is carried out, from many places at once, as the page's script does: the stream tells that
/// there is more, and then the picture is fetched, at most once a second.
fn watch(server: &Server, shown: &AtomicU64) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..WATCHERS {
            scope.spawn(|| {
                let (mut stream, mut pictures) = (follow(server), Connection::open(server));
                let picture = Request::get("/training/jobs/2/monitor", &Caller::Session("session-101".to_owned()));
                let mut buffer = [0; 4096];
                while !over.load(Ordering::Relaxed) {
                    if stream.read(&mut buffer).is_ok_and(|length| length > 0) {
                        let answer = pictures.send(&picture);
                        shown.fetch_add(u64::from(answer.status == 200 && answer.body_bytes > 1000), Ordering::Relaxed);
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            });
        }
        std::thread::sleep(WATCHED);
        over.store(true, Ordering::Relaxed);
    });
}

fn follow(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).expect("the server takes connections");
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let session = Caller::Session("session-101".to_owned()).header();
    let request = format!("GET /api/v1/training/jobs/2/stream?brief=true HTTP/1.1\r\nHost: bench\r\n{session}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The builtin training beside scikit-learn's model of the same kind.
#[derive(Debug)]
pub struct Learning {
    pub name: &'static str,
    pub auc: f64,
    pub ms: f64,
    pub reference_auc: f64,
    pub reference_ms: f64,
}

impl Learning {
    pub fn json(&self) -> Value {
        let Self { name, auc, ms, reference_auc, reference_ms } = self;
        json!({ "name": name, "auc": auc, "ms": ms, "reference_auc": reference_auc, "reference_ms": reference_ms })
    }

    /// Whether it is worse than wanted.
    pub fn is_missed(&self) -> bool {
        self.auc < self.reference_auc - 0.01 || self.ms > self.reference_ms
    }
}

/// Trains both ways on the same rows. Needs Python with venv, and PyPI once.
pub fn compare() -> Vec<Learning> {
    let said = |command: &mut Command| {
        let done = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("Python is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text")
    };
    let python = said(Command::new("tests/python/venv").arg("examples/scikit-learn/requirements.txt"));
    let figures = said(Command::new(python.trim_end()).args(["crates/training/tests/reference/figures.py", CREDIT]));
    let of = |name: &str| {
        let line =
            figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": AUC ")).expect("its figures");
        let mut numbers = line.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| word.parse().ok());
        let (auc, _loss, ms): (f64, Option<f64>, f64) =
            (numbers.next().unwrap(), numbers.next(), numbers.next().unwrap());
        (auc, ms)
    };
    let logistic = json!({ "algorithm": "logistic_regression", "epochs": 60, "learning_rate": 0.05, "batch_size": 32, "penalty": 1.0 });
    let boosted = json!({ "algorithm": "boosted_trees", "epochs": 100, "learning_rate": 0.1, "depth": 3, "min_child_weight": 1.0, "penalty": 1.0 });
    [("logistic regression", logistic), ("gradient boosting", boosted)]
        .into_iter()
        .map(|(name, parameters)| {
            let ((auc, ms), (reference_auc, reference_ms)) = (learned(&parameters), of(name));
            Learning { name, auc, ms, reference_auc, reference_ms }
        })
        .collect()
}

/// The AUC, and the best time of three.
fn learned(parameters: &Value) -> (f64, f64) {
    let table = Table::read(std::fs::File::open(CREDIT).unwrap()).unwrap();
    let names = table.columns.iter().map(|column| &column.name);
    let features: Vec<_> = names.filter(|name| *name != TARGET).collect();
    let mut config = json!({ "target": TARGET, "features": features, "validation_share": 0.3, "seed": 7 });
    config.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    let config: Config = serde_json::from_value(config).unwrap();
    let once = || {
        let began = Instant::now();
        let Ok(Outcome::Complete(model)) = train(&table, &config, &mut |_| ControlFlow::Continue(())) else {
            panic!("it does not train")
        };
        (model.summary.validation.auc, began.elapsed().as_secs_f64() * 1000.0)
    };
    (0..3).map(|_| once()).min_by(|one, other| one.1.total_cmp(&other.1)).unwrap()
}
