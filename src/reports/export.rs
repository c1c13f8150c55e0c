//! Reports as CSV: all rows of the very function that makes the page, a page at a time.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};

use crate::db::text_enum;
use crate::error::{Error, Result};
use crate::web::format::cell;
use crate::web::{Cursor, Page, paging};

text_enum! {
    /// The form of an answer.
    pub enum Format {
        /// A page as JSON.
        Json = "json",
        /// All rows as CSV.
        Csv = "csv",
    }
}

impl Format {
    /// The form asked for by parameter, else by the `Accept` header.
    #[must_use]
    pub fn wanted(asked: Option<Self>, headers: &HeaderMap) -> Self {
        let accepts_csv = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|one| one.trim().starts_with("text/csv")));
        asked.unwrap_or(if accepts_csv { Self::Csv } else { Self::Json })
    }
}

/// A row of a report as cells.
pub trait Tabular {
    /// The header line.
    const COLUMNS: &'static [&'static str];
    /// The cells, one a column.
    fn cells(&self) -> Vec<String>;
}

/// One line of CSV; texts that a spreadsheet would take for a formula are defused.
fn line<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.into_iter().map(|one| cell(one.as_ref()))).map_err(Error::internal)?;
    writer.into_inner().map_err(|cause| Error::internal(cause.into_error()))
}

/// All rows as a file, fetched a page at a time: memory stays constant, whatever the length.
///
/// # Errors
/// What the first page answers; a later failure cuts the file short, which a client sees.
pub async fn csv<T, Fetch, Answer>(name: &str, mut fetch: Fetch) -> Result<Response>
where
    T: Tabular + Send + 'static,
    Fetch: FnMut(i64, Option<Cursor>) -> Answer + Send + 'static,
    Answer: Future<Output = Result<Page<T>>> + Send + 'static,
{
    let first = fetch(paging::MOST, None).await?;
    let mut head = line(T::COLUMNS)?;
    head.extend(lines(&first.items)?);
    let rest = stream::unfold((fetch, first.next_cursor), |(mut fetch, cursor)| async move {
        let page = fetch(paging::MOST, Some(cursor?)).await;
        let next = page.as_ref().map_or(None, |page| page.next_cursor.clone());
        let bytes = page.and_then(|page| lines(&page.items));
        if let Err(error) = &bytes {
            error.log();
        }
        Some((bytes, (fetch, next)))
    });
    // Whoever compresses or sends the body may ask once more after its end.
    let body = stream::iter([Ok::<_, Error>(head)]).chain(rest.fuse());
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn lines<T: Tabular>(rows: &[T]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend(line(row.cells())?);
    }
    Ok(bytes)
}
