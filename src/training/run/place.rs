//! Where a job runs, with what: its folder made, its data checked, its program started under the supervisor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::fs;
use tokio::process::{Child, Command};

use super::{Ended, Held, folder};
use crate::app::App;
use crate::artifacts;
use crate::ids::DatasetId;
use crate::training::datasets::{self, DatasetView, file};
use crate::training::rules::{Cause, Executor};

/// Where a job runs, with what.
pub struct Place {
    /// The job's folder: log, report, and work.
    pub folder: PathBuf,
    /// What the program works in.
    work: PathBuf,
    /// Where it must write its artifact.
    pub artifact: PathBuf,
    /// The data set's file.
    pub data: Option<(PathBuf, DatasetView)>,
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// Makes the job's folder and checks its data.
pub async fn prepare(app: &App, held: &Held) -> anyhow::Result<Result<Place, Ended>> {
    let folder = std::path::absolute(folder(app, held.job_id))?;
    let work = folder.join("work");
    match fs::remove_dir_all(&folder).await {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause.into()),
        _ => fs::create_dir_all(&work).await?,
    }
    let data = match held.dataset_id {
        None => None,
        Some(id) => match data_of(app, id).await? {
            Ok(found) => Some(found),
            Err(ended) => return Ok(Err(ended)),
        },
    };
    let mut place =
        Place { artifact: work.join("model.onnx"), folder, work, data, argv: Vec::new(), environment: BTreeMap::new() };
    match held.executor {
        Executor::Command => command(app, held, &mut place).await?,
        Executor::Builtin | Executor::Mlflow => builtin(app, held, &mut place).await?,
    }
    Ok(Ok(place))
}

/// The data set's file, if it still has the digest that it was added with.
async fn data_of(app: &App, id: DatasetId) -> anyhow::Result<Result<(PathBuf, DatasetView), Ended>> {
    let Some(view) = datasets::find(&app.db, id).await? else {
        return Ok(Err(Ended::failed(Cause::DataChanged, "Its data set is gone.")));
    };
    let path = match &view.location {
        None => artifacts::file_of(app, &view.digest.parse().map_err(anyhow::Error::msg)?),
        Some(location) => match file::allowed(app, location) {
            Ok(path) => path,
            Err(error) => {
                let says = format!("The data set's file cannot be used: {}", error.detail());
                return Ok(Err(Ended::failed(Cause::DataChanged, says)));
            }
        },
    };
    Ok(match unchanged(&path, &view).await {
        None => Ok((std::path::absolute(path)?, view)),
        Some(why) => Err(Ended::failed(Cause::DataChanged, why)),
    })
}

/// Why the file is not the data set any more; none if it is.
pub async fn unchanged(path: &Path, view: &DatasetView) -> Option<String> {
    match file::hash(path.to_owned()).await {
        Ok(digest) if digest.as_str() == view.digest => None,
        Ok(_) => Some(format!(
            "The file of the data set “{}” is not the one that was added: its SHA-256 is another. Add it as a new data set.",
            view.name
        )),
        Err(cause) => Some(format!("The file of the data set “{}” cannot be read: {cause}.", view.name)),
    }
}

async fn builtin(app: &App, held: &Held, place: &mut Place) -> anyhow::Result<()> {
    let config = place.work.join("config.json");
    fs::write(&config, serde_json::to_vec(&held.configuration.builtin()?)?).await?;
    let Some((data, view)) = &place.data else { anyhow::bail!("the builtin training needs a data set") };
    let path = |path: &Path| path.display().to_string();
    place.argv =
        vec![path(&app.program), "train".into(), "--data".into(), path(data), "--digest".into(), view.digest.clone()];
    place.argv.extend(["--config".into(), path(&config), "--out".into(), path(&place.artifact)]);
    Ok(())
}

async fn command(app: &App, held: &Held, place: &mut Place) -> anyhow::Result<()> {
    let configuration = &held.configuration;
    let Some(command) = &configuration.command else { anyhow::bail!("no program was named") };
    let allowed = app.settings.training.programs.iter().any(|one| one.as_os_str() == command.program.as_str());
    anyhow::ensure!(allowed, "{} is not among the programs that this server allows", command.program);
    if let Some(script) = &command.script {
        let kept = artifacts::file_of(app, &script.digest.parse().map_err(anyhow::Error::msg)?);
        fs::copy(kept, place.work.join(artifacts::safe_name(&script.file_name))).await?;
    }
    let params = place.work.join("params.json");
    let mut all = configuration.parameters.clone();
    for (name, value) in [
        ("target", json!(configuration.target)),
        ("features", json!(configuration.features)),
        ("validation_share", json!(configuration.validation_share)),
        ("seed", json!(configuration.seed)),
    ] {
        all.entry(name.to_owned()).or_insert(value);
    }
    fs::write(&params, serde_json::to_vec_pretty(&all)?).await?;
    let variables = &mut place.environment;
    for (name, value) in &all {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        variables.insert(format!("COUNTERSIGN_PARAM_{}", name.to_uppercase()), text);
    }
    variables.insert("COUNTERSIGN_PARAMS".to_owned(), params.display().to_string());
    variables.insert("COUNTERSIGN_ARTIFACT".to_owned(), place.artifact.display().to_string());
    variables.insert("COUNTERSIGN_RUN_ID".to_owned(), held.run_uuid.clone());
    if let Some((data, view)) = &place.data {
        variables.insert("COUNTERSIGN_DATA".to_owned(), data.display().to_string());
        variables.insert("COUNTERSIGN_DATA_DIGEST".to_owned(), view.digest.clone());
    }
    place.argv = std::iter::once(command.program.clone()).chain(command.arguments.iter().cloned()).collect();
    Ok(())
}

/// Starts the supervisor, which leads a process group of its own and holds the limits.
pub fn start(app: &App, held: &Held, place: &Place) -> std::io::Result<Child> {
    let limits = &held.configuration;
    let mut command = Command::new(&app.program);
    command
        .args(["supervise-job", "--report"])
        .arg(place.folder.join("report.json"))
        .args(["--seconds", &(limits.time_limit_minutes * 60).to_string()])
        .args(["--memory-mib", &limits.memory_limit_mib.to_string(), "--"])
        .args(&place.argv)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", &place.work)
        .env("TMPDIR", &place.work)
        .envs(&place.environment)
        .current_dir(&place.work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}
