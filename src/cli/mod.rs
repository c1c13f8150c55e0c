//! The command line: subcommands only; nothing is decided here.
//!
//! Exit codes: 0 it was done; 1 it was refused or failed, with a sentence on standard error;
//! 2 the command line itself was not understood.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::{App, SystemClock};
use crate::config::{Config, Flags, LogFormat};
use crate::db::Db;
use crate::identity::policy::{self, Policy};

mod audit;
mod backup;
mod demo;
mod gateway;
mod healthcheck;
mod import;
mod loadgen;
mod migrate;
mod openapi;
mod remote;
mod serve;
mod serve_model;
mod show;
mod stop;
mod supervise_job;
mod token;
mod train;
mod user;

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
    /// Serve one model: an ONNX file over the Open Inference Protocol.
    ServeModel(serve_model::Args),
    /// Train a model on a table, and write it as ONNX.
    Train(train::Args),
    /// Hold the limits of a training job; the server starts it.
    #[command(hide = true)]
    SuperviseJob(supervise_job::Args),
    /// Fill an empty data folder with demo data.
    Demo(demo::Args),
    /// Bring the database's tables to this version.
    Migrate(migrate::Args),
    /// Bring an inventory in from a file.
    #[command(subcommand)]
    Import(import::Command),
    /// Manage people.
    #[command(subcommand)]
    User(user::Command),
    /// Manage API tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Make a verified backup while the server runs.
    Backup(backup::Backup),
    /// Put a backup into an empty data folder.
    Restore(backup::Restore),
    /// Prove the ledger.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print the API's description (OpenAPI, JSON).
    Openapi,
    /// Ask a running server whether it is ready.
    Healthcheck(healthcheck::Args),
    /// Serve an environment's endpoint and split its traffic.
    Gateway(gateway::Args),
    /// Preview, apply, watch and roll back releases on a running server.
    #[command(subcommand)]
    Release(remote::Release),
    /// Look at deployments on a running server.
    #[command(subcommand)]
    Deployments(remote::Deployments),
    /// Send requests to a deployment's endpoint, marked as synthetic, and tell how it answered.
    Loadgen(loadgen::Args),
    /// Decide what waits in the approval inbox of a running server.
    #[command(subcommand)]
    Inbox(remote::Inbox),
    /// Stop every model server that serve started.
    Stop(stop::Args),
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
                // A model server speaks to its supervisor: its reasons have a code.
                match error.downcast_ref::<countersign_serving::Error>() {
                    Some(reason) => eprintln!("{}", reason.to_json()),
                    None => eprintln!("countersign: {}", sentence(&error)),
                }
                ExitCode::FAILURE
            }
        }
    }

    async fn dispatch(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(args).await,
            Command::ServeModel(args) => serve_model::run(args).await,
            Command::Train(args) => train::run(args).await,
            Command::SuperviseJob(args) => supervise_job::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Migrate(args) => migrate::run(args).await,
            Command::Import(command) => import::run(command).await,
            Command::User(command) => user::run(command).await,
            Command::Token(command) => token::run(command).await,
            Command::Backup(args) => backup::make(args).await,
            Command::Restore(args) => backup::restore(args).await,
            Command::Audit(command) => audit::run(command).await,
            Command::Openapi => openapi::run(),
            Command::Healthcheck(args) => healthcheck::run(args).await,
            Command::Gateway(args) => gateway::run(args).await,
            Command::Release(command) => remote::release(command).await,
            Command::Deployments(command) => remote::deployments(command).await,
            Command::Loadgen(args) => loadgen::run(args).await,
            Command::Inbox(command) => remote::inbox(command).await,
            Command::Stop(args) => stop::run(args).await,
            Command::Config(command) => show::run(command),
        }
    }
}

/// The help of every command, as `docs/cli.md` has it.
#[must_use]
pub fn manual() -> String {
    let mut text = String::new();
    let mut program = Cli::command().term_width(100);
    program.build();
    write_help(&mut program, "countersign", &mut text);
    text
}

fn write_help(command: &mut clap::Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    *text += &format!("\n## {path}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
        let path = format!("{path} {}", inner.get_name());
        write_help(inner, &path, text);
    }
}

/// What went wrong and why, each cause once: some libraries repeat their cause in their own text.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
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

/// Refuses to make an empty database where somebody meant one that exists.
fn ensure_database(config: &Config) -> anyhow::Result<()> {
    let folder = config.data.display();
    let there = !config.database.is_empty() || config.data.join("countersign.db").is_file();
    anyhow::ensure!(there, "There is no database in the folder {folder}; name the right one with --data.");
    Ok(())
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
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
