//! The command line: subcommands only; nothing is decided here.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::app::{App, Settings, SystemClock};
use crate::audit::live::Live;
use crate::db::Db;
use crate::identity::policy::{self, Policy};

/// The deployment control plane for models in firms that must answer for them.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the product.
    Serve {
        /// Address to listen on.
        #[arg(long, default_value = "127.0.0.1:7070")]
        listen: String,
        /// Folder of the embedded database and the artifacts.
        #[arg(long, default_value = "data")]
        data: PathBuf,
        /// PostgreSQL address, instead of the embedded database.
        #[arg(long)]
        database: Option<String>,
    },
}

/// Runs what the command line asks for.
///
/// # Errors
/// Whatever stops the command, as a sentence.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve { listen, data, database } => {
            let db = match &database {
                Some(address) => Db::open_postgres(address, 10).await?,
                None => Db::open_sqlite(&data).await?,
            };
            db.migrate().await?;
            let settings = Settings { data, ..Settings::default() };
            let app = App::new(settings, db, Policy::parse(policy::BUILT_IN)?, Box::new(SystemClock));
            tokio::spawn(Live::relay(app.clone()));
            let listener = tokio::net::TcpListener::bind(&listen).await?;
            axum::serve(listener, crate::router::router(app)).await?;
            Ok(())
        }
    }
}
