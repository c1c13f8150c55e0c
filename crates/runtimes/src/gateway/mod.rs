//! The gateway: an environment's stable endpoint, which splits the traffic of each model among its servers.
//!
//! It is a process of its own, started by the [`local`](crate::local) runtime, and lives on when the control plane does
//! not. It follows a file of [`routes`], read again at SIGHUP: requests under way end as they began, later ones go by
//! the new routes. It sends nothing twice that a server may have seen, and nothing to a server that says other bytes
//! than its route.
//!
//! - `/v2/…` the Open Inference Protocol, by the model's name; the answer's header `countersign-deployment` says who
//!   answered
//! - `/metrics` requests, durations and failures for each server
//! - `/-/gateway` the routes that are followed, as JSON

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::canary::Snapshot;
use crate::exposition::{self, ParseError};

mod body;
mod metrics;
mod proxy;
pub mod routes;
mod table;

use proxy::Gateway;

/// How long a client may take for the head of a request, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(75);
/// How long requests under way may take once the gateway was told to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// The variable that carries the name of a process's start, for a gateway as for every process of the local runtime.
pub const INSTANCE: &str = "COUNTERSIGN_INSTANCE";

/// What a gateway is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file of routes.
    pub config: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it calls itself in its state, so that whoever started it knows it again.
    pub instance: String,
}

/// What a gateway says of itself at `/-/gateway`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The name it was started with.
    pub instance: String,
    /// The routes that it follows.
    pub generation: String,
    /// Why it could not read newer ones, as a sentence; empty if it could.
    pub refused: String,
    /// Requests under way by deployment, those included that get no more.
    pub in_flight: BTreeMap<String, u64>,
    /// Whether a deployment gets requests, by its key.
    pub healthy: BTreeMap<String, bool>,
}

/// Serves until SIGTERM or SIGINT, then ends what is under way.
///
/// # Errors
/// That the routes cannot be read at the start, or that it cannot listen; as a sentence.
pub async fn serve(options: Options) -> Result<(), String> {
    let unheard = |cause: std::io::Error| format!("Signals cannot be received: {cause}.");
    // Before it listens: whoever sees it answer may send the signal.
    let mut reload = signal(SignalKind::hangup()).map_err(unheard)?;
    let mut stop =
        (signal(SignalKind::terminate()).map_err(unheard)?, signal(SignalKind::interrupt()).map_err(unheard)?);
    let gateway = Arc::new(Gateway::new(&options).await?);
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|cause| format!("The gateway cannot listen on {}: {cause}.", options.listen))?;
    tracing::info!(address = %options.listen, "the gateway listens");
    let graceful = GracefulShutdown::new();
    let mut look = tokio::time::interval(gateway.look_every());
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connect(&gateway, stream, &graceful),
                // Out of file descriptors, most often: a pause lets some go.
                Err(cause) => {
                    tracing::warn!(%cause, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = reload.recv() => drop(tokio::spawn(Arc::clone(&gateway).reload())),
            _ = look.tick() => drop(tokio::spawn(Arc::clone(&gateway).look())),
            _ = stop.0.recv() => break,
            _ = stop.1.recv() => break,
        }
    }
    drop(listener);
    tracing::info!("draining");
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

fn connect(gateway: &Arc<Gateway>, stream: tokio::net::TcpStream, graceful: &GracefulShutdown) {
    // Small answers must not wait for the client's acknowledgement of earlier ones.
    if let Err(cause) = stream.set_nodelay(true) {
        tracing::debug!(%cause, "a connection keeps its delay");
    }
    let gateway = Arc::clone(gateway);
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, std::convert::Infallible>(gateway.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "a connection ended badly");
        }
    });
}

/// A deployment's counters in the text of a gateway's `/metrics`.
///
/// # Errors
/// The line that cannot be read.
pub fn snapshot(metrics: &str, deployment: &str) -> Result<Snapshot, ParseError> {
    let scrape = exposition::parse(metrics)?;
    let of = |labels: &BTreeMap<String, String>| labels.get("deployment").is_some_and(|key| key == deployment);
    let failed = |labels: &BTreeMap<String, String>| {
        let code = labels.get("code").and_then(|code| code.parse::<u16>().ok());
        of(labels) && code.is_some_and(|code| code == 429 || code >= 500)
    };
    Ok(Snapshot {
        requests: scrape.sum("countersign_gateway_requests_total", of),
        errors: scrape.sum("countersign_gateway_requests_total", failed),
        durations: scrape.histogram("countersign_gateway_request_duration_seconds", of),
    })
}
