//! The SQL of data sets.

use chrono::{DateTime, Utc};

use super::rules::Columns;
use super::{DatasetDetail, DatasetFilter, DatasetRow, DatasetView};
use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::ids::{DatasetId, UserId};
use crate::web::paging::like_pattern;

const COLUMNS: &str = "d.dataset_id, d.name, d.description, d.digest, d.location, d.format, d.row_count, d.columns,
    a.size_bytes, a.file_name, a.stored, d.created_by_id, u.name AS created_by_name, d.created_at, d.revision,
    (SELECT COUNT(*) FROM training_jobs j WHERE j.dataset_id = d.dataset_id AND j.deleted_at IS NULL) AS jobs";
const TABLES: &str =
    " FROM datasets d JOIN artifacts a ON a.digest = d.digest JOIN users u ON u.user_id = d.created_by_id ";

/// What a new data set is.
#[derive(Debug)]
pub struct New<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub location: Option<String>,
    pub survey: &'a super::file::Survey,
    pub by: UserId,
}

pub async fn insert(tx: &mut Tx, new: New<'_>, now: DateTime<Utc>) -> Result<DatasetId, DbError> {
    Query::new(
        "INSERT INTO datasets (name, description, digest, location, format, row_count, columns, preview, created_by_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING dataset_id",
    )
    .bind(new.name)
    .bind(new.description)
    .bind(new.survey.digest.as_str())
    .bind(new.location)
    .bind(new.survey.format)
    .bind(new.survey.rows)
    .bind(new.survey.columns.clone())
    .bind(new.survey.preview.clone())
    .bind(new.by)
    .bind(now)
    .one::<(DatasetId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn update(
    tx: &mut Tx,
    dataset: DatasetId,
    name: &str,
    description: &str,
    columns: &Columns,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE datasets SET name = $2, description = $3, columns = $4, revision = revision + 1 WHERE dataset_id = $1",
    )
    .bind(dataset)
    .bind(name)
    .bind(description)
    .bind(columns.clone())
    .run(tx)
    .await
}

pub async fn detail(db: &Db, dataset: DatasetId) -> Result<Option<DatasetDetail>, DbError> {
    Query::new("SELECT ")
        .push(COLUMNS)
        .push(", d.preview")
        .push(TABLES)
        .push("WHERE d.dataset_id = $1")
        .bind(dataset)
        .optional(db)
        .await
}

pub async fn view(conn: impl Into<Conn<'_>>, dataset: DatasetId) -> Result<Option<DatasetView>, DbError> {
    Query::new("SELECT ").push(COLUMNS).push(TABLES).push("WHERE d.dataset_id = $1").bind(dataset).optional(conn).await
}

/// Locks the row until the transaction ends.
pub async fn lock(tx: &mut Tx, dataset: DatasetId) -> Result<(), DbError> {
    Query::new("SELECT dataset_id FROM datasets WHERE dataset_id = $1")
        .bind(dataset)
        .for_update()
        .optional::<(DatasetId,)>(tx)
        .await
        .map(drop)
}

/// The newest first, one row more than asked for, each with the count of all.
pub async fn page(
    db: &Db,
    filter: &DatasetFilter,
    limit: i64,
    after: Option<DatasetId>,
) -> Result<Vec<DatasetRow>, DbError> {
    let text = filter.q.as_deref().filter(|text| !text.is_empty()).map(like_pattern);
    let named = " AND LOWER(d.name) LIKE {} ESCAPE '\\'";
    Query::new("SELECT (SELECT COUNT(*) FROM datasets d WHERE TRUE")
        .when(named, text.clone())
        .push(") AS total_count, ")
        .push(COLUMNS)
        .push(TABLES)
        .push("WHERE TRUE")
        .when(named, text)
        .when(" AND d.dataset_id < {}", after)
        .push(" ORDER BY d.dataset_id DESC")
        .limit(limit + 1)
        .all(db)
        .await
}

/// Every data set by name, for a choice.
pub async fn names(db: &Db) -> Result<Vec<(DatasetId, String)>, DbError> {
    Query::new("SELECT dataset_id, name FROM datasets ORDER BY name LIMIT 500").all(db).await
}
