//! What was sent to the database: counted always, kept where somebody asks for it, and how the
//! engine would carry it out. Tests and benches look at all three; the product at none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Db, DbError, Engine, Query};

/// The statements of one database, whichever connection they went over.
#[derive(Debug, Default)]
pub(super) struct Sent {
    count: AtomicU64,
    kept: OnceLock<Mutex<Vec<Query>>>,
}

impl Sent {
    pub(super) fn note(&self, query: &Query) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(kept) = self.kept.get() {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(query.clone());
        }
    }
}

impl Db {
    /// How many statements were sent since the start.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.sent.count.load(Ordering::Relaxed)
    }

    /// The statements sent since this was last called, with their values; the first call starts it.
    #[must_use]
    pub fn statements_since(&self) -> Vec<Query> {
        let kept = self.sent.kept.get_or_init(Mutex::default);
        std::mem::take(&mut kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How the engine would carry a statement out, in its own words, a step a line; the statement is not run.
    ///
    /// # Errors
    /// The engine does not understand it.
    pub async fn plan(&self, mut query: Query) -> Result<Vec<String>, DbError> {
        match self.engine() {
            Engine::Sqlite => {
                query.sql.to_mut().insert_str(0, "EXPLAIN QUERY PLAN ");
                let steps = query.all::<(i64, i64, i64, String)>(self).await?;
                Ok(steps.into_iter().map(|step| step.3).collect())
            }
            Engine::Postgres => {
                query.sql.to_mut().insert_str(0, "EXPLAIN ");
                let steps = query.all::<(String,)>(self).await?;
                Ok(steps.into_iter().map(|step| step.0).collect())
            }
        }
    }
}
