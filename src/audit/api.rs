//! The JSON door of the ledger, and its export as a stream.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use countersign_ledger::Sealed;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use super::ledger::{self, Ledger, LedgerFilter, Verification};
use super::store;
use crate::app::App;
use crate::db::text_enum;
use crate::error::{Error, Result};
use crate::identity::{Action, Actor};
use crate::web::{Caller, Json, Query};

text_enum! {
    /// The form of an export.
    pub enum ExportFormat {
        /// A sealed entry a line, as JSON: what `countersign audit verify --file` reads.
        Jsonl = "jsonl",
        /// A table.
        Csv = "csv",
    }
}

/// List the ledger
///
/// Newest first, with what changed field by field.
#[utoipa::path(get, path = "/ledger", operation_id = "ledger", tag = "Ledger", params(LedgerFilter),
    responses((status = 200, description = "A page of entries, with the end of the chain", body = Ledger)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<LedgerFilter>,
) -> Result<Json<Ledger>> {
    ledger::ledger(&app, &actor, &filter).await.map(Json)
}

/// Verify the ledger
///
/// Reads the whole chain, and says where it is broken if it is.
#[utoipa::path(get, path = "/ledger/verify", operation_id = "verify_ledger", tag = "Ledger",
    responses((status = 200, description = "What the verification found", body = Verification)))]
pub async fn verify(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Verification>> {
    ledger::verify_for(&app, &actor).await.map(Json)
}

/// The form asked for, as a parameter of its own beside the filter.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Form {
    /// `jsonl` if absent.
    #[param(inline)]
    #[expect(dead_code, reason = "it only describes the parameter; `parse` reads it")]
    format: Option<ExportFormat>,
}

/// Export the ledger
///
/// All entries that the filter matches, oldest first. Without a filter, `jsonl` holds the whole chain, and
/// `countersign audit verify --file` checks it offline.
#[utoipa::path(get, path = "/ledger/export", operation_id = "export_ledger", tag = "Ledger", params(LedgerFilter, Form),
    responses((status = 200, description = "A stream of entries", content(
        (String = "application/jsonl"), (String = "text/csv")))))]
pub async fn export(
    State(app): State<App>,
    Caller(actor): Caller,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Result<Response> {
    export_all(app, &actor, query.as_deref().unwrap_or_default()).await
}

/// Streams what the query string asks for, a page at a time: memory stays constant.
pub async fn export_all(app: App, actor: &Actor, query: &str) -> Result<Response> {
    actor.may(&app, Action::LedgerView, &[])?;
    let (format, filter) = parse(query)?;
    let end = store::head(&app.db).await?.head.seq;
    let start = match format {
        ExportFormat::Jsonl => Vec::new(),
        ExportFormat::Csv => csv_line(COLUMNS.iter().map(|name| (*name).to_owned()))?,
    };
    let rest = stream::unfold((app, filter, 0_i64), move |(app, filter, seq)| async move {
        let entries = ledger::next_entries(&app, &filter, seq, end).await;
        let next = match &entries {
            Ok(entries) => entries.last()?.entry.seq,
            // The file is cut short, which a client sees; nothing comes after it.
            Err(error) => {
                error.log();
                end
            }
        };
        Some((entries.and_then(|entries| lines(&entries, format)), (app, filter, next)))
    });
    // Whoever compresses or sends the body may ask once more after its end.
    let body = stream::iter([Ok::<_, Error>(start)]).chain(rest.fuse());
    let (kind, name) = match format {
        ExportFormat::Jsonl => ("application/jsonl", "ledger.jsonl"),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "ledger.csv"),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], Body::from_stream(body))
        .into_response())
}

/// Splits the form from the filter, which refuses parameters that it does not know.
fn parse(query: &str) -> Result<(ExportFormat, LedgerFilter)> {
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.trim().is_empty());
    let (form, rest): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name == "format");
    let format = form.first().map_or(Ok(ExportFormat::Jsonl), |(_, value)| {
        value.parse().map_err(|message: String| Error::field("format", format!("{message}.")))
    })?;
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let filter = serde_html_form::from_str(&text)
        .map_err(|cause| Error::new(&crate::error::MALFORMED, format!("The parameters cannot be read: {cause}.")))?;
    Ok((format, filter))
}

const COLUMNS: [&str; 15] = [
    "seq",
    "at",
    "actor_id",
    "actor",
    "agent",
    "action",
    "entity",
    "entity_id",
    "model_id",
    "before",
    "after",
    "reason",
    "request_id",
    "prev_hash",
    "hash",
];

fn lines(entries: &[Sealed], format: ExportFormat) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for sealed in entries {
        match format {
            ExportFormat::Jsonl => {
                serde_json::to_writer(&mut bytes, sealed).map_err(Error::internal)?;
                bytes.push(b'\n');
            }
            ExportFormat::Csv => bytes.extend(csv_line(cells(sealed))?),
        }
    }
    Ok(bytes)
}

fn cells(sealed: &Sealed) -> [String; 15] {
    let entry = sealed.entry.clone();
    let number = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    [
        entry.seq.to_string(),
        entry.at,
        number(entry.actor_id),
        entry.actor,
        entry.agent.unwrap_or_default(),
        entry.action,
        entry.entity,
        entry.entity_id,
        number(entry.model_id),
        entry.before.unwrap_or_default(),
        entry.after.unwrap_or_default(),
        entry.reason.unwrap_or_default(),
        entry.request_id,
        sealed.prev_hash.clone(),
        sealed.hash.clone(),
    ]
}

fn csv_line(cells: impl IntoIterator<Item = String>) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let cells = cells.into_iter().map(|text| crate::web::format::cell(&text));
    writer.write_record(cells).map_err(Error::internal)?;
    writer.into_inner().map_err(|cause| Error::internal(cause.into_error()))
}
