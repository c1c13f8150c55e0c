//! Migrations on data: a database of every earlier schema, with data that was made by it, comes to
//! today's without losing any.
//!
//! `tests/data/schema-N.sql` is what the demo holds after migration N. It stays as it is once that
//! migration was released; until then, and for a new one, `UPDATE_SAMPLE=1 cargo test --test it
//! migrations` writes that of the newest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign::db::Query;
use countersign::demo;
use countersign::identity::Role;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};
use tempfile::TempDir;

use crate::harness::{T, fresh_database, postgres_address};

/// The migrations of an engine, by number, with their text.
fn migrations(engine: &str) -> BTreeMap<i64, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let number = |file: &Path| file.file_name().unwrap().to_str().unwrap().split('_').next().unwrap().parse().unwrap();
    files.map(|file| (number(&file), std::fs::read_to_string(&file).unwrap())).collect()
}

fn sample_file(number: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/schema-{number}.sql"))
}

/// What the demo held after a migration.
fn sample(number: i64) -> String {
    let file = sample_file(number);
    let advice = "write it with UPDATE_SAMPLE=1 cargo test --test it migrations";
    std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("migration {number} has no {}; {advice}", file.display()))
}

/// How many rows of each table a sample has.
fn rows_of(sample: &str) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for line in sample.lines().filter_map(|line| line.strip_prefix("INSERT INTO ")) {
        *rows.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    rows
}

/// The migrations up to `number`, as the product applies them.
fn migrator(engine: &str, number: i64) -> Migrator {
    let until = migrations(engine).into_iter().filter(|(one, _)| *one <= number);
    let whole = until.map(|(one, sql)| {
        Migration::new(one, "sample".into(), MigrationType::Simple, AssertSqlSafe(sql).into_sql_str(), false)
    });
    Migrator::with_migrations(whole.collect())
}

/// An embedded database of an earlier schema, with its sample.
async fn earlier_sqlite(number: i64) -> T {
    let folder = TempDir::new().unwrap();
    let address = format!("sqlite://{}?mode=rwc", folder.path().join("countersign.db").display());
    let mut connection = SqliteConnection::connect(&address).await.unwrap();
    migrator("sqlite", number).run(&mut connection).await.unwrap();
    // A row may come before the one that it refers to.
    let script = format!("BEGIN; PRAGMA defer_foreign_keys = ON; {} COMMIT;", sample(number));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    T::on_sqlite(folder).await
}

/// The same on PostgreSQL.
async fn earlier_postgres(number: i64) -> T {
    let name = fresh_database("template0").await;
    let mut connection = PgConnection::connect(&postgres_address(&name)).await.unwrap();
    migrator("postgres", number).run(&mut connection).await.unwrap();
    let next_numbers = "DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT table_name, column_name FROM information_schema.columns
                 WHERE table_schema = current_schema() AND is_identity = 'YES' LOOP
            EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), (SELECT COALESCE(MAX(%I), 0) + 1 FROM %I), false)',
                           c.table_name, c.column_name, c.column_name, c.table_name);
        END LOOP; END $$;";
    let script = format!("SET session_replication_role = replica; {} {next_numbers}", sample(number));
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    T::on_postgres(name).await
}

async fn count(t: &T, table: &str) -> i64 {
    // The names come from the sample; a query's text is otherwise a literal of the source.
    let sql: &'static str = Box::leak(format!("SELECT COUNT(*) FROM {table}").into_boxed_str());
    t.number(sql).await
}

/// Migrates it, twice, and looks whether all is there and works.
async fn comes_to_today(t: T, number: i64) {
    for _ in 0..2 {
        t.app().db.migrate().await.unwrap();
        for (table, rows) in rows_of(&sample(number)) {
            // A later migration may add rows of its own, never take one.
            assert!(count(&t, &table).await >= rows, "{table}, from schema {number}");
        }
        let newest = *migrations("sqlite").keys().next_back().unwrap();
        assert_eq!(t.number("SELECT MAX(version) FROM _sqlx_migrations WHERE success").await, newest);
        t.everything_holds().await;
    }
    let ada = t.person("Late Admin").role(Role::Admin).await;
    for page in
        ["/", "/models", "/my-deployment-tasks", "/inbox", "/validations", "/reports/regional-matrix", "/ledger"]
    {
        ada.page(page).await.ok();
    }
    let models = ada.get("/api/v1/models?limit=500").await.ok().json();
    for model in models["items"].as_array().unwrap() {
        ada.page(&format!("/models/{}?tab=versions", model["model_id"])).await.ok();
    }
    let anna = t.number("SELECT user_id FROM users WHERE email = 'anna@demo.example'").await;
    assert!(anna > 0 && models["total_count"].as_i64().unwrap() > 3);
    let region = serde_json::json!({ "code": "ZZ", "name": "Later", "time_zone": "UTC" });
    ada.post("/api/v1/regions", region).await.expect(201);
    t.everything_holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_every_earlier_schema_is_kept_on_sqlite() {
    if std::env::var_os("UPDATE_SAMPLE").is_some() {
        write_sample().await;
    }
    for number in migrations("sqlite").into_keys() {
        comes_to_today(earlier_sqlite(number).await, number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_every_earlier_schema_is_kept_on_postgres() {
    for number in migrations("postgres").into_keys() {
        comes_to_today(earlier_postgres(number).await, number).await;
    }
}

/// Writes what the demo holds in today's schema, in the words of both engines.
async fn write_sample() {
    let number = *migrations("sqlite").keys().next_back().unwrap();
    let (empty, t) = (T::sqlite().await, T::sqlite().await);
    demo::fill_if_empty(t.app()).await.unwrap();
    let tables: Vec<(String,)> = t
        .rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_sqlx%' ORDER BY rowid")
        .await;
    let mut script = String::new();
    for (table,) in &tables {
        if count(&empty, table).await > 0 {
            script += &format!("DELETE FROM {table};\n");
        }
    }
    let address = format!("sqlite://{}", t.folder().join("countersign.db").display());
    let mut connection = SqliteConnection::connect(&address).await.unwrap();
    for (table,) in &tables {
        let columns: Vec<(String, String)> = Query::new("SELECT name, type FROM pragma_table_info($1) ORDER BY cid")
            .bind(table)
            .all(&t.app().db)
            .await
            .unwrap();
        // SQLite keeps truth as a number, PostgreSQL does not take one for it.
        let value = |(name, kind): &(String, String)| match kind.as_str() {
            "BOOLEAN" => format!("CASE WHEN {name} IS NULL THEN 'NULL' WHEN {name} THEN 'TRUE' ELSE 'FALSE' END"),
            _ => format!("quote({name})"),
        };
        let names: Vec<_> = columns.iter().map(|column| column.0.as_str()).collect();
        let values: Vec<_> = columns.iter().map(value).collect();
        let select = format!("SELECT {} FROM {table} ORDER BY {}", values.join(" || ', ' || "), names.join(", "));
        let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(select)).fetch_all(&mut connection).await.unwrap();
        for (row,) in rows {
            script += &format!("INSERT INTO {table} ({}) VALUES ({row});\n", names.join(", "));
        }
    }
    std::fs::write(sample_file(number), script).unwrap();
}
