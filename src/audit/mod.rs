//! The ledger: who did what to what, when, why, in an order that cannot be changed.
//!
//! Every change of the product goes through an [`Act`]: one transaction that writes the facts, the
//! ledger entries and the news for open pages together, or nothing. This area never decides
//! whether an act is allowed; the area that owns the thing does.

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat, Utc};
use countersign_ledger::{Entry, Sealed};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::db::{Db, DbError, Tx};
use crate::error::{self, Error, Result};
use crate::ids::{ModelId, UserId};

mod api;
mod ledger;
pub mod live;
mod pages;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use ledger::{Ledger, LedgerFilter, LedgerLine, Verification, ledger, timeline, timeline_of, verify, verify_for};
use live::News;

/// Who acts: a person, or the product itself, by way of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The person; none for the product itself.
    pub user_id: Option<UserId>,
    /// The person's name, as it stands in the ledger.
    pub name: String,
    /// The software agent that acts for the person, if one does.
    pub agent: Option<String>,
    /// The request that carries the act.
    pub request_id: String,
    /// The write's key, if the request named one.
    pub idempotency: Option<IdempotencyKey>,
}

/// The key that makes a repeated write answer as the first one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, as sent.
    pub key: String,
    /// The digest of method, path and body.
    pub request: String,
}

impl Who {
    /// The product itself: migrations, reconcilers, the command line.
    #[must_use]
    pub fn system(request_id: &str) -> Self {
        Self {
            user_id: None,
            name: "Countersign".to_owned(),
            agent: None,
            request_id: request_id.to_owned(),
            idempotency: None,
        }
    }
}

/// What is written of one change.
#[derive(Debug, Clone, Default)]
pub struct Record {
    action: &'static str,
    entity: &'static str,
    entity_id: String,
    model_id: Option<ModelId>,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
}

impl Record {
    /// `action` was done to the thing `entity` with this number.
    #[must_use]
    pub fn new(action: &'static str, entity: &'static str, entity_id: impl ToString) -> Self {
        Self { action, entity, entity_id: entity_id.to_string(), ..Self::default() }
    }

    /// It concerns this model, and stands in its timeline.
    #[must_use]
    pub fn model(mut self, model_id: ModelId) -> Self {
        self.model_id = Some(model_id);
        self
    }

    /// The thing, or the part of it that changed, before.
    #[must_use]
    pub fn before(mut self, before: impl Serialize) -> Self {
        self.before = serde_json::to_string(&before).ok();
        self
    }

    /// The thing, or the part of it that changed, after. Never a secret.
    #[must_use]
    pub fn after(mut self, after: impl Serialize) -> Self {
        self.after = serde_json::to_string(&after).ok();
        self
    }

    /// The reason the person gave.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// One act under way: a transaction, what will stand in the ledger, and what open pages are told.
#[derive(Debug)]
pub struct Act {
    /// The transaction in which everything of this act happens.
    pub tx: Tx,
    /// The instant of the act: all its facts bear the same.
    pub now: DateTime<Utc>,
    /// Who acts.
    pub who: Who,
    app: App,
    records: Vec<Record>,
    news: News,
}

impl Act {
    /// Starts an act.
    ///
    /// # Errors
    /// `busy` if the database gives no connection in time.
    pub async fn begin(app: &App, who: &Who) -> Result<Self> {
        Ok(Self {
            tx: app.db.begin().await?,
            now: app.now(),
            who: who.clone(),
            app: app.clone(),
            records: Vec::new(),
            news: News::default(),
        })
    }

    /// The running product.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Adds a line for the ledger. A record of a model is news for that model's pages.
    pub fn record(&mut self, record: Record) {
        if let Some(model_id) = record.model_id {
            self.news.add(format!("model:{model_id}"));
        }
        self.news.add("ledger");
        self.records.push(record);
    }

    /// Tells open pages that show `topic` to look again, once the act is done.
    pub fn tell(&mut self, topic: impl Into<String>) {
        self.news.add(topic);
    }

    /// Makes the act true: facts, ledger and news together.
    ///
    /// # Errors
    /// `idempotency_under_way` if a request with the same key was faster; else only failures.
    pub async fn commit(mut self) -> Result<()> {
        if let (Some(user_id), Some(key)) = (self.who.user_id, self.who.idempotency.take()) {
            store::claim_key(&mut self.tx, user_id, &key, self.now).await.map_err(|error| {
                if crate::db::is_duplicate(&error) {
                    Error::new(
                        &error::IDEMPOTENCY_UNDER_WAY,
                        "Another request with this Idempotency-Key is being carried out.",
                    )
                } else {
                    error.into()
                }
            })?;
        }
        if !self.records.is_empty() {
            self.news.seq = self.append().await?;
        }
        let message = self.news.to_message();
        if !self.news.is_empty() {
            self.tx.notify(live::CHANNEL, message.clone()).await?;
        }
        self.tx.commit().await?;
        if !self.news.is_empty() {
            self.app.live.publish(&self.app.db, &message);
        }
        Ok(())
    }

    /// Appends the records to the chain and returns the number of the last.
    ///
    /// The head is locked here and not earlier: acts on different things wait for one another only
    /// for these two statements, and the order of the ledger is the order of the commits.
    async fn append(&mut self) -> Result<i64, DbError> {
        let mut head = store::lock_head(&mut self.tx).await?;
        let at = ledger_time(self.now);
        let mut sealed = Vec::with_capacity(self.records.len());
        for record in self.records.drain(..) {
            let entry = Entry {
                seq: head.seq + 1,
                at: at.clone(),
                actor_id: self.who.user_id.map(|id| id.0),
                actor: self.who.name.clone(),
                agent: self.who.agent.clone(),
                action: record.action.to_owned(),
                entity: record.entity.to_owned(),
                entity_id: record.entity_id,
                model_id: record.model_id.map(|id| id.0),
                before: record.before,
                after: record.after,
                reason: record.reason,
                request_id: self.who.request_id.clone(),
            };
            let hash = entry.hash(&head.hash);
            let prev_hash = std::mem::replace(&mut head.hash, hash.clone());
            head.seq = entry.seq;
            sealed.push(Sealed { entry, prev_hash, hash });
        }
        store::append(&mut self.tx, self.now, &sealed, &head).await?;
        Ok(head.seq)
    }
}

/// An instant as entries are hashed with it.
pub(crate) fn ledger_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An answer that was kept under an idempotency key.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

/// The answer kept for a person's key, if the write was done.
///
/// # Errors
/// `idempotency_mismatch` if the key was used for another request, `idempotency_under_way` if the
/// write was done but its answer is not there (yet).
pub async fn kept_answer(db: &Db, user: UserId, key: &str, request: &str) -> Result<Option<KeptAnswer>> {
    let Some((first, status, body)) = store::key(db, user, key).await? else { return Ok(None) };
    if first != request {
        return Err(Error::new(&error::IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used for another request."));
    }
    match (status.and_then(|status| u16::try_from(status).ok()), body) {
        (Some(status), Some(body)) => Ok(Some(KeptAnswer { status, body })),
        _ => Err(Error::new(
            &error::IDEMPOTENCY_UNDER_WAY,
            "The first request with this Idempotency-Key was carried out, but its answer was not kept.",
        )),
    }
}

/// Keeps the answer to a write that was done under a key.
///
/// # Errors
/// Only failures of the database.
pub async fn keep_answer(db: &Db, user: UserId, key: &str, status: u16, body: &[u8]) -> Result<()> {
    Ok(store::keep_answer(db, user, key, i64::from(status), &String::from_utf8_lossy(body)).await?)
}

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::list)).routes(routes!(api::verify)).routes(routes!(api::export))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/ledger", get(pages::show))
        .route("/ledger/verify", post(pages::verify))
        .route("/ledger/export", get(pages::export))
}
