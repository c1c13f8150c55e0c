//! The command line: subcommands only; nothing is decided here.
//!
//! Exit codes: 0 it was done; 1 it was refused or failed, with a sentence on standard error;
//! 2 the command line itself was not understood.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::app::{App, SystemClock};
use crate::config::{Config, Flags, LogFormat};
use crate::db::Db;
use crate::identity::policy::{self, Policy};

mod healthcheck;
mod migrate;
mod openapi;
mod serve;
mod show;

/// The deployment control plane for models in firms that must answer for them.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  countersign serve --demo            try it: demo data in ./data, http://127.0.0.1:7070
  countersign serve --data /var/lib/countersign
  countersign COMMAND --help          what a command does, with examples

Exit codes: 0 done; 1 refused or failed, with a sentence on standard error; 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the product.
    Serve(serve::Args),
    /// Bring the database's tables to this version.
    Migrate(migrate::Args),
    /// Print the API's description (OpenAPI, JSON).
    Openapi,
    /// Ask a running server whether it is ready.
    Healthcheck(healthcheck::Args),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(show::Command),
}

impl Cli {
    /// Runs what the command line asks for and tells how it went.
    pub async fn run(self) -> ExitCode {
        match self.dispatch().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("countersign: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    async fn dispatch(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Migrate(args) => migrate::run(args).await,
            Command::Openapi => openapi::run(),
            Command::Healthcheck(args) => healthcheck::run(args).await,
            Command::Config(command) => show::run(command),
        }
    }
}

/// Opens the database that the configuration names, as it is.
async fn open_database(config: &Config) -> anyhow::Result<Db> {
    if config.database.is_empty() {
        let folder = config.data.display();
        return Db::open_sqlite(&config.data)
            .await
            .with_context(|| format!("The embedded database in {folder} cannot be opened"));
    }
    Db::open_postgres(&config.database, config.database_connections)
        .await
        .with_context(|| format!("The database {} cannot be reached", crate::config::masked(&config.database)))
}

/// Reads the policy that the configuration names.
fn read_policy(config: &Config) -> anyhow::Result<Policy> {
    if config.policies.as_os_str().is_empty() {
        return Policy::parse(policy::BUILT_IN);
    }
    let name = config.policies.display();
    let text =
        std::fs::read_to_string(&config.policies).with_context(|| format!("The policy file {name} cannot be read"))?;
    Policy::parse(&text).with_context(|| format!("The policy file {name} cannot be used"))
}

/// The product over the database that the flags name, brought to this version; logs only warnings.
async fn open<const ALL: bool>(flags: &Flags<ALL>) -> anyhow::Result<App> {
    start_log(LogFormat::Text, "warn")?;
    let config = Config::load(flags)?;
    let db = open_database(&config).await?;
    db.migrate().await.context("The database's tables cannot be brought to this version")?;
    Ok(App::new(config.settings(), db, read_policy(&config)?, Box::new(SystemClock)))
}

/// Starts the log, on standard error.
fn start_log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .with_context(|| format!("The log filter “{filter}” cannot be read"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
