//! The database: the only module that knows which engine runs.
//!
//! SQL is written once, in the dialect SQLite and PostgreSQL share, with `$1` parameters, in the
//! areas' `store.rs`. Here are the pools, the transaction, the values that can be bound, and the
//! few places where the engines differ, each with its reason. No statement of an area is here.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, FromRow, SqlSafeStr as _};

mod query;
mod sent;
mod types;
pub use query::{Query, portions};
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
