//! Regions: legal entities or markets, each with its time zone and, where it wants one, its approver.

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, access};
use crate::ids::RegionId;
use crate::readiness;

mod api;
mod pages;
mod store;

pub use api::api;
pub use pages::pages;

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct RegionView {
    /// Its number.
    pub region_id: RegionId,
    /// Its code, unique.
    #[schema(example = "UK")]
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its IANA time zone, which says what day it is there.
    #[schema(example = "Europe/London")]
    pub time_zone: String,
    /// Whether its own approver must approve a version before it goes live there.
    pub requires_regional_approval: bool,
    /// How many models are used there.
    pub models: i64,
    /// How many of them have a version ratified live there.
    pub live: i64,
}

/// What a region is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionBody {
    /// Its code, unique, at most 40 characters.
    #[schema(example = "UK")]
    pub code: String,
    /// Its name, at most 200 characters.
    pub name: String,
    /// Its IANA time zone.
    #[schema(example = "Europe/London")]
    pub time_zone: String,
    /// Whether its own approver must approve a version before it goes live there.
    #[serde(default)]
    pub requires_regional_approval: bool,
}

/// All regions, by code. Whoever is signed in sees them.
///
/// # Errors
/// Only failures of the database.
pub async fn list(app: &App) -> Result<Vec<RegionView>> {
    Ok(store::all(&app.db).await?)
}

/// One region.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, region: RegionId) -> Result<RegionView> {
    store::one(&app.db, region).await?.ok_or_else(|| Error::not_found("region", region))
}

/// Adds a region.
///
/// # Errors
/// `forbidden`, `invalid`, or `conflict` if the code is taken.
pub async fn create(app: &App, actor: &Actor, body: RegionBody) -> Result<RegionView> {
    actor.may(app, Action::RegionManage, &[])?;
    let body = checked(body)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let region = store::insert(&mut act.tx, &body).await.map_err(|cause| code_taken(cause, &body.code))?;
    act.record(Record::new("region.created", "region", region).after(&body));
    act.tell("regions");
    act.commit().await?;
    get(app, region).await
}

/// Changes a region. Whether it requires its own approval decides what is ready there, so the
/// ready pairs of its models are worked out again.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`, or `conflict` if the code is taken.
pub async fn update(app: &App, actor: &Actor, region: RegionId, body: RegionBody) -> Result<RegionView> {
    actor.may(app, Action::RegionManage, &[])?;
    let after = checked(body)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let models = store::models_of(&mut act.tx, region).await?;
    access::lock_models(&mut act.tx, &models).await?;
    let before = store::body(&mut act.tx, region).await?.ok_or_else(|| Error::not_found("region", region))?;
    if after == before {
        drop(act);
        return get(app, region).await;
    }
    store::update(&mut act.tx, region, &after).await.map_err(|cause| code_taken(cause, &after.code))?;
    if after.requires_regional_approval != before.requires_regional_approval {
        readiness::refresh(&mut act, &models).await?;
    }
    act.record(Record::new("region.changed", "region", region).before(before).after(after));
    act.tell("regions");
    act.commit().await?;
    get(app, region).await
}

fn checked(body: RegionBody) -> Result<RegionBody> {
    let mut fields = Fields::default();
    let body = RegionBody {
        code: fields.text("code", &body.code, 40),
        name: fields.text("name", &body.name, 200),
        time_zone: fields.text("time_zone", &body.time_zone, 60),
        requires_regional_approval: body.requires_regional_approval,
    };
    if !body.time_zone.is_empty() && body.time_zone.parse::<chrono_tz::Tz>().is_err() {
        fields.refuse("time_zone", "This is no IANA time zone; one is “Europe/London”.");
    }
    fields.done()?;
    Ok(body)
}

fn code_taken(cause: db::DbError, code: &str) -> Error {
    if db::is_duplicate(&cause) {
        Error::new(&error::CONFLICT, format!("There is a region with the code {code} already."))
    } else {
        cause.into()
    }
}
