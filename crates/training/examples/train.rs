//! Trains on a CSV file from the command line, and says how long it took.
//!
//! ```text
//! cargo run --release -p countersign-training --example train -- credit.csv config.json credit.onnx
//! ```
//!
//! The configuration is that of `Config` as JSON. `tests/reference/figures.py` prints the times of scikit-learn's
//! models of the same kinds on the credit data.

use std::error::Error;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::time::Instant;

use countersign_training::{Config, Metric, Outcome, Provenance, Table, train};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [csv, config, onnx] = &arguments[..] else { return Err("usage: train CSV CONFIG ONNX".into()) };
    let began = Instant::now();
    let table = Table::read_file(File::open(csv)?)?;
    let config: Config = serde_json::from_str(&fs::read_to_string(config)?)?;
    println!("{} rows, {} columns, read in {:.1?}", table.rows, table.columns.len(), began.elapsed());
    let began = Instant::now();
    let outcome = train(&table, &config, &mut |progress| {
        if progress.metric == Metric::ValidationLoss {
            println!("epoch {:3}: validation loss {:.4}", progress.epoch, progress.value);
        }
        ControlFlow::Continue(())
    })?;
    let Outcome::Complete(model) = outcome else { return Err("the training was stopped".into()) };
    println!("trained in {:.1?}: {}", began.elapsed(), serde_json::to_string(&model.summary)?);
    let provenance = Provenance { data_digest: "", producer: "example", version: env!("CARGO_PKG_VERSION") };
    fs::write(onnx, model.to_onnx(&provenance))?;
    Ok(())
}
