//! `countersign healthcheck`: for containers and service managers, without another tool.

use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::{Config, Flags};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Asks GET /readyz at the address that the server listens on; exit code 0 if it is ready, 1 if not.

Example:
  countersign healthcheck --listen 127.0.0.1:8080";

/// Asks a running server whether it is ready.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    flags: Flags<true>,
}

/// Asks, and succeeds only if the server is ready.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.flags)?;
    // A server that listens on every address is asked on this machine's own.
    let address = config.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    let answer = tokio::time::timeout(PATIENCE, ask(&address))
        .await
        .with_context(|| format!("The server at {address} did not answer within {} seconds", PATIENCE.as_secs()))?
        .with_context(|| format!("No server answers at {address}"))?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    anyhow::ensure!(status == "200", "The server at {address} is not ready: it answered {status}.");
    println!("ready");
    Ok(())
}

/// One plain request: a client library would be larger than the question.
async fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
