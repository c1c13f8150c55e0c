//! The regional matrix: what was live where on any day, and on whose word (2-governance, Reports).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::export::{Format, Tabular};
use super::rules::AsOf;
use super::store::choices::Choice;
use super::store::matrix::{self, Cell};
use crate::app::App;
use crate::error::Result;
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, ProjectId, RegionId};
use crate::web::{Cursor, Page, paging};

/// Which models and regions are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MatrixFilter {
    /// The day the report looks at; today if absent.
    pub as_of: Option<NaiveDate>,
    /// Only this region.
    pub region_id: Option<RegionId>,
    /// Only models of this project.
    pub project_id: Option<ProjectId>,
    /// Only this model.
    pub model_id: Option<ModelId>,
    /// Text in the model's name.
    pub q: Option<String>,
    /// How many models, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
    /// `csv` for all rows as CSV.
    #[param(inline)]
    pub format: Option<Format>,
}

impl MatrixFilter {
    /// Whether this is the region filtered by.
    #[must_use]
    pub fn is_region(&self, id: &i64) -> bool {
        self.region_id == Some(RegionId(*id))
    }

    /// Whether this is the project filtered by.
    #[must_use]
    pub fn is_project(&self, id: &i64) -> bool {
        self.project_id == Some(ProjectId(*id))
    }
}

/// A region, as a column.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Column {
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it requires its own approval.
    pub requires_regional_approval: bool,
}

/// A model with its cells, in the order of the columns.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct MatrixRow {
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// Its owner's name.
    pub owner: String,
    /// Its risk tier.
    pub risk_tier: String,
    /// A cell a column; none where the model is not used.
    pub cells: Vec<Option<Cell>>,
}

/// A page of the matrix.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Matrix {
    /// The day it looks at.
    pub as_of: NaiveDate,
    /// Models that the filter matches.
    pub total_count: i64,
    /// The regions.
    pub columns: Vec<Column>,
    /// The models.
    pub items: Vec<MatrixRow>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
    /// Projects to filter by.
    #[serde(skip)]
    pub projects: Vec<(i64, String)>,
    /// Regions to filter by.
    #[serde(skip)]
    pub regions: Vec<(i64, String)>,
}

/// The matrix on a day: three statements for any page.
///
/// # Errors
/// `forbidden` without the right to read reports, `invalid` for a day to come, a limit out of bounds or
/// a foreign cursor.
pub async fn matrix(app: &App, actor: &Actor, filter: &MatrixFilter) -> Result<Matrix> {
    actor.may(app, Action::ReportView, &[])?;
    let as_of = AsOf::new(filter.as_of, app.now())?;
    let (choices, total_count) = matrix::choices(&app.db, as_of, filter).await?;
    let (regions, projects): (Vec<Choice>, Vec<Choice>) = choices.into_iter().partition(|one| one.kind == "region");
    let columns: Vec<Column> = regions
        .iter()
        .filter(|one| filter.region_id.is_none_or(|RegionId(id)| id == one.id))
        .map(|one| Column {
            region_id: RegionId(one.id),
            code: one.name.clone(),
            name: one.note.clone(),
            requires_regional_approval: one.flag,
        })
        .collect();
    let page = rows(app, as_of, filter, &columns).await?;
    let names = |list: Vec<Choice>| list.into_iter().map(|one| (one.id, one.name)).collect();
    Ok(Matrix {
        as_of: as_of.date,
        total_count,
        columns,
        items: page.items,
        next_cursor: page.next_cursor,
        projects: names(projects),
        regions: names(regions),
    })
}

async fn rows(app: &App, as_of: AsOf, filter: &MatrixFilter, columns: &[Column]) -> Result<Page<MatrixRow>> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let models = matrix::models(&app.db, as_of, filter, limit, after).await?;
    let page = Page::cut(models, limit, |row| (row.name.clone(), row.model_id));
    let ids: Vec<ModelId> = page.items.iter().map(|row| row.model_id).collect();
    let cells = matrix::cells(&app.db, as_of, &ids, filter.region_id).await?;
    let mut cells: BTreeMap<(ModelId, RegionId), Cell> =
        cells.into_iter().map(|cell| ((cell.model_id, cell.region_id), cell)).collect();
    Ok(page.map(|row| MatrixRow {
        cells: columns.iter().map(|column| cells.remove(&(row.model_id, column.region_id))).collect(),
        model_id: row.model_id,
        model_name: row.name,
        owner: row.owner,
        risk_tier: row.risk_tier,
    }))
}

/// A cell with its row and column, as a line of the export.
#[derive(Debug)]
pub struct MatrixLine {
    model_id: ModelId,
    model_name: String,
    owner: String,
    risk_tier: String,
    region: String,
    cell: Cell,
}

impl Tabular for MatrixLine {
    const COLUMNS: &'static [&'static str] = &[
        "model_id",
        "model",
        "owner",
        "risk_tier",
        "region",
        "live_version",
        "live_since",
        "validation_request_id",
        "validation_approved_by",
        "validation_approved_on",
        "regional_approved_by",
        "regional_approved_at",
        "overridden",
        "overdue_tasks",
    ];

    fn cells(&self) -> Vec<String> {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|one| one.to_string()).unwrap_or_default()
        }
        let cell = &self.cell;
        vec![
            self.model_id.to_string(),
            self.model_name.clone(),
            self.owner.clone(),
            self.risk_tier.clone(),
            self.region.clone(),
            text(cell.version_number.as_ref()),
            text(cell.live_since),
            text(cell.validation_request_id),
            text(cell.validation_approved_by.as_ref()),
            text(cell.validation_approved_on),
            text(cell.regional_approved_by.as_ref()),
            text(cell.regional_approved_at.map(|at| at.to_rfc3339())),
            cell.overridden.to_string(),
            cell.overdue_tasks.to_string(),
        ]
    }
}

/// A page of the matrix as lines, a line a used cell: what exports are made of.
pub(super) async fn lines(app: &App, actor: &Actor, filter: &MatrixFilter) -> Result<Page<MatrixLine>> {
    let page = matrix(app, actor, filter).await?;
    let columns = page.columns;
    let items = page.items.into_iter().flat_map(|row| {
        let heads = columns.iter().map(|column| column.code.clone());
        let found: Vec<_> = heads.zip(row.cells).filter_map(|(code, cell)| Some((code, cell?))).collect();
        found.into_iter().map(move |(region, cell)| MatrixLine {
            model_id: row.model_id,
            model_name: row.model_name.clone(),
            owner: row.owner.clone(),
            risk_tier: row.risk_tier.clone(),
            region,
            cell,
        })
    });
    Ok(Page { items: items.collect(), next_cursor: page.next_cursor })
}
