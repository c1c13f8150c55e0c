//! The last step of an export: from features to `label` and `probabilities`.

use super::proto::Attribute;
use super::{Draft, ML};
use crate::logistic::Logistic;
use crate::trees::{Boosted, Node};

/// The classes as whole numbers, if they are spelled so.
pub(super) fn whole_numbers(classes: &[String; 2]) -> Option<Vec<i64>> {
    classes.iter().map(|class| class.parse::<i64>().ok().filter(|number| number.to_string() == *class)).collect()
}

impl Draft {
    fn classify(&mut self, operator: &str, features: String, label: &str, attributes: Vec<Attribute>) {
        let outputs = vec![label.to_owned(), "probabilities".to_owned()];
        self.push(ML, operator, vec![features], outputs, attributes);
    }

    /// A score for each class, of which one is the other's opposite; the logistic function makes probabilities.
    pub(super) fn linear(&mut self, model: &Logistic, classes: &[String; 2], features: String) {
        let weights = || model.weights.iter().map(|weight| *weight as f32);
        let bias = model.bias as f32;
        let numbers = whole_numbers(classes);
        let place = format!("{}place", self.prefix);
        let label = if numbers.is_some() { "label" } else { &place };
        let attributes = vec![
            Attribute::ints("classlabels_ints", numbers.clone().unwrap_or(vec![0, 1])),
            Attribute::floats("coefficients", weights().map(|weight| -weight).chain(weights()).collect()),
            Attribute::floats("intercepts", vec![-bias, bias]),
            Attribute::int("multi_class", 1),
            Attribute::text("post_transform", "LOGISTIC"),
        ];
        self.classify("LinearClassifier", features, label, attributes);
        if numbers.is_none() {
            self.name_classes(place, classes);
        }
    }

    /// Texts as labels in a step of their own: the model server's linear classifier knows numbers only.
    fn name_classes(&mut self, place: String, classes: &[String; 2]) {
        let texts = Attribute::texts("values_strings", classes.iter().map(String::as_str));
        let attributes = vec![Attribute::ints("keys_int64s", vec![0, 1]), texts];
        self.push(ML, "LabelEncoder", vec![place], vec!["label".to_owned()], attributes);
    }

    /// Trees that speak of both classes. Those that speak of one only are read differently where no answer is
    /// negative, and base values differently by each runtime; so the base is in the answers of the first tree.
    pub(super) fn trees(&mut self, model: &Boosted, classes: &[String; 2], features: String) {
        let mut lists = Lists::default();
        for (tree, nodes) in model.trees.iter().map(|tree| &tree.nodes).enumerate() {
            let base = if tree == 0 { model.base } else { 0.0 };
            nodes.iter().enumerate().for_each(|(at, node)| lists.push(tree as i64, at as i64, *node, base));
        }
        let mut attributes = lists.attributes();
        attributes.push(match whole_numbers(classes) {
            Some(numbers) => Attribute::ints("classlabels_int64s", numbers),
            None => Attribute::texts("classlabels_strings", classes.iter().map(String::as_str)),
        });
        attributes.push(Attribute::text("post_transform", "LOGISTIC"));
        self.classify("TreeEnsembleClassifier", features, "label", attributes);
    }
}

/// The trees as the parallel lists that the operator takes.
#[derive(Default)]
struct Lists {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    modes: Vec<&'static str>,
    lefts: Vec<i64>,
    rights: Vec<i64>,
    missing_left: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    leaf_classes: Vec<i64>,
    leaf_answers: Vec<f32>,
}

impl Lists {
    fn push(&mut self, tree: i64, at: i64, node: Node, base: f32) {
        let (mode, feature, threshold, left, right, missing_left) = match node {
            Node::Branch { feature, threshold, missing_left, left, right } => {
                ("BRANCH_LEQ", feature, threshold, left, right, missing_left)
            }
            Node::Leaf(answer) => {
                for (class, answer) in [(0, -(answer + base)), (1, answer + base)] {
                    self.leaf_trees.push(tree);
                    self.leaf_nodes.push(at);
                    self.leaf_classes.push(class);
                    self.leaf_answers.push(answer);
                }
                ("LEAF", 0, 0.0, 0, 0, false)
            }
        };
        self.trees.push(tree);
        self.nodes.push(at);
        self.features.push(i64::from(feature));
        self.thresholds.push(threshold);
        self.modes.push(mode);
        self.lefts.push(i64::from(left));
        self.rights.push(i64::from(right));
        self.missing_left.push(i64::from(missing_left));
    }

    fn attributes(self) -> Vec<Attribute> {
        vec![
            Attribute::ints("nodes_treeids", self.trees),
            Attribute::ints("nodes_nodeids", self.nodes),
            Attribute::ints("nodes_featureids", self.features),
            Attribute::floats("nodes_values", self.thresholds),
            Attribute::texts("nodes_modes", self.modes),
            Attribute::ints("nodes_truenodeids", self.lefts),
            Attribute::ints("nodes_falsenodeids", self.rights),
            Attribute::ints("nodes_missing_value_tracks_true", self.missing_left),
            Attribute::ints("class_treeids", self.leaf_trees),
            Attribute::ints("class_nodeids", self.leaf_nodes),
            Attribute::ints("class_ids", self.leaf_classes),
            Attribute::floats("class_weights", self.leaf_answers),
        ]
    }
}
