//! `countersign import inventory`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::ProgressBar;

use crate::config::Flags;
use crate::error::{self, Error};
use crate::identity::Actor;
use crate::inventory::import::{self, ImportReport, Mapping, RowError, shipped};

const EXAMPLES: &str = "\
The mapping says which columns mean what; docs/import.md describes it. Models are found again by their key, so
the same file can be imported as often as it changes. With an error in any row nothing is imported, unless the
wrong rows are to be left out.

Examples:
  countersign import inventory --mapping retail.toml --dry-run retail.csv
      Say what would change, and change nothing.
  countersign import inventory --mapping retail.toml retail.csv
  countersign import inventory --mapping federal-ai-use-cases-2024 federal.csv
      A mapping that comes with the product, by its name.";

/// Bring an inventory in from a file.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import models from a CSV file.
    #[command(after_help = EXAMPLES)]
    Inventory(Inventory),
}

/// Import models from a CSV file.
#[derive(Debug, clap::Args)]
pub struct Inventory {
    /// The CSV file.
    file: PathBuf,
    /// The mapping: a TOML file, or the name of one that comes with the product.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Leave out the rows that cannot be imported.
    #[arg(long)]
    skip_bad_rows: bool,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Imports as the console: whoever can run this can write the database anyway.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Inventory(args) = command;
    let bytes = std::fs::read(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let mapping = Mapping::parse(&read_mapping(&args.mapping)?)?;
    let app = super::open(&args.flags).await?;
    let progress = ProgressBar::new_spinner().with_message("Reading the file");
    progress.enable_steady_tick(Duration::from_millis(100));
    let plan = import::plan(&bytes, &mapping)?;
    progress.set_message(format!("Writing {} rows", plan.rows));
    let outcome = import::import_inventory(&app, &Actor::console(), plan, !args.dry_run, args.skip_bad_rows).await;
    progress.finish_and_clear();
    app.db.close().await;
    match outcome {
        Ok(report) => print(&report),
        Err(refusal) => {
            print_errors(&refusal);
            anyhow::bail!("{}", refusal.detail());
        }
    }
    Ok(())
}

fn read_mapping(named: &Path) -> anyhow::Result<String> {
    if let Some(text) = named.to_str().and_then(shipped::text) {
        return Ok(text);
    }
    let known = shipped::names().join(", ");
    std::fs::read_to_string(named).with_context(|| {
        format!("The mapping {} cannot be read (those that come with the product: {known})", named.display())
    })
}

/// The rows that were refused, on standard output: the one sentence of a failure follows on the other.
fn print_errors(refusal: &Error) {
    if refusal.code() != &error::IMPORT_REFUSED {
        return;
    }
    let facts = refusal.problem().facts;
    let errors = facts.get("errors").cloned().and_then(|errors| serde_json::from_value(errors).ok());
    let errors: Vec<RowError> = errors.unwrap_or_default();
    let total = facts.get("total").and_then(serde_json::Value::as_u64).unwrap_or_default();
    print_rows(&errors, usize::try_from(total).unwrap_or(errors.len()));
}

fn print_rows(errors: &[RowError], total: usize) {
    for error in errors {
        println!("{error}");
    }
    if total > errors.len() {
        println!("and {} more", total - errors.len());
    }
}

fn print(report: &ImportReport) {
    let file = format!("{} rows of {}, read as {}", report.rows, report.source, report.detected_encoding);
    println!("{file}.");
    for model in &report.updated_models {
        println!("line {}, {}:", model.line, model.name);
        for change in &model.changes {
            let side = |text: &Option<String>| text.clone().unwrap_or_default().replace('\n', " ");
            println!("  {}: {} -> {}", change.field, side(&change.before), side(&change.after));
        }
    }
    print_rows(&report.errors, report.total_errors);
    let ImportReport { new_people, new_teams, new_projects, new_regions, .. } = report;
    println!("New: {new_people} people, {new_teams} teams, {new_projects} projects, {new_regions} regions.");
    let done = if report.committed { "Imported" } else { "Would be imported (nothing was changed)" };
    println!("{done}: {}.", report.summary());
}
