//! Reading the ledger: pages of it, timelines, the whole as a file, and its verification.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use countersign_ledger::{Entry, Fault, Head, Sealed, Verifier};
use serde::{Deserialize, Serialize};

use super::rules::{self, Change};
use super::store;
use crate::app::App;
use crate::db::{Conn, Db};
use crate::error::Result;
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, UserId};
use crate::web::{Cursor, Page, paging};

/// Which entries are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LedgerFilter {
    /// Text in the name of who acted.
    pub actor: Option<String>,
    /// Only this person.
    pub actor_id: Option<UserId>,
    /// Only this act, for example `task.confirmed`.
    pub action: Option<String>,
    /// Only things of this kind, for example `task`.
    pub entity: Option<String>,
    /// Only the thing with this number or digest.
    pub entity_id: Option<String>,
    /// Only this model.
    pub model_id: Option<ModelId>,
    /// From this day on, in UTC.
    pub from: Option<NaiveDate>,
    /// Up to the end of this day, in UTC.
    pub to: Option<NaiveDate>,
    /// Text in the reason, the thing before and after, or the request's number.
    pub q: Option<String>,
    /// How many entries, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

impl LedgerFilter {
    /// The instants between which entries are wanted.
    pub(super) fn span(&self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let end = self.to.and_then(|day| day.checked_add_days(Days::new(1)));
        (self.from.map(start), end.map(start))
    }

    /// Whether it leaves anything out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { actor, actor_id, action, entity, entity_id, model_id, from, to, q, limit: _, cursor: _ } = self;
        let texts = [actor, action, entity, entity_id, q];
        texts.iter().all(|text| text.is_none()) && (actor_id, model_id, from, to) == (&None, &None, &None, &None)
    }
}

/// An entry as the database has it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub(super) seq: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) actor_id: Option<i64>,
    pub(super) actor: String,
    pub(super) agent: Option<String>,
    pub(super) action: String,
    pub(super) entity: String,
    pub(super) entity_id: String,
    pub(super) model_id: Option<i64>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) request_id: String,
    pub(super) prev_hash: String,
    pub(super) hash: String,
}

impl From<Row> for Sealed {
    fn from(row: Row) -> Self {
        let entry = Entry {
            seq: row.seq,
            at: super::ledger_time(row.at),
            actor_id: row.actor_id,
            actor: row.actor,
            agent: row.agent,
            action: row.action,
            entity: row.entity,
            entity_id: row.entity_id,
            model_id: row.model_id,
            before: row.before,
            after: row.after,
            reason: row.reason,
            request_id: row.request_id,
        };
        Self { entry, prev_hash: row.prev_hash, hash: row.hash }
    }
}

/// An entry as pages and programs read it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct LedgerLine {
    /// Its place in the ledger.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, by number; none for the product itself.
    pub actor_id: Option<i64>,
    /// Who, by the name they had.
    pub actor: String,
    /// The software agent that acted for them.
    pub agent: Option<String>,
    /// What was done.
    pub action: String,
    /// The same in words.
    pub sentence: String,
    /// To what kind of thing.
    pub entity: String,
    /// To which.
    pub entity_id: String,
    /// The model it concerns.
    pub model_id: Option<i64>,
    /// The page of the thing.
    pub href: Option<String>,
    /// What changed of it, field by field.
    pub changes: Vec<Change>,
    /// The reason given.
    pub reason: Option<String>,
    /// The request that carried the act.
    pub request_id: String,
    /// The hash of the entry before.
    pub prev_hash: String,
    /// The hash of this entry.
    pub hash: String,
}

impl LedgerLine {
    /// The icon that stands for it.
    #[must_use]
    pub fn icon(&self) -> &'static str {
        rules::look(&self.action).0
    }

    /// The class of its mark in a timeline.
    #[must_use]
    pub fn tone(&self) -> &'static str {
        rules::look(&self.action).1
    }
}

impl From<Row> for LedgerLine {
    fn from(row: Row) -> Self {
        Self {
            sentence: rules::sentence(&row.action, row.after.as_deref()),
            href: rules::href(&row.entity, &row.entity_id, row.model_id),
            changes: rules::changes(row.before.as_deref(), row.after.as_deref()),
            seq: row.seq,
            at: row.at,
            actor_id: row.actor_id,
            actor: row.actor,
            agent: row.agent,
            action: row.action,
            entity: row.entity,
            entity_id: row.entity_id,
            model_id: row.model_id,
            reason: row.reason,
            request_id: row.request_id,
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

/// A page of the ledger.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Ledger {
    /// Entries in the whole ledger.
    pub entries: i64,
    /// The hash of the last of them.
    pub head_hash: String,
    /// The entries that the filter matches, newest first.
    pub items: Vec<LedgerLine>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// A page of the ledger, newest first: two statements.
///
/// # Errors
/// `forbidden` without the right to read the ledger, `invalid` for a limit out of bounds or a foreign cursor.
pub async fn ledger(app: &App, actor: &Actor, filter: &LedgerFilter) -> Result<Ledger> {
    actor.may(app, Action::LedgerView, &[])?;
    let limit = paging::limit(filter.limit)?;
    let before = filter.cursor.as_ref().map(Cursor::keys::<i64>).transpose()?;
    let rows = store::page(&app.db, filter, limit, before).await?;
    let page = Page::cut(rows, limit, |row: &Row| row.seq).map(LedgerLine::from);
    let head = store::head(&app.db).await?.head;
    Ok(Ledger { entries: head.seq, head_hash: head.hash, items: page.items, next_cursor: page.next_cursor })
}

/// The entries after `seq` that the filter matches, oldest first, up to `last`: what exports are made of.
pub(super) async fn next_entries(app: &App, filter: &LedgerFilter, seq: i64, last: i64) -> Result<Vec<Sealed>> {
    Ok(store::following(&app.db, filter, seq, last).await?.into_iter().map(Sealed::from).collect())
}

/// A model's own timeline, newest first. The caller has checked that the person may see the model.
///
/// # Errors
/// `invalid` for a foreign cursor.
pub async fn timeline(conn: impl Into<Conn<'_>>, model: ModelId, cursor: Option<&Cursor>) -> Result<Page<LedgerLine>> {
    let before = cursor.map(Cursor::keys::<i64>).transpose()?;
    let rows = store::of_model(conn, model, paging::DEFAULT_LIMIT, before).await?;
    Ok(Page::cut(rows, paging::DEFAULT_LIMIT, |row: &Row| row.seq).map(LedgerLine::from))
}

/// The timeline of one thing, newest first, at most 500 entries. The caller has checked that the person may see it.
///
/// # Errors
/// Only failures of the database.
pub async fn timeline_of(conn: impl Into<Conn<'_>>, entity: &str, entity_id: impl ToString) -> Result<Vec<LedgerLine>> {
    let rows = store::of_entity(conn, entity, &entity_id.to_string(), paging::MOST).await?;
    Ok(rows.into_iter().map(LedgerLine::from).collect())
}

/// What a verification found.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Verification {
    /// Whether every entry follows from the one before, up to the recorded end.
    pub verified: bool,
    /// How many entries were checked and found right.
    pub entries: i64,
    /// The hash of the last of them.
    pub head_hash: String,
    /// What is wrong and where, as a sentence.
    pub fault: Option<String>,
    /// When it was checked.
    pub at: DateTime<Utc>,
}

/// Verifies the ledger for a person who may read it.
///
/// # Errors
/// `forbidden` without the right to read the ledger.
pub async fn verify_for(app: &App, actor: &Actor) -> Result<Verification> {
    actor.may(app, Action::LedgerView, &[])?;
    let (head, fault) = match verify(&app.db).await? {
        Ok(head) => (head, None),
        Err((head, fault)) => (head, Some(fault.to_string())),
    };
    Ok(Verification { verified: fault.is_none(), entries: head.seq, head_hash: head.hash, fault, at: app.now() })
}

/// Verifies the chain a page at a time, up to the end that was recorded when it began.
///
/// The answer is the end of the chain; or the last entry that was right, and what is wrong after it.
///
/// # Errors
/// Only failures of the database.
pub async fn verify(db: &Db) -> Result<Result<Head, (Head, Fault)>> {
    let end = store::head(db).await?;
    let mut verifier = Verifier::new();
    let mut good = Head::default();
    loop {
        let rows = store::chain(db, good.seq, end.head.seq).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let sealed = Sealed::from(row);
            if let Err(fault) = verifier.push(&sealed) {
                return Ok(Err((good, fault)));
            }
            good = Head { seq: sealed.entry.seq, hash: sealed.hash };
        }
    }
    // Entries behind the recorded end were added without the product.
    if end.last > end.head.seq {
        return Ok(Err((good, Fault::WrongHead { found: end.last, recorded: end.head.seq })));
    }
    Ok(verifier.finish(&end.head).map_err(|fault| (good, fault)))
}
