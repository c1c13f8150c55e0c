//! Statistics: what an endpoint counts, as it is told later.

use std::io::{BufRead as _, BufReader};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use countersign::db::Query;
use countersign::identity::Role;
use countersign::metrics::{Scraper, tidy};
use serde_json::Value;

use crate::both;
use crate::builder::Person;
use crate::deployments::production;
use crate::harness::T;

/// What happens while an endpoint is being read.
type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An endpoint whose page of metrics is what the test says.
struct Endpoint {
    page: Arc<Mutex<String>>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    address: String,
}

impl Endpoint {
    async fn start() -> Self {
        let page = Arc::new(Mutex::new(String::new()));
        let meanwhile = Arc::new(Mutex::new(None::<Meanwhile>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (told, first) = (Arc::clone(&page), Arc::clone(&meanwhile));
        let answer = move || {
            let (told, first) = (Arc::clone(&told), first.lock().unwrap().take());
            async move {
                if let Some(first) = first {
                    first.await;
                }
                told.lock().unwrap().clone()
            }
        };
        let routes = axum::Router::new().route("/metrics", axum::routing::get(answer));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { page, meanwhile, address }
    }

    /// Has something happen while the endpoint is read the next time.
    fn at_the_next_reading(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::pin(happens));
    }

    /// Says how many requests there were, of which `errors` failed; the others took a millisecond.
    fn tells(&self, synthetic: bool, requests: u64, errors: u64) {
        let (label, good) = (format!("synthetic=\"{synthetic}\""), requests - errors);
        *self.page.lock().unwrap() = format!(
            "# TYPE countersign_inference_requests_total counter
             countersign_inference_requests_total{{{label}}} {requests}
             # TYPE countersign_inference_errors_total counter
             countersign_inference_errors_total{{{label},kind=\"bad\"}} {errors}
             # TYPE countersign_inference_duration_seconds histogram
             countersign_inference_duration_seconds_bucket{{{label},le=\"0.00098\"}} 0
             countersign_inference_duration_seconds_bucket{{{label},le=\"0.00102\"}} {good}
             countersign_inference_duration_seconds_bucket{{{label},le=\"+Inf\"}} {good}
             countersign_inference_duration_seconds_sum{{{label}}} 1
             countersign_inference_duration_seconds_count{{{label}}} {good}
"
        );
    }
}

/// A deployment of Anna's model whose endpoint went live a moment after now.
async fn scene(t: &T) -> (Person, Endpoint, Scraper, i64) {
    let endpoint = Endpoint::start().await;
    let (anna, deployment) = deployed(t, &endpoint.address).await;
    (anna, endpoint, Scraper::new().unwrap(), deployment)
}

/// A deployment of Anna's model that answers at an address.
async fn deployed(t: &T, address: &str) -> (Person, i64) {
    let anna = t.person("Anna").await;
    let uk = t.region("UK").await;
    let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("1.0").approved().await;
    let environment = production(t, &uk).await;
    let mut act = t.act().await;
    let deployment: (i64,) = Query::new(
        "INSERT INTO deployments (environment_id, model_id, version_id, runtime_key, state, endpoint, digest, metrics_source,
             created_at, active_at)
         SELECT $1, v.model_id, v.version_id, 'k', 'active', '127.0.0.1:7101', 'd', $2, $3, $3 FROM versions v
         WHERE v.version_id = $4 RETURNING deployment_id",
    )
    .bind(environment)
    .bind(format!("{{\"url\":\"http://{address}/metrics\"}}"))
    .bind(t.now())
    .bind(version.id)
    .one(&mut act.tx)
    .await
    .unwrap();
    act.commit().await.unwrap();
    (anna, deployment.0)
}

/// A model server as a process of its own.
struct Served {
    child: std::process::Child,
    address: String,
}

impl Served {
    fn start(artifact: &str) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve-model", "--artifact", artifact, "--name", "credit", "--port", "0", "--workers", "1"]);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/crates/serving/tests/fixtures"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let ready: Value = serde_json::from_str(&first).unwrap();
        Self { child, address: ready["address"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Runs `countersign loadgen` and reads what it says.
async fn loadgen(line: &str) -> Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("loadgen").arg("--json").args(line.split_whitespace());
    let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).unwrap()
}

async fn told(person: &Person, deployment: i64, query: &str) -> Value {
    person.get(&format!("/api/v1/deployments/{deployment}/metrics{query}")).await.ok().json()
}

both! {
    async fn what_an_endpoint_counts_is_told_and_only_its_growth(t: T) {
        let (anna, endpoint, mut scraper, deployment) = scene(&t).await;
        let before = told(&anna, deployment, "").await;
        assert_eq!(before["availability"], "unavailable");
        endpoint.tells(false, 100, 10);
        scraper.scrape(t.app()).await.unwrap();
        endpoint.tells(false, 140, 10);
        scraper.scrape(t.app()).await.unwrap();
        let now = told(&anna, deployment, "").await;
        assert_eq!(now["availability"], "available");
        let figures = &now["figures"];
        assert_eq!((figures["requests"].as_i64(), figures["errors"].as_i64(), figures["samples"].as_i64()), (Some(140), Some(10), Some(130)));
        let p95 = figures["p95_ms"].as_f64().unwrap();
        assert!((0.98..1.02).contains(&p95), "{p95}");
        assert_eq!(now["points"].as_array().unwrap().len(), 1);
    }

    async fn no_traffic_is_said_and_old_figures_are_called_stale(t: T) {
        let (anna, endpoint, mut scraper, deployment) = scene(&t).await;
        endpoint.tells(false, 0, 0);
        scraper.scrape(t.app()).await.unwrap();
        let idle = told(&anna, deployment, "").await;
        assert_eq!((idle["availability"].as_str(), &idle["figures"]["p95_ms"]), (Some("no_traffic"), &Value::Null));
        let page = anna.page(&format!("/deployments/{deployment}")).await.ok();
        assert!(page.text("#statistics .notice").contains("No traffic"));
        t.advance(1);
        assert_eq!(told(&anna, deployment, "").await["availability"], "stale");
    }

    async fn synthetic_requests_stay_out_of_the_real_counts(t: T) {
        let (anna, endpoint, mut scraper, deployment) = scene(&t).await;
        endpoint.tells(true, 1000, 0);
        scraper.scrape(t.app()).await.unwrap();
        assert_eq!(told(&anna, deployment, "").await["figures"]["requests"], 0);
        assert_eq!(told(&anna, deployment, "?synthetic=true").await["figures"]["requests"], 1000);
        assert_eq!(t.number("SELECT COUNT(*) FROM deployments WHERE requests_per_s IS NOT NULL").await, 0);
    }

    async fn hours_hold_what_their_minutes_held(t: T) {
        let (anna, endpoint, mut scraper, deployment) = scene(&t).await;
        endpoint.tells(false, 50, 5);
        scraper.scrape(t.app()).await.unwrap();
        t.at("2026-03-31T13:01:00Z");
        tidy(t.app()).await.unwrap();
        drop(t.app().db.statements_since());
        tidy(t.app()).await.unwrap();
        let again = t.app().db.statements_since();
        assert!(!again.iter().any(|sent| sent.text().starts_with("INSERT")), "an hour is rolled up once");
        t.advance(3);
        tidy(t.app()).await.unwrap();
        assert_eq!(t.number("SELECT COUNT(*) FROM deployment_statistics WHERE span = 60").await, 0);
        let week = told(&anna, deployment, "?window=7d").await;
        assert_eq!((week["figures"]["requests"].as_i64(), week["figures"]["errors"].as_i64()), (Some(50), Some(5)));
    }

    async fn of_several_servers_one_reads_and_another_counts_on_when_it_falls_silent(t: T) {
        let (anna, endpoint, mut first, deployment) = scene(&t).await;
        let mut second = Scraper::new().unwrap();
        let other = t.another_server();
        endpoint.tells(false, 100, 10);
        assert!(first.scrape(t.app()).await.unwrap());
        assert!(!second.scrape(&other).await.unwrap(), "the first one reads");
        endpoint.tells(false, 140, 10);
        assert!(first.scrape(t.app()).await.unwrap());
        t.at("2026-03-31T12:01:00Z");
        endpoint.tells(false, 150, 10);
        assert!(second.scrape(&other).await.unwrap(), "the first one has fallen silent");
        assert!(!first.scrape(t.app()).await.unwrap());
        endpoint.tells(false, 155, 10);
        assert!(second.scrape(&other).await.unwrap());
        assert_eq!(told(&anna, deployment, "").await["figures"]["requests"], 155);
    }

    async fn a_restarted_server_counts_on_where_it_stopped(t: T) {
        let (anna, endpoint, mut scraper, deployment) = scene(&t).await;
        endpoint.tells(false, 100, 0);
        scraper.scrape(t.app()).await.unwrap();
        drop(scraper);
        endpoint.tells(false, 130, 0);
        t.at("2026-03-31T12:10:00Z");
        let mut scraper = Scraper::new().unwrap();
        assert!(scraper.scrape(&t.another_server()).await.unwrap());
        assert_eq!(told(&anna, deployment, "").await["figures"]["requests"], 130);
        endpoint.tells(false, 7, 0);
        scraper.scrape(t.app()).await.unwrap();
        assert_eq!(told(&anna, deployment, "").await["figures"]["requests"], 137, "the endpoint was started again");
    }

    async fn what_was_read_under_an_old_lease_is_refused(t: T) {
        let (anna, endpoint, mut slow, deployment) = scene(&t).await;
        endpoint.tells(false, 100, 0);
        let mut quick = Scraper::new().unwrap();
        let meanwhile = t.clone();
        // While the first server waits for the endpoint, its lease ends, and the second reads.
        endpoint.at_the_next_reading(async move {
            meanwhile.at("2026-03-31T12:01:00Z");
            assert!(quick.scrape(&meanwhile.another_server()).await.unwrap());
        });
        assert!(!slow.scrape(t.app()).await.unwrap());
        assert_eq!(told(&anna, deployment, "").await["figures"]["requests"], 100);
    }

    async fn a_round_costs_the_same_statements_however_many_endpoints_there_are(t: T) {
        let (_, endpoint, mut scraper, deployment) = scene(&t).await;
        scraper.scrape(t.app()).await.unwrap();
        let mut counts = Vec::new();
        for more in [0, 40] {
            for _ in 0..more {
                Query::new(
                    "INSERT INTO deployments (environment_id, model_id, version_id, runtime_key, state, endpoint, digest, metrics_source, created_at)
                     SELECT environment_id, model_id, version_id, runtime_key, state, endpoint, digest, metrics_source, created_at
                     FROM deployments WHERE deployment_id = $1",
                )
                .bind(deployment)
                .run(&t.app().db)
                .await
                .unwrap();
            }
            endpoint.tells(false, 10 + more, 0);
            drop(t.app().db.statements_since());
            scraper.scrape(t.app()).await.unwrap();
            counts.push(t.app().db.statements_since().len());
        }
        assert_eq!(counts[0], counts[1]);
        assert!(counts[0] <= 10, "{counts:?}");
    }

    async fn what_the_load_generator_counts_is_what_the_page_shows_apart_from_real_requests(t: T) {
        let served = Served::start("credit-slow.onnx");
        let (anna, deployment) = deployed(&t, &served.address).await;
        let load = format!("http://{}/v2/models/credit --count 40 --clients 1", served.address);
        let sent = loadgen(&load).await;
        assert_eq!((sent["requests"].as_i64(), sent["errors"].as_i64()), (Some(40), Some(0)));
        Scraper::new().unwrap().scrape(t.app()).await.unwrap();
        let figures = told(&anna, deployment, "?synthetic=true").await["figures"].clone();
        assert_eq!((&figures["requests"], &figures["samples"]), (&sent["requests"], &sent["requests"]));
        for name in ["p50_ms", "p95_ms"] {
            let (told, measured) = (figures[name].as_f64().unwrap(), sent[name].as_f64().unwrap());
            // The page tells what the server measured within 2 %. The client also waits for the way there and back and,
            // while other tests take the processors, for its turn.
            assert!(told > measured * 0.5 && told < measured * 1.02, "{name}: {told}, measured {measured}");
        }
        assert_eq!(told(&anna, deployment, "").await["figures"]["requests"], 0);
        let page = anna.page(&format!("/deployments/{deployment}")).await.ok();
        assert!(page.text("#statistics").contains("No traffic"), "none of them was real");
        let apart = anna.page(&format!("/deployments/{deployment}?synthetic=true")).await.ok();
        assert!(apart.text("#statistics .notice-warn").contains("synthetic"));
        assert!(anna.page("/deployments").await.ok().text("#deployments tbody").contains("no traffic"));
    }

    async fn statistics_of_a_model_one_may_not_see_are_not_there(t: T) {
        let (_, _, _, deployment) = scene(&t).await;
        let ben = t.person("Ben").await;
        let address = format!("/api/v1/deployments/{deployment}/metrics");
        ben.get(&address).await.refused(404, "not_found");
        let ada = t.person("Ada").role(Role::Admin).await;
        ada.get(&format!("{address}?window=2h")).await.refused(422, "invalid");
        ada.get("/api/v1/deployments/999/metrics").await.refused(404, "not_found");
    }

    async fn the_page_draws_charts_with_their_numbers(t: T) {
        let (anna, endpoint, mut scraper, deployment) = scene(&t).await;
        endpoint.tells(false, 200, 100);
        scraper.scrape(t.app()).await.unwrap();
        let page = anna.page(&format!("/deployments/{deployment}")).await.ok();
        assert_eq!(page.count("#statistics .chart svg"), 3);
        assert!(page.text("#statistics .card.is-bad").contains("50.00 %"), "half of them failed");
        assert_eq!(page.count("#statistics tbody tr"), 1);
    }
}
