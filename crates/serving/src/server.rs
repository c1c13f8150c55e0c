//! The server's life: load, listen, answer, drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::error::{Error, ErrorCode};
use crate::http;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::workers::Workers;

/// How long the last answers may take to be sent once every request is done.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// What to serve, and within which limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// The ONNX file.
    pub artifact: PathBuf,
    /// The model's name in addresses and answers.
    pub name: String,
    /// Its version there.
    pub version: String,
    /// `sha256:…`: the file is refused unless it has this digest.
    pub digest: Option<String>,
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// How many requests may wait while all workers are busy.
    pub queue: usize,
    /// How many threads run the model; 0 is one a core.
    pub workers: usize,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// How long a request may take, from its first byte to its answer.
    pub timeout: Duration,
    /// How long requests under way may take once the server was told to stop.
    pub drain: Duration,
}

/// What a server that answers tells about itself.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it serves.
    pub model: Arc<Model>,
}

/// What the handlers share.
#[derive(Debug)]
pub struct Server {
    pub model: Arc<Model>,
    pub metrics: Arc<Metrics>,
    pub workers: Workers,
    pub max_body: usize,
    pub timeout: Duration,
    draining: AtomicBool,
}

impl Server {
    /// Whether inference requests are taken.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }
}

/// Serves a model until `stop` is done, then drains: readiness goes false, new requests are refused, those under way
/// end. `ready` is called once, when requests are answered.
///
/// # Errors
/// Why it could not begin, each with its own code; `drain_incomplete` if requests under way did not end in time.
pub async fn serve(
    options: Options,
    ready: impl FnOnce(&Ready),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let server = start(&options).await?;
    let listener = listen(&options.listen).await?;
    let failed = |cause: std::io::Error| Error::new(ErrorCode::ServerFailed, format!("The server failed: {cause}."));
    let address = listener.local_addr().map_err(failed)?;
    let model = &server.model;
    tracing::info!(%address, model = model.name, version = model.version, digest = model.digest, "ready");
    ready(&Ready { address, model: Arc::clone(model) });

    // Small answers must not wait for the client's acknowledgement of earlier ones.
    let listener = listener.tap_io(|connection| {
        if let Err(cause) = connection.set_nodelay(true) {
            tracing::debug!(%cause, "a connection keeps its delay");
        }
    });
    let close = Arc::new(Notify::new());
    let closed = Arc::clone(&close);
    let connections = axum::serve(listener, http::router(Arc::clone(&server)))
        .with_graceful_shutdown(async move { closed.notified().await });
    let mut connections = tokio::spawn(async move { connections.await });
    tokio::select! {
        ended = &mut connections => return ended.map_err(std::io::Error::other).flatten().map_err(failed),
        () = stop => (),
    }
    drain(&server, options.drain).await?;
    close.notify_one();
    if tokio::time::timeout(LAST_BYTES, connections).await.is_err() {
        tracing::warn!("some connections were not closed by their clients");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn start(options: &Options) -> Result<Arc<Server>, Error> {
    let Options { name, version, .. } = options.clone();
    if name.is_empty() || version.is_empty() || name.contains('/') || version.contains('/') {
        let sentence = "A model's name and version are parts of its address: neither may be empty or contain a slash.";
        return Err(Error::new(ErrorCode::OptionInvalid, sentence));
    }
    let (artifact, digest) = (options.artifact.clone(), options.digest.clone());
    let model = tokio::task::spawn_blocking(move || Model::load(&artifact, &name, &version, digest.as_deref()));
    let gone = |_| Error::new(ErrorCode::ServerFailed, "The thread that loads the artifact is gone.");
    let model = Arc::new(model.await.map_err(gone)??);
    let metrics = Arc::new(Metrics::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if options.workers == 0 { cores } else { options.workers };
    let workers = Workers::start(&model, &metrics, threads, options.queue)?;
    let (max_body, timeout) = (options.max_body, options.timeout);
    Ok(Arc::new(Server { model, metrics, workers, max_body, timeout, draining: AtomicBool::new(false) }))
}

async fn listen(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|cause| {
        Error::new(ErrorCode::ListenFailed, format!("The server cannot listen on {address}: {cause}."))
    })
}

async fn drain(server: &Server, patience: Duration) -> Result<(), Error> {
    tracing::info!("draining");
    server.draining.store(true, Ordering::Relaxed);
    tokio::time::timeout(patience, server.workers.idle()).await.map_err(|_| {
        let seconds = patience.as_secs_f64();
        let sentence = format!("Requests under way did not end within {seconds} s of being told to stop.");
        Error::new(ErrorCode::DrainIncomplete, sentence)
    })
}
