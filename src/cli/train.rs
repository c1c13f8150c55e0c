//! `countersign train`: the builtin training, usable alone.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_training::{Config, Outcome, Progress, Provenance, Table, Trained, train};
use sha2::{Digest as _, Sha256};

use crate::artifacts::Digest;

const EXAMPLES: &str = "\
Examples:
  countersign train --data credit.csv --config config.json --out credit.onnx
  countersign train --data credit.csv --digest 9f2c… --config config.json --out credit.onnx
      Refuse any other data than these.

A configuration:
  {\"target\": \"creditability\", \"features\": [\"duration_in_month\", \"purpose\"], \"validation_share\": 0.2,
   \"seed\": 7, \"algorithm\": \"logistic_regression\", \"epochs\": 50, \"learning_rate\": 0.05, \"batch_size\": 32}
or, for boosted trees, \"algorithm\": \"boosted_trees\" with \"epochs\", \"learning_rate\", \"depth\".

Progress is written to standard output, a JSON object a line: what was measured with its step and epoch, and how many
of them there are; last, a summary. The same data, configuration and version give the same bytes.";

/// Trains a logistic regression or boosted trees, without a database or the rest of the product.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The CSV or Parquet file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Refuse the file unless its SHA-256 is this
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// What to learn, and how: a JSON file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where to write the ONNX file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Trains to the end, on a thread that may be busy.
pub async fn run(args: Args) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || learn(&args)).await?
}

fn learn(args: &Args) -> anyhow::Result<()> {
    let text = fs::read_to_string(&args.config)
        .with_context(|| format!("The configuration {} cannot be read", args.config.display()))?;
    let config: Config = serde_json::from_str(&text)
        .with_context(|| format!("The configuration {} cannot be understood", args.config.display()))?;
    let digest = digest_of(&args.data).with_context(|| format!("The data {} cannot be read", args.data.display()))?;
    if let Some(wanted) = args.digest.as_ref().filter(|wanted| **wanted != digest) {
        anyhow::bail!("The data has the SHA-256 {digest}, not {wanted}.");
    }
    let table = Table::read_file(File::open(&args.data)?).map_err(|cause| anyhow::anyhow!(cause.sentence))?;
    let outcome = train(&table, &config, &mut |progress| tell(progress, config.algorithm.epochs()))
        .map_err(|cause| anyhow::anyhow!(cause.sentence))?;
    let Outcome::Complete(model) = outcome else { anyhow::bail!("Nobody reads the progress any more.") };
    write(&model, &digest, &args.out)
}

fn write(model: &Trained, digest: &Digest, out: &Path) -> anyhow::Result<()> {
    let data_digest = format!("sha256:{digest}");
    let provenance =
        Provenance { data_digest: &data_digest, producer: "countersign", version: env!("CARGO_PKG_VERSION") };
    fs::write(out, model.to_onnx(&provenance)).with_context(|| format!("{} cannot be written", out.display()))?;
    println!("{}", serde_json::json!({ "summary": model.summary }));
    Ok(())
}

/// One line for each value; whoever does not read them any more stops the training.
fn tell(progress: Progress, epochs: u32) -> ControlFlow<()> {
    let Progress { step, steps, epoch, metric, value } = progress;
    let line = serde_json::json!({ "metric": metric.as_str(), "value": value, "step": step, "steps": steps, "epoch": epoch, "epochs": epochs });
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

fn digest_of(path: &Path) -> std::io::Result<Digest> {
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest::of(hasher)),
            length => hasher.update(&piece[..length]),
        }
    }
}
