//! The deploy modal in the browser.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::NaiveDate;
use serde::Deserialize;

use super::rules::OVERRIDE_REASON_LENGTH;
use super::{Deploy, DeployAnswer, DeployModal, DeployMode, DeployRegion, deploy_modal};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ids::{RegionId, VersionId};
use crate::web::{Form, Path, Query, Shell, Toast, Visitor, back_to, filters, format, html};

/// Which region is chosen already, and where the modal was opened.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Address {
    #[serde(default)]
    region_id: Vec<RegionId>,
    back: Option<String>,
}

/// Only a place of this product is worth returning to.
fn local(back: Option<String>) -> String {
    back.filter(|back| back.starts_with('/') && !back.starts_with("//") && !back.contains('\\'))
        .unwrap_or_else(|| "/my-deployment-tasks".to_owned())
}

/// What was typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    chosen: Vec<RegionId>,
    schedule: bool,
    date: String,
    planned: BTreeMap<RegionId, String>,
    notes: String,
    reason: String,
}

impl Typed {
    fn has(&self, region: &RegionId) -> bool {
        self.chosen.contains(region)
    }

    fn planned(&self, region: &RegionId) -> &str {
        self.planned.get(region).map_or("", String::as_str)
    }
}

#[derive(Template)]
#[template(path = "tasks/deploy.html")]
struct DeployPage {
    shell: Shell,
    modal: DeployModal,
    typed: Typed,
    back: String,
    error: Option<Error>,
    reason_length: usize,
}

impl DeployPage {
    fn field_error(&self, field: &str) -> Option<&str> {
        let errors = self.error.as_ref().map(Error::field_errors).unwrap_or_default();
        errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    fn refusal(&self) -> Option<String> {
        let error = self.error.as_ref().filter(|error| error.field_errors().is_empty())?;
        Some(format!("{} {}", error.detail(), error.advice()))
    }
}

/// `GET /versions/{version_id}/deploy?region_id=…&back=…`
pub async fn modal(
    State(app): State<App>,
    visitor: Visitor,
    Path(version): Path<VersionId>,
    Query(address): Query<Address>,
) -> Result<Html<String>> {
    let typed = Typed { chosen: address.region_id, ..Typed::default() };
    render(&app, &visitor, version, typed, local(address.back), None).await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    version: VersionId,
    mut typed: Typed,
    back: String,
    error: Option<Error>,
) -> Result<Html<String>> {
    let modal = deploy_modal(app, &visitor.actor, version).await?;
    // While the regions' days differ, no one date is right in all of them: left empty, each has its own.
    if typed.date.is_empty()
        && let Some(today) = modal.one_today()
    {
        typed.date = today.to_string();
    }
    let title = format!("Deploy {} {}", modal.model_name, modal.version_number);
    let shell = Shell::new(app, visitor, "tasks", title).await?;
    html(&DeployPage { shell, modal, typed, back, error, reason_length: OVERRIDE_REASON_LENGTH })
}

/// `POST /versions/{version_id}/deploy`
pub async fn deploy(
    State(app): State<App>,
    Path(version): Path<VersionId>,
    form: Form<Vec<(String, String)>>,
) -> Response {
    let Form { visitor, fields } = form;
    let (typed, back) = read(fields);
    let outcome = match body(&typed) {
        Ok(body) => super::deploy(&app, &visitor.actor, version, &body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(answer) => back_to(&back, &toast(&answer)),
        Err(error) => match render(&app, &visitor, version, typed, back, Some(error)).await {
            Ok(page) => (StatusCode::UNPROCESSABLE_ENTITY, page).into_response(),
            Err(error) => error.into_response(),
        },
    }
}

/// Reads the form: `region_id` once a region chosen, `planned-ID` once a region shown.
fn read(fields: Vec<(String, String)>) -> (Typed, String) {
    let (mut typed, mut back) = (Typed::default(), None);
    for (name, value) in fields {
        match name.as_str() {
            "region_id" => typed.chosen.extend(value.parse::<RegionId>()),
            "mode" => typed.schedule = value == "schedule",
            "actual_production_date" => typed.date = value,
            "confirmation_notes" => typed.notes = value,
            "validation_override_reason" => typed.reason = value,
            "back" => back = Some(value),
            other => {
                if let Some(region) = other.strip_prefix("planned-").and_then(|id| id.parse().ok()) {
                    typed.planned.insert(region, value);
                }
            }
        }
    }
    (typed, local(back))
}

fn body(typed: &Typed) -> Result<Deploy> {
    let date = |field: &str, text: &str| -> Result<Option<NaiveDate>> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| Error::field(field, "This is not a date."))
    };
    let mut regions = Vec::new();
    for region in &typed.chosen {
        let planned = date("planned_production_date", typed.planned(region))?;
        regions.push(DeployRegion { region_id: *region, planned_production_date: planned });
    }
    let now = !typed.schedule;
    let text = |text: &str| (now && !text.trim().is_empty()).then(|| text.to_owned());
    Ok(Deploy {
        mode: if now { DeployMode::Now } else { DeployMode::Schedule },
        regions,
        actual_production_date: if now { date("actual_production_date", &typed.date)? } else { None },
        confirmation_notes: text(&typed.notes),
        validation_override_reason: text(&typed.reason),
    })
}

fn toast(answer: &DeployAnswer) -> Toast {
    let mut parts = Vec::new();
    if answer.confirmed > 0 {
        parts.push(format!("deployed to {}", format::plural(answer.confirmed, "region")));
    }
    if answer.scheduled > 0 {
        parts.push(format!("scheduled in {}", format::plural(answer.scheduled, "region")));
    }
    if answer.approvals_asked > 0 {
        parts.push(format!("asked for {}", format::plural(answer.approvals_asked, "regional approval")));
    }
    let what = answer.tasks.first().map(|task| format!("{} {}: ", task.model_name, task.version_number));
    let toast = Toast::done(format!("{}{}.", what.unwrap_or_default(), parts.join(", ")));
    match answer.tasks.first() {
        Some(task) => toast.link(format!("/models/{}?tab=deployments", task.model_id)),
        None => toast,
    }
}
