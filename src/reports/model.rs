//! The page of a model: one address a tab.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use serde::Deserialize;

use super::{History, HistoryFilter, HistoryRow, Lineage, LineageFilter, history, lineage};
use crate::app::App;
use crate::audit::{self, LedgerLine};
use crate::db::text_enum;
use crate::error::Result;
use crate::identity::delegations::{self, ModelDelegations};
use crate::identity::rules::DelegationState;
use crate::identity::{Action, Actor, access};
use crate::ids::ModelId;
use crate::inventory::models::{self, ModelView};
use crate::inventory::versions::truths::{self, RegionTruth};
use crate::inventory::versions::{self, Outlook, VersionRow};
use crate::validation::{self, RequestFilter, RequestList};
use crate::web::intervals::{Picture, picture};
use crate::web::{Cursor, Page, Path, Query, Shell, Visitor, filters, html};
use crate::words::{ModelStatus, VersionStatus};

text_enum! {
    /// The tabs of a model's page.
    pub enum Tab {
        /// Its particulars.
        Overview = "overview",
        /// Its versions and the three truths.
        Versions = "versions",
        /// The reviews of its versions.
        Validations = "validations",
        /// What was live where, and when.
        Deployments = "deployments",
        /// What its versions were made from, and where they went.
        Lineage = "lineage",
        /// Everything anybody did with it.
        Timeline = "timeline",
        /// Who may do what with it.
        Access = "access",
    }
}

impl Tab {
    const fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Versions => "Versions",
            Self::Validations => "Validations",
            Self::Deployments => "Deployments",
            Self::Lineage => "Lineage",
            Self::Timeline => "Timeline",
            Self::Access => "Access",
        }
    }
}

/// Which tab, and which part of it.
#[derive(Debug, Deserialize)]
pub struct Params {
    tab: Option<Tab>,
    cursor: Option<Cursor>,
}

/// What a tab shows.
enum Content {
    Overview { truths: Vec<RegionTruth> },
    Versions { truths: Vec<RegionTruth>, versions: Page<VersionRow>, outlook: Outlook },
    Validations { requests: RequestList },
    Deployments { history: History, picture: Option<Picture> },
    Lineage { lineage: Lineage },
    Timeline { events: Page<LedgerLine> },
    Access { delegations: ModelDelegations },
}

impl Content {
    /// Where the next page of the tab starts.
    fn next(&self) -> Option<&Cursor> {
        match self {
            Self::Versions { versions, .. } => versions.next_cursor.as_ref(),
            Self::Validations { requests } => requests.next_cursor.as_ref(),
            Self::Deployments { history, .. } => history.next_cursor.as_ref(),
            Self::Lineage { lineage } => lineage.next_cursor.as_ref(),
            Self::Timeline { events } => events.next_cursor.as_ref(),
            Self::Overview { .. } | Self::Access { .. } => None,
        }
    }
}

#[derive(Template)]
#[template(path = "reports/model.html")]
struct ModelPage {
    shell: Shell,
    model: ModelView,
    tab: Tab,
    content: Content,
    cursor: Option<Cursor>,
    may_edit: bool,
    may_submit: bool,
    may_deploy: bool,
    now: chrono::DateTime<chrono::Utc>,
}

/// `GET /models/{id}`
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(model): Path<ModelId>,
    Query(Params { tab, cursor }): Query<Params>,
) -> Result<Html<String>> {
    let actor = &visitor.actor;
    let relations = access::authorise(&app, &app.db, actor, Action::ModelView, model).await?;
    let tab = tab.unwrap_or(Tab::Overview);
    let content = content(&app, actor, model, tab, cursor.as_ref()).await?;
    let view = models::view(&app, model).await?;
    html(&ModelPage {
        shell: Shell::new(&app, &visitor, "models", view.name.clone()).await?,
        model: view,
        tab,
        content,
        cursor,
        may_edit: actor.can(&app, Action::ModelEdit, &relations),
        may_submit: actor.can(&app, Action::VersionSubmit, &relations),
        may_deploy: actor.can(&app, Action::TaskCreate, &relations),
        now: app.now(),
    })
}

async fn content(app: &App, actor: &Actor, model: ModelId, tab: Tab, cursor: Option<&Cursor>) -> Result<Content> {
    Ok(match tab {
        Tab::Overview => Content::Overview { truths: truths::of_model(app, model).await? },
        Tab::Versions => Content::Versions {
            truths: truths::of_model(app, model).await?,
            versions: versions::rows(app, model, None, cursor).await?,
            outlook: versions::known_outlook(app, model).await?,
        },
        Tab::Validations => {
            let filter = RequestFilter { model_id: Some(model), cursor: cursor.cloned(), ..RequestFilter::default() };
            Content::Validations { requests: validation::list(app, actor, &filter).await? }
        }
        Tab::Deployments => {
            let filter = HistoryFilter { cursor: cursor.cloned(), ..HistoryFilter::of(model) };
            let history = history(app, actor, &filter).await?;
            let intervals = history.items.iter().map(HistoryRow::interval).collect();
            Content::Deployments { picture: picture(intervals, history.as_of), history }
        }
        Tab::Lineage => {
            let filter = LineageFilter { cursor: cursor.cloned(), ..LineageFilter::default() };
            Content::Lineage { lineage: lineage(app, actor, model, &filter).await? }
        }
        Tab::Timeline => Content::Timeline { events: audit::timeline(&app.db, model, cursor).await? },
        Tab::Access => Content::Access { delegations: delegations::of_model(app, actor, model).await? },
    })
}
