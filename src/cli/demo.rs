//! `countersign demo`.

use crate::config::{Config, Flags};
use crate::demo;

const EXAMPLES: &str = "\
Makes people, models, versions, validations, tasks and a ledger, as if a small firm had worked with the
product for four months. Only an empty database is filled. “countersign serve --demo” does the same first.

Examples:
  countersign demo --data ./demo
  countersign demo --data ./demo --reset
      Remove what the folder holds, and make it anew.";

/// Fill an empty data folder with demo data.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Remove the embedded database and the artifacts of the data folder first.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Makes the demo data and prints the sign-ins.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.flags)?;
    let embedded = config.database.is_empty();
    anyhow::ensure!(
        embedded || !args.reset,
        "--reset removes an embedded database only; make a new one on the server."
    );
    let _held = if embedded { Some(super::serve::hold(&config)?) } else { None };
    if args.reset {
        crate::backup::clear(&config.data)?;
    }
    let app = super::open(&args.flags).await?;
    let filled = demo::fill_if_empty(&app).await?;
    app.db.close().await;
    anyhow::ensure!(
        filled,
        "The database is not empty, and was left as it is. Choose an empty folder, or use --reset."
    );
    println!("{}", demo::sign_ins());
    Ok(())
}
