//! The rules for a configuration, field by field.

use countersign_training::{Algorithm, Config, Problem, Table};

use crate::harness::{boosted, config, credit_text, logistic, table};

fn fields(table: &Table, config: &Config) -> Vec<&'static str> {
    config.problems(&table.columns).iter().map(|problem| problem.field).collect()
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let table = table(&credit_text());
    for (epochs, learning_rate, batch_size) in [(1, 1e-6, 1), (100, 1.0, 128)] {
        let algorithm = Algorithm::LogisticRegression { epochs, learning_rate, batch_size, penalty: 0.0 };
        assert_eq!(fields(&table, &config(&table, algorithm)), [""; 0]);
    }
}

#[test]
fn every_field_out_of_bounds_is_told_at_once() {
    let table = table(&credit_text());
    let algorithm = Algorithm::LogisticRegression { epochs: 0, learning_rate: 1e-7, batch_size: 0, penalty: -1.0 };
    let wrong = Config { validation_share: 0.9, target: "x".to_owned(), features: vec![], ..config(&table, algorithm) };
    let all = ["learning_rate", "epochs", "penalty", "batch_size", "validation_share", "target", "features"];
    assert_eq!(fields(&table, &wrong), all);
    let rate = f64::NAN;
    let algorithm = Algorithm::BoostedTrees {
        epochs: 101,
        learning_rate: rate,
        depth: 11,
        min_child_weight: rate,
        penalty: 1001.0,
    };
    let all = ["learning_rate", "epochs", "penalty", "depth", "min_child_weight"];
    assert_eq!(fields(&table, &config(&table, algorithm)), all);
}

#[test]
fn the_batch_size_is_a_power_of_two() {
    let table = table(&credit_text());
    for (batch_size, right) in [(1, true), (2, true), (3, false), (64, true), (100, false), (128, true), (256, false)] {
        let algorithm = Algorithm::LogisticRegression { epochs: 1, learning_rate: 0.1, batch_size, penalty: 0.0 };
        assert_eq!(fields(&table, &config(&table, algorithm)).is_empty(), right, "{batch_size}");
    }
}

#[test]
fn features_are_columns_of_the_table_and_each_is_chosen_once() {
    let table = table("x,y,label\n1,a,1\n2,b,2\n");
    let sentence = |features: &[&str]| {
        let features = features.iter().map(|name| (*name).to_owned()).collect();
        let config = Config { target: "y".to_owned(), features, ..config(&table, boosted()) };
        config.problems(&table.columns).into_iter().map(|Problem { sentence, .. }| sentence).collect::<String>()
    };
    assert_eq!(sentence(&["x"]), "");
    assert_eq!(sentence(&["y"]), "“y” is the target; it cannot be a feature as well.");
    assert_eq!(sentence(&["x", "x"]), "“x” is chosen twice.");
    assert_eq!(sentence(&["z"]), "The table has no column “z”.");
    assert_eq!(sentence(&["label"]), "“label” is the name of an output of the model; rename the column.");
}

#[test]
fn a_configuration_is_written_and_read_as_json() {
    let table = table(&credit_text());
    for algorithm in [logistic(), boosted()] {
        let config = config(&table, algorithm);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }
    let short = r#"{"target":"y","features":["x"],"validation_share":0.2,"seed":1,
        "algorithm":"boosted_trees","epochs":50,"learning_rate":0.1}"#;
    assert!(serde_json::from_str::<Config>(short).is_ok());
}
