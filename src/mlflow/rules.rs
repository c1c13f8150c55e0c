//! Names, states and places of MLflow, and what seals them. Pure.

use std::collections::BTreeMap;

use super::answers::wrong;
use super::wire::Pair;
use crate::error::{Error, Result};
use crate::ids::ExperimentId;
use crate::training::rules::JobState;

/// The name of an experiment: 1 to 500 characters.
///
/// # Errors
/// `malformed`, in a sentence.
pub fn experiment_name(name: &str) -> Result<&str> {
    let length = name.trim().chars().count();
    if (1..=500).contains(&length) && !name.chars().any(char::is_control) {
        Ok(name.trim())
    } else {
        Err(wrong("An experiment's name has between 1 and 500 characters, none of them a control character."))
    }
}

/// The name of a metric, parameter, tag or alias: what MLflow takes for one.
///
/// # Errors
/// `malformed`, in a sentence.
pub fn check_name(kind: &str, name: &str) -> Result<()> {
    let known = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/');
    let path_like = name.starts_with('/') || name.split('/').any(|part| matches!(part, "." | ".." | ""));
    if (1..=250).contains(&name.chars().count()) && name.chars().all(known) && !path_like {
        return Ok(());
    }
    Err(wrong(format!(
        "“{name}” is no name for a {kind}: it has at most 250 letters, digits, spaces and _ - . : /, and is no path to elsewhere."
    )))
}

/// The rule for tags.
///
/// # Errors
/// `malformed`, in a sentence.
pub fn check_tags(tags: &[Pair]) -> Result<()> {
    check_pairs("tag", tags, 8000)
}

/// The rule for parameters.
///
/// # Errors
/// `malformed`, in a sentence.
pub fn check_params(params: &[Pair]) -> Result<()> {
    check_pairs("param", params, 6000)
}

fn check_pairs(kind: &str, pairs: &[Pair], most: usize) -> Result<()> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in pairs {
        check_name(kind, &pair.key)?;
        let length = pair.value.chars().count();
        if length > most {
            return Err(wrong(format!("The {kind} “{}” has {length} characters; at most {most} are kept.", pair.key)));
        }
        if pair.value.contains('\0') {
            return Err(wrong(format!("The {kind} “{}” has a character that cannot be kept.", pair.key)));
        }
        if known.insert(&pair.key, &pair.value).is_some_and(|before| kind == "param" && before != pair.value) {
            return Err(wrong(format!("The {kind} “{}” is given twice, with different values.", pair.key)));
        }
    }
    Ok(())
}

/// Pairs without repetition: of one name the last counts.
#[must_use]
pub fn distinct(pairs: &[Pair]) -> Vec<(&str, &str)> {
    let last: BTreeMap<&str, &str> = pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    last.into_iter().collect()
}

/// MLflow's word for a job's state.
#[must_use]
pub const fn status(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "SCHEDULED",
        JobState::Running => "RUNNING",
        JobState::Complete => "FINISHED",
        JobState::Failed => "FAILED",
        JobState::Cancelled => "KILLED",
    }
}

/// The state for MLflow's word.
#[must_use]
pub fn state(status: &str) -> Option<JobState> {
    JobState::ALL.iter().copied().find(|state| self::status(*state) == status)
}

/// The same, as the word that is kept.
#[must_use]
pub fn state_word(status: &str) -> Option<&'static str> {
    state(status).map(JobState::as_str)
}

/// What holds files: a run, by its 32 digits, or a logged model, by its m-….
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder(String);

impl Holder {
    /// A run.
    #[must_use]
    pub fn run(uuid: &str) -> Self {
        Self(uuid.to_owned())
    }

    /// A logged model.
    #[must_use]
    pub fn model(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The name it is kept under.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a logged model.
    #[must_use]
    pub fn is_model(&self) -> bool {
        self.0.starts_with("m-")
    }

    /// The address of its files for MLflow's clients.
    #[must_use]
    pub fn uri(&self, experiment: ExperimentId, folder: &str) -> String {
        let models = if self.is_model() { "models/" } else { "" };
        let folder = if folder.is_empty() { String::new() } else { format!("/{folder}") };
        format!("mlflow-artifacts:/{experiment}/{models}{}/artifacts{folder}", self.0)
    }
}

/// A file or folder of a holder, as addresses name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The experiment that the holder is said to be of.
    pub experiment: ExperimentId,
    /// What holds it.
    pub holder: Holder,
    /// The path in it; empty for all of it.
    pub path: String,
}

/// Reads `EXPERIMENT/RUN/artifacts/PATH` or `EXPERIMENT/models/LOGGED_MODEL/artifacts/PATH`.
///
/// # Errors
/// `malformed` for any other path, and for one that leads elsewhere.
pub fn place(path: &str) -> Result<Place> {
    let other = || wrong(format!("“{path}” is no place of a run's or a logged model's artifacts."));
    let mut parts = path.trim_matches('/').split('/');
    let experiment = parts.next().and_then(|part| part.parse().ok()).map(ExperimentId).ok_or_else(other)?;
    let holder = match parts.next().ok_or_else(other)? {
        "models" => Holder::model(parts.next().filter(|id| is_model_id(id)).ok_or_else(other)?),
        run if is_run_id(run) => Holder::run(run),
        _ => return Err(other()),
    };
    if parts.next() != Some("artifacts") {
        return Err(other());
    }
    let rest: Vec<&str> = parts.collect();
    Ok(Place { experiment, holder, path: clean(&rest.join("/"))? })
}

/// A path in a holder, without what would lead out of it.
///
/// # Errors
/// `malformed`.
pub fn clean(path: &str) -> Result<String> {
    let path = path.trim_end_matches('/');
    let odd = |part: &str| matches!(part, "" | "." | "..") || part.chars().any(|c| c.is_control() || c == '\\');
    if path.is_empty() {
        return Ok(String::new());
    }
    if path.chars().count() > 1000 || path.split('/').any(odd) {
        return Err(wrong(format!("“{path}” is no path below a run or a logged model.")));
    }
    Ok(path.to_owned())
}

/// Whether it is 32 hexadecimal digits.
#[must_use]
pub fn is_run_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether it is `m-` and 32 hexadecimal digits.
#[must_use]
pub fn is_model_id(text: &str) -> bool {
    text.strip_prefix("m-").is_some_and(is_run_id)
}

/// Whether `path` lies in `folder`, or is it.
#[must_use]
pub fn is_within(path: &str, folder: &str) -> bool {
    folder.is_empty() || path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether writing at `path` would change what lies in one of the sealed folders, or lie over it.
#[must_use]
pub fn seal_over<'a>(path: &str, sealed: &'a [String]) -> Option<&'a String> {
    sealed.iter().find(|folder| is_within(path, folder) || is_within(folder, path))
}

/// A file or a folder in a listing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileInfo {
    /// Its path.
    pub path: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// A file's size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<i64>,
}

/// What lies right below `folder`, of all files of a holder: folders once, sorted by name; nothing for a file.
#[must_use]
pub fn children(files: &[(String, i64)], folder: &str) -> Vec<FileInfo> {
    let mut found: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    for (path, size) in files {
        let rest = if folder.is_empty() { Some(path.as_str()) } else { path.strip_prefix(folder) };
        let rest = rest.and_then(|rest| if folder.is_empty() { Some(rest) } else { rest.strip_prefix('/') });
        match rest.map(|rest| rest.split_once('/').map_or((rest, false), |(name, _)| (name, true))) {
            Some((name, true)) => drop(found.insert(name, None)),
            Some((name, false)) => drop(found.insert(name, Some(*size))),
            None => (),
        }
    }
    found
        .into_iter()
        .map(|(name, file_size)| FileInfo { path: name.to_owned(), is_dir: file_size.is_none(), file_size })
        .collect()
}

/// Where a version's files are said to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A holder's folder; the experiment only where the address names it.
    Files(Holder, String),
    /// Another version: of a model, by its number.
    Version(String, i64),
    /// Another version, by an alias.
    Alias(String, String),
}

/// Reads `runs:/RUN/PATH`, `models:/m-…`, `models:/NAME/3`, `models:/NAME@alias` or an address of artifacts kept here.
///
/// # Errors
/// `malformed` for a source elsewhere: the bytes that are approved must be here.
pub fn source(text: &str) -> Result<Source> {
    let elsewhere = || {
        wrong(format!(
            "The source “{text}” is not kept by this server: an approval is bound to bytes, so log the model here first."
        ))
    };
    let after = |scheme: &str| text.strip_prefix(scheme).map(|rest| rest.trim_start_matches('/'));
    if let Some(rest) = after("runs:") {
        let (run, folder) = rest.split_once('/').unwrap_or((rest, ""));
        return if is_run_id(run) { Ok(Source::Files(Holder::run(run), clean(folder)?)) } else { Err(elsewhere()) };
    }
    if let Some(rest) = after("models:") {
        return match (rest.split_once('/'), rest.split_once('@')) {
            _ if is_model_id(rest) => Ok(Source::Files(Holder::model(rest), String::new())),
            (Some((name, number)), _) => {
                number.parse().map(|number| Source::Version(name.to_owned(), number)).map_err(|_| elsewhere())
            }
            (None, Some((name, alias))) => Ok(Source::Alias(name.to_owned(), alias.to_owned())),
            (None, None) => Err(elsewhere()),
        };
    }
    let rest = text.strip_prefix("mlflow-artifacts:").ok_or_else(elsewhere)?;
    // An address may name this server: mlflow-artifacts://host:port/1/….
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    let place = place(path)?;
    Ok(Source::Files(place.holder, place.path))
}

/// What a version's bytes are, of the files in its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// The one ONNX file among them, which the model server can serve: its name and digest.
    Onnx(String, String),
    /// All of them: a list of paths, digests and sizes.
    Manifest(String),
}

/// What is approved of a source: `files` are path, digest and size, of all files in it, by their paths below it.
///
/// # Errors
/// An `invalid` state if there are none.
pub fn bytes(files: &[(String, String, i64)]) -> Result<Bytes> {
    if files.is_empty() {
        return Err(Error::new(
            &crate::error::ARTIFACT_UNVERIFIED,
            "The source has no files: there is nothing that could be approved.",
        ));
    }
    let mut onnx = files.iter().filter(|file| file.0.to_ascii_lowercase().ends_with(".onnx"));
    if let (Some(one), None) = (onnx.next(), onnx.next()) {
        let name = one.0.rsplit('/').next().unwrap_or(&one.0);
        return Ok(Bytes::Onnx(name.to_owned(), one.1.clone()));
    }
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    let lines = files.into_iter().map(|(path, digest, size)| format!("{digest}  {size}  {path}\n"));
    Ok(Bytes::Manifest(lines.collect()))
}
