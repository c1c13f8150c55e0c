//! A bench: a state folder, artifacts, a control plane that can be replaced, a client, and a clock to be moved.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_runtimes::plan::Done;
use countersign_runtimes::{DeploymentSpec, Local, Result, Runtime as _, Step, Target, local};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub const FAKE: &str = env!("CARGO_BIN_EXE_countersign-runtimes-fake");
/// The model of most tests; the blank shows that names are escaped.
pub const MODEL: &str = "pd mortgage";

/// An answer of the gateway.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: serde_json::Value,
}

impl Answer {
    pub fn deployment(&self) -> &str {
        self.headers.get("countersign-deployment").map_or("", |key| key.to_str().unwrap())
    }
}

pub struct Bench {
    folder: TempDir,
    pub local: Local,
    pub target: Target,
    pub client: Client<HttpConnector, Full<Bytes>>,
    ahead: Arc<AtomicU64>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = free_address();
        let target = Target { key: "prod-uk".into(), folder: folder.path().join("prod-uk"), endpoint };
        let ahead = Arc::new(AtomicU64::new(0));
        let local = control_plane(&ahead);
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { folder, local, target, client, ahead }
    }

    /// A control plane that knows nothing of the one before.
    pub fn replace_control_plane(&mut self) {
        self.local = control_plane(&self.ahead);
    }

    /// Moves the clock.
    pub fn pass(&self, time: Duration) {
        self.ahead.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// A deployment of a version with bytes of its own.
    pub fn spec(&self, key: &str, options: &[(&str, &str)]) -> DeploymentSpec {
        let artifact = self.folder.path().join(format!("{key}.onnx"));
        std::fs::write(&artifact, key).unwrap();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(key)));
        let mut spec = DeploymentSpec::new(key, MODEL, key, artifact, &digest);
        spec.options = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        spec.drain_within = 10;
        spec
    }

    pub async fn take(&self, step: &Step) -> Result<Done> {
        let done = self.local.execute(&self.target, step).await?;
        // For an instant after its start a process shows no command line, by which the tests count.
        if let Some(pid) = done.facts["pid"].as_u64() {
            let shows = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
            let until = tokio::time::Instant::now() + Duration::from_secs(1);
            while !shows() && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(done)
    }

    pub async fn start(&self, spec: &DeploymentSpec) -> Result<Done> {
        self.take(&Step::Start { deployment: spec.clone() }).await
    }

    pub async fn verify(&self, key: &str) -> Result<Done> {
        self.take(&Step::Verify { key: key.into() }).await
    }

    pub async fn shift(&self, weights: &[(&str, u32)]) {
        self.take(&shift(weights, false)).await.unwrap();
    }

    /// Starts, verifies, and gives it all the traffic.
    pub async fn serve(&self, spec: &DeploymentSpec) {
        self.start(spec).await.unwrap();
        self.verify(&spec.key).await.unwrap();
        self.shift(&[(&spec.key, 100)]).await;
    }

    /// Supervises until the condition holds.
    pub async fn supervise_until(&self, mut done: impl FnMut(&countersign_runtimes::Event) -> bool) {
        loop {
            let events = self.local.supervise(&self.target).await.unwrap();
            if events.iter().any(&mut done) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn ask(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        self.try_ask(method, path, body).await.unwrap()
    }

    pub async fn try_ask(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> std::result::Result<Answer, String> {
        let uri = format!("http://{}{path}", self.target.endpoint);
        let request = Request::builder().method(method).uri(uri).body(Full::new(body.into())).unwrap();
        let response = self.client.request(request).await.map_err(|cause| format!("{cause:?}"))?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|cause| format!("{cause:?}"))?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub async fn infer(&self) -> Answer {
        self.ask("POST", "/v2/models/pd%20mortgage/infer", "{}").await
    }

    /// Waits until a request is under way at the deployment.
    pub async fn under_way(&self, key: &str) {
        while self.ask("GET", "/-/gateway", "").await.body["in_flight"][key] != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many requests of `total` each deployment answered.
    pub async fn split(&self, total: usize) -> BTreeMap<String, usize> {
        let mut split = BTreeMap::new();
        for _ in 0..total {
            let answer = self.infer().await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            *split.entry(answer.deployment().to_owned()).or_default() += 1;
        }
        split
    }

    /// The processes that serve an artifact of this bench, whoever started them: their ids by deployment key.
    pub fn servers(&self) -> Vec<(u32, String)> {
        let folder = self.folder.path().to_str().unwrap();
        processes(folder).into_iter().filter(|(_, line)| line.contains("serve-model")).collect()
    }

    /// Every process that was started with something of this bench.
    pub fn processes(&self) -> Vec<(u32, String)> {
        processes(self.folder.path().to_str().unwrap())
    }

    pub fn state(&self) -> &Path {
        &self.target.folder
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let (local, target) = (control_plane(&self.ahead), self.target.clone());
        let stop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(local.stop_all(&target)).map(|_| ())
        };
        let stopped = std::thread::spawn(stop).join().unwrap();
        if !std::thread::panicking() {
            stopped.unwrap();
            assert_eq!(self.processes(), [], "something is left running");
        }
    }
}

pub fn shift(weights: &[(&str, u32)], paused: bool) -> Step {
    let weights = weights.iter().map(|(key, weight)| ((*key).to_owned(), *weight)).collect();
    Step::Shift { model: MODEL.into(), weights, paused }
}

fn control_plane(ahead: &Arc<AtomicU64>) -> Local {
    let config = local::Config { program: PathBuf::from(FAKE), host: "here".into() };
    let (ahead, clock) = (Arc::clone(ahead), local::system_clock());
    Local::new(config, Arc::new(move || clock() + Duration::from_millis(ahead.load(Ordering::Relaxed))))
}

/// An address that stays free until it is asked for: below the ports that the kernel gives to whoever asks for any.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = u64::from(std::process::id()) * 101 + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + (number % 20_000) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The living processes whose command line mentions the text.
fn processes(text: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Of a zombie the command line is empty.
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) && pid != std::process::id() {
            found.push((pid, line));
        }
    }
    found
}

/// Ends a process as a crash would.
pub fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success());
    // A process that has ended, and not been waited for yet, has no command line.
    while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        std::thread::sleep(Duration::from_millis(1));
    }
}
