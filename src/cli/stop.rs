//! `countersign stop`: the server and every model server it started, until nothing is left running.

use std::fs::File;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::{Config, Flags};

const EXAMPLES: &str = "\
Examples:
  countersign stop --data /var/lib/countersign
      Stop every model server and gateway of this data folder.

Stop the server itself first: while it runs, it starts again what dies. The next server starts what was stopped here.";

/// Stops every model server and gateway of a data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    flags: Flags<false>,
}

/// How long the server may take to let go of the data folder.
const PATIENCE: u32 = 20;

/// Stops everything.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.flags)?;
    let _held = if config.database.is_empty() { Some(hold(&config).await?) } else { None };
    let app = super::open(&args.flags).await?;
    let environments = crate::deployments::stop_all(&app).await?;
    app.db.close().await;
    println!("Stopped the model servers of {environments} environment(s).");
    Ok(())
}

/// Waits a while for a server that is about to end.
async fn hold(config: &Config) -> anyhow::Result<File> {
    for _ in 0..PATIENCE {
        if let Ok(held) = super::serve::hold(config) {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    super::serve::hold(config).context("The server still runs")
}
