//! Small questions over HTTP: readiness, metadata, metrics, the gateway's state.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The largest answer that is read: the metrics of hundreds of deployments.
const LARGEST: usize = 32 << 20;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A client for questions without a body. Connections are kept only where that is asked for.
#[derive(Debug, Clone)]
pub struct Client(hyper_util::client::legacy::Client<HttpConnector, Empty<Bytes>>);

impl Client {
    /// A client that makes a connection for each question: what answers may be another process than before.
    pub fn new() -> Self {
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        Self(builder.pool_max_idle_per_host(0).build(HttpConnector::new()))
    }

    /// Asks, within a time limit for the whole answer.
    pub async fn get(&self, from: SocketAddr, path: &str, within: Duration) -> Result<(StatusCode, Bytes), Cause> {
        let request = Request::get(format!("http://{from}{path}")).body(Empty::new())?;
        let answer = async {
            let response = self.0.request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes();
            Ok((status, body))
        };
        tokio::time::timeout(within, answer).await?
    }
}

/// A name as a segment of a path.
pub fn segment(name: &str) -> String {
    const ESCAPED: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(name, &ESCAPED).to_string()
}

/// What a model server says that it serves: the model's name and the digest of its artifact, where it says so.
pub async fn metadata(client: &Client, server: SocketAddr, model: &str, within: Duration) -> Option<(String, String)> {
    let (status, body) = client.get(server, &format!("/v2/models/{}", segment(model)), within).await.ok()?;
    if status != StatusCode::OK {
        return None;
    }
    let said: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let text = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
    Some((text(&said["name"])?, text(&said["parameters"]["digest"]).unwrap_or_default()))
}

/// Whether a model server takes requests for the model.
pub async fn is_ready(client: &Client, server: SocketAddr, model: &str, within: Duration) -> bool {
    let path = format!("/v2/models/{}/ready", segment(model));
    matches!(client.get(server, &path, within).await, Ok((StatusCode::OK, _)))
}
