//! What a training is asked to do, and the rules for it (3-lifecycle, Training jobs).

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode};
use crate::table::{Column, Kind, MAX_CATEGORIES};

/// What to learn from which columns, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The column to predict. It has two different values; rows without one are left out.
    pub target: String,
    /// Which of the two values the second probability is of. Without it, the one that comes last in order.
    #[serde(default)]
    pub positive: Option<String>,
    /// The columns to predict it from, in the order of the model's inputs.
    pub features: Vec<String>,
    /// The share of the rows that the model is measured on and does not learn from, 0.05 to 0.5.
    pub validation_share: f64,
    /// All that is random comes from it.
    pub seed: u64,
    /// What learns.
    #[serde(flatten)]
    pub algorithm: Algorithm,
}

/// What learns, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "snake_case")]
pub enum Algorithm {
    /// A logistic regression, by mini-batch gradient descent.
    LogisticRegression {
        /// How often all training rows are gone through, 1 to 100.
        epochs: u32,
        /// How far a step goes along the gradient of its batch, 1e-6 to 1.
        learning_rate: f64,
        /// Rows a step, a power of two from 1 to 128.
        batch_size: u32,
        /// Weight of the squared coefficients beside the sum of the rows' losses, halved; 0 to 1000. It is the
        /// inverse of scikit-learn's `C`.
        #[serde(default = "one")]
        penalty: f64,
    },
    /// Gradient-boosted trees with the logistic loss.
    BoostedTrees {
        /// How many trees grow, one after another, 1 to 100.
        epochs: u32,
        /// What share of each tree's answer counts, 1e-6 to 1.
        learning_rate: f64,
        /// Questions between a tree's root and a leaf, 1 to 10.
        #[serde(default = "three")]
        depth: u32,
        /// The sum of p·(1−p) that the rows of a leaf must have, 0 to 1000.
        #[serde(default = "one")]
        min_child_weight: f64,
        /// Weight of the squared answers of the leaves, 0 to 1000.
        #[serde(default = "one")]
        penalty: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn three() -> u32 {
    3
}

impl Algorithm {
    /// How often all training rows are gone through: the trees, for boosted trees.
    #[must_use]
    pub fn epochs(&self) -> u32 {
        match self {
            Self::LogisticRegression { epochs, .. } | Self::BoostedTrees { epochs, .. } => *epochs,
        }
    }

    fn learning_rate(&self) -> f64 {
        match self {
            Self::LogisticRegression { learning_rate, .. } | Self::BoostedTrees { learning_rate, .. } => *learning_rate,
        }
    }

    fn penalty(&self) -> f64 {
        match self {
            Self::LogisticRegression { penalty, .. } | Self::BoostedTrees { penalty, .. } => *penalty,
        }
    }
}

/// A rule that a field of the configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field's name.
    pub field: &'static str,
    /// What it must be.
    pub sentence: String,
    /// The code that a training with it fails with.
    pub code: ErrorCode,
}

impl Config {
    /// All rules that the configuration breaks for a table with these columns; none if it can be tried.
    #[must_use]
    pub fn problems(&self, columns: &[Column]) -> Vec<Problem> {
        let mut found = self.algorithm.problems();
        if !(0.05..=0.5).contains(&self.validation_share) {
            found.push(problem("validation_share", "The share for validation must be between 0.05 and 0.5."));
        }
        found.extend(self.target_problem(columns));
        found.extend(self.feature_problem(columns));
        found
    }

    fn target_problem(&self, columns: &[Column]) -> Option<Problem> {
        let target = &self.target;
        let (code, sentence) = match columns.iter().find(|column| column.name == *target) {
            None => (ErrorCode::TargetMissing, format!("The table has no column “{target}”.")),
            Some(column) if column.distinct == 0 => {
                (ErrorCode::NoRows, format!("The target “{target}” has no value in any row."))
            }
            Some(column) if column.distinct == 1 => {
                (ErrorCode::TargetOneClass, format!("The target “{target}” has the same value in all rows."))
            }
            Some(column) if column.distinct > 2 => {
                let sentence =
                    format!("The target “{target}” has {} different values; it must have two.", column.many());
                (ErrorCode::TargetManyClasses, sentence)
            }
            Some(_) => return None,
        };
        Some(Problem { field: "target", sentence, code })
    }

    fn feature_problem(&self, columns: &[Column]) -> Option<Problem> {
        if self.features.is_empty() {
            return Some(problem("features", "Choose at least one column to learn from."));
        }
        let mut seen = std::collections::HashSet::new();
        for name in &self.features {
            let refused = |sentence: String| Some(problem("features", &sentence));
            if *name == self.target {
                return refused(format!("“{name}” is the target; it cannot be a feature as well."));
            }
            if !seen.insert(name) {
                return refused(format!("“{name}” is chosen twice."));
            }
            if ["label", "probabilities"].contains(&name.as_str()) {
                return refused(format!("“{name}” is the name of an output of the model; rename the column."));
            }
            let Some(column) = columns.iter().find(|column| column.name == *name) else {
                let sentence = format!("The table has no column “{name}”.");
                return Some(Problem { field: "features", sentence, code: ErrorCode::FeatureMissing });
            };
            if column.kind != Kind::Number && column.distinct > MAX_CATEGORIES {
                let sentence = format!(
                    "“{name}” has {} different texts; a feature may have {MAX_CATEGORIES}. Leave it out.",
                    column.many()
                );
                return Some(Problem { field: "features", sentence, code: ErrorCode::FeatureTooVaried });
            }
        }
        None
    }

    /// Refuses a configuration that breaks a rule.
    pub(crate) fn check(&self, columns: &[Column]) -> Result<(), Error> {
        match self.problems(columns).into_iter().next() {
            None => Ok(()),
            Some(problem) => Err(Error::new(problem.code, problem.sentence)),
        }
    }
}

impl Algorithm {
    fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        if !(1e-6..=1.0).contains(&self.learning_rate()) {
            found.push(problem("learning_rate", "The learning rate must be between 0.000001 and 1."));
        }
        if !(1..=100).contains(&self.epochs()) {
            found.push(problem("epochs", "The epochs must be a whole number from 1 to 100."));
        }
        if !(0.0..=1000.0).contains(&self.penalty()) {
            found.push(problem("penalty", "The penalty must be between 0 and 1000."));
        }
        match self {
            Self::LogisticRegression { batch_size, .. } => {
                if !batch_size.is_power_of_two() || *batch_size > 128 {
                    found.push(problem("batch_size", "The batch size must be a power of two from 1 to 128."));
                }
            }
            Self::BoostedTrees { depth, min_child_weight, .. } => {
                if !(1..=10).contains(depth) {
                    found.push(problem("depth", "The depth must be a whole number from 1 to 10."));
                }
                if !(0.0..=1000.0).contains(min_child_weight) {
                    found
                        .push(problem("min_child_weight", "The smallest weight of a leaf must be between 0 and 1000."));
                }
            }
        }
        found
    }
}

fn problem(field: &'static str, sentence: &str) -> Problem {
    Problem { field, sentence: sentence.to_owned(), code: ErrorCode::ConfigInvalid }
}
