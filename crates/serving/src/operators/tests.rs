//! What the fixtures do not reach: every comparison, and ensembles that are not meant well.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::encode::{LabelEncoder, OneHotEncoder};
use super::linear;
use super::scale::{Imputer, Scaler};
use super::trees::{Classifier, Regressor};
use super::*;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto { name: name.to_owned(), r#type: kind, ints: values.to_vec(), ..Default::default() }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Float as i32, f: value, ..Default::default() }
}

fn floats(name: &str, values: &[f32]) -> AttributeProto {
    let kind = AttributeType::Floats as i32;
    AttributeProto { name: name.to_owned(), r#type: kind, floats: values.to_vec(), ..Default::default() }
}

fn texts(name: &str, values: &[&str]) -> AttributeProto {
    let strings = values.iter().map(|value| value.as_bytes().to_vec()).collect();
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Strings as i32, strings, ..Default::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.to_owned(), r#type: AttributeType::String as i32, s, ..Default::default() }
}

fn node(attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto { attribute, ..Default::default() }
}

/// A tree with one branch on the first feature at 2: 10 if the comparison holds, else 20.
fn stump(mode: &str) -> Vec<AttributeProto> {
    vec![
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        floats("nodes_values", &[2.0, 0.0, 0.0]),
        texts("nodes_modes", &[mode, "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[10.0, 20.0]),
        int("n_targets", 1),
    ]
}

fn floats_of(outputs: &[Tensor]) -> Vec<f32> {
    outputs[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn with(mut attributes: Vec<AttributeProto>, changed: AttributeProto) -> NodeProto {
    attributes.retain(|attribute| attribute.name != changed.name);
    attributes.push(changed);
    node(attributes)
}

#[test]
fn every_comparison_of_a_branch() {
    let rows = tensor(&[4, 1], vec![1.0_f32, 2.0, 3.0, f32::NAN]).unwrap();
    let cases = [
        ("BRANCH_LEQ", [10.0, 10.0, 20.0, 20.0]),
        ("BRANCH_LT", [10.0, 20.0, 20.0, 20.0]),
        ("BRANCH_GTE", [20.0, 10.0, 10.0, 20.0]),
        ("BRANCH_GT", [20.0, 20.0, 10.0, 20.0]),
        ("BRANCH_EQ", [20.0, 10.0, 20.0, 20.0]),
        ("BRANCH_NEQ", [10.0, 20.0, 10.0, 20.0]),
    ];
    for (mode, expected) in cases {
        let trees = Regressor::read(&node(stump(mode))).unwrap();
        assert_eq!(floats_of(&trees.run(&rows).unwrap()), expected, "{mode}");
    }
}

#[test]
fn every_aggregate_of_trees() {
    let mut two = stump("BRANCH_LEQ");
    for attribute in &mut two {
        // The second tree is the first again, with leaves of 2 and 4.
        match attribute.name.as_str() {
            "nodes_treeids" => attribute.ints.extend([1, 1, 1]),
            "target_treeids" => attribute.ints.extend([1, 1]),
            "target_weights" => attribute.floats.extend([2.0, 4.0]),
            "nodes_values" => attribute.floats.extend([2.0, 0.0, 0.0]),
            "nodes_modes" => attribute.strings.extend_from_within(..),
            "n_targets" => (),
            _ => attribute.ints.extend_from_within(..),
        }
    }
    let rows = tensor(&[2, 1], vec![1.0_f32, 3.0]).unwrap();
    for (name, expected) in
        [("SUM", [12.0, 24.0]), ("AVERAGE", [6.0, 12.0]), ("MIN", [2.0, 4.0]), ("MAX", [10.0, 20.0])]
    {
        let trees = Regressor::read(&with(two.clone(), text("aggregate_function", name))).unwrap();
        assert_eq!(floats_of(&trees.run(&rows).unwrap()), expected, "{name}");
    }
}

#[test]
fn ensembles_that_would_lead_astray_are_refused() {
    let cases = [
        (ints("nodes_truenodeids", &[0, 0, 0]), "circle"),
        (ints("nodes_truenodeids", &[7, 0, 0]), "missing"),
        (ints("nodes_nodeids", &[0, 1, 1]), "twice"),
        (ints("target_ids", &[0, 1]), "not there"),
        (ints("target_ids", &[0]), "1 entries where 2"),
        (ints("nodes_featureids", &[-1, 0, 0]), ""),
        (texts("nodes_modes", &["BRANCH_ODD", "LEAF", "LEAF"]), "BRANCH_ODD"),
        (text("post_transform", "PROBIT"), "PROBIT"),
        (floats("base_values", &[1.0, 2.0]), "2 base values"),
    ];
    for (changed, part) in cases {
        let name = changed.name.clone();
        let refused = Regressor::read(&with(stump("BRANCH_LEQ"), changed)).unwrap_err();
        assert!(format!("{refused:#}").contains(part), "{name}: {refused:#}");
    }
}

#[test]
fn rows_with_too_few_features_are_refused() {
    let trees = Regressor::read(&with(stump("BRANCH_LEQ"), ints("nodes_featureids", &[3, 0, 0]))).unwrap();
    assert!(trees.run(&tensor(&[1, 3], vec![0.0_f32; 3]).unwrap()).is_err());
    assert!(trees.run(&tensor(&[1, 1, 4], vec![0.0_f32; 4]).unwrap()).is_err());
}

#[test]
fn a_classifier_needs_its_classes() {
    let attributes: Vec<_> = stump("BRANCH_LEQ")
        .into_iter()
        .map(|mut attribute| {
            attribute.name = attribute.name.replace("target_", "class_");
            attribute
        })
        .collect();
    assert!(Classifier::read(&node(attributes.clone())).is_err());
    assert!(Classifier::read(&with(attributes.clone(), ints("classlabels_int64s", &[]))).is_err());
    let two = Classifier::read(&with(attributes, texts("classlabels_strings", &["good", "bad"]))).unwrap();
    let outputs = two.run(&tensor(&[1, 1], vec![1.0_f32]).unwrap()).unwrap();
    assert_eq!(outputs[0].try_as_plain_ram().unwrap().as_slice::<String>().unwrap(), ["bad"]);
}

#[test]
fn a_missing_value_is_put_in_by_number_or_by_nan() {
    let nan = node(vec![floats("imputed_value_floats", &[7.0, 8.0]), float("replaced_value_float", f32::NAN)]);
    let rows = tensor(&[2, 2], vec![1.0_f32, f32::NAN, f32::NAN, 0.0]).unwrap();
    assert_eq!(floats_of(&Imputer::read(&nan).unwrap().run(&rows).unwrap()), [1.0, 8.0, 7.0, 0.0]);
    let whole =
        Imputer::read(&node(vec![ints("imputed_value_int64s", &[5]), int("replaced_value_int64", -1)])).unwrap();
    let outputs = whole.run(&tensor(&[3], vec![-1_i64, 0, 2]).unwrap()).unwrap();
    assert_eq!(outputs[0].try_as_plain_ram().unwrap().as_slice::<i64>().unwrap(), [5, 0, 2]);
}

#[test]
fn a_scaler_must_fit_its_features() {
    let scaler = Scaler::read(&node(vec![floats("offset", &[1.0, 2.0]), floats("scale", &[2.0])])).unwrap();
    assert_eq!(floats_of(&scaler.run(&tensor(&[1, 2], vec![2_i64, 4]).unwrap()).unwrap()), [2.0, 4.0]);
    assert!(scaler.facts(&[1.to_dim(), 2.to_dim()]).is_ok());
    assert!(scaler.facts(&[1.to_dim(), 3.to_dim()]).is_err());
}

#[test]
fn an_unknown_category_is_noughts_or_an_error() {
    let encoder = |zeros| OneHotEncoder::read(&node(vec![ints("cats_int64s", &[3, 5]), int("zeros", zeros)])).unwrap();
    let rows = tensor(&[2, 1], vec![5.0_f32, 4.0]).unwrap();
    let outputs = encoder(1).run(&rows).unwrap();
    assert_eq!((outputs[0].shape(), floats_of(&outputs)), ([2, 1, 2].as_slice(), vec![0.0, 1.0, 0.0, 0.0]));
    assert!(encoder(0).run(&rows).unwrap_err().to_string().contains("not known to the model"));
}

#[test]
fn labels_become_others_or_the_default() {
    let attributes = vec![texts("keys_strings", &["a", "b"]), ints("values_int64s", &[1, 2]), int("default_int64", -9)];
    let rows = tensor(&[3], vec!["b".to_owned(), "a".to_owned(), "z".to_owned()]).unwrap();
    let outputs = LabelEncoder::read(&node(attributes)).unwrap().run(&rows).unwrap();
    assert_eq!(outputs[0].try_as_plain_ram().unwrap().as_slice::<i64>().unwrap(), [2, 1, -9]);
    let attributes = vec![floats("keys_floats", &[f32::NAN, 0.0]), texts("values_strings", &["none", "nought"])];
    let rows = tensor(&[3], vec![f32::NAN, -0.0, 1.0]).unwrap();
    let outputs = LabelEncoder::read(&node(attributes)).unwrap().run(&rows).unwrap();
    assert_eq!(outputs[0].try_as_plain_ram().unwrap().as_slice::<String>().unwrap(), ["none", "nought", "_Unused"]);
    let short = vec![texts("keys_strings", &["a", "b"]), ints("values_int64s", &[1])];
    assert!(LabelEncoder::read(&node(short)).is_err());
}

/// The scores that the reference runtime gives, of one score for two classes and of one for each.
#[test]
fn every_form_of_a_linear_classifier() {
    let rows = tensor(&[2, 2], vec![1.0_f32, 2.0, -3.0, 0.5]).unwrap();
    let one = [floats("coefficients", &[0.5, 0.25]), floats("intercepts", &[0.1])];
    let two = [floats("coefficients", &[-0.5, -0.25, 0.5, 0.25]), floats("intercepts", &[-0.1, 0.1])];
    let cases = [
        (&one, "NONE", [-0.1, 1.1, 2.275, -1.275]),
        (&one, "LOGISTIC", [0.249_74, 0.750_26, 0.781_597, 0.218_403]),
        (&one, "SOFTMAX", [-0.1, 1.1, 2.275, -1.275]),
        (&two, "NONE", [-1.1, 1.1, 1.275, -1.275]),
        (&two, "LOGISTIC", [0.249_74, 0.750_26, 0.781_597, 0.218_403]),
        (&two, "SOFTMAX", [0.099_75, 0.900_25, 0.927_574, 0.072_426]),
    ];
    for (weights, transform, expected) in cases {
        let named = [texts("classlabels_strings", &["a", "b"]), text("post_transform", transform)];
        let model = linear::Classifier::read(&node([weights.to_vec(), named.to_vec()].concat())).unwrap();
        let outputs = model.run(&rows).unwrap();
        assert_eq!(outputs[0].try_as_plain_ram().unwrap().as_slice::<String>().unwrap(), ["b", "a"]);
        for (score, expected) in floats_of(&outputs[1..]).into_iter().zip(expected) {
            assert!((score - expected).abs() < 1e-5, "{transform}: {score} is not {expected}");
        }
    }
    let uneven = [
        floats("coefficients", &[0.5, 0.25, 1.0]),
        floats("intercepts", &[0.1, 0.2]),
        ints("classlabels_ints", &[0, 1]),
    ];
    assert!(linear::Classifier::read(&node(uneven.to_vec())).is_err());
}
