//! The real server with real model servers: what scenes on this machine have in common.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use countersign::db::Query;
use countersign::identity::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::builder::{Model, Person, Region, Version};
use crate::crash::server::Server;
use crate::harness::T;

/// A logistic regression on real credit applications.
pub const CREDIT: &[u8] = include_bytes!("../../crates/serving/tests/fixtures/credit-logistic.onnx");
/// The same on named columns of text and numbers.
pub const TABULAR: &[u8] = include_bytes!("../../crates/serving/tests/fixtures/credit-tabular.onnx");
/// As that, but it fails for loans of more than 36 months.
pub const FRAGILE: &[u8] = include_bytes!("../../crates/serving/tests/fixtures/credit-fragile.onnx");
/// As that, but slow.
pub const SLOW: &[u8] = include_bytes!("../../crates/serving/tests/fixtures/credit-slow.onnx");

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a test looks.
const LOOK: Duration = Duration::from_millis(50);

/// A model, who operates it, and a server to come.
#[derive(Debug)]
pub struct Live {
    pub t: T,
    pub olga: Person,
    pub uk: Region,
    pub model: Model,
    /// How long the lease of a dead server holds.
    pub lease: Duration,
}

/// A place that models run, as the tests need it.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub id: i64,
    pub port: u16,
}

impl Live {
    pub async fn new(t: &T) -> Self {
        t.at_machine_time();
        let olga = t.person("Olga").role(Role::Operator).await;
        let uk = t.region("UK").await;
        let model = t.model("Credit").in_regions([&uk]).await;
        Self { t: t.clone(), olga, uk, model, lease: Duration::from_secs(1) }
    }

    /// Starts the server.
    pub fn start(&self) -> Server {
        self.start_to_die_at("never")
    }

    /// Starts the server, which dies at a point.
    pub fn start_to_die_at(&self, point: &str) -> Server {
        let lease = self.lease.as_millis().to_string();
        let variables = [("COUNTERSIGN_FAILPOINT", point), ("COUNTERSIGN_LEASE_MS", lease.as_str())];
        Server::start_in(&self.t.folder(), self.t.database_address().as_deref(), &[], &variables)
    }

    /// Makes an environment.
    pub async fn place(&self, server: &Server, name: &str, stage: &str) -> Place {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("127.0.0.1:{port}");
        let body = json!({ "name": name, "region_id": self.uk.id, "stage": stage, "endpoint": endpoint });
        let made = ask(server, &self.olga, Method::POST, "/environments", Some(body)).await;
        Place { id: made["environment_id"].as_i64().unwrap(), port }
    }

    /// An approved version of these bytes. Each number has its own, by a trailing field that readers skip.
    pub async fn version(&self, number: &str, bytes: &[u8]) -> Version {
        let own = number.as_bytes();
        let bytes = [bytes, &[0x32, u8::try_from(own.len()).unwrap()], own].concat();
        let digest = hex::encode(sha2::Sha256::digest(&bytes));
        let made = self.model.version(number).artifact(&digest).approved().await;
        let folder = self.t.folder().join("artifacts").join(&digest[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(&digest[2..]), bytes).unwrap();
        let mut act = self.t.act().await;
        Query::new("UPDATE artifacts SET stored = TRUE WHERE digest = $1")
            .bind(&digest)
            .run(&mut act.tx)
            .await
            .unwrap();
        act.commit().await.unwrap();
        made
    }

    /// Previews a version by a strategy, and gives the preview's name.
    pub async fn preview(&self, server: &Server, place: Place, version: &Version, strategy: &Value) -> String {
        let wanted = json!({ "environment_id": place.id, "version_id": version.id, "strategy": strategy });
        let preview = ask(server, &self.olga, Method::POST, "/releases/preview", Some(wanted)).await;
        preview["preview_ref"].as_str().unwrap().to_owned()
    }

    /// Asks for a release; nothing if the server died before it answered.
    pub async fn release(&self, server: &Server, place: Place, version: &Version, strategy: &Value) -> Option<Value> {
        let preview = self.preview(server, place, version, strategy).await;
        let body = json!({ "preview_ref": preview, "apply_on_approval": true });
        let sent = send(server, &self.olga, Method::POST, "/releases", Some(body)).await?;
        assert_eq!(sent.status(), 201);
        sent.json().await.ok()
    }

    /// The newest release, once it is neither waiting nor being applied.
    pub async fn newest_ended(&self, server: &Server) -> Value {
        let mut newest = Value::Null;
        eventually("the newest release ends", async || {
            let listed = ask(server, &self.olga, Method::GET, "/releases?limit=1", None).await;
            let path = format!("/releases/{}", listed["items"][0]["release_id"]);
            newest = ask(server, &self.olga, Method::GET, &path, None).await;
            !["pending_approval", "approved", "applying"].contains(&newest["lifecycle_state"].as_str().unwrap())
        })
        .await;
        newest
    }

    /// Releases a version through to its end.
    pub async fn released(&self, server: &Server, place: Place, version: &Version, strategy: &Value) -> Value {
        self.release(server, place, version, strategy).await.expect("the server lives");
        self.newest_ended(server).await
    }

    /// The processes of this scene, by their command: `serve-model` or `gateway`.
    pub fn processes(&self, command: &str) -> usize {
        let folder = self.t.folder().display().to_string();
        let entries = std::fs::read_dir("/proc").unwrap();
        let lines = entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).into_owned())
            .filter(|line| line.split('\0').any(|word| word == command) && line.contains(&folder))
            .count()
    }

    /// Ends everything that was started here, as an operator does.
    pub fn stop(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["stop", "--data"]).arg(self.t.folder());
        if let Some(database) = self.t.database_address() {
            command.args(["--database", &database]);
        }
        assert!(command.output().unwrap().status.success());
        assert_eq!((self.processes("serve-model"), self.processes("gateway")), (0, 0), "nothing is left running");
    }

    /// What a command says to somebody who works against the server; it must succeed.
    pub fn shell(&self, server: &Server, command: &str) -> String {
        let mut run = Command::new(env!("CARGO_BIN_EXE_countersign"));
        run.args(command.split(' ')).args(["--server", &server.address, "--token", &self.olga.token]);
        let said = run.output().unwrap();
        assert!(said.status.success(), "{command}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }
}

impl Drop for Live {
    /// A scene that fails leaves nothing running either.
    fn drop(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["stop", "--data"]).arg(self.t.folder());
        if let Some(database) = self.t.database_address() {
            command.args(["--database", &database]);
        }
        let _ = command.output();
    }
}

/// All at once.
pub fn rolling() -> Value {
    json!({ "kind": "rolling" })
}

/// A request over the network; nothing if the server died before it answered.
pub async fn send(server: &Server, who: &Person, method: Method, path: &str, body: Option<Value>) -> Option<Response> {
    let address = format!("{}/api/v1{path}", server.address);
    let mut request = reqwest::Client::new().request(method, &address).bearer_auth(&who.token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.ok()
}

/// The same, which must succeed.
pub async fn ask(server: &Server, who: &Person, method: Method, path: &str, body: Option<Value>) -> Value {
    let answer = send(server, who, method, path, body).await.unwrap_or_else(|| panic!("{path}: no answer"));
    let status = answer.status();
    let value: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {value:#}");
    value
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !look().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// Whether an endpoint has a server that is ready.
pub async fn is_ready(endpoint: &str) -> bool {
    let answer = reqwest::get(format!("{endpoint}/ready")).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
