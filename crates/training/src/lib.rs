//! Training in process: a table in, a model out, with its progress on the way.
//!
//! Two kinds of models for a target of two values: a logistic regression by mini-batch gradient descent, and
//! gradient-boosted trees. Both take numbers and texts, with missing values, and become one ONNX file that holds the
//! pre-processing too: one input a column, `[rows, 1]`, and the outputs `label` and `probabilities`.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use countersign_training::{Config, Outcome, Provenance, Table, train};
//!
//! let table = Table::read(std::fs::File::open("credit.csv")?)?;
//! let config: Config = serde_json::from_str(
//!     r#"{"target":"creditability","features":["duration","purpose"],"validation_share":0.2,"seed":7,
//!         "algorithm":"logistic_regression","epochs":50,"learning_rate":0.05,"batch_size":32}"#,
//! )?;
//! let outcome = train(&table, &config, &mut |progress| {
//!     println!("{} {} {}", progress.epoch, progress.metric.as_str(), progress.value);
//!     ControlFlow::Continue(())
//! })?;
//! if let Outcome::Complete(model) = outcome {
//!     let provenance = Provenance { data_digest: "sha256:…", producer: "example", version: "1" };
//!     std::fs::write("credit.onnx", model.to_onnx(&provenance))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`table`]: the table, its limits and its types
//! - [`config`]: what a training is asked to do, and the rules for it
//! - `target`, `encode`: the answers, and the features as numbers
//! - `logistic`, `trees`: what learns; `measure`: how well
//! - `onnx`: the export
//!
//! The same table, configuration and version give the same bytes: all that is random comes from the seed, everything
//! runs on one thread, and nothing reads the clock. A missing text is the empty text for the exported model, a missing
//! number is NaN.

pub mod config;
mod encode;
mod error;
mod logistic;
mod measure;
mod onnx;
pub mod table;
mod target;
mod train;
mod trees;

pub use config::{Algorithm, Config, Problem};
pub use error::{Error, ErrorCode};
pub use measure::Measures;
pub use onnx::Provenance;
pub use table::{Column, Kind, Table};
pub use train::{Metric, Outcome, Progress, Summary, Trained, split, train};
