//! A served artifact, and how to talk to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use countersign_serving::Options;
use countersign_serving::{Error, serve};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server in this process; it stops with the test.
pub struct Served {
    pub address: SocketAddr,
    pub http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<JoinHandle<Result<(), Error>>>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {:?}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The sentence of a refusal, whose body must have nothing but it.
    pub fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
        json["error"].as_str().unwrap().to_owned()
    }
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.onnx"))
}

/// The scores that the reference runtime gives.
pub fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture("x").with_file_name("expected.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].clone()
}

pub fn options(name: &str) -> Options {
    Options {
        artifact: fixture(name),
        name: "credit".to_owned(),
        version: "3".to_owned(),
        digest: None,
        listen: "127.0.0.1:0".to_owned(),
        queue: 64,
        workers: 2,
        max_body: 1 << 20,
        timeout: Duration::from_secs(30),
        drain: Duration::from_secs(10),
    }
}

/// Serves a fixture.
pub async fn served(name: &str) -> Served {
    served_with(options(name)).await
}

pub async fn served_with(options: Options) -> Served {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, is_ready) = oneshot::channel();
    let ended = tokio::spawn(async move {
        let stopped = async move { drop(stopped.await) };
        serve(options, |server| ready.send(server.address).unwrap(), stopped).await
    });
    let address = is_ready.await.expect("it becomes ready");
    Served { address, http: reqwest::Client::new(), stop: Some(stop), ended: Some(ended) }
}

impl Served {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Reply {
        reply(self.http.get(self.url(path))).await
    }

    /// Sends an inference request as JSON.
    pub async fn infer(&self, body: &Value) -> Reply {
        reply(self.http.post(self.url("/v2/models/credit/infer")).json(body)).await
    }

    /// Sends an inference request as JSON and bytes.
    pub async fn infer_bytes(&self, json: &Value, bytes: &[u8]) -> Reply {
        let mut body = serde_json::to_vec(json).unwrap();
        let length = body.len();
        body.extend_from_slice(bytes);
        let request = self.http.post(self.url("/v2/models/credit/infer")).body(body);
        reply(request.header("Inference-Header-Content-Length", length)).await
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics").await.text()
    }

    /// Tells the server to stop, as SIGTERM does.
    pub fn stop(&mut self) {
        let _ = self.stop.take().expect("it was not stopped before").send(());
    }

    /// How it ended.
    pub async fn ended(&mut self) -> Result<(), Error> {
        self.ended.take().expect("it was not awaited before").await.unwrap()
    }
}

pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
}

/// A request with the columns of a tabular model, `rows` of those that are expected.
pub fn columns(inputs: &Value, rows: std::ops::Range<usize>) -> Value {
    let column = |(name, values): (&String, &Value)| {
        let values = &values.as_array().unwrap()[rows.clone()];
        let datatype = if values[0].is_string() { "BYTES" } else { "FP32" };
        json!({ "name": name, "datatype": datatype, "shape": [values.len(), 1], "data": values })
    };
    json!({ "inputs": inputs.as_object().unwrap().iter().map(column).collect::<Vec<_>>() })
}

/// A request with one float tensor.
pub fn features(rows: &Value) -> Value {
    let rows = rows.as_array().unwrap();
    let shape = [rows.len(), rows[0].as_array().unwrap().len()];
    json!({ "inputs": [{ "name": "features", "datatype": "FP32", "shape": shape, "data": rows }] })
}

/// The data of an output, flat.
pub fn output(answer: &Value, name: &str) -> Vec<f64> {
    let outputs = answer["outputs"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let output = outputs.iter().find(|output| output["name"] == name).unwrap_or_else(|| panic!("{answer}"));
    numbers(&output["data"])
}

/// The numbers in nested arrays, flat.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}

pub fn assert_close(left: &[f64], right: &[f64]) {
    assert_eq!(left.len(), right.len());
    for (one, other) in left.iter().zip(right) {
        assert!((one - other).abs() < 1e-5 * other.abs().max(1.0), "{left:?}\n{right:?}");
    }
}
