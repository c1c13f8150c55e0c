//! What reports can be filtered by.

use crate::db::{Db, DbError, Query};

/// A region or a project, for columns and filters.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Choice {
    pub kind: String,
    pub id: i64,
    pub name: String,
    pub note: String,
    pub flag: bool,
}

/// Regions by code and projects by name, in no order.
pub const REGIONS_AND_PROJECTS: &str =
    "SELECT 'region' AS kind, region_id AS id, code AS name, name AS note, requires_regional_approval AS flag FROM regions
     UNION ALL SELECT 'project', project_id, name, '', FALSE FROM projects";

pub async fn all(db: &Db) -> Result<Vec<Choice>, DbError> {
    Query::new(REGIONS_AND_PROJECTS).push(" ORDER BY 1, 3").all(db).await
}
