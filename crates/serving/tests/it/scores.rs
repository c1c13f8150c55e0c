//! The scores are those of the reference runtime, to 1e-5.

use serde_json::{Value, json};

use crate::harness::{assert_close, columns, expected, features, numbers, output, served};

async fn gives_the_expected_scores(name: &str, request: Value, label: &str, probabilities: &str) {
    let answer = served(name).await.infer(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (answer, expected) = (answer.json(), expected(name));
    assert_close(&output(&answer, label), &numbers(&expected["label"]));
    assert_close(&output(&answer, probabilities), &numbers(&expected["probabilities"]));
}

#[tokio::test]
async fn a_logistic_regression_on_a_matrix() {
    let request = features(&expected("credit-logistic")["inputs"]["features"]);
    gives_the_expected_scores("credit-logistic", request, "label", "probabilities").await;
}

#[tokio::test]
async fn gradient_boosted_trees() {
    let request = features(&expected("credit-boosted")["inputs"]["features"]);
    gives_the_expected_scores("credit-boosted", request, "label", "probabilities").await;
}

#[tokio::test]
async fn a_pipeline_over_named_columns_of_text_and_numbers() {
    let request = columns(&expected("credit-tabular")["inputs"], 0..8);
    gives_the_expected_scores("credit-tabular", request, "label", "probabilities").await;
}

#[tokio::test]
async fn a_pipeline_that_ends_in_a_map_of_names_to_scores() {
    let request = columns(&expected("credit-worse")["inputs"], 0..8);
    gives_the_expected_scores("credit-worse", request, "output_label", "output_probability").await;
}

#[tokio::test]
async fn a_slow_model() {
    let request = columns(&expected("credit-slow")["inputs"], 0..8);
    gives_the_expected_scores("credit-slow", request, "label", "probabilities").await;
}

#[tokio::test]
async fn a_convolution_over_images() {
    let expected = expected("conv");
    let image =
        json!({ "name": "image", "datatype": "FP32", "shape": [2, 1, 8, 8], "data": expected["inputs"]["image"] });
    let answer = served("conv").await.infer(&json!({ "inputs": [image] })).await.json();
    assert_close(&output(&answer, "scores"), &numbers(&expected["scores"]));
}

#[tokio::test]
async fn one_row_scores_as_it_does_among_others() {
    let expected = expected("credit-tabular");
    let server = served("credit-tabular").await;
    for row in 0..8 {
        let answer = server.infer(&columns(&expected["inputs"], row..row + 1)).await.json();
        assert_close(&output(&answer, "probabilities"), &numbers(&expected["probabilities"][row]));
    }
}

async fn gives_the_expected_outputs(name: &str) {
    let expected = expected(name);
    let answer = served(name).await.infer(&features(&expected["inputs"]["features"])).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    for (output_name, values) in expected["outputs"].as_object().unwrap() {
        if values[0].is_string() {
            let output = answer["outputs"].as_array().unwrap().iter().find(|output| output["name"] == **output_name);
            assert_eq!(&output.unwrap()["data"], values);
        } else {
            assert_close(&output(&answer, output_name), &numbers(values));
        }
    }
}

#[tokio::test]
async fn a_forest_of_three_classes_with_text_labels_after_an_imputer() {
    gives_the_expected_outputs("forest").await;
}

#[tokio::test]
async fn a_forest_of_two_classes() {
    gives_the_expected_outputs("forest-binary").await;
}

#[tokio::test]
async fn boosted_trees_with_missing_values() {
    gives_the_expected_outputs("boosted-gaps").await;
}

#[tokio::test]
async fn a_regression_by_boosted_trees() {
    gives_the_expected_outputs("regression").await;
}

#[tokio::test]
async fn columns_picked_from_a_matrix() {
    gives_the_expected_outputs("columns").await;
}

#[tokio::test]
async fn a_logistic_regression_with_text_labels() {
    gives_the_expected_outputs("words").await;
}
