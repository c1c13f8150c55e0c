//! `countersign supervise-job`: between the server and the program of a training job.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::training::run::supervise::{Order, supervise};

/// Starts a program, holds its limits, and ends it with all that it started once standard input closes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file that is written once everything has ended
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// How long it may take
    #[arg(long, value_name = "SECONDS")]
    seconds: u64,
    /// How much memory its processes may have together
    #[arg(long, value_name = "MIB")]
    memory_mib: u64,
    /// How long it may take to end once it is told to
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    grace_seconds: u64,
    /// The program and its arguments
    #[arg(required = true, last = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// Supervises until everything has ended.
pub async fn run(args: Args) -> anyhow::Result<()> {
    supervise(Order {
        command: args.command,
        time: Duration::from_secs(args.seconds),
        memory: args.memory_mib << 20,
        grace: Duration::from_secs(args.grace_seconds),
        report: args.report,
    })
    .await
}
