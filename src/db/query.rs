//! A statement with its values, and how it reaches whichever engine is there.

use std::borrow::Cow;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, SqlSafeStr as _};

use super::{Conn, DbError, Inner, Pools, Row, Value};

/// One statement with its values. The text comes from literals only.
#[derive(Debug, Clone)]
#[must_use = "a query does nothing until it is run"]
pub struct Query {
    pub(super) sql: Cow<'static, str>,
    values: Vec<Value>,
    /// How many values the rows brought that came first: each stands in the text once, in this order.
    in_order: usize,
    lock: bool,
}

/// Runs one expression on whichever engine is there.
macro_rules! on_engine {
    ($query:ident, $conn:ident, $pool:ident, |$statement:ident, $executor:ident| $run:expr) => {{
        let locks = $query.lock;
        tracing::trace!(target: "countersign::sql", text = %$query.sql);
        match $conn.into() {
            Conn::Db(db) => {
                db.sent.note(&$query);
                match &db.pools {
                    Pools::Sqlite { $pool, .. } => {
                        let ($statement, $executor) = ($query.sqlite()?, $pool);
                        $run
                    }
                    Pools::Postgres(pool) => {
                        let ($statement, $executor) = ($query.postgres(locks)?, pool);
                        $run
                    }
                }
            }
            Conn::Tx(tx) => {
                tx.sent.note(&$query);
                match &mut tx.inner {
                    Inner::Sqlite(tx) => {
                        let ($statement, $executor) = ($query.sqlite()?, &mut **tx);
                        $run
                    }
                    Inner::Postgres(tx) => {
                        let ($statement, $executor) = ($query.postgres(locks)?, &mut **tx);
                        $run
                    }
                }
            }
        }
    }};
}

impl Query {
    /// The statement as it stands.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.sql
    }

    /// A statement in the dialect both engines speak.
    pub fn new(sql: &'static str) -> Self {
        Self { sql: Cow::Borrowed(sql), values: Vec::new(), in_order: 0, lock: false }
    }

    /// Gives the next parameter its value: the first call fills `$1`, the second `$2`, …
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Appends literal text.
    pub fn push(mut self, sql: &'static str) -> Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// Appends a clause that is wanted only if there is a value; `{}` stands for its parameter.
    pub fn when(mut self, clause: &'static str, value: Option<impl Into<Value>>) -> Self {
        let Some(value) = value else { return self };
        self.values.push(value.into());
        let parameter = format!("${}", self.values.len());
        self.sql.to_mut().push_str(&clause.replace("{}", &parameter));
        self
    }

    /// Appends rows of values, `($1, $2), ($3, $4), …`: for numbers that must be kept to the last bit, which a list in
    /// JSON does not promise on SQLite. A text for each number of rows is planned and kept; see [`portions`].
    pub fn rows(mut self, rows: impl IntoIterator<Item = impl IntoIterator<Item = Value>>) -> Self {
        let only = self.values.is_empty();
        let sql = self.sql.to_mut();
        for (row, values) in rows.into_iter().enumerate() {
            sql.push_str(if row == 0 { " (" } else { ", (" });
            for (column, value) in values.into_iter().enumerate() {
                self.values.push(value);
                sql.push_str(&format!("{}${}", if column == 0 { "" } else { ", " }, self.values.len()));
            }
            sql.push(')');
        }
        self.in_order = if only { self.values.len() } else { 0 };
        self
    }

    /// Appends a parameter with its value, between two pieces of text.
    pub fn param(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        let parameter = format!("${}", self.values.len());
        self.sql.to_mut().push_str(&parameter);
        self
    }

    /// Reads no more than `rows`. The number stands in the text: a planner that knows how short the page is finds the
    /// index that leads to it, and makes one plan for all who ask.
    pub fn limit(mut self, rows: i64) -> Self {
        self.sql.to_mut().push_str(&format!(" LIMIT {rows}"));
        self
    }

    /// Locks the rows read until the transaction ends. What refers to them can still be added: who locks two rows never
    /// waits for somebody who refers to both.
    ///
    /// SQLite has no such clause and needs none: its write transaction is alone.
    pub fn for_update(mut self) -> Self {
        self.lock = true;
        self
    }

    /// All rows.
    ///
    /// # Errors
    /// The statement fails, or a row does not fit `T`.
    pub async fn all<T: Row>(self, conn: impl Into<Conn<'_>>) -> Result<Vec<T>, DbError> {
        on_engine!(self, conn, read, |statement, executor| {
            statement.try_map(|row| T::from_row(&row)).fetch_all(executor).await
        })
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The statement fails, or the row does not fit `T`.
    pub async fn optional<T: Row>(self, conn: impl Into<Conn<'_>>) -> Result<Option<T>, DbError> {
        on_engine!(self, conn, read, |statement, executor| {
            statement.try_map(|row| T::from_row(&row)).fetch_optional(executor).await
        })
    }

    /// The one row.
    ///
    /// # Errors
    /// The statement fails, there is no row, or it does not fit `T`.
    pub async fn one<T: Row>(self, conn: impl Into<Conn<'_>>) -> Result<T, DbError> {
        self.optional(conn).await?.ok_or(DbError::RowNotFound)
    }

    /// Runs a statement for its effect and returns how many rows it touched.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn run(self, conn: impl Into<Conn<'_>>) -> Result<u64, DbError> {
        on_engine!(self, conn, write, |statement, executor| {
            statement.execute(executor).await.map(|done| done.rows_affected())
        })
    }

    fn sqlite(self) -> Result<sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>, DbError> {
        let in_order = !self.values.is_empty() && self.in_order == self.values.len();
        let mut arguments = SqliteArguments::default();
        for value in self.values {
            value.add_to(&mut arguments).map_err(DbError::Encode)?;
        }
        // SQLite looks a parameter with a name, as $1 is, up among all others: thousands of them take a while.
        let sql = if in_order { Cow::Owned(unnamed(&self.sql)) } else { self.sql };
        Ok(sqlx::query_with(AssertSqlSafe(sql).into_sql_str(), arguments))
    }

    fn postgres(self, locks: bool) -> Result<sqlx::query::Query<'static, sqlx::Postgres, PgArguments>, DbError> {
        let mut arguments = PgArguments::default();
        arguments.reserve(self.values.len(), 0);
        for value in self.values {
            value.add_to(&mut arguments).map_err(DbError::Encode)?;
        }
        let mut sql = self.sql;
        if locks {
            sql.to_mut().push_str(" FOR NO KEY UPDATE");
        }
        Ok(sqlx::query_with(AssertSqlSafe(sql).into_sql_str(), arguments))
    }
}

/// The text with `?` for each parameter.
fn unnamed(sql: &str) -> String {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('?');
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

/// Cuts rows into portions of a power of two, at most 512: so [`Query::rows`] makes ten texts and not one for each length.
pub fn portions<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = 1 << rows.len().min(512).checked_ilog2()?;
        let (portion, rest) = rows.split_at(length);
        rows = rest;
        Some(portion)
    })
}
