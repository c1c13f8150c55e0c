//! `countersign serve-model`: one ONNX artifact, answering the Open Inference Protocol.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use countersign_serving::{Options, Ready};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::LogFormat;

const EXAMPLES: &str = "\
Examples:
  countersign serve-model --artifact credit.onnx --name credit --port 8080
  countersign serve-model --artifact credit.onnx --name credit --version 3 --port 0 \\
      --digest sha256:9f2c…
      Take a free port, and refuse any other bytes than these.

When it answers, it prints one line of JSON with its address, model, version and digest on standard output. Logs go
to standard error, a JSON object a line; so does the reason, with a stable code, if it cannot begin (exit code 1).
On SIGTERM and SIGINT it lets the requests under way finish.";

/// Serves one model, without a database or the rest of the product.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The ONNX file
    #[arg(long, value_name = "FILE")]
    artifact: PathBuf,
    /// The model's name in addresses and answers
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Its version there
    #[arg(long, value_name = "VERSION", default_value = "1")]
    version: String,
    /// Refuse the file unless it has this digest: sha256: and 64 hexadecimal digits
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    listen: std::net::IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    port: u16,
    /// How many requests may wait while all workers are busy; more are answered 429
    #[arg(long, value_name = "N", default_value_t = 256)]
    queue: usize,
    /// How many threads run the model; 0 is one a core
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
    /// The largest request body; larger ones are answered 413
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_body: usize,
    /// How long a request may take; then it is answered 503 or 504
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout: u64,
    /// How long requests under way may take once it was told to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_seconds: u64,
    /// What is logged: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_filter: String,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    super::start_log(LogFormat::Json, &args.log_filter)?;
    // The inference runtime panics on some inputs; the server survives it, and its log stays JSON.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
    let mut stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = async move {
        tokio::select! { _ = stop.0.recv() => (), _ = stop.1.recv() => () }
    };
    countersign_serving::serve(args.options(), announce, told).await?;
    Ok(())
}

impl Args {
    fn options(self) -> Options {
        Options {
            artifact: self.artifact,
            name: self.name,
            version: self.version,
            digest: self.digest,
            listen: std::net::SocketAddr::from((self.listen, self.port)).to_string(),
            queue: self.queue,
            workers: self.workers,
            max_body: self.max_body,
            timeout: Duration::from_millis(self.timeout),
            drain: Duration::from_secs(self.drain_seconds),
        }
    }
}

/// The one line that a supervisor waits for.
fn announce(ready: &Ready) {
    let line = serde_json::json!({
        "event": "ready",
        "address": ready.address.to_string(),
        "model": ready.model.name,
        "version": ready.model.version,
        "digest": ready.model.digest,
    });
    let mut out = std::io::stdout();
    // Whoever started it may have closed its end; the server serves all the same.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
