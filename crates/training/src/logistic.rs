//! Logistic regression by mini-batch gradient descent.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;

use crate::encode::{Features, NOWHERE};
use crate::error::Error;
use crate::measure::{loss, probability};
use crate::train::{Course, Metric, Report};

/// Losses of batches that are told in an epoch at most; more are drawn together into their mean.
const TOLD_PER_EPOCH: usize = 100;

/// A weight a feature, and one for all rows.
#[derive(Debug)]
pub(crate) struct Logistic {
    pub weights: Vec<f64>,
    pub bias: f64,
}

/// The parameters of [`crate::Algorithm::LogisticRegression`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descent {
    pub epochs: u32,
    pub learning_rate: f64,
    pub batch_size: usize,
    pub penalty: f64,
}

impl Logistic {
    /// The log odds of the positive class.
    pub fn margin(&self, features: &Features, row: usize) -> f64 {
        let (dense, hot) = features.row(row);
        let numbers: f64 = dense.iter().zip(&self.weights).map(|(value, weight)| f64::from(*value) * weight).sum();
        let categories: f64 = hot.iter().filter(|at| **at != NOWHERE).map(|at| self.weights[*at as usize]).sum();
        self.bias + numbers + categories
    }

    /// Learns; `None` if it was stopped.
    pub fn fit(
        course: &Course,
        descent: Descent,
        random: &mut ChaCha8Rng,
        report: &mut Report,
    ) -> Result<Option<Self>, Error> {
        let mut model = Self { weights: vec![0.0; course.width], bias: 0.0 };
        let mut gradient = vec![0.0; course.width];
        let mut order = course.training.clone();
        for _ in 0..descent.epochs {
            order.shuffle(random);
            let batches = order.len().div_ceil(descent.batch_size);
            let told = batches.div_ceil(TOLD_PER_EPOCH);
            let mut losses = 0.0;
            for (at, batch) in order.chunks(descent.batch_size).enumerate() {
                losses += model.step(course, descent, batch, &mut gradient);
                report.step += 1;
                if (at + 1) % told == 0 {
                    if report.tell(Metric::BatchLoss, losses / told as f64)?.is_break() {
                        return Ok(None);
                    }
                    losses = 0.0;
                }
            }
            if report.tell_epoch(course, |row| model.margin(&course.features, row))?.is_break() {
                return Ok(None);
            }
        }
        Ok(Some(model.rounded()))
    }

    /// One step along the gradient of a batch; its mean loss before the step.
    fn step(&mut self, course: &Course, descent: Descent, batch: &[usize], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let (mut bias, mut losses) = (0.0, 0.0);
        for row in batch {
            let (margin, answer) = (self.margin(&course.features, *row), course.answers[*row]);
            losses += loss(margin, answer);
            let error = probability(margin) - f64::from(u8::from(answer));
            let (dense, hot) = course.features.row(*row);
            gradient.iter_mut().zip(dense).for_each(|(slope, value)| *slope += error * f64::from(*value));
            hot.iter().filter(|at| **at != NOWHERE).for_each(|at| gradient[*at as usize] += error);
            bias += error;
        }
        let rate = descent.learning_rate / batch.len() as f64;
        let decay = descent.learning_rate * descent.penalty / course.training.len() as f64;
        self.weights.iter_mut().zip(gradient).for_each(|(weight, slope)| *weight -= rate * *slope + decay * *weight);
        self.bias -= rate * bias;
        losses / batch.len() as f64
    }

    /// The same with the 32 bits that the exported model has.
    fn rounded(mut self) -> Self {
        self.weights.iter_mut().for_each(|weight| *weight = f64::from(*weight as f32));
        self.bias = f64::from(self.bias as f32);
        self
    }
}
