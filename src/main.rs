//! The `countersign` program.

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    countersign::cli::run(countersign::cli::Cli::parse()).await
}
