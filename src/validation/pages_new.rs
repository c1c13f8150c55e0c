//! The form that asks for a validation: of one version, or of several of distinct models.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::pages::field;
use super::requests::{self, NewRequest};
use super::rules::ValidationType;
use super::store::{Candidate, VersionChoice};
use crate::app::App;
use crate::error::Result;
use crate::ids::{RegionId, VersionId};
use crate::web::format::words;
use crate::web::{Form, Query, Select, Shell, Toast, Visitor, back_to, filters, html};
use crate::words::Priority;

#[derive(Template)]
#[template(path = "validation/new.html")]
struct NewPage {
    shell: Shell,
    /// The versions chosen so far, a row each.
    chosen: Vec<VersionChoice>,
    /// Others that could be reviewed together with them.
    candidates: Vec<Candidate>,
    q: String,
    selects: Vec<Select>,
    regions: Vec<RegionBox>,
    target_date: String,
    note: String,
    error: String,
    open_request: Option<String>,
    region_error: String,
    note_error: String,
}

impl NewPage {
    /// This page with one version more.
    fn with(&self, version: &VersionId) -> String {
        self.address(self.chosen.iter().map(|one| one.version_id).chain([*version]).collect())
    }

    /// This page without one of its versions.
    fn without(&self, version: &VersionId) -> String {
        self.address(self.chosen.iter().map(|one| one.version_id).filter(|one| one != version).collect())
    }

    fn address(&self, version_id: Vec<VersionId>) -> String {
        let about = About { version_id, q: Some(self.q.clone()).filter(|text| !text.is_empty()) };
        format!("/validations/new?{}", serde_html_form::to_string(about).unwrap_or_default())
    }
}

struct RegionBox {
    id: RegionId,
    code: String,
    locks: bool,
    chosen: bool,
}

/// The form's fields, as sent; a date that is none is refused beside its field.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NewForm {
    #[serde(default)]
    version_id: Vec<VersionId>,
    #[serde(default)]
    region_id: Vec<RegionId>,
    r#type: Option<ValidationType>,
    priority: Option<Priority>,
    target_date: Option<NaiveDate>,
    #[serde(default)]
    note: String,
}

/// The versions chosen so far, and the text that others are searched by.
#[derive(Serialize, Deserialize)]
pub(super) struct About {
    #[serde(default)]
    version_id: Vec<VersionId>,
    q: Option<String>,
}

pub(super) async fn new(State(app): State<App>, visitor: Visitor, Query(about): Query<About>) -> Result<Html<String>> {
    html(&page(&app, &visitor, &about, None).await?)
}

async fn page(app: &App, visitor: &Visitor, about: &About, tried: Option<&NewForm>) -> Result<NewPage> {
    let rows = requests::starting_from(app, &visitor.actor, &about.version_id).await?;
    let candidates = requests::candidates(app, &visitor.actor, &about.version_id, about.q.as_deref()).await?;
    let mut regions: Vec<RegionBox> = rows.iter().filter_map(|row| region_box(row, tried)).collect();
    regions.sort_by(|one, other| one.code.cmp(&other.code));
    regions.dedup_by_key(|one| one.id);
    let mut chosen = rows;
    chosen.dedup_by_key(|one| one.version_id);
    let all_first = chosen.iter().all(|one| one.is_first);
    let usual = if all_first { ValidationType::Initial } else { ValidationType::Change };
    let kind = tried.and_then(|form| form.r#type).unwrap_or(usual);
    let priority = tried.and_then(|form| form.priority).unwrap_or(Priority::Medium);
    Ok(NewPage {
        shell: Shell::new(app, visitor, "validations", "Ask for validation").await?,
        selects: vec![
            Select::filter("type", "Type", ValidationType::ALL, Some(kind), |one| (*one, words(one.as_str())))
                .required(),
            Select::filter("priority", "Priority", Priority::ALL, Some(priority), |one| (*one, words(one.as_str())))
                .required(),
        ],
        chosen,
        candidates,
        q: about.q.clone().unwrap_or_default(),
        regions,
        target_date: tried.and_then(|form| form.target_date).map(|date| date.to_string()).unwrap_or_default(),
        note: tried.map(|form| form.note.clone()).unwrap_or_default(),
        error: String::new(),
        open_request: None,
        region_error: String::new(),
        note_error: String::new(),
    })
}

fn region_box(row: &VersionChoice, tried: Option<&NewForm>) -> Option<RegionBox> {
    let id = row.region_id?;
    Some(RegionBox {
        id,
        code: row.region_code.clone()?,
        locks: row.requires_regional_approval,
        chosen: tried.is_none_or(|form| form.region_id.contains(&id)),
    })
}

pub(super) async fn ask(State(app): State<App>, form: Form<NewForm>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let new = NewRequest {
        version_ids: fields.version_id.clone(),
        region_ids: Some(fields.region_id.clone()),
        r#type: fields.r#type.unwrap_or(ValidationType::Change),
        priority: fields.priority.unwrap_or(Priority::Medium),
        target_date: fields.target_date,
        note: fields.note.clone(),
    };
    match requests::request(&app, &visitor.actor, new).await {
        Ok(detail) => {
            let id = detail.request.request_id;
            Ok(back_to(&format!("/validations/{id}"), &Toast::done(format!("Validation {id} was asked for."))))
        }
        Err(error) if matches!(error.status(), StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) => {
            let about = About { version_id: fields.version_id.clone(), q: None };
            let mut page = page(&app, &visitor, &about, Some(&fields)).await?;
            page.region_error = field(&error, "region_ids");
            page.note_error = field(&error, "note");
            if page.region_error.is_empty() && page.note_error.is_empty() {
                let versions = field(&error, "version_ids");
                page.error = if versions.is_empty() { error.detail().to_owned() } else { versions };
                page.open_request = error.problem().facts.get("request_id").map(ToString::to_string);
            }
            Ok((error.status(), html(&page)?).into_response())
        }
        Err(error) => Err(error),
    }
}
