//! The form of a new job, as a page sends it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::configure::{NewCommand, NewJob, NewScript};
use crate::error::{Error, Fields, Result};
use crate::training::rules::Executor;
use crate::web::form::{read, read_optional};

/// The fields by name, and the script that was chosen.
#[derive(Debug, Default)]
pub struct JobForm {
    /// The text fields.
    pub fields: BTreeMap<String, String>,
    /// The script's name and text.
    pub script: Option<(String, String)>,
}

/// The parameters of the builtin training that the form has fields for.
const PARAMETERS: [&str; 6] = ["epochs", "learning_rate", "batch_size", "penalty", "depth", "min_child_weight"];

impl JobForm {
    /// What the form holds before anybody has touched it.
    pub fn fresh(given: &BTreeMap<String, String>) -> Self {
        let mut fields: BTreeMap<_, _> = [
            ("executor", "builtin"),
            ("algorithm", "logistic_regression"),
            ("epochs", "50"),
            ("learning_rate", "0.05"),
            ("batch_size", "32"),
            ("depth", "3"),
            ("penalty", "1"),
            ("validation_share", "0.2"),
            ("seed", "7"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        fields.extend(given.clone());
        Self { fields, script: None }
    }

    /// What a field holds.
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The executor that the form is for.
    pub fn executor(&self) -> Executor {
        if self.get("executor") == "command" { Executor::Command } else { Executor::Builtin }
    }

    /// The job that it asks for.
    ///
    /// # Errors
    /// `invalid` with the fields that cannot be read at all; rules are the acts' affair.
    pub fn job(&self) -> Result<NewJob> {
        let mut fields = Fields::default();
        let model = read(&mut fields, "model_id", self.get("model_id"), "Choose a model.");
        let dataset = read_optional(&mut fields, "dataset_id", self.get("dataset_id"), "Choose a data set.");
        let share = read(
            &mut fields,
            "validation_share",
            self.get("validation_share"),
            "The share for validation must be between 0.05 and 0.5.",
        );
        let seed = read(&mut fields, "seed", self.get("seed"), "The seed must be a whole number from 0 on.");
        let minutes = read_optional(
            &mut fields,
            "time_limit_minutes",
            self.get("time_limit_minutes"),
            "Give a whole number of minutes.",
        );
        let memory =
            read_optional(&mut fields, "memory_limit_mib", self.get("memory_limit_mib"), "Give a whole number of MiB.");
        let executor = self.executor();
        let parameters = match executor {
            Executor::Command => self.named(&mut fields),
            _ => self.builtin(),
        };
        fields.done()?;
        let (Some(model_id), Some(validation_share), Some(seed)) = (model, share, seed) else {
            return Err(Error::field("name", "The form is not complete."));
        };
        Ok(NewJob {
            name: self.get("name").to_owned(),
            model_id,
            dataset_id: dataset,
            executor,
            target: Some(self.get("target").to_owned()),
            positive: Some(self.get("positive").to_owned()),
            features: None,
            validation_share,
            seed,
            parameters,
            command: (executor == Executor::Command).then(|| self.command()),
            time_limit_minutes: minutes,
            memory_limit_mib: memory,
        })
    }

    /// A number as such, anything else as text, which breaks the rule of its field.
    fn builtin(&self) -> BTreeMap<String, Value> {
        let trees = self.get("algorithm") == "boosted_trees";
        let belongs = |name: &str| match name {
            "batch_size" => !trees,
            "depth" | "min_child_weight" => trees,
            _ => true,
        };
        let filled = PARAMETERS.into_iter().filter(|name| belongs(name) && !self.get(name).is_empty());
        let mut parameters: BTreeMap<_, _> = filled.map(|name| (name.to_owned(), value_of(self.get(name)))).collect();
        parameters.insert("algorithm".to_owned(), self.get("algorithm").into());
        parameters
    }

    /// Lines of `name = value`.
    fn named(&self, fields: &mut Fields) -> BTreeMap<String, Value> {
        let mut parameters = BTreeMap::new();
        for line in self.get("parameters").lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once('=') {
                Some((name, value)) => {
                    parameters.insert(name.trim().to_owned(), value_of(value.trim()));
                }
                None => fields.refuse("parameters", format!("“{line}” is not of the form name = value.")),
            }
        }
        parameters
    }

    fn command(&self) -> NewCommand {
        let lines = self.get("arguments").lines().map(str::trim).filter(|line| !line.is_empty());
        NewCommand {
            program: self.get("program").to_owned(),
            arguments: lines.map(str::to_owned).collect(),
            script: self.script.clone().map(|(file_name, text)| NewScript { file_name, text }),
        }
    }
}

fn value_of(text: &str) -> Value {
    let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
    number.unwrap_or_else(|_| text.into())
}
