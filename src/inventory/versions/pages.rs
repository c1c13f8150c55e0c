//! The page of a version, and the dialogs that submit, plan and delete one.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::NaiveDate;
use serde::Deserialize;

use super::{Outlook, VersionBody, VersionPatch, VersionView, store};
use crate::app::App;
use crate::error::{self, Error, Result};
use crate::identity::access::{self, sees_all_models};
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, RegionId, VersionId};
use crate::inventory::models::{self, ModelView};
use crate::web::{Form, Path, Refusal, Select, Shell, Toast, Upload, Visitor, back_to, filters, form, format, html};
use crate::words::{ChangeType, VersionScope, VersionStatus};

/// The pages.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/models/{model_id}/versions/new", get(new))
        .route("/models/{model_id}/versions", axum::routing::post(create))
        .route("/versions/{version_id}", get(show))
        .route("/versions/{version_id}/plan", get(plan).post(save_plan))
        .route("/versions/{version_id}/delete", get(confirm_delete).post(delete))
        .route("/versions/{version_id}/artifact", get(artifact).post(upload))
        .route("/versions/{version_id}/artifact-reference", axum::routing::post(refer))
        .route("/versions/{version_id}/download", get(download))
}

#[derive(Template)]
#[template(path = "inventory/version_new.html")]
struct NewPage {
    shell: Shell,
    model: ModelView,
    outlook: Outlook,
    today: NaiveDate,
    fields: Fields,
    refusal: Refusal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    change_type: String,
    version_number: String,
    scope: String,
    affected_region_ids: Vec<String>,
    description: String,
    planned_production_date: String,
    artifact_digest: String,
}

impl Fields {
    fn body(&self) -> Result<VersionBody> {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.trim().is_empty());
        let mut fields = error::Fields::default();
        let change_type = form::read(&mut fields, "change_type", &self.change_type, "Choose how far the change goes.");
        let scope = form::read(&mut fields, "scope", &self.scope, "Choose where the change is meant to go.");
        let date = &self.planned_production_date;
        let date = form::read_optional(&mut fields, "planned_production_date", date, "A day is written 2026-03-31.");
        let (Some(change_type), Some(scope)) = (change_type, scope) else {
            fields.done()?;
            return Err(Error::field("change_type", "Choose how far the change goes."));
        };
        fields.done()?;
        Ok(VersionBody {
            change_type,
            version_number: filled(&self.version_number),
            scope,
            affected_region_ids: self.affected_region_ids.iter().filter_map(|id| id.parse().ok()).collect(),
            description: self.description.clone(),
            planned_production_date: date,
            artifact_digest: filled(&self.artifact_digest),
        })
    }

    fn names(&self, region: &RegionId) -> bool {
        self.affected_region_ids.contains(&region.to_string())
    }
}

async fn show_new(app: &App, visitor: &Visitor, model: ModelId, fields: Fields, refusal: Refusal) -> Result<Response> {
    access::authorise(app, &app.db, &visitor.actor, Action::VersionSubmit, model).await?;
    let model = models::view(app, model).await?;
    let outlook = super::known_outlook(app, model.model_id).await?;
    let shell = Shell::new(app, visitor, "models", format!("Submit a change of {}", model.name)).await?;
    let status = refusal.status();
    let today = app.now().date_naive();
    Ok((status, html(&NewPage { shell, model, outlook, today, fields, refusal })?).into_response())
}

async fn new(State(app): State<App>, visitor: Visitor, Path(model): Path<ModelId>) -> Result<Response> {
    let fields = Fields {
        change_type: ChangeType::Minor.to_string(),
        scope: VersionScope::Global.to_string(),
        ..Fields::default()
    };
    show_new(&app, &visitor, model, fields, Refusal::default()).await
}

async fn create(State(app): State<App>, Path(model): Path<ModelId>, form: Form<Fields>) -> Result<Response> {
    let outcome = match form.fields.body() {
        Ok(body) => super::create(&app, &form.visitor.actor, model, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(view) => Ok(to(&view, &format!("Version {} of {} was submitted.", view.version_number, view.model_name))),
        Err(error) => show_new(&app, &form.visitor, model, form.fields, Refusal::of(error)?).await,
    }
}

fn to(view: &VersionView, text: &str) -> Response {
    back_to(&format!("/versions/{}", view.version_id), &Toast::done(text))
}

#[derive(Template)]
#[template(path = "inventory/version.html")]
struct VersionPage {
    shell: Shell,
    version: VersionView,
    may_submit: bool,
    may_delete: bool,
    may_deploy: bool,
    may_validate: bool,
    now: chrono::DateTime<chrono::Utc>,
    dialog: Option<Dialog>,
    refusal: Refusal,
    /// What was typed into the dialog's one field.
    typed: String,
}

/// Which dialog is open over the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialog {
    Plan,
    Delete,
    Artifact,
}

impl VersionPage {
    /// Whether nothing hangs on it yet, so that it can be deleted.
    fn is_bare(&self) -> bool {
        self.version.status == VersionStatus::Draft
            && self.version.targets.iter().all(|one| one.pending_task_id.is_none())
    }

    fn artifact_size(&self) -> Option<String> {
        self.version.artifact_size.map(format::bytes)
    }

    fn was_ratified(&self) -> bool {
        matches!(self.version.status, VersionStatus::Active | VersionStatus::Superseded)
    }
}

async fn page(
    app: &App,
    visitor: &Visitor,
    version: VersionId,
    dialog: Option<Dialog>,
    typed: Option<String>,
    refusal: Refusal,
) -> Result<Response> {
    let (version, relations) = super::shown(app, &visitor.actor, version).await?;
    let may = |action: Action| visitor.actor.can(app, action, &relations);
    let needed = match dialog {
        Some(Dialog::Delete) => Action::VersionDelete,
        Some(_) => Action::VersionSubmit,
        None => Action::ModelView,
    };
    visitor.actor.may(app, needed, &relations)?;
    let title = format!("{} {}", version.model_name, version.version_number);
    let planned = version.planned_production_date.map(|date| date.to_string());
    let page = VersionPage {
        may_submit: may(Action::VersionSubmit),
        may_delete: may(Action::VersionDelete),
        may_deploy: may(Action::TaskCreate),
        may_validate: may(Action::ValidationRequest),
        shell: Shell::new(app, visitor, "models", title).await?,
        now: app.now(),
        typed: typed.or(planned.filter(|_| dialog == Some(Dialog::Plan))).unwrap_or_default(),
        version,
        dialog,
        refusal,
    };
    Ok((page.refusal.status(), html(&page)?).into_response())
}

async fn show(State(app): State<App>, visitor: Visitor, Path(version): Path<VersionId>) -> Result<Response> {
    page(&app, &visitor, version, None, None, Refusal::default()).await
}

async fn plan(State(app): State<App>, visitor: Visitor, Path(version): Path<VersionId>) -> Result<Response> {
    page(&app, &visitor, version, Some(Dialog::Plan), None, Refusal::default()).await
}

async fn confirm_delete(State(app): State<App>, visitor: Visitor, Path(version): Path<VersionId>) -> Result<Response> {
    page(&app, &visitor, version, Some(Dialog::Delete), None, Refusal::default()).await
}

async fn artifact(State(app): State<App>, visitor: Visitor, Path(version): Path<VersionId>) -> Result<Response> {
    page(&app, &visitor, version, Some(Dialog::Artifact), None, Refusal::default()).await
}

#[derive(Debug, Deserialize)]
struct PlanFields {
    revision: i64,
    #[serde(default)]
    planned_production_date: String,
}

async fn save_plan(State(app): State<App>, Path(version): Path<VersionId>, form: Form<PlanFields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let mut broken = error::Fields::default();
    let text = &fields.planned_production_date;
    let date = form::read_optional(&mut broken, "planned_production_date", text, "A day is written 2026-03-31.");
    let outcome = match broken.done() {
        Ok(()) => {
            let patch = VersionPatch { planned_production_date: date };
            super::update(&app, &visitor.actor, version, fields.revision, patch).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(view) => Ok(to(&view, "The planned date was saved.")),
        Err(error) => {
            let typed = Some(fields.planned_production_date);
            page(&app, &visitor, version, Some(Dialog::Plan), typed, Refusal::of(error)?).await
        }
    }
}

#[derive(Debug, Deserialize)]
struct NoFields {}

async fn delete(State(app): State<App>, Path(version): Path<VersionId>, form: Form<NoFields>) -> Result<Response> {
    match super::delete(&app, &form.visitor.actor, version).await {
        Ok(view) => Ok(back_to(
            &format!("/models/{}?tab=versions", view.model_id),
            &Toast::done(format!("Version {} was deleted; its number stays taken.", view.version_number)),
        )),
        Err(error) => page(&app, &form.visitor, version, Some(Dialog::Delete), None, Refusal::of(error)?).await,
    }
}

async fn upload(State(app): State<App>, Path(version): Path<VersionId>, upload: Upload) -> Result<Response> {
    let Upload { visitor, mut files, .. } = upload;
    let (name, bytes) = files.remove("file").unwrap_or_default();
    let bytes = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    let outcome = super::upload(&app, &visitor.actor, version, &name, None, bytes).await;
    artifact_saved(&app, &visitor, version, outcome, None).await
}

#[derive(Debug, Deserialize)]
struct ReferenceFields {
    #[serde(default)]
    digest: String,
}

async fn refer(
    State(app): State<App>,
    Path(version): Path<VersionId>,
    form: Form<ReferenceFields>,
) -> Result<Response> {
    let Form { visitor, fields } = form;
    let outcome = super::refer(&app, &visitor.actor, version, &fields.digest, None).await;
    artifact_saved(&app, &visitor, version, outcome, Some(fields.digest)).await
}

async fn artifact_saved(
    app: &App,
    visitor: &Visitor,
    version: VersionId,
    outcome: Result<VersionView>,
    typed: Option<String>,
) -> Result<Response> {
    match outcome {
        Ok(view) => Ok(to(&view, "The artifact was saved.")),
        Err(error) => page(app, visitor, version, Some(Dialog::Artifact), typed, Refusal::of(error)?).await,
    }
}

async fn download(State(app): State<App>, visitor: Visitor, Path(version): Path<VersionId>) -> Result<Response> {
    Ok(crate::artifacts::attachment(super::download(&app, &visitor.actor, version).await?))
}

/// The versions for a form to choose from, of the models that the person sees; with `kept` only those whose bytes are
/// kept here. `chosen` is what the form holds, and stands among them whatever else does.
///
/// # Errors
/// Only failures of the database.
pub async fn select(app: &App, actor: &Actor, kept: bool, chosen: &str) -> Result<Select> {
    let member = (!sees_all_models(app, actor)).then_some(actor.user_id);
    let offered = store::offered(&app.db, member, app.now(), kept, chosen.parse().ok()).await?;
    let named = |(id, model, number)| (id, format!("{model} {number}"));
    Ok(Select::filter("version_id", "Version", offered, Some(chosen), named).required())
}
