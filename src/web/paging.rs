//! Keyset paging: a page ends with a cursor, and the next one starts behind it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How many rows a page has if nobody says.
pub const DEFAULT_LIMIT: i64 = 50;
/// How many rows a page has at most.
pub const MOST: i64 = 500;

/// An opaque place in a sorted list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "5b2231225d")]
pub struct Cursor(String);

impl Cursor {
    /// The place behind a row with these sort keys.
    #[must_use]
    pub fn after(keys: &impl Serialize) -> Self {
        Self(hex::encode(serde_json::to_vec(keys).unwrap_or_default()))
    }

    /// The sort keys of the row before.
    ///
    /// # Errors
    /// `invalid` if it is no cursor of this list.
    pub fn keys<T: DeserializeOwned>(&self) -> Result<T> {
        hex::decode(&self.0)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Error::field("cursor", "This is not a cursor of this list."))
    }

    /// The text as it stands in an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of rows asked for, within its bounds.
///
/// # Errors
/// `invalid` if it is not between 1 and [`MOST`].
pub fn limit(asked: Option<i64>) -> Result<i64> {
    match asked {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(_) => Err(Error::field("limit", format!("It must be between 1 and {MOST}."))),
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of up to `limit` rows from the `limit + 1` that were asked for.
    #[must_use]
    pub fn cut<K: Serialize>(mut rows: Vec<T>, limit: i64, keys: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| Cursor::after(&keys(row))) } else { None };
        Self { items: rows, next_cursor }
    }

    /// The same page with other rows.
    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}

/// A text filter as a `LIKE` pattern, with its own wildcards disarmed; write `LIKE {} ESCAPE '\'`.
#[must_use]
pub fn like_pattern(text: &str) -> String {
    let escaped = text.trim().to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}
