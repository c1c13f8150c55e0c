//! The page of regions, with its dialogs.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::{RegionBody, RegionView};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::ids::RegionId;
use crate::web::{Form, Path, Refusal, Shell, Toast, Visitor, back_to, filters, html};

/// The pages.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/regions", get(list).post(create))
        .route("/regions/new", get(new))
        .route("/regions/{region_id}", get(edit).post(update))
}

#[derive(Template)]
#[template(path = "inventory/regions.html")]
struct RegionsPage {
    shell: Shell,
    regions: Vec<RegionView>,
    may_manage: bool,
    modal: Option<Modal>,
}

/// The dialog of one region.
struct Modal {
    region: Option<RegionId>,
    fields: Fields,
    refusal: Refusal,
    zones: Vec<&'static str>,
}

#[derive(Debug, Default, Deserialize)]
struct Fields {
    #[serde(default)]
    code: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    time_zone: String,
    #[serde(default)]
    requires_regional_approval: Option<String>,
}

impl Fields {
    fn body(&self) -> RegionBody {
        RegionBody {
            code: self.code.clone(),
            name: self.name.clone(),
            time_zone: self.time_zone.clone(),
            requires_regional_approval: self.requires_regional_approval.is_some(),
        }
    }
}

impl From<RegionView> for Fields {
    fn from(region: RegionView) -> Self {
        Self {
            code: region.code,
            name: region.name,
            time_zone: region.time_zone,
            requires_regional_approval: region.requires_regional_approval.then(|| "on".to_owned()),
        }
    }
}

/// What the dialog holds: which region, its fields, and what was wrong with them.
type Dialog = (Option<RegionId>, Fields, Refusal);

async fn show(app: &App, visitor: &Visitor, dialog: Option<Dialog>) -> Result<Response> {
    let may_manage = visitor.actor.can(app, Action::RegionManage, &[]);
    if dialog.is_some() {
        visitor.actor.may(app, Action::RegionManage, &[])?;
    }
    let modal = dialog.map(|(region, fields, refusal)| Modal {
        region,
        fields,
        refusal,
        zones: chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect(),
    });
    let status = modal.as_ref().map(|modal| modal.refusal.status()).unwrap_or_default();
    let shell = Shell::new(app, visitor, "regions", "Regions").await?;
    let page = RegionsPage { shell, regions: super::list(app).await?, may_manage, modal };
    Ok((status, html(&page)?).into_response())
}

async fn list(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    show(&app, &visitor, None).await
}

async fn new(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    show(&app, &visitor, Some((None, Fields::default(), Refusal::default()))).await
}

async fn edit(State(app): State<App>, visitor: Visitor, Path(region): Path<RegionId>) -> Result<Response> {
    let fields = super::get(&app, region).await?.into();
    show(&app, &visitor, Some((Some(region), fields, Refusal::default()))).await
}

async fn create(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    let outcome = super::create(&app, &form.visitor.actor, form.fields.body()).await;
    answer(&app, form, None, outcome, "added").await
}

async fn update(State(app): State<App>, Path(region): Path<RegionId>, form: Form<Fields>) -> Result<Response> {
    let outcome = super::update(&app, &form.visitor.actor, region, form.fields.body()).await;
    answer(&app, form, Some(region), outcome, "changed").await
}

async fn answer(
    app: &App,
    form: Form<Fields>,
    region: Option<RegionId>,
    outcome: Result<RegionView, Error>,
    done: &str,
) -> Result<Response> {
    match outcome {
        Ok(view) => Ok(back_to("/regions", &Toast::done(format!("Region {} was {done}.", view.code)))),
        Err(error) => show(app, &form.visitor, Some((region, form.fields, Refusal::of(error)?))).await,
    }
}
