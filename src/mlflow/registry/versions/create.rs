//! Registering a version: the folder of files that a run or logged model has becomes what can be approved.

use futures_util::stream;

use super::{
    Act, Action, Actor, App, Deserialize, Error, Holder, List, Pair, Result, VersionView, authorised, error, inventory,
    missing, rules, seen, store, unknown,
};
use crate::artifacts::{self, Digest, Stored};
use crate::identity::access;
use crate::inventory::versions::Trained;
use crate::mlflow::rules::{Bytes, Source};
use crate::mlflow::{files, logged, registry, runs, tags};
use crate::training::jobs;

/// A version to be registered.
#[derive(Debug, Deserialize)]
pub struct NewVersion {
    name: String,
    source: String,
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    tags: List<Pair>,
    #[serde(default)]
    description: Option<String>,
}

/// Registers the files of a source as the next version of a model, and seals them.
///
/// If exactly one of them is an ONNX file, that is the version's artifact, which can be served; else the artifact is a
/// list of all with their digests. Either way an approval names exactly these bytes.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`, `artifact_unverified` if the source has no files, or
/// `version_creation_blocked` with what blocks.
pub async fn create(app: &App, actor: &Actor, new: NewVersion) -> Result<VersionView> {
    let model = authorised(app, actor, Action::VersionSubmit, &new.name).await?;
    rules::check_tags(&new.tags.0)?;
    let (holder, folder) = place(app, actor, &new.source).await?;
    let run = run_of(app, actor, &holder, new.run_id.as_deref()).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    files::lock(&mut act, &holder).await?;
    let files = files::within(&mut act, &holder, &folder).await?;
    let digest = artifact(&mut act, actor, &rules::bytes(&files)?).await?;
    let description = new.description.filter(|text| !text.trim().is_empty());
    let description = description.unwrap_or_else(|| format!("Registered from {}", new.source));
    let job = match &run {
        Some(run) => store::job_of(&mut act.tx, run).await?,
        None => None,
    };
    let lineage = match job {
        Some((job, _)) => jobs::lineage(&mut act, job).await?,
        None => serde_json::Value::Null,
    };
    let trained = Trained {
        // A job becomes one version; another of the same run names the run alone.
        job: job.filter(|job| !job.1).map(|job| job.0),
        digest: &digest,
        description: &description.chars().take(10_000).collect::<String>(),
        lineage,
    };
    let version = inventory::versions::register(&mut act, actor, model, trained).await?;
    let from = store::From { source: &new.source, holder: &holder, folder: &folder, run: run.as_deref() };
    store::set_source(&mut act.tx, version, &from).await?;
    if let Some((job, _)) = job {
        store::bind_job(&mut act.tx, job, model, &digest).await?;
    }
    tags::VERSION.set(&mut act.tx, version, &new.tags.0).await?;
    let number = store::ordinal(&mut act.tx, version).await?;
    act.tell("training");
    act.commit().await?;
    super::get(app, actor, &new.name, number).await
}

/// Where the files are that a source names, for somebody who sees them.
async fn place(app: &App, actor: &Actor, source: &str) -> Result<(Holder, String)> {
    let (name, number) = match rules::source(source)? {
        Source::Files(holder, folder) => {
            files::check_seen(app, actor, &holder).await?;
            return Ok((holder, folder));
        }
        Source::Version(name, number) => (name, number),
        Source::Alias(name, alias) => {
            let number = registry::aliases::alias_number(app, actor, &name, &alias).await?;
            (name, number.ok_or_else(|| missing("registered model alias", &alias))?)
        }
    };
    let version = seen(app, actor, &name, number).await?;
    match store::place(&app.db, version.version_id).await? {
        Some((holder, folder, _)) => Ok((Holder::model(&holder), folder)),
        None => Err(unregistered(&name, number)),
    }
}

fn unregistered(name: &str, number: i64) -> Error {
    if name.is_empty() {
        return unknown(name, number);
    }
    let sentence =
        format!("Version {number} of {name} was not registered from files, which could be registered again.");
    Error::new(&error::ARTIFACT_UNVERIFIED, sentence)
}

/// The run that a version came from: the one that is named, or the one that holds or logged the files.
async fn run_of(app: &App, actor: &Actor, holder: &Holder, named: Option<&str>) -> Result<Option<String>> {
    if let Some(run) = named.filter(|run| !run.is_empty()) {
        return Ok(Some(runs::seen(app, actor, run).await?.run_uuid));
    }
    if holder.is_model() {
        return logged::run_of(app, actor, holder.as_str()).await;
    }
    Ok(Some(holder.as_str().to_owned()))
}

/// The digest of what is approved; a list of files is kept as an artifact itself.
async fn artifact(act: &mut Act, actor: &Actor, bytes: &Bytes) -> Result<Digest> {
    let list = match bytes {
        Bytes::Onnx(_, digest) => return digest.parse().map_err(|rule: &str| Error::internal(anyhow::anyhow!(rule))),
        Bytes::Manifest(list) => list,
    };
    let app = act.app().clone();
    let whole = stream::iter([Ok::<_, axum::Error>(axum::body::Bytes::from(list.clone()))]);
    let stored: Stored = artifacts::keep_any(&app, whole).await?;
    artifacts::record_stored(act, &stored, "files.sha256", actor.user_id).await?;
    Ok(stored.digest)
}
