//! The models are as good as those of scikit-learn on the same split; reference/figures.py made the figures.

use std::path::PathBuf;

use countersign_training::{Algorithm, split};

use crate::harness::{boosted, config, credit_text, logistic, table, trained};

const LOGISTIC_AUC: f64 = 0.8099;
const BOOSTED_AUC: f64 = 0.8093;
const HISTOGRAM_BOOSTED_AUC: f64 = 0.8099;

#[test]
fn the_split_is_that_of_the_reference() {
    let table = table(&credit_text());
    let rows = split(&table, &config(&table, logistic())).unwrap();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/validation.txt");
    if std::env::var_os("WRITE_SPLIT").is_some() {
        std::fs::write(&file, &lines).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), lines);
}

fn auc(algorithm: Algorithm) -> f64 {
    let table = table(&credit_text());
    trained(&table, &config(&table, algorithm)).summary.validation.auc
}

#[test]
fn the_logistic_regression_is_as_good_as_scikit_learns() {
    let auc = auc(logistic());
    assert!(auc > LOGISTIC_AUC - 0.01, "{auc}");
}

#[test]
fn the_boosted_trees_are_as_good_as_scikit_learns() {
    let auc = auc(boosted());
    assert!(auc > BOOSTED_AUC.max(HISTOGRAM_BOOSTED_AUC) - 0.01, "{auc}");
}
