//! The SQL of files.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::artifacts::Stored;
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::identity::{Actor, access};
use crate::ids::ExperimentId;
use crate::mlflow::rules::{Holder, Place};

/// All files of a holder, with their sizes. A job of this server has its artifact among them.
pub async fn all(conn: impl Into<Conn<'_>>, holder: &Holder) -> Result<Vec<(String, i64)>, DbError> {
    Query::new(
        "SELECT path, size_bytes FROM mlflow_files WHERE holder = $1
         UNION ALL SELECT a.file_name, COALESCE(a.size_bytes, 0) FROM training_jobs j JOIN artifacts a ON a.digest = j.artifact_digest
         WHERE j.run_uuid = $1 AND j.executor <> 'mlflow' AND a.stored
           AND NOT EXISTS (SELECT 1 FROM mlflow_files f WHERE f.holder = $1 AND f.path = a.file_name)",
    )
    .bind(holder.as_str())
    .all(conn)
    .await
}

pub async fn with_digests(tx: &mut Tx, holder: &Holder) -> Result<Vec<(String, String, i64)>, DbError> {
    Query::new(
        "SELECT path, digest, size_bytes FROM mlflow_files WHERE holder = $1
         UNION ALL SELECT a.file_name, a.digest, COALESCE(a.size_bytes, 0)
         FROM training_jobs j JOIN artifacts a ON a.digest = j.artifact_digest
         WHERE j.run_uuid = $1 AND j.executor <> 'mlflow' AND a.stored
           AND NOT EXISTS (SELECT 1 FROM mlflow_files f WHERE f.holder = $1 AND f.path = a.file_name)",
    )
    .bind(holder.as_str())
    .all(tx)
    .await
}

pub async fn digest(db: &Db, place: &Place) -> Result<Option<String>, DbError> {
    let row: Option<(String,)> = Query::new(
        "SELECT digest FROM mlflow_files WHERE holder = $1 AND path = $2
         UNION ALL SELECT a.digest FROM training_jobs j JOIN artifacts a ON a.digest = j.artifact_digest
         WHERE j.run_uuid = $1 AND j.executor <> 'mlflow' AND a.stored AND a.file_name = $2",
    )
    .bind(place.holder.as_str())
    .bind(&place.path)
    .optional(db)
    .await?;
    Ok(row.map(|row| row.0))
}

/// The folders of a holder that versions came from, each with the version in words.
pub async fn sealed(tx: &mut Tx, holder: &Holder) -> Result<Vec<(String, String)>, DbError> {
    Query::new(
        "SELECT COALESCE(v.source_folder, ''), 'version ' || v.number || ' of ' || m.name
         FROM versions v JOIN models m ON m.model_id = v.model_id WHERE v.source_holder = $1 ORDER BY v.version_id",
    )
    .bind(holder.as_str())
    .all(tx)
    .await
}

/// The folders of a holder that versions came from which a person sees, with the holder's experiment.
pub async fn of_versions(app: &App, actor: &Actor, holder: &Holder) -> Result<Vec<(ExperimentId, String)>, DbError> {
    let query = Query::new(
        "SELECT COALESCE(j.experiment_id, l.experiment_id), COALESCE(v.source_folder, '') FROM versions v
         LEFT JOIN training_jobs j ON j.run_uuid = v.source_holder
         LEFT JOIN logged_models l ON l.logged_model_id = v.source_holder
         WHERE v.source_holder = $3 AND v.model_id IN ",
    );
    let query = query.bind(actor.user_id).bind(app.now()).bind(holder.as_str());
    query.push(access::RELATED_MODELS).all(&app.db).await
}

/// Locks the run or logged model that holds files.
pub async fn lock(tx: &mut Tx, holder: &Holder) -> Result<(), DbError> {
    let row = if holder.is_model() {
        Query::new("SELECT logged_model_id FROM logged_models WHERE logged_model_id = $1")
    } else {
        Query::new("SELECT run_uuid FROM training_jobs WHERE run_uuid = $1")
    };
    row.bind(holder.as_str()).for_update().optional::<(String,)>(tx).await.map(drop)
}

pub async fn put(tx: &mut Tx, place: &Place, stored: &Stored, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO mlflow_files (holder, path, digest, size_bytes, written_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (holder, path) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes,
                written_at = excluded.written_at",
    )
    .bind(place.holder.as_str())
    .bind(&place.path)
    .bind(stored.digest.as_str())
    .bind(stored.size)
    .bind(now)
    .run(tx)
    .await
}

pub async fn remove(tx: &mut Tx, holder: &Holder, paths: &[&String]) -> Result<u64, DbError> {
    Query::new("DELETE FROM mlflow_files WHERE holder = $1 AND path IN (SELECT value ->> 0 FROM json_each($2))")
        .bind(holder.as_str())
        .bind(json_list(paths.iter().map(|path| [path])))
        .run(tx)
        .await
}
