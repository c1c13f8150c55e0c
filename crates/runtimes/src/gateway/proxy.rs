//! A request's way: to which server, with which limits, and what is counted of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{Either, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::http::uri::Scheme;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::{Counted, Handed, Pending};
use super::metrics::Metrics;
use super::routes::Routes;
use super::table::{Endpoint, Server, Table};
use super::{Options, State};
use crate::http::Client;

/// Who answered.
static DEPLOYMENT: HeaderName = HeaderName::from_static("countersign-deployment");
/// How long a connection to a server may take: it is on this machine.
const CONNECTS: Duration = Duration::from_secs(2);
/// How long an idle connection to a server is kept.
const IDLE: Duration = Duration::from_secs(60);

type Answer = Response<Either<Full<Bytes>, Counted>>;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    config: PathBuf,
    instance: String,
    table: RwLock<Arc<Table>>,
    /// Servers that get nothing new, and may still have requests under way.
    leaving: Mutex<Vec<Arc<Server>>>,
    refused: Mutex<String>,
    /// One reload at a time, so that the newest routes are the last.
    reloading: tokio::sync::Mutex<()>,
    metrics: Metrics,
    pool: Pool<HttpConnector, Handed>,
    asking: Client,
}

impl Gateway {
    /// A gateway that follows the file as it is.
    pub async fn new(options: &Options) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECTS));
        let pool =
            Pool::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);
        let gateway = Self {
            config: options.config.clone(),
            instance: options.instance.clone(),
            table: RwLock::default(),
            leaving: Mutex::default(),
            refused: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            metrics: Metrics::new(),
            pool,
            asking: Client::new(),
        };
        gateway.follow().await?;
        Ok(gateway)
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often servers are looked at.
    pub fn look_every(&self) -> Duration {
        Duration::from_millis(self.table().routes.look_ms.max(10))
    }

    /// Reads the routes again; if they cannot be used, the ones before stay.
    pub async fn reload(self: Arc<Self>) {
        let refused = self.follow().await.err().unwrap_or_default();
        if !refused.is_empty() {
            tracing::error!(cause = refused, "the routes cannot be used");
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    async fn follow(&self) -> Result<(), String> {
        let _one = self.reloading.lock().await;
        let name = self.config.display();
        let text =
            std::fs::read(&self.config).map_err(|cause| format!("The routes {name} cannot be read: {cause}."))?;
        let routes: Routes =
            serde_json::from_slice(&text).map_err(|cause| format!("The routes {name} are not routes: {cause}."))?;
        let before = self.table();
        let table =
            Table::new(routes, &before, &self.metrics).map_err(|cause| format!("The routes {name}: {cause}."))?;
        // Servers that come are looked at first: none gets a request before it said which bytes it serves.
        join_all(table.missing_from(&before).iter().map(|server| server.look(&self.asking))).await;
        let left = before.missing_from(&table);
        tracing::info!(generation = table.routes.generation, "following new routes");
        // Both at once: whoever sees the new table sees who has left it.
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.extend(left);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }

    /// Looks at every server, and forgets those that have left.
    pub async fn look(self: Arc<Self>) {
        let table = self.table();
        join_all(table.servers().map(|server| server.look(&self.asking))).await;
        let (table, mut leaving) = (self.table(), self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        for server in leaving.extract_if(.., |server| server.metrics.in_flight() == 0) {
            // The counters belong to the name: one that came back under it goes on with them.
            if table.servers().all(|kept| kept.backend.key != server.backend.key) {
                self.metrics.forget(&server.metrics);
            }
        }
    }

    fn state(&self) -> State {
        let table = self.table();
        let mut in_flight = BTreeMap::new();
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        // The gauge belongs to the name, so a server that left and came back counts once.
        for server in leaving.iter().chain(table.servers()) {
            in_flight.insert(server.backend.key.clone(), server.metrics.in_flight());
        }
        State {
            instance: self.instance.clone(),
            generation: table.routes.generation.clone(),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            in_flight,
            healthy: table.healthy(),
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        match path {
            "/v2" | "/v2/" => {
                json(StatusCode::OK, r#"{"name":"countersign-gateway","extensions":["binary_tensor_data"]}"#)
            }
            "/v2/health/live" => json(StatusCode::OK, r#"{"live":true}"#),
            "/v2/health/ready" => json(StatusCode::OK, r#"{"ready":true}"#),
            "/-/gateway" => json(StatusCode::OK, serde_json::to_string(&self.state()).unwrap_or_default()),
            "/metrics" => {
                let mut answer = json(StatusCode::OK, self.metrics.text());
                let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            _ => match Asked::from(path) {
                Some(asked) => self.infer(asked, request).await,
                None => self.refuse(StatusCode::NOT_FOUND, "unknown", "There is nothing at this address."),
            },
        }
    }

    /// Sends the request to the server whose turn it is.
    async fn infer(&self, asked: Asked, request: Request<Incoming>) -> Answer {
        let table = self.table();
        let Some(endpoint) = table.endpoints.get(&asked.model) else {
            return self.refuse(
                StatusCode::NOT_FOUND,
                "unknown",
                &format!("No model “{}” is served here.", asked.model),
            );
        };
        if endpoint.is_paused() {
            let sentence = format!("The traffic of “{}” is paused.", asked.model);
            return self.refuse(StatusCode::SERVICE_UNAVAILABLE, "paused", &sentence);
        }
        if let Some(version) = asked.version.as_ref().filter(|version| !endpoint.has(version)) {
            let sentence = format!("The version “{version}” of “{}” is not served here.", asked.model);
            return self.refuse(StatusCode::NOT_FOUND, "unknown", &sentence);
        }
        if request.body().size_hint().lower() > table.routes.max_body {
            return self.too_large(table.routes.max_body);
        }
        let (mut parts, body) = request.into_parts();
        strip(&mut parts.headers);
        let limit = usize::try_from(table.routes.max_body).unwrap_or(usize::MAX);
        let body = Handed::new(Limited::new(body, limit));
        self.send(&table.routes, endpoint, &asked, &parts, &body).await
    }

    /// A server that cannot be connected to has seen nothing of the request, so the next one gets it.
    async fn send(&self, routes: &Routes, endpoint: &Endpoint, asked: &Asked, parts: &Parts, body: &Handed) -> Answer {
        let timeout = Duration::from_millis(routes.timeout_ms);
        for _ in 0..=endpoint.servers.len() {
            let Some(server) = endpoint.next(asked.version.as_deref()) else { break };
            let mut pending = Pending::new(Arc::clone(&server));
            let request = request(&server, parts, body.clone());
            return match tokio::time::timeout(timeout, self.pool.request(request)).await {
                Ok(Ok(response)) => pass(response, pending),
                Ok(Err(cause)) if cause.is_connect() => {
                    tracing::warn!(deployment = server.backend.key, %cause, "a server cannot be connected to");
                    pending.count(StatusCode::BAD_GATEWAY);
                    server.set_healthy(false);
                    continue;
                }
                Ok(Err(cause)) if is_too_large(&cause) => {
                    pending.count(StatusCode::PAYLOAD_TOO_LARGE);
                    self.too_large(routes.max_body)
                }
                // The client's own doing: it says nothing of the server.
                Ok(Err(_)) if body.is_broken() => {
                    json(StatusCode::BAD_REQUEST, error("The request's body ended before it was whole."))
                }
                Ok(Err(cause)) => {
                    tracing::warn!(deployment = server.backend.key, %cause, "a request failed");
                    pending.count(StatusCode::BAD_GATEWAY);
                    let sentence = "The model server ended the connection before it had answered.";
                    json(StatusCode::BAD_GATEWAY, error(sentence))
                }
                Err(_) => {
                    pending.count(StatusCode::GATEWAY_TIMEOUT);
                    let sentence = format!("The model server did not answer within {} ms.", routes.timeout_ms);
                    json(StatusCode::GATEWAY_TIMEOUT, error(&sentence))
                }
            };
        }
        let sentence = format!("No server of “{}” is ready.", asked.model);
        self.refuse(StatusCode::SERVICE_UNAVAILABLE, "no_backend", &sentence)
    }

    fn refuse(&self, status: StatusCode, reason: &'static str, sentence: &str) -> Answer {
        self.metrics.refused(reason);
        let mut answer = json(status, error(sentence));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    fn too_large(&self, limit: u64) -> Answer {
        let sentence = format!("A request's body may have {limit} bytes at most.");
        self.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &sentence)
    }
}

/// Which model, and which version of it if that is said: `/v2/models/NAME[/versions/VERSION][/…]`.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    model: String,
    version: Option<String>,
}

impl Asked {
    fn from(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix("/v2/models/")?.split('/');
        let decoded = |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into);
        let model: String = segments.next().and_then(decoded).filter(|name: &String| !name.is_empty())?;
        let version = if segments.next() == Some("versions") { Some(segments.next().and_then(decoded)?) } else { None };
        Some(Self { model, version })
    }
}

/// Removes what is said between two neighbours only.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let known = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    for name in known.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// The request as the server gets it.
fn request(server: &Server, parts: &Parts, body: Handed) -> Request<Handed> {
    let mut request = Request::new(body);
    let mut uri = Uri::default().into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(server.authority.clone());
    uri.path_and_query = parts.uri.path_and_query().cloned();
    // All three parts were parsed before.
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = parts.headers.clone();
    request
}

/// The server's answer, handed on as it comes.
fn pass(response: Response<Incoming>, pending: Pending) -> Answer {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    parts.headers.insert(DEPLOYMENT.clone(), pending.server.header.clone());
    let body = Counted::new(body, parts.status, pending);
    Response::from_parts(parts, Either::Right(body))
}

fn is_too_large(cause: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(cause);
    while let Some(this) = cause {
        if this.is::<LengthLimitError>() {
            return true;
        }
        cause = this.source();
    }
    false
}

fn error(sentence: &str) -> String {
    serde_json::json!({ "error": sentence }).to_string()
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
