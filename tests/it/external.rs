//! Endpoints that others run: registered by a person, probed and measured, never taken for ratified.

use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use countersign::deployments::probe_all;
use countersign::identity::Role;
use countersign::metrics::Scraper;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Person, Version};
use crate::harness::T;

/// What others run: whether it is ready, and how many requests it has counted, each of 30 ms.
#[derive(Clone)]
struct Theirs {
    address: String,
    state: Arc<Mutex<(StatusCode, u64)>>,
}

impl Theirs {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let theirs = Self { address, state: Arc::new(Mutex::new((StatusCode::OK, 0))) };
        let routes = axum::Router::new()
            .route("/v2/models/credit/ready", get(async |State(theirs): State<Self>| theirs.state.lock().unwrap().0))
            .route("/moved/ready", get(async || Redirect::temporary("/v2/models/credit/ready")))
            .route("/metrics", get(async |State(theirs): State<Self>| theirs.page()))
            .route("/api/v1/query", get(Self::query))
            .with_state(theirs.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        theirs
    }

    fn says(&self, status: StatusCode, requests: u64) {
        *self.state.lock().unwrap() = (status, requests);
    }

    /// As a model server of another make has it: other names, milliseconds, coarse buckets.
    fn page(&self) -> String {
        let count = self.state.lock().unwrap().1;
        format!(
            "# TYPE predict_ms histogram\npredict_ms_bucket{{le=\"25\"}} 0\npredict_ms_bucket{{le=\"35\"}} {count}\n\
             predict_ms_bucket{{le=\"+Inf\"}} {count}\npredict_ms_sum 1\npredict_ms_count {count}\n\
             # TYPE predicts counter\npredicts_total{{code=\"200\"}} {count}\n"
        )
    }

    /// As Prometheus answers.
    async fn query(State(theirs): State<Self>, Query(asked): Query<Vec<(String, String)>>) -> axum::Json<Value> {
        let count = theirs.state.lock().unwrap().1;
        let value = |count: u64| json!([1_790_000_000.5, count.to_string()]);
        let result = match asked[0].1.as_str() {
            "sum(requests)" => json!([{ "metric": {}, "value": value(count) }]),
            "sum by (le) (seconds)" => json!([
                { "metric": { "le": "+Inf" }, "value": value(count) }, { "metric": { "le": "0.035" }, "value": value(count) },
                { "metric": { "le": "0.025" }, "value": value(0) },
            ]),
            _ => json!([]),
        };
        axum::Json(json!({ "status": "success", "data": { "resultType": "vector", "result": result } }))
    }

    fn endpoint(&self) -> String {
        format!("{}/v2/models/credit", self.address)
    }
}

/// Otto, an operator, Anna's version, and an environment.
async fn scene(t: &T) -> (Person, Person, Version, i64) {
    let anna = t.person("Anna").await;
    let otto = t.person("Otto").role(Role::Operator).await;
    let uk = t.region("UK").await;
    let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("1.0").approved().await;
    let body = json!({ "name": "uk-kserve", "region_id": uk.id, "stage": "production" });
    let made = otto.post("/api/v1/environments", body).await.expect(201).json();
    (anna, otto, version, made["environment_id"].as_i64().unwrap())
}

fn body(version: &Version, environment: i64, endpoint: &str, metrics: &Value) -> Value {
    json!({ "environment_id": environment, "version_id": version.id, "endpoint": endpoint, "metrics": metrics })
}

async fn requests(person: &Person, deployment: &Value) -> Value {
    let told = person.get(&format!("/api/v1/deployments/{deployment}/metrics")).await.ok().json();
    json!([
        told["availability"],
        told["figures"]["requests"],
        told["figures"]["p95_ms"].as_f64().map(|p95| (25.0..36.0).contains(&p95))
    ])
}

both! {
    async fn an_endpoint_of_others_is_probed_and_measured_until_it_is_retired(t: T) {
        let (anna, otto, version, environment) = scene(&t).await;
        let theirs = Theirs::start().await;
        theirs.says(StatusCode::OK, 1_000_000);
        let metrics = json!({ "url": format!("{}/metrics", theirs.address),
            "mapping": { "requests": "predicts_total", "errors": "", "durations": "predict_ms", "unit": "0.001" } });
        let made = otto.post("/api/v1/deployments", body(&version, environment, &theirs.endpoint(), &metrics)).await.expect(201).json();
        assert_eq!((&made["state"], &made["external"], &made["release_id"]), (&json!("deploying"), &json!(true), &Value::Null));
        let number = &made["deployment_id"];
        probe_all(t.app()).await.unwrap();
        let mut scraper = Scraper::new().unwrap();
        scraper.scrape(t.app()).await.unwrap();
        assert_eq!(requests(&anna, number).await, json!(["no_traffic", 0, null]), "what it counted before is not known to be of this version");
        theirs.says(StatusCode::OK, 1_000_040);
        scraper.scrape(t.app()).await.unwrap();
        assert_eq!(requests(&anna, number).await, json!(["available", 40, true]));

        let address = format!("/api/v1/deployments/{number}");
        assert_eq!(anna.get(&address).await.ok().json()["state"], "active");
        theirs.says(StatusCode::SERVICE_UNAVAILABLE, 1_000_040);
        probe_all(t.app()).await.unwrap();
        probe_all(&t.another_server()).await.unwrap();
        let failed = anna.get(&address).await.ok().json();
        assert!(failed["reason"].as_str().unwrap().contains("503"), "{failed}");
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'deployment.observed'").await, 2);
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments").await, 0, "nothing is ratified by it");

        otto.post(&format!("{address}/pause"), json!({})).await.refused(409, "wrong_transition");
        assert_eq!(otto.post(&format!("{address}/retire"), json!({})).await.ok().json()["state"], "retired");
        theirs.says(StatusCode::OK, 1_000_040);
        probe_all(t.app()).await.unwrap();
        assert_eq!(anna.get(&address).await.ok().json()["state"], "retired");
        t.everything_holds().await;
    }

    async fn statistics_can_come_from_a_prometheus_server_by_query(t: T) {
        let (anna, otto, version, environment) = scene(&t).await;
        let theirs = Theirs::start().await;
        theirs.says(StatusCode::OK, 500);
        let metrics = json!({ "prometheus": theirs.address, "requests": "sum(requests)", "durations": "sum by (le) (seconds)" });
        let made = otto.post("/api/v1/deployments", body(&version, environment, &theirs.endpoint(), &metrics)).await.expect(201).json();
        let number = &made["deployment_id"];
        probe_all(t.app()).await.unwrap();
        let mut scraper = Scraper::new().unwrap();
        // At 300 one of the processes that the query sums up was started again: how much came is not known.
        for (count, told) in [(500, 0), (520, 20), (300, 20), (310, 30)] {
            theirs.says(StatusCode::OK, count);
            scraper.scrape(t.app()).await.unwrap();
            assert_eq!(requests(&anna, number).await[1], told, "at {count}");
        }
        assert_eq!(requests(&anna, number).await, json!(["available", 30, true]));
        let wrong = json!({ "prometheus": theirs.address, "requests": "sum(nothing)", "durations": "sum by (le) (seconds)" });
        let made = otto.post("/api/v1/deployments", body(&version, environment, "http://127.0.0.1:9/other", &wrong)).await.expect(201).json();
        scraper.scrape(t.app()).await.unwrap();
        assert_eq!(requests(&anna, &made["deployment_id"]).await[0], "unavailable", "a query that finds nothing measures nothing");
    }

    async fn only_who_manages_environments_registers_addresses_and_only_of_the_web(t: T) {
        let (anna, otto, version, environment) = scene(&t).await;
        let to = |endpoint: &str| body(&version, environment, endpoint, &Value::Null);
        anna.post("/api/v1/deployments", to("http://127.0.0.1:9/a")).await.refused(403, "forbidden");
        for wrong in ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://me:secret@127.0.0.1/a", "credit", ""] {
            let refused = otto.post("/api/v1/deployments", to(wrong)).await.refused(422, "invalid");
            assert!(refused.problem_fields().contains(&"endpoint".to_owned()), "{wrong}");
        }
        let secure = otto.post("/api/v1/deployments", to("https://127.0.0.1:9/a")).await.refused(422, "invalid");
        assert!(secure.text().contains("HTTPS"));
        let metrics = json!({ "url": "file:///proc/self/environ", "mapping": { "requests": "", "errors": "", "durations": "d", "unit": "-1" } });
        let refused = otto.post("/api/v1/deployments", body(&version, environment, "http://127.0.0.1:9/a", &metrics)).await;
        let refused = refused.refused(422, "invalid").problem_fields();
        assert_eq!(refused, ["metrics", "unit", "requests"]);
        otto.post("/api/v1/deployments", to("http://127.0.0.1:9/a")).await.expect(201);
        otto.post("/api/v1/deployments", to("http://127.0.0.1:9/a/")).await.refused(409, "conflict");
    }

    async fn a_redirect_is_not_followed(t: T) {
        let (anna, otto, version, environment) = scene(&t).await;
        let theirs = Theirs::start().await;
        let endpoint = format!("{}/moved", theirs.address);
        let made = otto.post("/api/v1/deployments", body(&version, environment, &endpoint, &Value::Null)).await.expect(201).json();
        probe_all(t.app()).await.unwrap();
        let seen = anna.get(&format!("/api/v1/deployments/{}", made["deployment_id"])).await.ok().json();
        assert_eq!(seen["state"], "failed");
        assert!(seen["reason"].as_str().unwrap().contains("307"), "{seen}");
    }

    async fn an_endpoint_is_registered_by_form(t: T) {
        let (anna, otto, version, environment) = scene(&t).await;
        anna.page("/deployments/register").await.expect(403);
        let form = otto.page("/deployments/register").await.ok();
        let (version, environment) = (version.id.to_string(), environment.to_string());
        let mut fields = vec![("version_id", version.as_str()), ("environment_id", environment.as_str()), ("endpoint", "nowhere")];
        let again = otto.submit(&form, "main form", &fields).await.expect(422);
        assert!(again.text(".field-error").contains("http://host:port/path"));
        assert_eq!(again.attribute("#endpoint", "value"), "nowhere");
        fields[2].1 = "http://models.example.com/v2/models/credit";
        let page = otto.submit(&again, "main form", &fields).await.ok();
        assert!(page.text("dl.kv").contains("others"));
        assert!(!page.has("button[value=pause]") && page.text("button[value=retire]").contains("Stop observing"));
        assert!(anna.page("/deployments").await.ok().text("#deployments tbody").contains("external"));
    }
}
