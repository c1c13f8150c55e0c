//! The exported model answers as the trainer does, and the same training gives the same bytes.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_serving::{Options, serve};
use countersign_training::{Algorithm, Config, Table, Trained};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::harness::{boosted, bytes, config, credit_text, credit_with_holes, logistic, table, trained};

/// What the model server answers for all rows of a CSV text: labels, and probabilities of the positive class.
async fn served(model: &Trained, table: &Table, text: &str) -> (Vec<Value>, Vec<f64>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes(model)).unwrap();
    let options = Options {
        artifact: file.path().to_owned(),
        name: "credit".to_owned(),
        version: "1".to_owned(),
        digest: None,
        listen: "127.0.0.1:0".to_owned(),
        queue: 4,
        workers: 1,
        max_body: 16 << 20,
        timeout: Duration::from_secs(30),
        drain: Duration::from_secs(5),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, address) = oneshot::channel();
    let server =
        tokio::spawn(serve(options, |server| ready.send(server.address).unwrap(), async { drop(stopped.await) }));
    let Ok(address) = address.await else { panic!("{:?}", server.await.unwrap()) };
    let answer = infer(address, &request(model, table, text)).await;
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    let output = |name: &str| {
        let output = answer["outputs"].as_array().unwrap_or_else(|| panic!("{answer}"));
        output.iter().find(|output| output["name"] == name).unwrap()["data"].as_array().unwrap().clone()
    };
    let positive = output("probabilities").into_iter().skip(1).step_by(2).map(|value| value.as_f64().unwrap());
    (output("label"), positive.collect())
}

async fn infer(address: SocketAddr, body: &Value) -> Value {
    let url = format!("http://{address}/v2/models/credit/infer");
    reqwest::Client::new().post(url).json(body).send().await.unwrap().json().await.unwrap()
}

/// A request with the cells as they are in the file: of numbers `null` is missing, of texts the empty one.
fn request(model: &Trained, table: &Table, text: &str) -> Value {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let input = |name: &String| {
        let at = names.iter().position(|other| other == name).unwrap();
        let is_number = table.columns[at].kind == countersign_training::Kind::Number;
        let value = |cell: &str| match (is_number, cell.parse::<f64>()) {
            (true, number) => json!(number.ok()),
            (false, _) => json!(cell),
        };
        let data: Vec<Value> = rows.iter().map(|row| value(&row[at])).collect();
        let datatype = if is_number { "FP32" } else { "BYTES" };
        json!({ "name": name, "datatype": datatype, "shape": [rows.len(), 1], "data": data })
    };
    json!({ "inputs": model.config.features.iter().map(input).collect::<Vec<_>>() })
}

async fn answers_as_the_trainer(text: &str, algorithm: Algorithm) {
    let table = table(text);
    let model = trained(&table, &config(&table, algorithm));
    let (labels, probabilities) = served(&model, &table, text).await;
    let expected = model.probabilities(&table).unwrap();
    assert_eq!(probabilities.len(), 1000);
    for (row, (one, other)) in probabilities.iter().zip(&expected).enumerate() {
        assert!((one - other).abs() < 1e-5, "row {row}: {one} instead of {other}");
        let class = &model.summary.classes[usize::from(*other > 0.5)];
        assert!(labels[row] == **class || (other - 0.5).abs() < 1e-5, "row {row}: {}", labels[row]);
    }
}

#[tokio::test]
async fn a_logistic_regression_is_served_as_it_was_trained() {
    answers_as_the_trainer(&credit_text(), logistic()).await;
}

#[tokio::test]
async fn a_logistic_regression_with_missing_and_unknown_values_is_served_as_it_was_trained() {
    answers_as_the_trainer(&credit_with_holes(), logistic()).await;
}

#[tokio::test]
async fn boosted_trees_are_served_as_they_were_trained() {
    answers_as_the_trainer(&credit_text(), boosted()).await;
}

#[tokio::test]
async fn boosted_trees_with_missing_and_unknown_values_are_served_as_they_were_trained() {
    answers_as_the_trainer(&credit_with_holes(), boosted()).await;
}

#[tokio::test]
async fn answers_that_are_whole_numbers_are_labels_that_are() {
    let text = credit_text().replace(",good", ",0").replace(",bad", ",1");
    let table = table(&text);
    for algorithm in [logistic(), boosted()] {
        let model = trained(&table, &config(&table, algorithm));
        let (labels, probabilities) = served(&model, &table, &text).await;
        let right = labels.iter().zip(probabilities).all(|(label, p)| *label == json!(i64::from(p > 0.5)));
        assert!(right);
    }
}

#[tokio::test]
async fn a_model_of_one_column_is_served() {
    let text = credit_text();
    let table = table(&text);
    for (algorithm, feature) in [logistic(), boosted()].into_iter().zip(["credit_amount", "purpose"]) {
        let model = trained(&table, &Config { features: vec![feature.to_owned()], ..config(&table, algorithm) });
        let (_, probabilities) = served(&model, &table, &text).await;
        let expected = model.probabilities(&table).unwrap();
        assert!(probabilities.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-5));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let table = table(&credit_with_holes());
    for algorithm in [logistic(), boosted()] {
        let config = config(&table, algorithm);
        let first = bytes(&trained(&table, &config));
        assert_eq!(first, bytes(&trained(&table, &config)));
        assert_ne!(first, bytes(&trained(&table, &Config { seed: 8, ..config })));
    }
}

#[test]
fn the_model_says_where_it_comes_from() {
    let table = table(&credit_text());
    let bytes = bytes(&trained(&table, &config(&table, logistic())));
    let text = String::from_utf8_lossy(&bytes);
    for part in
        ["countersign", "0.1.0", "sha256:1234", "\"algorithm\":\"logistic_regression\"", "\"validation_rows\":300"]
    {
        assert!(text.contains(part), "{part}");
    }
}
