//! `countersign migrate`.

use crate::config::Flags;

const EXAMPLES: &str = "\
The server does the same when it starts. Migrate by hand where several servers share a database, or
where the server may not change tables. Take a backup first: there is no way back.

Example:
  countersign migrate --database postgres://owner:secret@db/cs";

/// Brings the database's tables to this version.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    flags: Flags<false>,
}

/// Applies the migrations that are missing.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let app = super::open(&args.flags).await?;
    println!("The database is at this version, {}.", env!("CARGO_PKG_VERSION"));
    app.db.close().await;
    Ok(())
}
