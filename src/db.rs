//! The database: the only file that knows which engine runs.
//!
//! SQL is written once, in the dialect SQLite and PostgreSQL share, with `$1` parameters, in the
//! areas' `store.rs`. Here are the pools, the transaction, the values that can be bound, and the
//! few places where the engines differ, each with its reason. No statement of an area is here.

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, FromRow, SqlSafeStr as _};

mod sent;
mod types;
use sent::Sent;
pub use types::{Value, json_list};
pub(crate) use types::{column_type, text_enum};

/// What went wrong in the database. Areas turn the cases they expect into errors of their own.
pub type DbError = sqlx::Error;

/// A row that can be read from either engine; `#[derive(sqlx::FromRow)]` gives it.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// The connection pools of one database.
#[derive(Clone, Debug)]
pub struct Db {
    pools: Pools,
    sent: Arc<Sent>,
}

#[derive(Clone, Debug)]
enum Pools {
    /// SQLite has one writer at a time: a pool of one makes writers wait in line instead of failing.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// Which engine runs, for the operator's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The embedded database.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

impl Db {
    /// Opens (and creates) the embedded database in `folder`.
    ///
    /// # Errors
    /// The folder cannot be made, or the file is not a database.
    pub async fn open_sqlite(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join("countersign.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // The ledger must survive power loss, so every commit reaches the disk.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(256)
            .pragma("cache_size", "-8192")
            .pragma("temp_store", "memory")
            // As on PostgreSQL: what shall not look at case says LOWER.
            .pragma("case_sensitive_like", "on")
            .optimize_on_close(true, 400)
            .disable_statement_logging();
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let read = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(4)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        Ok(Self { pools: Pools::Sqlite { write, read }, sent: Arc::default() })
    }

    /// Connects to a PostgreSQL database, `postgres://user:password@host/name`.
    ///
    /// # Errors
    /// The address does not parse, or the server cannot be reached.
    pub async fn open_postgres(address: &str, connections: u32) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(address)?
            .application_name("countersign")
            .statement_cache_capacity(256)
            // Statements here are short and indexed: compiling them costs more than running them, and the
            // server's default for disks that turn makes it scan tables where an index is faster.
            // Planning one anew for its parameters costs several times its run, so each is planned once.
            .options([("jit", "off"), ("random_page_cost", "1.1"), ("plan_cache_mode", "force_generic_plan")])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await?;
        Ok(Self { pools: Pools::Postgres(pool), sent: Arc::default() })
    }

    /// Which engine runs.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres(_) => Engine::Postgres,
        }
    }

    /// Applies the migrations that are missing.
    ///
    /// # Errors
    /// A migration fails, or one that was applied has been changed since.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        match &self.pools {
            Pools::Sqlite { write, .. } => migrator::<SqliteMigrations>()?.run(write).await?,
            Pools::Postgres(pool) => migrator::<PostgresMigrations>()?.run(pool).await?,
        }
        Ok(())
    }

    /// Starts a transaction that may write.
    ///
    /// # Errors
    /// No connection is to be had in time.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let inner = match &self.pools {
            // IMMEDIATE takes the write lock at once, so that a read-then-write cannot lose a race.
            Pools::Sqlite { write, .. } => Inner::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(pool) => Inner::Postgres(pool.begin().await?),
        };
        Ok(Tx { inner, sent: Arc::clone(&self.sent) })
    }

    /// Copies the embedded database into `file` while it is in use.
    ///
    /// # Errors
    /// `file` exists or cannot be written, or the engine is PostgreSQL (use `pg_dump` there).
    pub async fn copy_into(&self, file: &Path) -> anyhow::Result<()> {
        match &self.pools {
            Pools::Sqlite { read, .. } => {
                let target = file.to_str().ok_or_else(|| anyhow::anyhow!("the file's name is not UTF-8"))?;
                // A connection of its own, closed after: those that read may not write, not even elsewhere.
                let mut connection = read.acquire().await?.detach();
                sqlx::query("PRAGMA query_only = off").execute(&mut connection).await?;
                sqlx::query("VACUUM INTO $1").bind(target.to_owned()).execute(&mut connection).await?;
                Ok(connection.close().await?)
            }
            Pools::Postgres(_) => anyhow::bail!("a PostgreSQL database is backed up with pg_dump"),
        }
    }

    /// Has the engine check its own file; a PostgreSQL server looks after that itself.
    ///
    /// # Errors
    /// What the engine found, as it says it.
    pub async fn check_integrity(&self) -> anyhow::Result<()> {
        let Pools::Sqlite { read, .. } = &self.pools else { return Ok(()) };
        let findings: Vec<(String,)> = sqlx::query_as("PRAGMA integrity_check").fetch_all(read).await?;
        match findings.first() {
            Some((finding,)) if finding != "ok" => anyhow::bail!("the database file is damaged: {finding}"),
            _ => Ok(()),
        }
    }

    /// The messages of other servers on the same database; `None` where there can be none.
    ///
    /// # Errors
    /// The server refuses the connection.
    pub async fn listen(&self, channel: &str) -> Result<Option<PgListener>, DbError> {
        match &self.pools {
            Pools::Sqlite { .. } => Ok(None),
            Pools::Postgres(pool) => {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(channel).await?;
                Ok(Some(listener))
            }
        }
    }

    /// Closes the pools; statements under way end first.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction. Dropped without [`Tx::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Tx {
    inner: Inner,
    sent: Arc<Sent>,
}

#[derive(Debug)]
enum Inner {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    /// Makes everything done in the transaction true.
    ///
    /// # Errors
    /// The database refuses; nothing was written.
    pub async fn commit(self) -> Result<(), DbError> {
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await,
            Inner::Postgres(tx) => tx.commit().await,
        }
    }

    /// Tells other servers on the same database, once the transaction commits.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn notify(&mut self, channel: &'static str, message: String) -> Result<(), DbError> {
        match self.inner {
            // An embedded database has one server, which tells itself.
            Inner::Sqlite(_) => Ok(()),
            Inner::Postgres(_) => {
                Query::new("SELECT pg_notify($1, $2)").bind(channel).bind(message).run(self).await.map(drop)
            }
        }
    }
}

/// Where a statement runs: on any free connection, or inside a transaction.
#[derive(Debug)]
pub enum Conn<'a> {
    /// Any free connection; for reading.
    Db(&'a Db),
    /// The transaction's own.
    Tx(&'a mut Tx),
}

impl<'a> From<&'a Db> for Conn<'a> {
    fn from(db: &'a Db) -> Self {
        Self::Db(db)
    }
}

impl<'a> From<&'a mut Tx> for Conn<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        Self::Tx(tx)
    }
}

impl Conn<'_> {
    /// The same connection again, for a second statement.
    pub fn again(&mut self) -> Conn<'_> {
        match self {
            Conn::Db(db) => Conn::Db(db),
            Conn::Tx(tx) => Conn::Tx(tx),
        }
    }
}

/// One statement with its values. The text comes from literals only.
#[derive(Debug, Clone)]
#[must_use = "a query does nothing until it is run"]
pub struct Query {
    sql: Cow<'static, str>,
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

    /// Locks the rows read until the transaction ends.
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
            sql.to_mut().push_str(" FOR UPDATE");
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

/// Whether a statement broke a unique constraint: somebody else was first.
#[must_use]
pub fn is_duplicate(error: &DbError) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether a statement named a thing that does not exist.
#[must_use]
pub fn is_dangling(error: &DbError) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}

#[derive(rust_embed::RustEmbed)]
#[folder = "migrations/sqlite"]
struct SqliteMigrations;

#[derive(rust_embed::RustEmbed)]
#[folder = "migrations/postgres"]
struct PostgresMigrations;

/// Reads `0001_name.sql` files into a migrator.
fn migrator<Files: rust_embed::RustEmbed>() -> anyhow::Result<Migrator> {
    let mut migrations = Vec::new();
    for name in Files::iter() {
        let Some((number, rest)) = name.trim_end_matches(".sql").split_once('_') else {
            anyhow::bail!("the migration {name} has no number");
        };
        let file = Files::get(&name).ok_or_else(|| anyhow::anyhow!("the migration {name} is gone"))?;
        let sql = String::from_utf8(file.data.into_owned())?;
        migrations.push(Migration::new(
            number.parse()?,
            rest.replace('_', " ").into(),
            MigrationType::Simple,
            AssertSqlSafe(sql).into_sql_str(),
            false,
        ));
    }
    Ok(Migrator::with_migrations(migrations))
}

/// The instant with the precision both engines keep: microseconds.
#[must_use]
pub fn storable(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// The last calendar date both engines and the pages can hold.
#[must_use]
pub fn far_date() -> NaiveDate {
    NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or(NaiveDate::MAX)
}
