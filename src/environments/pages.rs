//! The pages of environments, with their dialogs.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

use super::rules::RuntimeKind;
use super::{EnvironmentBody, EnvironmentDetail, EnvironmentView, NewFreeze};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::ids::{EnvironmentId, FreezeId};
use crate::inventory::regions::{self, RegionView};
use crate::web::form::read;
use crate::web::{Form, Path, Refusal, Select, Shell, Toast, Visitor, back_to, filters, html};
use crate::words::Stage;

#[derive(Template)]
#[template(path = "environments/list.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    environments: Vec<EnvironmentView>,
    may_manage: bool,
    modal: Option<Modal>,
}

#[derive(Template)]
#[template(path = "environments/show.html")]
struct ShowPage {
    shell: Shell,
    now: DateTime<Utc>,
    detail: EnvironmentDetail,
    may_manage: bool,
    modal: Option<Modal>,
    freeze: Option<FreezeModal>,
}

/// The dialog of one environment.
struct Modal {
    action: String,
    back: String,
    is_new: bool,
    fields: Fields,
    refusal: Refusal,
    region: Select,
    stage: Select,
}

/// The dialog of a freeze window.
struct FreezeModal {
    fields: FreezeFields,
    refusal: Refusal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    name: String,
    region_id: String,
    stage: String,
    endpoint: String,
    approval_required: Option<String>,
    preview_minutes: String,
    revision: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FreezeFields {
    starts_at: String,
    ends_at: String,
    reason: String,
}

impl Fields {
    fn body(&self) -> Result<EnvironmentBody> {
        let mut fields = crate::error::Fields::default();
        let region_id = read(&mut fields, "region_id", &self.region_id, "Choose a region.");
        let stage = read(&mut fields, "stage", &self.stage, "Choose a stage.");
        let minutes = read(&mut fields, "preview_minutes", &self.preview_minutes, "Give a number of minutes.");
        fields.done()?;
        let (Some(region_id), Some(stage), Some(preview_minutes)) = (region_id, stage, minutes) else {
            return Err(Error::field("name", "The form is not complete."));
        };
        Ok(EnvironmentBody {
            name: self.name.clone(),
            project_id: None,
            region_id,
            stage,
            runtime: RuntimeKind::Local,
            endpoint: Some(self.endpoint.clone()),
            approval_required: Some(self.approval_required.is_some()),
            preview_minutes,
        })
    }

    fn fresh() -> Self {
        Self { preview_minutes: "30".to_owned(), approval_required: Some("on".to_owned()), ..Self::default() }
    }
}

impl From<&EnvironmentView> for Fields {
    fn from(environment: &EnvironmentView) -> Self {
        Self {
            name: environment.name.clone(),
            region_id: environment.region_id.to_string(),
            stage: environment.stage.to_string(),
            endpoint: environment.endpoint.clone(),
            approval_required: environment.approval_required.then(|| "on".to_owned()),
            preview_minutes: environment.preview_minutes.to_string(),
            revision: environment.revision,
        }
    }
}

impl FreezeFields {
    fn window(&self) -> Result<NewFreeze> {
        let mut fields = crate::error::Fields::default();
        let mut instant = |name: &str, text: &str| {
            let at = NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%dT%H:%M").ok();
            fields.check(at.is_some(), name, "Give a date and a time.");
            at.map(|at| at.and_utc()).unwrap_or_default()
        };
        let (starts_at, ends_at) = (instant("starts_at", &self.starts_at), instant("ends_at", &self.ends_at));
        fields.done()?;
        Ok(NewFreeze { starts_at, ends_at, reason: self.reason.clone() })
    }
}

async fn modal(app: &App, of: Option<EnvironmentId>, fields: Fields, refusal: Refusal) -> Result<Modal> {
    let address = of.map_or_else(|| "/environments".to_owned(), |id| format!("/environments/{id}"));
    let all = regions::list(app).await?;
    let name = |one: RegionView| (one.region_id, format!("{} ({})", one.name, one.code));
    let region = Select::filter("region_id", "Region", all, Some(&fields.region_id), name).required();
    let word = |stage: &Stage| (stage.as_str(), crate::web::format::words(stage.as_str()));
    let stage = Select::filter("stage", "Stage", Stage::ALL, Some(&fields.stage), word).required();
    Ok(Modal { action: address.clone(), back: address, is_new: of.is_none(), fields, refusal, region, stage })
}

async fn list_page(app: &App, visitor: &Visitor, modal: Option<Modal>) -> Result<Response> {
    let status = modal.as_ref().map(|modal| modal.refusal.status()).unwrap_or_default();
    let shell = Shell::new(app, visitor, "environments", "Environments").await?;
    let may_manage = visitor.actor.can(app, Action::EnvironmentManage, &[]);
    let environments = super::list(app, &visitor.actor).await?;
    Ok((status, html(&ListPage { shell, now: app.now(), environments, may_manage, modal })?).into_response())
}

async fn show_page(
    app: &App,
    visitor: &Visitor,
    environment: EnvironmentId,
    modal: Option<Modal>,
    freeze: Option<FreezeModal>,
) -> Result<Response> {
    let refusal = modal.as_ref().map(|modal| &modal.refusal).or(freeze.as_ref().map(|freeze| &freeze.refusal));
    let status = refusal.map(Refusal::status).unwrap_or_default();
    let detail = super::show(app, &visitor.actor, environment).await?;
    let shell = Shell::new(app, visitor, "environments", detail.environment.name.clone()).await?;
    let may_manage = visitor.actor.can(app, Action::EnvironmentManage, &[]);
    Ok((status, html(&ShowPage { shell, now: app.now(), detail, may_manage, modal, freeze })?).into_response())
}

/// `GET /environments`
pub async fn list(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    list_page(&app, &visitor, None).await
}

/// `GET /environments/new`
pub async fn new(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    visitor.actor.may(&app, Action::EnvironmentManage, &[])?;
    let modal = modal(&app, None, Fields::fresh(), Refusal::default()).await?;
    list_page(&app, &visitor, Some(modal)).await
}

/// `POST /environments`
pub async fn create(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    let outcome = match form.fields.body() {
        Ok(body) => super::create(&app, &form.visitor.actor, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(changed(&made, "was added")),
        Err(error) => {
            let modal = modal(&app, None, form.fields, Refusal::of(error)?).await?;
            list_page(&app, &form.visitor, Some(modal)).await
        }
    }
}

/// `GET /environments/{id}`
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(environment): Path<EnvironmentId>,
) -> Result<Response> {
    show_page(&app, &visitor, environment, None, None).await
}

/// `GET /environments/{id}/edit`
pub async fn edit(
    State(app): State<App>,
    visitor: Visitor,
    Path(environment): Path<EnvironmentId>,
) -> Result<Response> {
    visitor.actor.may(&app, Action::EnvironmentManage, &[])?;
    let fields = Fields::from(&super::show(&app, &visitor.actor, environment).await?.environment);
    let modal = modal(&app, Some(environment), fields, Refusal::default()).await?;
    show_page(&app, &visitor, environment, Some(modal), None).await
}

/// `POST /environments/{id}`
pub async fn update(
    State(app): State<App>,
    Path(environment): Path<EnvironmentId>,
    form: Form<Fields>,
) -> Result<Response> {
    let outcome = match form.fields.body() {
        Ok(body) => super::update(&app, &form.visitor.actor, environment, form.fields.revision, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(changed(&made, "was changed")),
        Err(error) => {
            let modal = modal(&app, Some(environment), form.fields, Refusal::of(error)?).await?;
            show_page(&app, &form.visitor, environment, Some(modal), None).await
        }
    }
}

/// `GET /environments/{id}/freeze`
pub async fn freeze(
    State(app): State<App>,
    visitor: Visitor,
    Path(environment): Path<EnvironmentId>,
) -> Result<Response> {
    visitor.actor.may(&app, Action::EnvironmentManage, &[])?;
    let starts_at = app.now().format("%Y-%m-%dT%H:%M").to_string();
    let fields = FreezeFields { starts_at, ..FreezeFields::default() };
    let modal = FreezeModal { fields, refusal: Refusal::default() };
    show_page(&app, &visitor, environment, None, Some(modal)).await
}

/// `POST /environments/{id}/freeze`
pub async fn add_freeze(
    State(app): State<App>,
    Path(environment): Path<EnvironmentId>,
    form: Form<FreezeFields>,
) -> Result<Response> {
    let outcome = match form.fields.window() {
        Ok(new) => super::add_freeze(&app, &form.visitor.actor, environment, new).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(changed(&made, "takes no releases in that time")),
        Err(error) => {
            let modal = FreezeModal { fields: form.fields, refusal: Refusal::of(error)? };
            show_page(&app, &form.visitor, environment, None, Some(modal)).await
        }
    }
}

/// `POST /environments/{id}/freeze/{freeze}/end`
pub async fn end_freeze(
    State(app): State<App>,
    Path((environment, freeze)): Path<(EnvironmentId, FreezeId)>,
    form: Form<FreezeFields>,
) -> Result<Response> {
    let made = super::remove_freeze(&app, &form.visitor.actor, environment, freeze).await?;
    Ok(changed(&made, "has one freeze window less"))
}

fn changed(made: &EnvironmentDetail, what: &str) -> Response {
    let environment = &made.environment;
    let address = format!("/environments/{}", environment.environment_id);
    back_to(&address, &Toast::done(format!("Environment {} {what}.", environment.name)))
}
