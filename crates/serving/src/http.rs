//! The routes of the Open Inference Protocol, and `/metrics`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};

use crate::model::{Dim, Model, Port};
use crate::protocol::Answer;
use crate::refusal::{Kind, Refusal};
use crate::server::Server;

/// Where the JSON ends in a body that carries tensors as bytes.
static JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Marks requests that are made for measuring: they are counted apart.
static SYNTHETIC: HeaderName = HeaderName::from_static("x-countersign-synthetic");

type Shared = State<Arc<Server>>;

/// Every route.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v2", get(about))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{name}", get(metadata))
        .route("/v2/models/{name}/ready", get(model_ready))
        .route("/v2/models/{name}/infer", post(infer))
        .route("/v2/models/{name}/versions/{version}", get(metadata))
        .route("/v2/models/{name}/versions/{version}/ready", get(model_ready))
        .route("/v2/models/{name}/versions/{version}/infer", post(infer))
        .route("/metrics", get(metrics))
        .fallback(async || Refusal::new(Kind::NotFound, "There is nothing at this address.").into_response())
        .method_not_allowed_fallback(async || {
            let body = json!({ "error": "This address does not answer this method." });
            (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
        })
        .with_state(server)
}

async fn about() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "name": "countersign-serving", "version": version, "extensions": ["binary_tensor_data"] }))
}

async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

async fn ready(State(server): Shared) -> Response {
    readiness(&server, &json!({ "ready": server.is_ready() }))
}

async fn model_ready(State(server): Shared, Path(asked): Path<Vec<(String, String)>>) -> Result<Response, Refusal> {
    check_model(&server.model, &asked)?;
    Ok(readiness(&server, &json!({ "name": server.model.name, "ready": server.is_ready() })))
}

/// The protocol says ready by 200 and not ready by a status of 400 to 499.
fn readiness(server: &Server, body: &Value) -> Response {
    let status = if server.is_ready() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    (status, Json(body)).into_response()
}

async fn metadata(State(server): Shared, Path(asked): Path<Vec<(String, String)>>) -> Result<Json<Value>, Refusal> {
    let model = &server.model;
    check_model(model, &asked)?;
    let ports = |ports: &[Port]| -> Vec<Value> {
        let shape = |port: &Port| port.shape.iter().map(Dim::number).collect::<Vec<_>>();
        ports
            .iter()
            .map(|port| json!({ "name": port.name, "datatype": port.datatype.as_str(), "shape": shape(port) }))
            .collect()
    };
    Ok(Json(json!({
        "name": model.name,
        "versions": [model.version],
        "platform": "onnx_tract",
        "inputs": ports(&model.inputs),
        "outputs": ports(&model.outputs),
        "parameters": { "digest": model.digest },
    })))
}

async fn metrics(State(server): Shared) -> Response {
    let text = server.metrics.text(&server.model, server.is_ready());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn infer(
    State(server): Shared,
    Path(asked): Path<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut count = Counted::begin(&server, &headers);
    let outcome = answer(&server, &asked, &headers, body, count.begun).await;
    count.error = outcome.as_ref().err().map(|refusal| refusal.kind);
    let mut response = match outcome {
        Ok(answer) => answer.into_response(),
        Err(refusal) => {
            let kind = refusal.kind.as_str();
            if refusal.kind.reached_the_model() {
                tracing::warn!(kind, cause = %refusal, "a request failed");
            } else {
                tracing::debug!(kind, cause = %refusal, "a request was refused");
            }
            refusal.into_response()
        }
    };
    if !server.is_ready() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(
    server: &Server,
    asked: &[(String, String)],
    headers: &HeaderMap,
    body: Body,
    begun: Instant,
) -> Result<Answer, Refusal> {
    check_model(&server.model, asked)?;
    let json_length = check_headers(headers, server.max_body)?;
    if !server.is_ready() {
        return Err(Refusal::new(Kind::Draining, "The server is stopping and takes no new requests."));
    }
    let full = || Refusal::new(Kind::QueueFull, "Too many requests are waiting; try again shortly.");
    let place = server.workers.place().ok_or_else(full)?;
    let deadline = begun + server.timeout;
    let body = tokio::time::timeout_at(deadline.into(), read(body, server.max_body)).await;
    let late = |_| Refusal::new(Kind::BodyTimeout, "The request's body did not arrive within the time limit.");
    server.workers.infer(place, body.map_err(late)??, json_length, deadline).await
}

/// Refuses what is not this server's one model.
fn check_model(model: &Model, asked: &[(String, String)]) -> Result<(), Refusal> {
    for (part, value) in asked {
        let (expected, what) = if part == "version" { (&model.version, "version") } else { (&model.name, "name") };
        if value != expected {
            let sentence = format!("The model here has the {what} “{expected}”, not “{value}”.");
            return Err(Refusal::new(Kind::NotFound, sentence));
        }
    }
    Ok(())
}

/// Refuses by its headers what need not be read; returns the length of the JSON if tensors follow it as bytes.
fn check_headers(headers: &HeaderMap, max_body: usize) -> Result<Option<usize>, Refusal> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let sentence = "Compressed bodies are not supported: send it as it is, large tensors as binary data.";
        return Err(Refusal::new(Kind::UnsupportedEncoding, sentence));
    }
    let number = |name: &HeaderName| {
        let value = headers.get(name)?;
        let number = value.to_str().ok().and_then(|text| text.parse::<usize>().ok());
        Some(number.ok_or_else(|| Refusal::bad(format!("The header {name} is not a number."))))
    };
    if number(&CONTENT_LENGTH).transpose()?.is_some_and(|length| length > max_body) {
        return Err(too_large(max_body));
    }
    number(&JSON_LENGTH).transpose()
}

fn too_large(max_body: usize) -> Refusal {
    Refusal::new(Kind::TooLarge, format!("A request's body may have {max_body} bytes at most."))
}

async fn read(body: Body, max_body: usize) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, max_body).collect().await;
    Ok(body
        .map_err(|cause| match cause.downcast_ref::<LengthLimitError>() {
            Some(_) => too_large(max_body),
            None => Refusal::bad("The request's body ended before it was whole."),
        })?
        .to_bytes())
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Some(length) = self.json_length else {
            return ([(CONTENT_TYPE, "application/json")], self.body).into_response();
        };
        let mut response = ([(CONTENT_TYPE, "application/octet-stream")], self.body).into_response();
        response.headers_mut().insert(JSON_LENGTH.clone(), HeaderValue::from(length));
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(json!({ "error": self.sentence }))).into_response();
        if self.kind.is_passing() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Counts a request from its beginning to its end, even if the client goes away in between.
struct Counted<'a> {
    server: &'a Server,
    synthetic: bool,
    begun: Instant,
    error: Option<Kind>,
}

impl<'a> Counted<'a> {
    fn begin(server: &'a Server, headers: &HeaderMap) -> Self {
        let synthetic = headers.get(&SYNTHETIC).is_some_and(|value| value == "true");
        server.metrics.begun(synthetic);
        Self { server, synthetic, begun: Instant::now(), error: Some(Kind::Abandoned) }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.server.metrics.ended(self.synthetic, self.error, self.begun.elapsed());
    }
}
