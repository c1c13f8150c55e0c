//! The credit data, and how to train on it.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::PathBuf;

use countersign_training::{Algorithm, Config, Error, Outcome, Progress, Provenance, Table, Trained, train};

pub const TARGET: &str = "creditability";

pub fn credit_text() -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/german-credit.csv");
    std::fs::read_to_string(file).unwrap()
}

pub fn table(text: &str) -> Table {
    Table::read(Cursor::new(text.as_bytes())).unwrap()
}

/// The credit data with holes: no value in every eleventh cell, the target aside, and a purpose that occurs once.
pub fn credit_with_holes() -> String {
    let text = credit_text();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(reader.headers().unwrap()).unwrap();
    for (row, record) in reader.records().enumerate() {
        let record = record.unwrap();
        let last = record.len() - 1;
        let cell = |(at, cell): (usize, &str)| match (at, row) {
            (3, 400) => "a yacht".to_owned(),
            _ if at != last && (row * last + at) % 11 == 0 => String::new(),
            _ => cell.to_owned(),
        };
        writer.write_record(record.iter().enumerate().map(cell)).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

pub fn logistic() -> Algorithm {
    Algorithm::LogisticRegression { epochs: 60, learning_rate: 0.05, batch_size: 32, penalty: 1.0 }
}

pub fn boosted() -> Algorithm {
    Algorithm::BoostedTrees { epochs: 100, learning_rate: 0.1, depth: 3, min_child_weight: 1.0, penalty: 1.0 }
}

/// All columns but the target are features.
pub fn config(table: &Table, algorithm: Algorithm) -> Config {
    let names = table.columns.iter().map(|column| column.name.clone());
    let features = names.filter(|name| name != TARGET).collect();
    Config { target: TARGET.to_owned(), positive: None, features, validation_share: 0.3, seed: 7, algorithm }
}

/// Trains to the end; the model, and what was told on the way.
pub fn followed(table: &Table, config: &Config) -> Result<(Trained, Vec<Progress>), Error> {
    let mut told = Vec::new();
    let outcome = train(table, config, &mut |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    })?;
    match outcome {
        Outcome::Complete(model) => Ok((*model, told)),
        Outcome::Cancelled => panic!("nobody stopped it"),
    }
}

pub fn trained(table: &Table, config: &Config) -> Trained {
    followed(table, config).unwrap().0
}

pub fn bytes(model: &Trained) -> Vec<u8> {
    model.to_onnx(&Provenance { data_digest: "sha256:1234", producer: "countersign", version: "0.1.0" })
}
