//! MLflow's official Python client, unchanged, against the real server: all that it can do here, and a data scientist's
//! way from a script to production. Needs Python with venv, and PyPI once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use countersign::identity::Role;
use countersign::ids::VersionId;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::both;
use crate::builder::{Person, Version};
use crate::crash::server::Server;
use crate::live::{Live, ask, rolling};
use crate::python::python;
use crate::validation::{approve_mine, pending};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/german-credit.csv");
/// How far the server's scores may be from the trainer's.
const NEAR: f64 = 1e-5;

/// What a command says; it must succeed.
async fn said(command: &mut Command) -> String {
    let done = command.kill_on_drop(true).output().await.unwrap();
    assert!(done.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// What a script says that knows nothing but the address and somebody's token.
async fn script(server: &Server, who: &Person, arguments: &[&str]) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mlflow"));
    let mut run = Command::new(python("tests/mlflow/requirements.txt").await);
    run.arg(folder.join(arguments[0])).args(&arguments[1..]).current_dir(who.t.folder());
    run.env("MLFLOW_TRACKING_URI", &server.address).env("MLFLOW_TRACKING_TOKEN", &who.token);
    for quiet in ["MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] {
        run.env(quiet, "true");
    }
    said(&mut run).await
}

/// Every `METHOD /path/{of}/a/route` that the source names.
fn routes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/mlflow"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for (address, handlers) in
                text.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", "))
            {
                let methods = ["get", "post", "put", "patch", "delete"];
                let here = methods.iter().filter(|method| {
                    handlers.starts_with(&format!("{method}(")) || handlers.contains(&format!(".{method}("))
                });
                found.extend(here.map(|method| format!("{} {address}", method.to_uppercase())));
            }
        }
    }
    found
}

/// Whether a call is one of a route's: `{name}` is any one part, `{*name}` any rest.
fn is_of(call: &str, route: &str) -> bool {
    let (mut parts, mut pattern) = (call.split('/'), route.split('/'));
    loop {
        match (parts.next(), pattern.next()) {
            (None, None) => return true,
            (Some(_), Some(rest)) if rest.starts_with("{*") => return true,
            (Some(part), Some(any)) if part == any || any.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// The scores that an endpoint gives to all rows, in one request.
async fn scores(endpoint: &str, columns: &Value) -> Vec<f64> {
    let column = |(name, rows): (&String, &Value)| {
        let count = rows.as_array().unwrap().len();
        let datatype = if rows[0].is_string() { "BYTES" } else { "FP32" };
        json!({ "name": name, "datatype": datatype, "shape": [count, 1], "data": rows })
    };
    let inputs: Vec<_> = columns.as_object().unwrap().iter().map(column).collect();
    let sent = reqwest::Client::new().post(format!("{endpoint}/infer")).json(&json!({ "inputs": inputs }));
    let answer: Value = sent.send().await.unwrap().json().await.unwrap();
    let outputs = answer["outputs"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
    let found = outputs.iter().find(|one| one["name"] == "probabilities").unwrap();
    numbers(&found["data"])
}

/// All numbers of lists, or of lists of lists.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        one => vec![one.as_f64().unwrap()],
    }
}

#[track_caller]
fn same(left: &[f64], right: &[f64]) {
    assert_eq!(left.len(), right.len());
    let worst = left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst <= NEAR, "off by {worst}");
}

/// Releases a version into a stage, by whoever must agree, and gives the endpoint.
async fn released(live: &Live, server: &Server, version: &Version, stage: &str, approver: &Person) -> String {
    let place = live.place(server, &format!("uk-{stage}"), stage).await;
    live.release(server, place, version, &rolling()).await;
    if stage == "production" {
        approve_mine(approver).await;
    }
    let release = live.newest_ended(server).await;
    assert_eq!(release["lifecycle_state"], "applied", "{release:#}");
    let deployments = ask(server, &live.olga, Method::GET, "/deployments", None).await;
    let here = deployments["items"].as_array().unwrap().iter().find(|one| one["environment_id"] == place.id);
    let path = format!("/deployments/{}", here.unwrap()["deployment_id"]);
    ask(server, &live.olga, Method::GET, &path, None).await["endpoint"].as_str().unwrap().to_owned()
}

both! {
    async fn the_client_unchanged_uses_every_endpoint(t: T) {
        let ada = t.admin().await;
        t.region("UK").await;
        let server = Server::start(&t.folder(), t.database_address().as_deref(), &[]);
        let calls = script(&server, &ada, &["session.py"]).await;
        let routes = routes();
        assert!(routes.len() > 60, "{routes:#?}");
        let unused: Vec<_> = routes.iter().filter(|route| !calls.lines().any(|call| is_of(call, route))).collect();
        assert!(unused.is_empty(), "{unused:#?}\nof these calls:\n{calls}");
        drop(server);
        t.everything_holds().await;
    }

    async fn a_data_scientist_takes_a_model_from_a_script_to_production(t: T) {
        let live = Live::new(&t).await;
        let (scientist, glenda) = (live.model.owner.clone(), t.person("Glenda").role(Role::GlobalApprover).await);
        let valerie = t.person("Valerie").role(Role::Validator).await;
        let mut server = live.start();
        let trained: Value = serde_json::from_str(&script(&server, &scientist, &["credit.py", "train", DATA]).await).unwrap();
        let refusal = trained["refusal"].as_str().unwrap();
        assert!(refusal.contains("PERMISSION_DENIED") && refusal.contains("not approved"), "{refusal}");
        let expected = numbers(&trained["probabilities"]);

        t.at_machine_time();
        let listed = scientist.get(&format!("/api/v1/models/{}/versions", live.model.id)).await.ok().json();
        let id = VersionId(listed["items"][0]["version_id"].as_i64().unwrap());
        let version = Version { id, number: "1.0.0".to_owned(), model: live.model.clone(), request: None };
        pending(&valerie, &version).await;
        approve_mine(&glenda).await;

        for stage in ["development", "production"] {
            let endpoint = released(&live, &server, &version, stage, &glenda).await;
            same(&scores(&endpoint, &trained["columns"]).await, &expected);
        }
        let promoted: Value = serde_json::from_str(&script(&server, &scientist, &["credit.py", "promote", DATA]).await).unwrap();
        assert_eq!(promoted["version"], trained["version"]);
        same(&numbers(&promoted["probabilities"]), &expected);
        server.kill();
        live.stop();
        t.everything_holds().await;
    }
}
