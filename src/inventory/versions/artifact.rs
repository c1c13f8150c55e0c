//! The artifact of a version: uploaded, or named by its digest.

use axum::body::Bytes;
use futures_util::Stream;

use super::{Act, Action, Actor, App, Error, ModelId, Record, Result, VersionId, VersionView, access, error, store};
use crate::artifacts::{self, Digest, Download};
use crate::validation;

/// Takes the artifact's bytes. With `expected` they must have that digest.
///
/// # Errors
/// `not_found`, `forbidden`, `too_large`, `digest_mismatch`, or `version_in_use` once the version
/// was ratified.
pub async fn upload<E>(
    app: &App,
    actor: &Actor,
    version: VersionId,
    file_name: &str,
    expected: Option<&str>,
    bytes: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
) -> Result<VersionView>
where
    E: std::fmt::Display,
{
    let model = super::authorise(app, actor, Action::VersionSubmit, version).await?;
    let expected = expected.map(|text| parse("digest", text)).transpose()?;
    let stored = artifacts::keep(app, bytes, expected.as_ref()).await?;
    let mut act = begin(app, actor, version).await?;
    artifacts::record_stored(&mut act, &stored, &artifacts::safe_name(file_name), actor.user_id).await?;
    set(act, model, version, &stored.digest).await
}

/// Names the artifact by its digest; the bytes stay elsewhere.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`, or `version_in_use` once the version was ratified.
pub async fn refer(
    app: &App,
    actor: &Actor,
    version: VersionId,
    digest: &str,
    file_name: Option<&str>,
) -> Result<VersionView> {
    let model = super::authorise(app, actor, Action::VersionSubmit, version).await?;
    let digest = parse("digest", digest)?;
    let name = file_name.map_or_else(|| digest.file_name(), artifacts::safe_name);
    let mut act = begin(app, actor, version).await?;
    artifacts::record_reference(&mut act, &digest, &name, actor.user_id).await?;
    set(act, model, version, &digest).await
}

/// The artifact's bytes, with the name to save them under.
///
/// # Errors
/// `not_found` if the version has none, or only a digest.
pub async fn download(app: &App, actor: &Actor, version: VersionId) -> Result<Download> {
    let view = super::get(app, actor, version).await?;
    let missing = || Error::not_found("artifact of version", version);
    let digest: Digest = view.artifact_digest.ok_or_else(missing)?.parse().map_err(|_| missing())?;
    if !view.artifact_stored {
        return Err(missing().hint("Only its digest is kept here; the bytes are where they were made."));
    }
    artifacts::open(app, &digest, view.artifact_name.unwrap_or_default()).await
}

/// Begins an act on a version's artifact, with every model locked whose approvals it may end: those that
/// are validated together with the version, too.
///
/// They are locked at once, in the one order of all acts, so that no two acts wait for each other. A
/// request may have joined another model while this one waited; then it is done again.
async fn begin(app: &App, actor: &Actor, version: VersionId) -> Result<Act> {
    loop {
        let mut act = Act::begin(app, &actor.who).await?;
        let models = validation::models_beside(&mut act.tx, version).await?;
        access::lock_models(&mut act.tx, &models).await?;
        if validation::models_beside(&mut act.tx, version).await? == models {
            return Ok(act);
        }
    }
}

/// Gives the version this artifact. Approvals of other bytes lapse.
async fn set(mut act: Act, model: ModelId, version: VersionId, digest: &Digest) -> Result<VersionView> {
    let app = act.app().clone();
    let state = store::state(&mut act.tx, version).await?.ok_or_else(|| Error::not_found("version", version))?;
    if state.artifact_digest.as_deref() == Some(digest.as_str()) {
        act.commit().await?;
        return super::view(&app, version).await;
    }
    if state.live_ever {
        let detail = match state.artifact_digest {
            Some(_) => format!("Version {} was ratified with its artifact, which can no longer change.", state.number),
            None => format!("Version {} was ratified without an artifact; none can be named now.", state.number),
        };
        return Err(Error::new(&error::VERSION_IN_USE, detail).hint("Submit a new version for the new bytes."));
    }
    store::set_artifact(&mut act.tx, version, digest.as_str()).await?;
    let artifact = |digest: Option<&str>| serde_json::json!({ "artifact_digest": digest });
    act.record(
        Record::new("version.artifact_changed", "version", version)
            .model(model)
            .before(artifact(state.artifact_digest.as_deref()))
            .after(artifact(Some(digest.as_str()))),
    );
    validation::artifact_changed(&mut act, version).await?;
    act.tell("models");
    act.commit().await?;
    super::view(&app, version).await
}

fn parse(field: &str, text: &str) -> Result<Digest> {
    text.parse().map_err(|rule: &str| Error::field(field, rule))
}
