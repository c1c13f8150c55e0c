//! The list of models: filters, sorts, pages.

use serde::{Deserialize, Serialize};

use super::store;
use super::{Cursor, ModelStatus, Page, RiskTier, paging};
use crate::app::App;
use crate::db::text_enum;
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::ids::{ModelId, ProjectId, RegionId, UserId};

text_enum! {
    /// How the list of models is sorted; a minus turns it round.
    pub enum ModelSort {
        /// By name.
        Name = "name",
        /// By name, Z first.
        NameDown = "-name",
        /// By risk tier, the highest first.
        Tier = "tier",
        /// By risk tier, the lowest first.
        TierDown = "-tier",
        /// By status.
        Status = "status",
        /// By status, turned round.
        StatusDown = "-status",
        /// The oldest first.
        Created = "created",
        /// The newest first.
        CreatedDown = "-created",
    }
}

/// Which models are asked for.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ModelFilter {
    /// Text in the name, the description or the external key.
    pub q: Option<String>,
    /// Only those with this status.
    pub status: Option<ModelStatus>,
    /// Only those of this tier.
    pub risk_tier: Option<RiskTier>,
    /// Only those of this project.
    pub project_id: Option<ProjectId>,
    /// Only those used in this region.
    pub region_id: Option<RegionId>,
    /// Only those of this owner: a person's number, or `me`.
    pub owner: Option<String>,
    /// The order; `name` if nobody says.
    #[param(inline)]
    pub sort: Option<ModelSort>,
    /// How many rows; 50 if nobody says, at most 500.
    pub limit: Option<i64>,
    /// Where the page starts: the `next_cursor` of the one before.
    pub cursor: Option<Cursor>,
}

impl ModelFilter {
    /// The owner asked for, if one is.
    pub(super) fn owner_id(&self, actor: &Actor) -> Result<Option<UserId>> {
        match self.owner.as_deref() {
            None => Ok(None),
            Some("me") => Ok(Some(actor.user_id)),
            Some(text) => {
                text.parse().map(Some).map_err(|_| Error::field("owner", "It is a person's number, or “me”."))
            }
        }
    }
}

/// A row of the list.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ModelRow {
    /// Its number.
    pub model_id: ModelId,
    /// Its name.
    pub name: String,
    /// How much harm it can do.
    pub risk_tier: RiskTier,
    /// Where it is in its life.
    pub status: ModelStatus,
    /// Who answers for it.
    pub owner_id: UserId,
    /// Their name.
    pub owner_name: String,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// That project's name.
    pub project_name: String,
    /// In how many of its regions a version is ratified live.
    pub live_regions: i64,
    /// The codes of the regions it is used in.
    #[sqlx(skip)]
    pub regions: Vec<String>,
    /// How many models the filter matches; the same in every row.
    #[serde(skip)]
    pub total_count: i64,
}

/// A page of models, with the count of everything that the filter matches.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ModelList {
    /// The models.
    pub items: Vec<ModelRow>,
    /// How many there are on all pages.
    pub total_count: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// The models that the person may see and the filter matches.
///
/// # Errors
/// `invalid` if a filter cannot be read.
pub async fn list(app: &App, actor: &Actor, filter: &ModelFilter) -> Result<ModelList> {
    let limit = paging::limit(filter.limit)?;
    let sort = filter.sort.unwrap_or(ModelSort::Name);
    let rows = store::list(app, actor, filter, sort, limit).await?;
    let total_count = rows.first().map_or(0, |row| row.total_count);
    let page = Page::cut(rows, limit, |row| (sort_key(row, sort).to_owned(), row.model_id));
    let items = store::with_regions(&app.db, page.items).await?;
    Ok(ModelList { items, total_count, next_cursor: page.next_cursor })
}

/// The text that the row is sorted by; rows of one text follow their numbers.
fn sort_key(row: &ModelRow, sort: ModelSort) -> &str {
    match sort {
        ModelSort::Name | ModelSort::NameDown => &row.name,
        ModelSort::Tier | ModelSort::TierDown => row.risk_tier.as_str(),
        ModelSort::Status | ModelSort::StatusDown => row.status.as_str(),
        ModelSort::Created | ModelSort::CreatedDown => "",
    }
}
