//! The course of a training: divide, encode, learn, measure, tell.

use std::ops::ControlFlow;

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use serde::Serialize;

use crate::config::{Algorithm, Config};
use crate::encode::{Encoder, Features};
use crate::error::{Error, ErrorCode};
use crate::logistic::{Descent, Logistic};
use crate::measure::{Measures, loss, probability};
use crate::table::Table;
use crate::target::{Parts, Target};
use crate::trees::{Boosted, Growth};

/// What a value of the progress is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The mean loss of the batches since the last one told, before their steps.
    BatchLoss,
    /// The loss of the training rows after an epoch.
    Loss,
    /// The loss of the validation rows after an epoch.
    ValidationLoss,
    /// The accuracy on the validation rows after an epoch.
    Accuracy,
    /// The area under the ROC curve on the validation rows after an epoch.
    Auc,
}

impl Metric {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BatchLoss => "batch_loss",
            Self::Loss => "loss",
            Self::ValidationLoss => "validation_loss",
            Self::Accuracy => "accuracy",
            Self::Auc => "auc",
        }
    }
}

/// One value on the way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Progress {
    /// Steps done: batches of a logistic regression, trees of boosted trees.
    pub step: u64,
    /// Steps to do in all.
    pub steps: u64,
    /// The epoch of the step, from 1.
    pub epoch: u32,
    /// What the value is of.
    pub metric: Metric,
    /// The value.
    pub value: f64,
}

/// How a training ended that did not fail.
#[derive(Debug)]
pub enum Outcome {
    /// With a model.
    Complete(Box<Trained>),
    /// It was stopped from outside.
    Cancelled,
}

/// What is told of a model beside its bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The negative class and the positive, whose probability comes second.
    pub classes: [String; 2],
    /// Rows that the model learned from.
    pub training_rows: usize,
    /// Rows that it was measured on.
    pub validation_rows: usize,
    /// Rows without an answer, left out.
    pub left_out_rows: usize,
    /// Numbers that the model sees of a row.
    pub features: usize,
    /// How well it fits what it learned from.
    pub training: Measures,
    /// How well it does on what it never saw.
    pub validation: Measures,
}

/// A model with all that is needed to use it.
#[derive(Debug)]
pub struct Trained {
    /// What it was asked to be.
    pub config: Config,
    /// What became of it.
    pub summary: Summary,
    pub(crate) encoder: Encoder,
    pub(crate) model: Model,
}

/// What learned.
#[derive(Debug)]
pub(crate) enum Model {
    Logistic(Logistic),
    Boosted(Boosted),
}

impl Model {
    fn margin(&self, features: &Features, row: usize) -> f64 {
        match self {
            Self::Logistic(model) => model.margin(features, row),
            Self::Boosted(model) => model.margin(features, row),
        }
    }
}

impl Trained {
    /// The probability of the positive class for each row of a table, which needs the feature columns only.
    ///
    /// # Errors
    /// `feature_missing` and `not_a_number`.
    pub fn probabilities(&self, table: &Table) -> Result<Vec<f64>, Error> {
        let features = self.encoder.encode(table)?;
        Ok((0..table.rows).map(|row| probability(self.model.margin(&features, row))).collect())
    }
}

/// What is learned from.
pub(crate) struct Course {
    pub features: Features,
    /// How many features there are.
    pub width: usize,
    /// Of all rows; those without one are in neither part.
    pub answers: Vec<bool>,
    pub training: Vec<usize>,
    pub validation: Vec<usize>,
}

impl Course {
    fn measure(&self, rows: &[usize], margin: impl Fn(usize) -> f64) -> Measures {
        let margins: Vec<f64> = rows.iter().map(|row| margin(*row)).collect();
        let answers: Vec<bool> = rows.iter().map(|row| self.answers[*row]).collect();
        Measures::of(&margins, &answers)
    }
}

/// Tells the progress, and refuses values that are none.
pub(crate) struct Report<'a> {
    tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    pub step: u64,
    steps: u64,
    epoch: u32,
}

impl Report<'_> {
    pub fn tell(&mut self, metric: Metric, value: f64) -> Result<ControlFlow<()>, Error> {
        if !value.is_finite() {
            let sentence =
                format!("After step {} the loss is not a number any more; lower the learning rate.", self.step);
            return Err(Error::new(ErrorCode::LossDiverged, sentence));
        }
        Ok((self.tell)(Progress { step: self.step, steps: self.steps, epoch: self.epoch, metric, value }))
    }

    /// Measures both parts after an epoch, and goes on to the next.
    pub fn tell_epoch(&mut self, course: &Course, margin: impl Fn(usize) -> f64) -> Result<ControlFlow<()>, Error> {
        let losses = course.training.iter().map(|row| loss(margin(*row), course.answers[*row]));
        let training = losses.sum::<f64>() / course.training.len() as f64;
        let validation = course.measure(&course.validation, &margin);
        let values = [
            (Metric::Loss, training),
            (Metric::ValidationLoss, validation.loss),
            (Metric::Accuracy, validation.accuracy),
            (Metric::Auc, validation.auc),
        ];
        for (metric, value) in values {
            if self.tell(metric, value)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.epoch += 1;
        Ok(ControlFlow::Continue(()))
    }
}

/// The rows of the table that a training with this configuration is measured on, from 0, in order.
///
/// # Errors
/// Those of [`train`] that concern the target.
pub fn split(table: &Table, config: &Config) -> Result<Vec<usize>, Error> {
    let target = Target::of(table, config)?;
    Ok(target.divide(config.validation_share, &mut ChaCha8Rng::seed_from_u64(config.seed))?.validation)
}

/// Trains a model, and tells each value of the progress as it comes; a `Break` stops the training.
///
/// # Errors
/// Where the configuration does not fit the table, or the training comes to nothing: `config_invalid`,
/// `target_missing`, `target_one_class`, `target_many_classes`, `feature_missing`, `feature_too_varied`, `no_rows`,
/// `not_a_number`, `loss_diverged`.
pub fn train(
    table: &Table,
    config: &Config,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Outcome, Error> {
    config.check(&table.columns)?;
    let mut random = ChaCha8Rng::seed_from_u64(config.seed);
    let target = Target::of(table, config)?;
    let Parts { training, validation } = target.divide(config.validation_share, &mut random)?;
    let standardised = matches!(config.algorithm, Algorithm::LogisticRegression { .. });
    let encoder = Encoder::learn(table, config, &training, standardised)?;
    let features = encoder.encode(table)?;
    let answers = target.answers.iter().map(|answer| *answer == Some(true)).collect();
    let course = Course { features, width: encoder.width(), answers, training, validation };
    let Some(model) = fit(&config.algorithm, &course, &mut random, progress)? else { return Ok(Outcome::Cancelled) };
    let measures = |rows| course.measure(rows, |row| model.margin(&course.features, row));
    let summary = Summary {
        classes: target.classes,
        training_rows: course.training.len(),
        validation_rows: course.validation.len(),
        left_out_rows: table.rows - course.training.len() - course.validation.len(),
        features: course.width,
        training: measures(&course.training),
        validation: measures(&course.validation),
    };
    Ok(Outcome::Complete(Box::new(Trained { config: config.clone(), summary, encoder, model })))
}

fn fit(
    algorithm: &Algorithm,
    course: &Course,
    random: &mut ChaCha8Rng,
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Option<Model>, Error> {
    let mut report = Report { tell, step: 0, steps: 0, epoch: 1 };
    match *algorithm {
        Algorithm::LogisticRegression { epochs, learning_rate, batch_size, penalty } => {
            let descent = Descent { epochs, learning_rate, batch_size: batch_size as usize, penalty };
            report.steps = u64::from(epochs) * course.training.len().div_ceil(descent.batch_size) as u64;
            Ok(Logistic::fit(course, descent, random, &mut report)?.map(Model::Logistic))
        }
        Algorithm::BoostedTrees { epochs, learning_rate, depth, min_child_weight, penalty } => {
            report.steps = u64::from(epochs);
            let growth = Growth { epochs, learning_rate, depth, min_child_weight, penalty };
            Ok(Boosted::fit(course, growth, &mut report)?.map(Model::Boosted))
        }
    }
}
