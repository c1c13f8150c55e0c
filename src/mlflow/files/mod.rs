//! The files of runs and logged models: written and read through this server, kept by digest, sealed by versions.
//!
//! The bytes pass in pieces and are never held whole. Once a version came from a folder, nothing in it changes any more:
//! what was approved stays what is loaded.

use axum::body::Bytes;
use futures_util::Stream;

use super::answers::missing;
use super::rules::{self, FileInfo, Holder, Place};
use super::wire::Done;
use super::{logged, runs};
use crate::app::App;
use crate::artifacts::{self, Download};
use crate::audit::Act;
use crate::db::Tx;
use crate::error::{self, Error, Result};
use crate::identity::Actor;
use crate::ids::ExperimentId;

pub(super) mod api;
mod store;

/// The experiment that a holder is of, for somebody who sees it.
async fn experiment_of(app: &App, actor: &Actor, holder: &Holder) -> Result<ExperimentId> {
    if holder.is_model() {
        logged::experiment(app, actor, holder.as_str()).await
    } else {
        Ok(runs::seen(app, actor, holder.as_str()).await?.experiment_id)
    }
}

/// Reads an address of artifacts, for somebody who sees what it names, or a version that came from there.
async fn found(app: &App, actor: &Actor, path: &str) -> Result<Place> {
    let place = rules::place(path)?;
    let refusal = match experiment_of(app, actor, &place.holder).await {
        Ok(experiment) if experiment == place.experiment => return Ok(place),
        Ok(_) => missing("artifact", path),
        Err(refusal) => refusal,
    };
    let folders = store::of_versions(app, actor, &place.holder).await?;
    let within = |(experiment, folder): &(ExperimentId, String)| {
        *experiment == place.experiment && rules::is_within(&place.path, folder)
    };
    if folders.iter().any(within) { Ok(place) } else { Err(refusal) }
}

/// What lies right below a folder.
///
/// # Errors
/// `not_found`, `malformed`.
pub async fn list(app: &App, actor: &Actor, path: &str) -> Result<Vec<FileInfo>> {
    let place = found(app, actor, path).await?;
    below(app, &place.holder, &place.path).await
}

/// What lies right below a folder of a run, by paths from the run, with the address of the run's files.
///
/// # Errors
/// `not_found`, `malformed`.
pub async fn list_of_run(app: &App, actor: &Actor, run: &str, folder: &str) -> Result<(String, Vec<FileInfo>)> {
    let row = runs::seen(app, actor, run).await?;
    let (holder, folder) = (Holder::run(run), rules::clean(folder)?);
    let mut files = below(app, &holder, &folder).await?;
    for file in files.iter_mut().filter(|_| !folder.is_empty()) {
        file.path = format!("{folder}/{}", file.path);
    }
    Ok((holder.uri(row.experiment_id, ""), files))
}

/// What lies right below a folder of a holder, for somebody who was found to see it.
pub(super) async fn below(app: &App, holder: &Holder, folder: &str) -> Result<Vec<FileInfo>> {
    Ok(rules::children(&store::all(&app.db, holder).await?, folder))
}

/// The files of a folder: path below it, digest and size. The holder was locked by the act.
pub(super) async fn within(act: &mut Act, holder: &Holder, folder: &str) -> Result<Vec<(String, String, i64)>> {
    let all = store::with_digests(&mut act.tx, holder).await?;
    let below = all.into_iter().filter_map(|(path, digest, size)| {
        let rest = if folder.is_empty() { Some(path.as_str()) } else { path.strip_prefix(folder)?.strip_prefix('/') };
        rest.map(|rest| (rest.to_owned(), digest, size))
    });
    Ok(below.collect())
}

/// That somebody sees a holder of files.
pub(super) async fn check_seen(app: &App, actor: &Actor, holder: &Holder) -> Result<()> {
    experiment_of(app, actor, holder).await.map(drop)
}

/// Locks a holder, so that its files stay as they are until the act ends.
pub(super) async fn lock(act: &mut Act, holder: &Holder) -> Result<()> {
    Ok(store::lock(&mut act.tx, holder).await?)
}

/// Locks a holder for a write by somebody who may write to it.
pub(super) async fn hold(act: &mut Act, actor: &Actor, holder: &Holder) -> Result<ExperimentId> {
    if holder.is_model() {
        logged::hold(act, actor, holder.as_str()).await
    } else {
        runs::hold_files(act, actor, holder.as_str()).await
    }
}

/// Refuses a write at a path that a version came from, or to what lies over or below it.
pub(super) async fn check_unsealed(tx: &mut Tx, holder: &Holder, path: &str) -> Result<()> {
    let sealed = store::sealed(tx, holder).await?;
    let folders: Vec<String> = sealed.iter().map(|one| one.0.clone()).collect();
    let Some(folder) = rules::seal_over(path, &folders) else { return Ok(()) };
    let of = sealed.iter().find(|one| one.0 == *folder).map_or("a version", |one| one.1.as_str());
    let sentence = format!(
        "These files are sealed: they became {of}, and what is approved must stay what is loaded. Log the model anew."
    );
    Err(Error::new(&error::VERSION_IN_USE, sentence))
}

/// Keeps a file's bytes at a path; what lay there before gives way.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`, `too_large`, or `version_in_use` if the place is sealed.
pub async fn write<E: std::fmt::Display>(
    app: &App,
    actor: &Actor,
    path: &str,
    bytes: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
) -> Result<Done> {
    let place = found(app, actor, path).await?;
    if place.path.is_empty() {
        return Err(super::answers::wrong("A file needs a name."));
    }
    // Whoever may not write is told before they have sent it all.
    let mut act = Act::begin(app, &actor.who).await?;
    hold(&mut act, actor, &place.holder).await?;
    check_unsealed(&mut act.tx, &place.holder, &place.path).await?;
    drop(act);
    let stored = artifacts::keep_any(app, bytes).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    hold(&mut act, actor, &place.holder).await?;
    check_unsealed(&mut act.tx, &place.holder, &place.path).await?;
    artifacts::record_stored(&mut act, &stored, &artifacts::safe_name(&place.path), actor.user_id).await?;
    store::put(&mut act.tx, &place, &stored, act.now).await?;
    act.commit().await?;
    Ok(Done {})
}

/// A file's bytes.
///
/// # Errors
/// `not_found`.
pub async fn read(app: &App, actor: &Actor, path: &str) -> Result<Download> {
    let place = found(app, actor, path).await?;
    let digest = store::digest(&app.db, &place).await?.ok_or_else(|| missing("artifact", path))?;
    let digest = digest.parse().map_err(|_| missing("artifact", path))?;
    artifacts::open(app, &digest, artifacts::safe_name(&place.path)).await
}

/// Takes a file or a folder away from a run or logged model. The bytes stay if they are used elsewhere.
///
/// # Errors
/// `not_found`, `forbidden`, or `version_in_use` if it is sealed.
pub async fn delete(app: &App, actor: &Actor, path: &str) -> Result<Done> {
    let place = found(app, actor, path).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    hold(&mut act, actor, &place.holder).await?;
    check_unsealed(&mut act.tx, &place.holder, &place.path).await?;
    let files = store::all(&mut act.tx, &place.holder).await?;
    let gone: Vec<&String> =
        files.iter().map(|file| &file.0).filter(|file| rules::is_within(file, &place.path)).collect();
    if gone.is_empty() {
        return Err(missing("artifact", path));
    }
    store::remove(&mut act.tx, &place.holder, &gone).await?;
    act.commit().await?;
    Ok(Done {})
}
