//! Training jobs: configured, carried out as real processes, ended honestly.

use axum::http::Method;
use countersign::training::run::run_one;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person};
use crate::harness::T;
use crate::import::{FORM, multipart};

pub const CREDIT: &[u8] = include_bytes!("../data/german-credit.csv");

/// Adds the credit data, and answers its number.
pub async fn credit_data(person: &Person) -> i64 {
    let parts: [(&str, Option<&str>, &[u8]); 2] =
        [("name", None, b"German credit"), ("file", Some("german-credit.csv"), CREDIT)];
    let body = multipart(&parts);
    let made = person.request(Method::POST, "/api/v1/datasets").body(FORM, body).await.expect(201).json();
    assert_eq!(made["row_count"], 1000);
    made["dataset_id"].as_i64().unwrap()
}

pub fn job(model: &Model, dataset: i64) -> Value {
    json!({ "name": "First run", "model_id": model.id, "dataset_id": dataset, "seed": 7,
        "parameters": { "epochs": 20, "learning_rate": 0.05, "batch_size": 32 } })
}

pub async fn scene(t: &T) -> (Person, Model, i64) {
    let anna = t.person("Anna").await;
    let us = t.region("US").await;
    let model = t.model("Credit Scorecard").owned_by(&anna).in_regions([&us]).await;
    let dataset = credit_data(&anna).await;
    (anna, model, dataset)
}

both! {
    async fn a_training_on_real_credit_data_leaves_an_artifact_and_its_curves(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        assert_eq!((&queued["state"], &queued["queue_position"]), (&json!("queued"), &json!(1)));
        assert!(run_one(t.app(), "worker").await.unwrap());
        let path = format!("/api/v1/training/jobs/{}", queued["job_id"]);
        let ended = anna.get(&path).await.ok().json();
        assert_eq!(ended["state"], "complete", "{ended:#}");
        assert_eq!((&ended["epoch"], &ended["epochs"], &ended["exit_code"]), (&json!(20), &json!(20), &json!(0)));
        assert!(ended["cpu_seconds"].as_f64().unwrap() > 0.0 && ended["peak_memory_bytes"].as_i64().unwrap() > 0);
        let auc = ended["metrics"].as_array().unwrap().iter().find(|one| one["name"] == "auc").unwrap()["value"].as_f64();
        assert!(auc.unwrap() > 0.75, "{auc:?}");
        let metrics = anna.get(&format!("{path}/metrics?name=loss")).await.ok().json();
        assert_eq!(metrics["series"][0]["points"], 20);
        anna.get(&format!("{path}/artifact")).await.ok();
        let page = anna.page(&format!("/training/jobs/{}", queued["job_id"])).await.ok();
        assert_eq!(page.count("#monitor figure.chart"), 4, "losses, batches, accuracy, AUC");
        for page in ["/training/jobs", "/training/jobs/new", "/training/datasets", "/training/datasets/new"] {
            anna.page(page).await.ok();
        }
        t.everything_holds().await;
    }

    async fn every_field_that_breaks_its_rule_is_named_at_once(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let mut wrong = job(&model, dataset);
        wrong["name"] = json!("x");
        wrong["parameters"] = json!({ "epochs": 1.5, "learning_rate": 2, "batch_size": 33 });
        let problem = anna.post("/api/v1/training/jobs", wrong).await.refused(422, "invalid").json();
        let fields: Vec<_> = problem["fields"].as_array().unwrap().iter().map(|one| one["field"].clone()).collect();
        for field in ["name", "epochs", "learning_rate", "batch_size"] {
            assert!(fields.contains(&json!(field)), "{field} in {fields:?}");
        }
        let nowhere = anna.post("/api/v1/training/jobs", job(&model, 999)).await.refused(422, "invalid").json();
        assert_eq!(nowhere["fields"][0]["field"], "dataset_id");
    }

    async fn no_program_runs_unless_the_operator_allows_it(t: T) {
        let (anna, model, _) = scene(&t).await;
        let shell = json!({ "name": "A shell", "model_id": model.id, "executor": "command",
            "command": { "program": "/bin/sh", "arguments": ["-c", "true"] } });
        let problem = anna.post("/api/v1/training/jobs", shell).await.refused(422, "invalid").json();
        assert_eq!(problem["fields"][0]["field"], "program");
    }

    async fn what_waits_is_stopped_at_once_and_can_be_repeated_and_deleted(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let first = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        let path = format!("/api/v1/training/jobs/{}", first["job_id"]);
        anna.request(Method::DELETE, &path).await.refused(409, "wrong_transition");
        let stopped = anna.post(&format!("{path}/stop"), json!({})).await.ok().json();
        assert_eq!((&stopped["state"], &stopped["cause"]), (&json!("cancelled"), &json!("stopped")));
        anna.post(&format!("{path}/stop"), json!({})).await.refused(409, "wrong_transition");
        let again = anna.post(&format!("{path}/retry"), json!({})).await.expect(201).json();
        assert_eq!((&again["state"], &again["retry_of_id"]), (&json!("queued"), &first["job_id"]));
        anna.request(Method::DELETE, &path).await.ok();
        anna.get(&path).await.refused(404, "not_found");
        t.everything_holds().await;
    }

    async fn a_stranger_neither_sees_nor_runs_the_jobs_of_a_model(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let first = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        let path = format!("/api/v1/training/jobs/{}", first["job_id"]);
        let sam = t.person("Sam").await;
        sam.post("/api/v1/training/jobs", job(&model, dataset)).await.refused(404, "not_found");
        for address in ["", "/metrics", "/points", "/log", "/artifact", "/stream"] {
            sam.get(&format!("{path}{address}")).await.refused(404, "not_found");
        }
        for act in ["stop", "retry"] {
            sam.post(&format!("{path}/{act}"), json!({})).await.refused(404, "not_found");
        }
        assert_eq!(sam.get("/api/v1/training/jobs").await.ok().json()["total_count"], 0);
        let run = format!("/training/runs/{}", first["run_uuid"].as_str().unwrap());
        sam.page(&run).await.expect(404);
        assert_eq!(anna.page(&run).await.ok().address, format!("/training/jobs/{}", first["job_id"]));
    }
}
