//! What a job is asked to do, and the rules for it. Pure.
//!
//! Source: 3-lifecycle, *Training jobs*, configuration.

use std::collections::BTreeMap;

use countersign_training::{Algorithm, Config};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::TrainingLimits;
use crate::db::column_type;
use crate::error::Fields;
use crate::ids::{DatasetId, ModelId};
use crate::training::datasets::DatasetView;
use crate::training::datasets::rules::Columns;
use crate::training::rules::{Executor, name};

/// The longest script, in bytes.
const LONGEST_SCRIPT: usize = 512 << 10;
/// The most parameters and arguments.
const MOST: usize = 100;
/// The longest value of a parameter, and argument, in bytes.
const LONGEST_VALUE: usize = 6000;

/// A job to be run.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// Its name, 3 to 100 characters.
    #[schema(example = "More epochs")]
    pub name: String,
    /// The model that it trains.
    pub model_id: ModelId,
    /// What it learns from; a command may do without.
    #[serde(default)]
    pub dataset_id: Option<DatasetId>,
    /// What carries it out: `builtin` or `command`.
    #[serde(default = "NewJob::builtin")]
    pub executor: Executor,
    /// The column to predict; the data set's target if absent.
    #[serde(default)]
    pub target: Option<String>,
    /// Which of the target's two values the probability is of; the last in order if absent.
    #[serde(default)]
    pub positive: Option<String>,
    /// The columns to learn from; the data set's features if absent.
    #[serde(default)]
    pub features: Option<Vec<String>>,
    /// The share of the rows that is measured on and not learned from, 0.05 to 0.5.
    #[serde(default = "NewJob::a_fifth")]
    pub validation_share: f64,
    /// All that is random comes from it.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub seed: i64,
    /// The parameters. Builtin: `algorithm` (`logistic_regression` or `boosted_trees`), `epochs`, `learning_rate`,
    /// `batch_size`, `penalty`, or `depth`, `min_child_weight`, `penalty`. Command: any, by name.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"algorithm":"logistic_regression","epochs":50,"learning_rate":0.05,"batch_size":32}))]
    pub parameters: BTreeMap<String, Value>,
    /// What to start, for the executor `command`.
    #[serde(default)]
    pub command: Option<NewCommand>,
    /// How many minutes it may take; the server's limit if absent.
    #[serde(default)]
    pub time_limit_minutes: Option<i64>,
    /// How much memory its processes may have together, in MiB; the server's limit if absent.
    #[serde(default)]
    pub memory_limit_mib: Option<i64>,
}

/// A program to be started.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommand {
    /// The program, by its absolute path; the operator allows which (`training_programs`).
    #[schema(example = "/usr/bin/python3")]
    pub program: String,
    /// Its arguments.
    #[serde(default)]
    #[schema(example = json!(["train.py"]))]
    pub arguments: Vec<String>,
    /// A script, put into the job's folder, which the program is started in.
    #[serde(default)]
    pub script: Option<NewScript>,
}

/// A script.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScript {
    /// Its name in the job's folder.
    #[schema(example = "train.py")]
    pub file_name: String,
    /// Its text, at most 512 KiB.
    pub text: String,
}

impl NewJob {
    fn builtin() -> Executor {
        Executor::Builtin
    }

    fn a_fifth() -> f64 {
        0.2
    }
}

/// What a job is asked to do, complete, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Configuration {
    /// The column to predict.
    #[serde(default)]
    pub target: Option<String>,
    /// Which of its values the probability is of.
    #[serde(default)]
    pub positive: Option<String>,
    /// The columns to learn from.
    #[serde(default)]
    pub features: Vec<String>,
    /// The share of the rows that is measured on.
    #[serde(default)]
    pub validation_share: f64,
    /// All that is random comes from it.
    #[serde(default)]
    pub seed: i64,
    /// The parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<String, Value>,
    /// What is started.
    #[serde(default)]
    pub command: Option<Command>,
    /// How many minutes it may take.
    #[serde(default)]
    pub time_limit_minutes: i64,
    /// How much memory its processes may have together, in MiB.
    #[serde(default)]
    pub memory_limit_mib: i64,
}

/// What is started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Command {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The script, by its name and digest.
    pub script: Option<Script>,
}

/// A script that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Script {
    /// Its name in the job's folder.
    pub file_name: String,
    /// Its SHA-256.
    pub digest: String,
}

column_type!(Configuration as String, |one| serde_json::to_string(&one).unwrap_or_default(), |text| {
    serde_json::from_str(&text).map_err(Into::into)
});

impl Configuration {
    /// What the builtin training is asked to do.
    ///
    /// # Errors
    /// The configuration is not one of the builtin training.
    pub fn builtin(&self) -> Result<Config, serde_json::Error> {
        serde_json::from_value(self.builtin_json())
    }

    fn builtin_json(&self) -> Value {
        let mut whole = json!({ "target": self.target, "positive": self.positive, "features": self.features,
            "validation_share": self.validation_share, "seed": self.seed });
        if let Value::Object(map) = &mut whole {
            map.extend(self.parameters.clone());
        }
        whole
    }

    /// Everything that was chosen, by name, as text: what MLflow clients call the parameters of a run.
    #[must_use]
    pub fn params(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut params: BTreeMap<_, _> =
            self.parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        for (name, value) in [
            ("target", self.target.clone()),
            ("validation_share", Some(self.validation_share.to_string())),
            ("seed", Some(self.seed.to_string())),
        ] {
            if let Some(value) = value {
                params.entry(name.to_owned()).or_insert(value);
            }
        }
        params
    }
}

/// Completes and checks what a job is asked to do; the script is kept by the caller.
pub fn configured(
    fields: &mut Fields,
    new: &NewJob,
    dataset: Option<&DatasetView>,
    limits: &TrainingLimits,
) -> Configuration {
    name(fields, &new.name);
    fields.check(new.seed >= 0, "seed", "The seed must be a whole number from 0 on.");
    let none = Columns(Vec::new());
    let columns = dataset.map_or(&none, |one| &one.columns);
    let text =
        |given: &Option<String>| given.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let target = text(&new.target).or_else(|| columns.target().map(str::to_owned));
    let mut features = new.features.clone().unwrap_or_else(|| columns.features());
    if new.features.is_none() {
        features.retain(|name| Some(name) != target.as_ref());
    }
    let mut configuration = Configuration {
        target,
        positive: text(&new.positive),
        features,
        validation_share: new.validation_share,
        seed: new.seed,
        parameters: new.parameters.clone(),
        command: None,
        time_limit_minutes: within(fields, "time_limit_minutes", new.time_limit_minutes, 1, limits.minutes),
        memory_limit_mib: within(fields, "memory_limit_mib", new.memory_limit_mib, 64, limits.memory_mib),
    };
    match new.executor {
        Executor::Builtin => check_builtin(fields, &mut configuration, new, dataset),
        Executor::Command => check_command(fields, &mut configuration, new, limits),
        Executor::Mlflow => fields.refuse("executor", "Runs of MLflow clients are made by the client."),
    }
    configuration
}

fn within(fields: &mut Fields, field: &str, asked: Option<i64>, least: i64, most: i64) -> i64 {
    let value = asked.unwrap_or(most);
    fields.check((least..=most).contains(&value), field, &format!("It must be between {least} and {most} here."));
    value
}

fn check_builtin(fields: &mut Fields, kept: &mut Configuration, new: &NewJob, dataset: Option<&DatasetView>) {
    fields.check(new.command.is_none(), "command", "The builtin training starts no other program.");
    let algorithm = algorithm(fields, &mut kept.parameters);
    let Some(dataset) = dataset else {
        if new.dataset_id.is_none() {
            fields.refuse("dataset_id", "Choose a data set.");
        }
        // The parameters are told all the same, so that a person hears of everything at once.
        tell(
            fields,
            &Config {
                target: String::new(),
                positive: None,
                features: Vec::new(),
                validation_share: kept.validation_share,
                seed: 0,
                algorithm,
            },
            &[],
            true,
        );
        return;
    };
    let columns: Vec<_> = dataset.columns.0.iter().map(|column| column.as_column()).collect();
    let Some(target) = kept.target.clone() else {
        fields.refuse("target", "Choose the column to predict.");
        return;
    };
    let seed = u64::try_from(kept.seed).unwrap_or_default();
    let config = Config {
        target,
        positive: kept.positive.clone(),
        features: kept.features.clone(),
        validation_share: kept.validation_share,
        seed,
        algorithm,
    };
    tell(fields, &config, &columns, false);
}

fn tell(fields: &mut Fields, config: &Config, columns: &[countersign_training::Column], parameters_only: bool) {
    for problem in config.problems(columns) {
        if !(parameters_only && ["target", "features"].contains(&problem.field)) {
            fields.refuse(problem.field, problem.sentence);
        }
    }
}

/// The algorithm that the parameters ask for. What is no number, or not whole where it must be, becomes a value that
/// breaks its rule, so that there is one sentence for each.
fn algorithm(fields: &mut Fields, parameters: &mut BTreeMap<String, Value>) -> Algorithm {
    let number = |name: &str| parameters.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
    let whole = |name: &str, absent: u32| match number(name) {
        None => absent,
        Some(value) if value.fract() == 0.0 && (0.0..=1e6).contains(&value) => value as u32,
        Some(_) => 0,
    };
    let (epochs, learning_rate) = (whole("epochs", 50), number("learning_rate").unwrap_or(0.05));
    let penalty = number("penalty").unwrap_or(1.0);
    let word = parameters.get("algorithm").and_then(Value::as_str).unwrap_or("logistic_regression").to_owned();
    let (algorithm, own): (_, &[&str]) = if word == "boosted_trees" {
        let min_child_weight = number("min_child_weight").unwrap_or(1.0);
        let depth = whole("depth", 3);
        (
            Algorithm::BoostedTrees { epochs, learning_rate, depth, min_child_weight, penalty },
            &["depth", "min_child_weight"],
        )
    } else {
        fields.check(
            word == "logistic_regression",
            "algorithm",
            "The algorithm must be logistic_regression or boosted_trees.",
        );
        let batch_size = whole("batch_size", 32);
        (Algorithm::LogisticRegression { epochs, learning_rate, batch_size, penalty }, &["batch_size"])
    };
    for name in parameters.keys() {
        let known = ["algorithm", "epochs", "learning_rate", "penalty"].contains(&name.as_str());
        if !known && !own.contains(&name.as_str()) {
            fields.refuse("parameters", format!("The algorithm has no parameter “{name}”."));
        }
    }
    // Kept complete, with whole numbers written as such.
    if let Ok(Value::Object(complete)) = serde_json::to_value(&algorithm) {
        *parameters = complete.into_iter().collect();
    }
    algorithm
}

fn check_command(fields: &mut Fields, kept: &mut Configuration, new: &NewJob, limits: &TrainingLimits) {
    let Some(command) = &new.command else {
        fields.refuse("program", "Choose a program.");
        return;
    };
    let program = command.program.trim();
    check_program(fields, program, limits);
    let arguments = &command.arguments;
    let fits = |text: &str| text.len() <= LONGEST_VALUE && !text.contains('\0');
    fields.check(arguments.len() <= MOST, "arguments", "At most 100 arguments are taken.");
    fields.check(arguments.iter().all(|one| fits(one)), "arguments", "An argument has at most 6,000 bytes.");
    fields.check(kept.parameters.len() <= MOST, "parameters", "At most 100 parameters are taken.");
    for (name, value) in &kept.parameters {
        if !is_parameter_name(name) {
            fields.refuse(
                "parameters",
                format!("“{name}” is no name of a parameter: letters, digits and _, at most 100."),
            );
        }
        let plain = value.is_string() || value.is_number() || value.is_boolean();
        if !plain || !fits(value.as_str().unwrap_or_default()) {
            fields.refuse(
                "parameters",
                format!("The value of “{name}” must be a text of at most 6,000 bytes, a number, true or false."),
            );
        }
    }
    let share = (0.05..=0.5).contains(&kept.validation_share);
    fields.check(share, "validation_share", "The share for validation must be between 0.05 and 0.5.");
    if let Some(script) = &command.script {
        let named = crate::artifacts::safe_name(&script.file_name) == script.file_name;
        fields.check(named && script.file_name.len() <= 100, "script", "The script's name must be a plain file name.");
        fields.check(!script.text.trim().is_empty(), "script", "The script is empty.");
        fields.check(script.text.len() <= LONGEST_SCRIPT, "script", "The script has more than 512 KiB.");
    }
    kept.command = Some(Command { program: program.to_owned(), arguments: arguments.clone(), script: None });
}

/// Whether the operator allows the program.
pub fn check_program(fields: &mut Fields, program: &str, limits: &TrainingLimits) {
    if program.is_empty() {
        fields.refuse("program", "Choose a program.");
    } else if limits.programs.is_empty() {
        fields.refuse("program", "No program is allowed on this server. Whoever runs it sets training_programs.");
    } else if !limits.programs.iter().any(|allowed| allowed.as_os_str() == program) {
        let names: Vec<_> = limits.programs.iter().map(|path| path.display().to_string()).collect();
        fields.refuse("program", format!("Only these programs are allowed on this server: {}.", names.join(", ")));
    }
}

/// Parameters become variables of the environment; so they are named.
fn is_parameter_name(name: &str) -> bool {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.len() <= 100 && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
