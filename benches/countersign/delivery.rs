//! Deployments by the thousand: rows of the table, and endpoints whose statistics are read.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::routing::get;
use chrono::TimeDelta;
use countersign::app::App;
use countersign::audit::{Act, Who};
use countersign::db::Query;

use crate::server::{Server, Storage};

/// Rows of the table.
pub const ROWS: i64 = 10_000;
/// Endpoints that answer at one port: so many keep connections of their own.
const AT_ONE_PORT: i64 = 10;

/// Fills the table. Their releases are of no matter here, and nobody looks after what was never active.
pub async fn fill_table(app: &App) {
    let mut act = Act::begin(app, &Who::system("bench")).await.unwrap();
    let now = act.now;
    environments(&mut act).await;
    Query::new(
        "INSERT INTO deployments (environment_id, model_id, version_id, runtime_key, state, endpoint, digest, created_at,
             requests_per_s, p95_ms, error_rate, measured_at)
         SELECT e.environment_id, v.model_id, v.version_id, 'bench', CASE WHEN v.version_id % 4 = 0 THEN 'retired' ELSE 'active' END,
                'bench', '', $1, CASE WHEN v.version_id % 4 = 0 THEN NULL ELSE v.version_id % 1000 / 7.0 END,
                CASE WHEN v.version_id % 4 = 0 THEN NULL ELSE v.version_id % 900 / 3.0 END, 0, $2
         FROM versions v JOIN environments e ON e.name = 'bench-' || (v.version_id % 10) ORDER BY v.version_id LIMIT $3",
    )
    .bind(now)
    // Figures that are old would be taken back.
    .bind(now + TimeDelta::days(1))
    .bind(ROWS)
    .run(&mut act.tx)
    .await
    .unwrap();
    act.commit().await.unwrap();
    Query::new("ANALYZE").run(&app.db).await.unwrap();
}

/// Not production: nothing there needs to be ratified.
async fn environments(act: &mut Act) {
    let now = act.now;
    Query::new(
        "INSERT INTO environments (name, region_id, stage, runtime, endpoint, state, approval_required, preview_minutes, created_at)
         SELECT 'bench-' || (region_id - 1), region_id, 'staging', 'local', '127.0.0.1:' || (7100 + region_id), 'ready', FALSE, 30, $1
         FROM regions",
    )
    .bind(now)
    .run(&mut act.tx)
    .await
    .unwrap();
}

/// What it costs to read endpoints and keep their statistics.
#[derive(Debug)]
pub struct Scraping {
    pub engine: &'static str,
    pub endpoints: i64,
    /// The share of one core that the server takes.
    pub share: f64,
    /// How many endpoints had figures in the end.
    pub measured: i64,
}

/// Lets a server read so many endpoints for some time.
pub fn scrape(engine: &'static str, endpoints: i64, time: Duration) -> Scraping {
    let storage = Storage::new(engine);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ports = runtime.block_on(serve(endpoints.div_euclid(AT_ONE_PORT) + 1));
    storage.fill_with(async |app| endpoints_of(app, endpoints, &ports).await);
    let server = Server::start(&storage);
    // The first round reads everything for the first time.
    std::thread::sleep(Duration::from_secs(12));
    let (before, started) = (server.processor_time(), Instant::now());
    std::thread::sleep(time);
    let share = (server.processor_time() - before).as_secs_f64() / started.elapsed().as_secs_f64();
    drop(server);
    let measured = storage.number("SELECT COUNT(*) FROM deployments WHERE requests_per_s IS NOT NULL");
    Scraping { engine, endpoints, share, measured }
}

async fn endpoints_of(app: &App, endpoints: i64, ports: &[u16]) {
    crate::seed::fill_database(app, crate::seed::Sizes { pairs: 200, open_tasks: 200 }).await;
    let mut act = Act::begin(app, &Who::system("bench")).await.unwrap();
    let now = act.now;
    environments(&mut act).await;
    for number in 0..endpoints {
        let port = ports[usize::try_from(number / AT_ONE_PORT).unwrap()];
        Query::new(
            "INSERT INTO deployments (environment_id, model_id, version_id, runtime_key, state, endpoint, digest, metrics_source, created_at)
             SELECT e.environment_id, v.model_id, v.version_id, 'bench', 'active', 'bench', '', $1, $2
             FROM versions v JOIN environments e ON e.name = 'bench-1' ORDER BY v.version_id LIMIT 1",
        )
        .bind(format!("{{\"url\":\"http://127.0.0.1:{port}/{number}/metrics\"}}"))
        .bind(now)
        .run(&mut act.tx)
        .await
        .unwrap();
    }
    act.commit().await.unwrap();
}

/// Endpoints at so many ports, each under its number.
async fn serve(ports: i64) -> Vec<u16> {
    let started = Instant::now();
    let mut found = Vec::new();
    for _ in 0..ports {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        found.push(listener.local_addr().unwrap().port());
        let answer = move |Path(number): Path<u64>| std::future::ready(page(number, started.elapsed()));
        let routes = axum::Router::new().route("/{number}/metrics", get(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
    found
}

/// A page as the model server has it, of an endpoint that answers fifty requests a second in about a millisecond.
fn page(number: u64, elapsed: Duration) -> String {
    let requests = elapsed.as_millis() as u64 / 20 + number;
    let name = "countersign_inference";
    let mut page = format!(
        "# TYPE {name}_requests_total counter\n{name}_requests_total{{synthetic=\"false\"}} {requests}\n\
         {name}_requests_total{{synthetic=\"true\"}} 0\n# TYPE {name}_errors_total counter\n"
    );
    for kind in 0..12 {
        let _ = writeln!(page, "{name}_errors_total{{synthetic=\"false\",kind=\"kind_{kind}\"}} {}", requests / 1000);
    }
    let _ = writeln!(page, "# TYPE {name}_duration_seconds histogram");
    let mut bound = 50e-6_f64;
    for bucket in 0..358_u64 {
        // Eighty buckets around a millisecond fill up, the middle ones most.
        let share = (bucket.saturating_sub(40)).min(80) as f64 / 80.0;
        let below = (requests as f64 * share * share * (3.0 - 2.0 * share)) as u64;
        let _ = writeln!(page, "{name}_duration_seconds_bucket{{synthetic=\"false\",le=\"{bound:.5e}\"}} {below}");
        bound *= 1.04;
    }
    let _ = writeln!(
        page,
        "{name}_duration_seconds_bucket{{synthetic=\"false\",le=\"+Inf\"}} {requests}\n\
         {name}_duration_seconds_sum{{synthetic=\"false\"}} 1\n{name}_duration_seconds_count{{synthetic=\"false\"}} {requests}"
    );
    page
}
