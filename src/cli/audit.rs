//! `countersign audit verify`: is the ledger what it was?

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use countersign_ledger::{Fault, Head, Sealed, Verifier};
use indicatif::ProgressBar;
use serde_json::json;

use crate::audit::verify;
use crate::config::{Config, Flags, LogFormat};

const EXAMPLES: &str = "\
Finds any entry that was changed, removed, inserted or put elsewhere, and says which. Write down the
head that it prints: a later run must still find that entry with that hash.
Exit code 0 if the ledger verifies, 1 if it does not.

Examples:
  countersign audit verify --data /var/lib/countersign
  countersign audit verify --database postgres://reader:secret@db/cs --json
  countersign audit verify --file ledger.jsonl --head 9f2c…
      Verify an export of the whole ledger, without a database and without trusting the server.";

/// Prove the ledger.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Verify the whole chain of the ledger.
    #[command(after_help = EXAMPLES)]
    Verify(Args),
}

/// Verify the whole chain of the ledger.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Verify this export, JSON lines, instead of a database.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The hash that the last entry must have.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Verifies, prints what was found, and succeeds only if the ledger is whole.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Verify(args) = command;
    let found = match &args.file {
        Some(file) => in_file(file)?,
        None => in_database(&args.flags).await?,
    };
    let head = match found {
        Ok(head) => head,
        Err(fault) => {
            if args.json {
                println!("{}", json!({ "verified": false, "fault": fault, "message": fault.to_string() }));
            }
            anyhow::bail!("The ledger does not verify: {fault}.");
        }
    };
    let wanted = args.head.as_ref().is_none_or(|wanted| *wanted == head.hash);
    if args.json {
        println!("{}", json!({ "verified": wanted, "entries": head.seq, "head": head.hash }));
    } else {
        println!("{} entries verified; the head is {}.", head.seq, head.hash);
    }
    anyhow::ensure!(wanted, "The chain is whole, but its head is not the one named: it is another ledger, or longer.");
    Ok(())
}

/// Looks at the database as it is: verifying never brings it to another version.
async fn in_database(flags: &Flags<false>) -> anyhow::Result<Result<Head, Fault>> {
    super::start_log(LogFormat::Text, "warn")?;
    let config = Config::load(flags)?;
    super::ensure_database(&config)?;
    let db = super::open_database(&config).await?;
    let spinner = ProgressBar::new_spinner().with_message("Verifying the ledger");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let found = verify(&db).await;
    spinner.finish_and_clear();
    db.close().await;
    Ok(found.context("The ledger cannot be read")?.map_err(|(_, fault)| fault))
}

/// Verifies an export line by line.
fn in_file(path: &Path) -> anyhow::Result<Result<Head, Fault>> {
    let name = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("{name} cannot be read"))?;
    let mut verifier = Verifier::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("{name} cannot be read"))?;
        if line.trim().is_empty() {
            continue;
        }
        let sealed: Sealed = serde_json::from_str(&line)
            .with_context(|| format!("Line {} of {name} is not a ledger entry", number + 1))?;
        if let Err(fault) = verifier.push(&sealed) {
            return Ok(Err(fault));
        }
    }
    Ok(Ok(verifier.head().clone()))
}
