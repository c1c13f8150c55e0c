//! The answers that a model learns, and their division into those it learns from and those it is measured on.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;

use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::table::{MISSING, Table, Values};

/// The two classes, and which of them each row is of.
#[derive(Debug)]
pub(crate) struct Target {
    /// The negative class, and the positive.
    pub classes: [String; 2],
    /// Whether a row is of the positive class; `None` where the answer is missing.
    pub answers: Vec<Option<bool>>,
}

/// The rows with an answer, divided. Both lists are in the order of the table.
#[derive(Debug)]
pub(crate) struct Parts {
    pub training: Vec<usize>,
    pub validation: Vec<usize>,
}

impl Target {
    pub fn of(table: &Table, config: &Config) -> Result<Self, Error> {
        let missing = || Error::new(ErrorCode::TargetMissing, format!("The table has no column “{}”.", config.target));
        let spelled: Vec<Option<String>> = match table.values_of(&config.target).ok_or_else(missing)? {
            Values::Numbers(numbers) => {
                numbers.iter().map(|number| (!number.is_nan()).then(|| (number + 0.0).to_string())).collect()
            }
            Values::Texts { codes, dictionary } => {
                codes.iter().map(|code| (*code != MISSING).then(|| dictionary[*code as usize].clone())).collect()
            }
            Values::Varied => {
                let sentence = format!("The values of the target “{}” are too long.", config.target);
                return Err(Error::new(ErrorCode::TargetManyClasses, sentence));
            }
        };
        let classes = classes_in(&spelled, config)?;
        let answers = spelled.iter().map(|value| value.as_ref().map(|value| *value == classes[1])).collect();
        Ok(Self { classes, answers })
    }

    /// Divides the rows, each class by the same share, so that neither part lacks one.
    pub fn divide(&self, share: f64, random: &mut ChaCha8Rng) -> Result<Parts, Error> {
        let mut parts = Parts { training: Vec::new(), validation: Vec::new() };
        for class in [false, true] {
            let mut rows: Vec<usize> =
                (0..self.answers.len()).filter(|row| self.answers[*row] == Some(class)).collect();
            if rows.len() < 2 {
                let name = &self.classes[usize::from(class)];
                let sentence = format!("“{name}” is the answer of one row only; both answers need two rows at least.");
                return Err(Error::new(ErrorCode::TargetOneClass, sentence));
            }
            rows.shuffle(random);
            let count = ((rows.len() as f64 * share).round() as usize).clamp(1, rows.len() - 1);
            parts.training.extend(rows.split_off(count));
            parts.validation.extend(rows);
        }
        parts.training.sort_unstable();
        parts.validation.sort_unstable();
        Ok(parts)
    }
}

/// The two values in order, numbers by their size, the positive one last.
fn classes_in(spelled: &[Option<String>], config: &Config) -> Result<[String; 2], Error> {
    let mut values: Vec<&String> = spelled.iter().flatten().collect();
    values.sort_unstable();
    values.dedup();
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.parse().ok()).collect();
    if numbers.is_some_and(|numbers| numbers.is_sorted_by(|a, b| a > b)) {
        values.reverse();
    }
    let [first, last] = values[..] else {
        let sentence = format!("The target “{}” must have two different values.", config.target);
        return Err(Error::new(ErrorCode::TargetOneClass, sentence));
    };
    match &config.positive {
        Some(positive) if positive == first => Ok([last.clone(), first.clone()]),
        Some(positive) if positive != last => {
            let sentence = format!("“{positive}” is no value of the target; it has “{first}” and “{last}”.");
            Err(Error::new(ErrorCode::ConfigInvalid, sentence).in_column(&config.target))
        }
        _ => Ok([first.clone(), last.clone()]),
    }
}
