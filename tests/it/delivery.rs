//! The whole way on this machine: the real server applies a release, a real model server answers, both are killed,
//! and nothing is left in the end.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use countersign::db::Query;
use countersign::identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::both;
use crate::builder::{Model, Person, Version};
use crate::crash::server::Server;
use crate::harness::T;

const CREDIT: &[u8] = include_bytes!("../../crates/serving/tests/fixtures/credit-logistic.onnx");

/// The real model's bytes as a version; each number has its own, by a trailing field that readers skip.
async fn version(model: &Model, number: &str, bytes: &[u8]) -> Version {
    let digest = hex::encode(sha2::Sha256::digest(bytes));
    let made = model.version(number).artifact(&digest).approved().await;
    let folder = model.t.folder().join("artifacts").join(&digest[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&digest[2..]), bytes).unwrap();
    let mut act = model.t.act().await;
    Query::new("UPDATE artifacts SET stored = TRUE WHERE digest = $1").bind(&digest).run(&mut act.tx).await.unwrap();
    act.commit().await.unwrap();
    made
}

async fn ask(server: &Server, who: &Person, method: Method, path: &str, body: Option<Value>) -> Value {
    let address = format!("{}/api/v1{path}", server.address);
    let mut request = reqwest::Client::new().request(method, &address).bearer_auth(&who.token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let value: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {value:#}");
    value
}

/// Releases a version and waits for its end.
async fn release(server: &Server, who: &Person, version: &Version) -> Value {
    let wanted = json!({ "environment_id": 1, "version_id": version.id });
    let preview = ask(server, who, Method::POST, "/releases/preview", Some(wanted)).await;
    let body = json!({ "preview_ref": preview["preview_ref"] });
    ask(server, who, Method::POST, "/releases", Some(body)).await
}

async fn ended(server: &Server, who: &Person, release: &Value) -> Value {
    for _ in 0..600 {
        let path = format!("/releases/{}", release["release_id"]);
        let seen = ask(server, who, Method::GET, &path, None).await;
        if seen["lifecycle_state"] != "applying" {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the release is applying for ever");
}

async fn is_ready(endpoint: &str) -> bool {
    let answer = reqwest::get(format!("{endpoint}/ready")).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// The processes of this machine that serve a model of the folder.
fn model_servers(t: &T) -> usize {
    let folder = t.folder().display().to_string();
    let commands =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands
        .filter(|command| {
            let command = String::from_utf8_lossy(command);
            command.contains("serve-model") && command.contains(&folder)
        })
        .count()
}

/// What a command says to somebody who works against the server; it must succeed.
fn shell(server: &Server, who: &Person, command: &str) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_countersign"));
    run.args(command.split(' ')).args(["--server", &server.address, "--token", &who.token]);
    let said = run.output().unwrap();
    assert!(said.status.success(), "{command}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

fn stop(t: &T) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["stop", "--data"]).arg(t.folder());
    if let Some(database) = t.database_address() {
        command.args(["--database", &database]);
    }
    assert!(command.status().unwrap().success());
}

both! {
    async fn a_release_serves_outlives_the_server_is_resumed_after_a_kill_and_is_stopped(t: T) {
        t.at_machine_time();
        let olga = t.person("Olga").role(Role::Operator).await;
        let uk = t.region("UK").await;
        let model = t.model("Credit").in_regions([&uk]).await;
        let one = version(&model, "1.0", CREDIT).await;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let body = json!({ "name": "uk-development", "region_id": uk.id, "stage": "development", "endpoint": format!("127.0.0.1:{port}") });
        let start = || Server::start(&t.folder(), t.database_address().as_deref(), &[]);
        let mut server = start();
        ask(&server, &olga, Method::POST, "/environments", Some(body)).await;
        let first = release(&server, &olga, &one).await;
        let first = ended(&server, &olga, &first).await;
        assert_eq!(first["lifecycle_state"], "applied", "{first:#}");
        let deployment = ask(&server, &olga, Method::GET, "/deployments/1", None).await;
        let endpoint = deployment["endpoint"].as_str().unwrap().to_owned();
        assert!(is_ready(&endpoint).await, "{endpoint} answers");
        assert!(shell(&server, &olga, "deployments list").contains(&endpoint));
        assert!(shell(&server, &olga, "release status 1 --watch").contains("applied"));
        assert!(shell(&server, &olga, "inbox list").starts_with("NUMBER"));
        let shown = shell(&server, &olga, "release preview --environment 1 --version 1 --json");
        let preview: Value = serde_json::from_str(&shown).unwrap();
        let applied = shell(&server, &olga, &format!("release apply {}", preview["preview_ref"].as_str().unwrap()));
        assert!(applied.starts_with("Release 2 of Credit 1.0"), "{applied}");
        ended(&server, &olga, &json!({ "release_id": 2 })).await;
        server.kill();
        assert!(is_ready(&endpoint).await, "the model server outlives the control plane");
        for round in 0..4_u64 {
            server = start();
            let next = version(&model, &format!("{}.0", round + 2), &[CREDIT, &[0x32, 1, b'0' + u8::try_from(round).unwrap()]].concat()).await;
            let under_way = release(&server, &olga, &next).await;
            tokio::time::sleep(Duration::from_millis(round * 120)).await;
            server.kill();
            server = start();
            let came = ended(&server, &olga, &under_way).await;
            assert!(["applied", "failed"].contains(&came["lifecycle_state"].as_str().unwrap()), "{came:#}");
            assert_eq!(model_servers(&t), 1, "one server, never two: {came:#}");
            assert!(is_ready(&endpoint).await, "something serves: {came:#}");
            server.kill();
        }
        stop(&t);
        assert_eq!(model_servers(&t), 0, "nothing is left running");
        t.everything_holds().await;
    }
}
