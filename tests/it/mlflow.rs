//! MLflow's REST API, as its client uses it: the same rows as the pages', under the same rules.

use axum::http::Method;
use countersign::identity::Role;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Person;

const API: &str = "/api/2.0/mlflow";

async fn run(who: &Person) -> String {
    let made = who.post(&format!("{API}/runs/create"), json!({ "experiment_id": "0", "run_name": "a run" })).await.ok();
    made.json()["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

async fn search(who: &Person, filter: &str, order: &[&str], most: i64, token: &str) -> Value {
    let asked = json!({ "experiment_ids": ["0"], "filter": filter, "order_by": order, "max_results": most, "page_token": token });
    who.post(&format!("{API}/runs/search"), asked).await.ok().json()
}

/// A run with one file in its folder `model`.
async fn with_file(who: &Person, name: &str) -> String {
    let run = run(who).await;
    put(who, &run, name).await.ok();
    run
}

async fn put(who: &Person, run: &str, name: &str) -> crate::client::Answer {
    let address = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/{name}");
    let sending = who.t.anonymous(Method::PUT, &address).header("authorization", format!("Bearer {}", who.token));
    sending.body("application/octet-stream", "bytes").await
}

#[track_caller]
fn refused(answer: &crate::client::Answer, status: u16, code: &str) {
    assert_eq!((answer.status(), answer.json()["error_code"].as_str().unwrap()), (status, code), "{}", answer.text());
}

both! {
    async fn a_run_is_a_job_that_keeps_what_it_is_told(t: T) {
        let ada = t.admin().await;
        let run = run(&ada).await;
        let batch = json!({ "run_id": run, "metrics": [
            { "key": "loss", "value": 0.980_769_230_769_230_8, "step": "1", "timestamp": 5 }, { "key": "loss", "value": "NaN", "step": 0 }],
            "params": [{ "key": "p", "value": "1" }], "tags": [{ "key": "t", "value": "x" }] });
        ada.post(&format!("{API}/runs/log-batch"), batch).await.ok();
        let seen = ada.get(&format!("{API}/runs/get?run_id={run}")).await.ok().json();
        assert_eq!(seen["run"]["data"]["metrics"][0]["value"], 0.980_769_230_769_230_8);
        assert_eq!(seen["run"]["data"]["params"], json!([{ "key": "p", "value": "1" }]));
        let other = json!({ "run_id": run, "key": "p", "value": "2" });
        refused(&ada.post(&format!("{API}/runs/log-parameter"), other).await, 400, "INVALID_PARAMETER_VALUE");
        let ended = json!({ "run_id": run, "status": "FINISHED" });
        ada.post(&format!("{API}/runs/update"), ended).await.ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM training_jobs WHERE state = 'complete' AND executor = 'mlflow'").await, 1);
        let history = ada.get(&format!("{API}/metrics/get-history?run_id={run}&metric_key=loss")).await.ok().json();
        assert_eq!(history["metrics"].as_array().unwrap().len(), 2);
    }

    async fn runs_are_found_by_filters_and_paged_in_their_order(t: T) {
        let ada = t.admin().await;
        for value in 0..7 {
            let run = run(&ada).await;
            let batch = json!({ "run_id": run, "metrics": [{ "key": "m", "value": value }], "tags": [{ "key": "k", "value": "v" }] });
            ada.post(&format!("{API}/runs/log-batch"), batch).await.ok();
        }
        run(&ada).await;
        for (filter, rest) in [("metrics.m < 6 AND tags.k = 'v'", 6), ("", 8)] {
            let (mut token, mut values) = (String::new(), Vec::new());
            loop {
                let page = search(&ada, filter, &["metrics.m DESC"], 2, &token).await;
                for run in page["runs"].as_array().unwrap() {
                    values.push(run["data"]["metrics"][0]["value"].as_f64().unwrap_or(-1.0));
                }
                match page["next_page_token"].as_str() {
                    Some(next) => token = next.to_owned(),
                    None => break,
                }
            }
            assert_eq!(values.len(), rest, "{filter}");
            assert!(values.is_sorted_by(|a, b| a > b), "{filter}: {values:?}");
        }
        for wrong in ["metrics.m < 'x'", "a = 1; DROP TABLE models", "params.x = '"] {
            let asked = json!({ "experiment_ids": ["0"], "filter": wrong });
            refused(&ada.post(&format!("{API}/runs/search"), asked).await, 400, "INVALID_PARAMETER_VALUE");
        }
        // Nothing of a filter is ever more than a value.
        assert!(search(&ada, "tags.`' OR 1=1 --` = ''' OR ''1''=''1'", &[], 5, "").await["runs"].is_null());
    }

    async fn what_a_client_says_a_run_read_and_ran_is_its_lineage(t: T) {
        let ada = t.admin().await;
        t.region("UK").await;
        ada.post(&format!("{API}/registered-models/create"), json!({ "name": "PD" })).await.ok();
        let run = with_file(&ada, "model.onnx").await;
        let input = |name: &str, context: &str| {
            json!({ "tags": [{ "key": "mlflow.data.context", "value": context }],
                    "dataset": { "name": name, "digest": format!("{name}-digest"), "source_type": "code", "source": "{}" } })
        };
        let inputs = json!({ "run_id": run, "datasets": [input("applications-2025", "eval"), input("applications-2026", "train")] });
        ada.post(&format!("{API}/runs/log-inputs"), inputs).await.ok();
        let tags = json!([{ "key": "mlflow.source.name", "value": "train.py" }, { "key": "mlflow.source.git.commit", "value": "3fa2c1" }]);
        ada.post(&format!("{API}/runs/log-batch"), json!({ "run_id": run, "tags": tags, "params": [{ "key": "C", "value": "0.3" }] })).await.ok();
        let source = json!({ "name": "PD", "source": format!("runs:/{run}/model"), "run_id": run });
        ada.post(&format!("{API}/model-versions/create"), source).await.ok();
        let lane = ada.get("/api/v1/models/1/lineage").await.ok().json()["items"][0].clone();
        assert_eq!((&lane["dataset_name"], &lane["dataset_digest"]), (&json!("applications-2026"), &json!("applications-2026-digest")));
        assert_eq!(lane["dataset_id"], Value::Null, "it is not kept here");
        let page = ada.page("/training/jobs/1").await.ok();
        assert_eq!(page.texts("#job table[class=table] td.wrap"), ["0.3"], "the parameters that the client told");
        let facts = page.text("#job dl");
        for told in ["applications-2025-digest to eval", "applications-2026-digest to train", "train.py, commit 3fa2c1"] {
            assert!(facts.contains(told), "{told}: {facts}");
        }
        let said: Vec<(String,)> = t.rows("SELECT after FROM ledger_entries WHERE action = 'version.submitted'").await;
        let said: Value = serde_json::from_str(&said[0].0).unwrap();
        assert_eq!(said["lineage"]["inputs"][0]["digest"], "applications-2026-digest");
        assert_eq!(said["lineage"]["code"], "train.py, commit 3fa2c1");
    }

    async fn a_run_whose_version_was_released_is_evidence(t: T) {
        let ada = t.admin().await;
        t.region("UK").await;
        ada.post(&format!("{API}/registered-models/create"), json!({ "name": "PD" })).await.ok();
        let run = with_file(&ada, "model.onnx").await;
        let source = json!({ "name": "PD", "source": format!("runs:/{run}/model"), "run_id": run });
        ada.post(&format!("{API}/model-versions/create"), source).await.ok();
        ada.post(&format!("{API}/runs/update"), json!({ "run_id": run, "status": "FINISHED" })).await.ok();
        let place = json!({ "name": "uk-development", "region_id": 1, "stage": "development" });
        let place = ada.post("/api/v1/environments", place).await.expect(201).json();
        let delete = || ada.post(&format!("{API}/runs/delete"), json!({ "run_id": run }));
        delete().await.ok();
        ada.post(&format!("{API}/runs/restore"), json!({ "run_id": run })).await.ok();
        let body = json!({ "environment_id": place["environment_id"] });
        let deployed = ada.post("/api/v1/training/jobs/1/deploy", body).await.ok().json();
        assert_eq!(deployed["release_id"], 1, "{deployed}");
        refused(&delete().await, 400, "INVALID_STATE");
        assert_eq!(ada.get(&format!("{API}/runs/get?run_id={run}")).await.ok().json()["run"]["info"]["lifecycle_stage"], "active");
    }

    async fn a_production_alias_names_only_what_is_approved_and_files_are_sealed(t: T) {
        let ada = t.admin().await;
        t.region("UK").await;
        ada.post(&format!("{API}/registered-models/create"), json!({ "name": "PD" })).await.ok();
        refused(&ada.post(&format!("{API}/registered-models/create"), json!({ "name": "PD" })).await, 400, "RESOURCE_ALREADY_EXISTS");
        let run = with_file(&ada, "model.onnx").await;
        let source = json!({ "name": "PD", "source": format!("runs:/{run}/model"), "run_id": run });
        let made = ada.post(&format!("{API}/model-versions/create"), source).await.ok().json();
        assert_eq!(made["model_version"]["version"], "1");
        refused(&put(&ada, &run, "model.onnx").await, 400, "INVALID_STATE");
        let alias = |alias: &str| json!({ "name": "PD", "alias": alias, "version": "1" });
        ada.post(&format!("{API}/registered-models/alias"), alias("candidate")).await.ok();
        let no = ada.post(&format!("{API}/registered-models/alias"), alias("champion")).await;
        refused(&no, 403, "PERMISSION_DENIED");
        assert!(no.text().contains("not approved"), "{}", no.text());
        let uri = ada.get(&format!("{API}/model-versions/get-download-uri?name=PD&version=1")).await.ok().json();
        assert_eq!(uri["artifact_uri"], format!("mlflow-artifacts:/0/{run}/artifacts/model"));
        let found = ada.get(&format!("{API}/model-versions/search?filter=name%3D'PD'")).await.ok().json();
        assert_eq!(found["model_versions"].as_array().unwrap().len(), 1);
        t.everything_holds().await;
    }

    async fn somebody_elses_run_is_read_and_not_written(t: T) {
        let ada = t.admin().await;
        let val = t.person("Val").role(Role::Validator).await;
        let run = run(&ada).await;
        val.get(&format!("{API}/runs/get?run_id={run}")).await.ok();
        let metric = json!({ "run_id": run, "key": "m", "value": 1 });
        refused(&val.post(&format!("{API}/runs/log-metric"), metric).await, 403, "PERMISSION_DENIED");
        refused(&val.post(&format!("{API}/registered-models/create"), json!({ "name": "X" })).await, 403, "PERMISSION_DENIED");
        refused(&val.get(&format!("{API}/no-such-endpoint")).await, 404, "ENDPOINT_NOT_FOUND");
        let answer = t.anonymous(Method::GET, &format!("{API}/runs/get?run_id={run}")).await;
        refused(&answer, 401, "UNAUTHENTICATED");
    }

    async fn a_stranger_sees_nothing_of_a_run_until_it_is_of_a_model_of_theirs(t: T) {
        let (anna, dev, sam) = (t.person("Anna").await, t.person("Dev").await, t.person("Sam").await);
        let uk = t.region("UK").await;
        t.model("PD").owned_by(&anna).developed_by(&dev).in_regions([&uk]).await;
        let run = with_file(&dev, "model.onnx").await;
        let logged = json!({ "experiment_id": "0", "name": "a model", "source_run_id": run });
        let logged = dev.post(&format!("{API}/logged-models"), logged).await.ok().json();
        let logged = logged["model"]["info"]["model_id"].as_str().unwrap().to_owned();
        let places = [
            format!("{API}/runs/get?run_id={run}"),
            format!("{API}/metrics/get-history?run_id={run}&metric_key=m"),
            format!("{API}/artifacts/list?run_id={run}"),
            format!("{API}/logged-models/{logged}"),
            format!("/api/2.0/mlflow-artifacts/artifacts?path=0/{run}/artifacts"),
            format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/model.onnx"),
        ];
        for stranger in [&anna, &sam] {
            for place in &places {
                refused(&stranger.get(place).await, 404, "RESOURCE_DOES_NOT_EXIST");
            }
            assert!(search(stranger, "", &[], 5, "").await["runs"].is_null());
            let found = stranger.post(&format!("{API}/logged-models/search"), json!({ "experiment_ids": ["0"] })).await.ok();
            assert!(found.json()["models"].as_array().is_none_or(Vec::is_empty), "{}", found.text());
            let metric = json!({ "run_id": run, "key": "m", "value": 1 });
            refused(&stranger.post(&format!("{API}/runs/log-metric"), metric).await, 404, "RESOURCE_DOES_NOT_EXIST");
            assert_eq!(stranger.get("/api/v1/training/jobs").await.ok().json()["total_count"], 0);
        }
        let source = json!({ "name": "PD", "source": format!("runs:/{run}/model"), "run_id": run });
        dev.post(&format!("{API}/model-versions/create"), source).await.ok();
        for place in &places {
            anna.get(place).await.ok();
            refused(&sam.get(place).await, 404, "RESOURCE_DOES_NOT_EXIST");
        }
        assert_eq!(anna.get("/api/v1/training/jobs").await.ok().json()["total_count"], 1);
        t.everything_holds().await;
    }

    async fn the_files_of_a_version_are_read_by_who_sees_its_model_and_no_others_beside_them(t: T) {
        let (anna, dev) = (t.person("Anna").await, t.person("Dev").await);
        let uk = t.region("UK").await;
        t.model("First").developed_by(&dev).in_regions([&uk]).await;
        t.model("Second").owned_by(&anna).developed_by(&dev).in_regions([&uk]).await;
        let run = with_file(&dev, "model.onnx").await;
        let aside = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/aside/notes.txt");
        let sending = t.anonymous(Method::PUT, &aside).header("authorization", format!("Bearer {}", dev.token));
        sending.body("application/octet-stream", "notes").await.ok();
        for name in ["First", "Second"] {
            let source = json!({ "name": name, "source": format!("runs:/{run}/model"), "run_id": run });
            dev.post(&format!("{API}/model-versions/create"), source).await.ok();
        }
        // The run itself became one of the first model.
        refused(&anna.get(&format!("{API}/runs/get?run_id={run}")).await, 404, "RESOURCE_DOES_NOT_EXIST");
        let file = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/model.onnx");
        assert_eq!(anna.get(&file).await.ok().text(), "bytes");
        anna.get(&format!("/api/2.0/mlflow-artifacts/artifacts?path=0/{run}/artifacts/model")).await.ok();
        refused(&anna.get(&aside).await, 404, "RESOURCE_DOES_NOT_EXIST");
    }
}
