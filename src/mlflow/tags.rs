//! Tags: the same statements for whatever has them.

use super::wire::Pair;
use crate::db::{DbError, Query, Tx, Value};

/// A table of tags, each of one thing and by name.
#[derive(Debug, Clone, Copy)]
pub struct Tags {
    table: &'static str,
    column: &'static str,
}

/// Those of experiments.
pub const EXPERIMENT: Tags = Tags { table: "experiment_tags", column: "experiment_id" };
/// Those of runs.
pub const RUN: Tags = Tags { table: "job_tags", column: "job_id" };
/// Those of logged models.
pub const LOGGED_MODEL: Tags = Tags { table: "logged_model_tags", column: "logged_model_id" };
/// Those of registered models.
pub const MODEL: Tags = Tags { table: "model_tags", column: "model_id" };
/// Those of versions.
pub const VERSION: Tags = Tags { table: "version_tags", column: "version_id" };

impl Tags {
    /// Sets tags of a thing; the others stay.
    pub async fn set(self, tx: &mut Tx, of: impl Into<Value>, tags: &[Pair]) -> Result<u64, DbError> {
        let query = Query::new("INSERT INTO ")
            .push(self.table)
            .push(" (")
            .push(self.column)
            .push(", name, value) SELECT $1, value ->> 0, value ->> 1 FROM json_each($2) WHERE TRUE ON CONFLICT (");
        let query = query.push(self.column).push(", name) DO UPDATE SET value = excluded.value");
        query.bind(of).bind(super::pairs(tags)).run(tx).await
    }

    /// A tag's value.
    pub async fn get(self, tx: &mut Tx, of: impl Into<Value>, name: &str) -> Result<Option<String>, DbError> {
        let query = Query::new("SELECT value FROM ").push(self.table).push(" WHERE ").push(self.column);
        let row = query.push(" = $1 AND name = $2").bind(of).bind(name).optional::<(String,)>(tx).await?;
        Ok(row.map(|row| row.0))
    }

    /// Takes a tag away, and answers how many there were.
    pub async fn remove(self, tx: &mut Tx, of: impl Into<Value>, name: &str) -> Result<u64, DbError> {
        let query = Query::new("DELETE FROM ").push(self.table).push(" WHERE ").push(self.column);
        query.push(" = $1 AND name = $2").bind(of).bind(name).run(tx).await
    }
}
