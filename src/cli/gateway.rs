//! `countersign gateway`: an environment's endpoint, which the local runtime starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_runtimes::gateway::{self, Options};

use crate::config::LogFormat;

const EXAMPLES: &str = "\
The server starts a gateway for each environment of the local runtime; there is no need to start one by hand.
It reads its routes again on SIGHUP, and on SIGTERM lets the requests under way finish.

Example:
  countersign gateway --config routes.json --listen 127.0.0.1:8080";

/// Serve an environment's endpoint and split its traffic.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file of routes
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// What is logged: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_filter: String,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    super::start_log(LogFormat::Json, &args.log_filter)?;
    let Args { config, listen, .. } = args;
    // Whoever starts it knows it again by this.
    let instance = std::env::var(gateway::INSTANCE).unwrap_or_default();
    gateway::serve(Options { config, listen, instance }).await.map_err(anyhow::Error::msg)
}
