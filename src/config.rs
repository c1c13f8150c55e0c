//! Configuration: flags before environment before file before defaults.
//!
//! [`SETTINGS`] is the one table from which the flags, the environment variables, the file's keys,
//! `config show` and `docs/configuration.md` come, so that they cannot disagree.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde::Deserialize;

use crate::app::{Settings, TrainingLimits};

mod settings;

pub use settings::{SETTINGS, Setting};

/// The file that is read if none is named and it is there.
pub const DEFAULT_FILE: &str = "countersign.toml";

/// The settings given on the command line or in the environment. `ALL` offers the server's own too.
#[derive(Debug, Clone, Default)]
pub struct Flags<const ALL: bool> {
    file: Option<PathBuf>,
    given: HashMap<&'static str, (String, Origin)>,
}

impl<const ALL: bool> clap::Args for Flags<ALL> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .env("COUNTERSIGN_CONFIG")
            .hide_env_values(true)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!("Configuration file, TOML [default: {DEFAULT_FILE} if it is there]"))
            .help_heading("Settings");
        command.arg(file).args(SETTINGS.iter().map(|setting| setting.arg(ALL || !setting.serving)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const ALL: bool> clap::FromArgMatches for Flags<ALL> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let value = matches.get_one::<String>(setting.name)?.clone();
            let origin = match matches.value_source(setting.name)? {
                ValueSource::EnvVariable => Origin::Environment(setting.variable),
                _ => Origin::Flag(setting.flag),
            };
            Some((setting.name, (value, origin)))
        });
        Ok(Self { given: given.collect(), file: matches.get_one::<PathBuf>("config").cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Where a setting's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag(&'static str),
    /// The environment.
    Environment(&'static str),
    /// The configuration file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The configuration, complete.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Folder of the embedded database and the artifacts.
    pub data: PathBuf,
    /// PostgreSQL address; empty for the embedded database.
    pub database: String,
    /// Connections to PostgreSQL at most.
    pub database_connections: u32,
    /// Policy file; empty for the built-in policy.
    pub policies: PathBuf,
    /// Address to listen on.
    pub listen: String,
    /// Whether cookies are marked `Secure`.
    pub secure_cookies: bool,
    /// Largest upload, in MiB.
    pub max_upload_mib: usize,
    /// Median above which a deployment turns amber, in milliseconds.
    pub p50_amber_ms: f64,
    /// P95 above which it turns red, in milliseconds.
    pub p95_red_ms: f64,
    /// Failed requests above which it turns red, in percent.
    pub errors_red_percent: f64,
    /// Folders whose files data sets may refer to, separated by colons.
    pub data_folders: String,
    /// Programs that training jobs may start, separated by colons.
    pub training_programs: String,
    /// Training jobs at once.
    pub training_jobs: usize,
    /// The longest training job, in minutes.
    pub training_minutes: i64,
    /// The most memory of a training job, in MiB.
    pub training_memory_mib: i64,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// Aliases that mean production, separated by commas.
    pub production_aliases: String,
    /// Whether the database is filled with demo data.
    pub demo: bool,
    /// Where each value comes from, in the order of [`SETTINGS`].
    #[serde(skip)]
    pub origins: Vec<(&'static Setting, String, Origin)>,
}

impl Config {
    /// Puts flags, environment, file and defaults together.
    ///
    /// # Errors
    /// The file cannot be read, names a setting that does not exist, or a value has the wrong form.
    pub fn load<const ALL: bool>(flags: &Flags<ALL>) -> anyhow::Result<Self> {
        let file = flags.file.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.is_file()));
        let mut layers = config::Config::builder();
        for setting in SETTINGS {
            layers = layers.set_default(setting.name, setting.default)?;
        }
        let mut in_file = Vec::new();
        if let Some(file) = &file {
            in_file = keys_of(file)?;
            layers = layers.add_source(config::File::new(&file.to_string_lossy(), config::FileFormat::Toml));
        }
        for (name, (value, _)) in &flags.given {
            layers = layers.set_override(*name, value.as_str())?;
        }
        let layers = layers.build()?;
        let origins = SETTINGS.iter().map(|setting| {
            let origin = match (flags.given.get(setting.name), &file) {
                (Some((_, origin)), _) => origin.clone(),
                (None, Some(file)) if in_file.iter().any(|key| key == setting.name) => Origin::File(file.clone()),
                _ => Origin::Default,
            };
            (setting, layers.get_string(setting.name).unwrap_or_default(), origin)
        });
        let origins: Vec<_> = origins.collect();
        let mut config: Self = layers.try_deserialize().context("A setting has a value that does not fit")?;
        anyhow::ensure!(config.database_connections > 0, "database_connections must be at least 1.");
        anyhow::ensure!((1..=4096).contains(&config.max_upload_mib), "max_upload_mib must be between 1 and 4096.");
        for (name, value, most) in [
            ("p50_amber_ms", config.p50_amber_ms, 3_600_000.0),
            ("p95_red_ms", config.p95_red_ms, 3_600_000.0),
            ("errors_red_percent", config.errors_red_percent, 100.0),
        ] {
            anyhow::ensure!((0.0..=most).contains(&value), "{name} must be between 0 and {most}.");
        }
        anyhow::ensure!(config.training_jobs <= 64, "training_jobs must be between 0 and 64.");
        anyhow::ensure!(
            (1..=43_200).contains(&config.training_minutes),
            "training_minutes must be between 1 and 43200."
        );
        let memory = (64..=16_777_216).contains(&config.training_memory_mib);
        anyhow::ensure!(memory, "training_memory_mib must be between 64 and 16777216.");
        for path in paths(&config.data_folders).iter().chain(&paths(&config.training_programs)) {
            let name = path.display();
            anyhow::ensure!(path.is_absolute(), "data_folders and training_programs name absolute paths, not {name}.");
        }
        config.origins = origins;
        Ok(config)
    }

    /// The settings that the running product reads.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            data: self.data.clone(),
            secure_cookies: self.secure_cookies,
            max_upload_bytes: self.max_upload_mib << 20,
            production_aliases: self
                .production_aliases
                .split(',')
                .map(|alias| alias.trim().to_owned())
                .filter(|alias| !alias.is_empty())
                .collect(),
            demo: self.demo,
            p50_amber_ms: self.p50_amber_ms,
            p95_red_ms: self.p95_red_ms,
            errors_red_percent: self.errors_red_percent,
            data_folders: paths(&self.data_folders),
            training: TrainingLimits {
                programs: paths(&self.training_programs),
                at_once: self.training_jobs,
                minutes: self.training_minutes,
                memory_mib: self.training_memory_mib,
            },
        }
    }

    /// Every value with its origin; the database's password is masked.
    #[must_use]
    pub fn show(&self) -> String {
        let lines = self.origins.iter().map(|(setting, value, origin)| {
            let value = if setting.name == "database" { masked(value) } else { value.clone() };
            format!("{:<22} {:<40} ({origin})\n", setting.name, format!("{value:?}"))
        });
        lines.collect()
    }
}

/// The paths of a list that colons separate.
fn paths(list: &str) -> Vec<PathBuf> {
    list.split(':').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

/// The keys of a configuration file, each of which must be a setting: a misspelt one would
/// otherwise be ignored in silence.
fn keys_of(file: &Path) -> anyhow::Result<Vec<String>> {
    let name = file.display();
    let text =
        std::fs::read_to_string(file).with_context(|| format!("The configuration file {name} cannot be read"))?;
    let table: toml::Table = text.parse().with_context(|| format!("The configuration file {name} is not TOML"))?;
    for key in table.keys() {
        if !SETTINGS.iter().any(|setting| setting.name == key) {
            let known: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            anyhow::bail!("{name} has the setting “{key}”, which does not exist; there are {}.", known.join(", "));
        }
    }
    Ok(table.keys().cloned().collect())
}

/// A database address without its password.
#[must_use]
pub fn masked(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:****@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    // A password may also stand among the parameters.
    let path = match path.split_once("password=") {
        Some((before, after)) => {
            let rest = after.find('&').map_or("", |end| &after[end..]);
            format!("{before}password=****{rest}")
        }
        None => path.to_owned(),
    };
    format!("{scheme}://{authority}{path}")
}

/// The table of `docs/configuration.md`.
#[must_use]
pub fn table() -> String {
    let mut text = "| in the file | flag | environment | default | what it does |\n|---|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
        let (name, flag, variable, form) =
            (setting.name, setting.flag, setting.variable, setting.form.replace('|', "\\|"));
        let about = setting.about;
        text += &format!("| `{name}` | `--{flag} {form}` | `{variable}` | {default} | {about} |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_database_address_is_shown_without_its_password() {
        assert_eq!(masked("postgres://cs:secret@db:5432/x"), "postgres://cs:****@db:5432/x");
        assert_eq!(masked("postgres://cs:se@cret@db/x?sslmode=require"), "postgres://cs:****@db/x?sslmode=require");
        assert_eq!(masked("postgres://db/x?user=a&password=b&ssl=1"), "postgres://db/x?user=a&password=****&ssl=1");
        assert_eq!(masked("postgres://cs@db/x"), "postgres://cs@db/x");
        assert_eq!(masked(""), "");
    }
}
