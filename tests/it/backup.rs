//! Backups of a PostgreSQL database: what comes back, and that nothing is replaced by half.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use countersign::db::{Db, Query};
use countersign::identity::Role;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use crate::harness::{T, fresh_database, postgres_address};

/// The program, in a folder of its own.
fn countersign(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(line.split_whitespace()).current_dir(folder);
    command
}

#[track_caller]
fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A product in use, and a backup of it in `kept`.
async fn kept() -> (T, TempDir, String) {
    let t = T::postgres().await;
    let anna = t.person("Anna").await;
    let uk = t.region("UK").await;
    let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
    version.scheduled_in(&[&uk], "2026-04-30").await;
    std::fs::create_dir_all(t.folder().join("artifacts")).unwrap();
    std::fs::write(t.folder().join("artifacts/bytes"), b"weights").unwrap();
    let desk = TempDir::new().unwrap();
    let used = format!("--data {} --database {}", t.folder().display(), t.database_address().unwrap());
    let said = done(countersign(desk.path(), &format!("backup kept {used}")).output().unwrap());
    assert!(said.contains("Its ledger verifies: "), "{said}");
    (t, desk, used)
}

/// Does to the database what the product never would.
async fn meddle(t: &T, statement: &str) {
    let mut connection = sqlx::PgConnection::connect(&t.database_address().unwrap()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_gets_everything_back() {
    let (t, desk, _used) = kept().await;
    let elsewhere = postgres_address(&fresh_database("template0").await);
    let restore = format!("restore kept --data elsewhere --database {elsewhere}");
    done(countersign(desk.path(), &restore).output().unwrap());

    let verified = done(countersign(desk.path(), &format!("audit verify --database {elsewhere}")).output().unwrap());
    let entries = t.number("SELECT COUNT(*) FROM ledger_entries").await;
    assert!(entries > 0 && verified.starts_with(&format!("{entries} entries")), "{verified}");
    assert_eq!(std::fs::read(desk.path().join("elsewhere/artifacts/bytes")).unwrap(), b"weights");
    let db = Db::open_postgres(&elsewhere, 1).await.unwrap();
    let (tasks,): (i64,) = Query::new("SELECT COUNT(*) FROM deployment_tasks").one(&db).await.unwrap();
    assert_eq!(tasks, 1);
    db.migrate().await.unwrap();
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_replaced_only_if_asked_to() {
    let (t, desk, used) = kept().await;
    t.person("Late").role(Role::Admin).await;
    std::fs::remove_dir_all(t.folder().join("artifacts")).unwrap();
    let plain = refused(countersign(desk.path(), &format!("restore kept {used}")).output().unwrap());
    assert!(plain.contains("The database is not empty; --force"), "{plain}");
    assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 2);

    done(countersign(desk.path(), &format!("restore kept {used} --force")).output().unwrap());
    assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(std::fs::read(t.folder().join("artifacts/bytes")).unwrap(), b"weights");
    t.everything_holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_fails_half_way_leaves_everything_as_it_was() {
    let (t, desk, used) = kept().await;
    t.person("Late").await;
    // Somebody's own view hangs on a table, which therefore cannot be replaced.
    meddle(&t, "CREATE VIEW of_my_own AS SELECT * FROM deployment_tasks").await;
    let said = refused(countersign(desk.path(), &format!("restore kept {used} --force")).output().unwrap());
    assert!(said.contains("nothing was changed") && said.contains("other objects depend on it"), "{said}");
    assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 2);
    assert_eq!(t.number("SELECT COUNT(*) FROM deployment_tasks").await, 1);
    assert!(t.folder().join("artifacts/bytes").exists());
    t.everything_holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_does_not_verify_is_neither_backed_up_nor_restored() {
    let (t, desk, used) = kept().await;
    let forger = T::postgres().await;
    let anna = forger.person("Anna").await;
    let uk = forger.region("UK").await;
    let version = forger.model("LGD").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
    version.scheduled_in(&[&uk], "2026-04-30").await;
    let forge =
        "ALTER TABLE ledger_entries DISABLE TRIGGER ALL; UPDATE ledger_entries SET actor = 'Nobody' WHERE seq = 1";
    meddle(&forger, forge).await;
    let forged = forger.database_address().unwrap();
    let line = format!("backup forged --data {} --database {forged}", forger.folder().display());
    let said = refused(countersign(desk.path(), &line).output().unwrap());
    assert!(said.contains("entry 1 was changed"), "{said}");
    assert!(!desk.path().join("forged").exists());

    // A forged dump, with a manifest that fits it.
    let dump = desk.path().join("kept/database.dump");
    let old = hex::encode(Sha256::digest(std::fs::read(&dump).unwrap()));
    let mut pg_dump = Command::new("pg_dump");
    pg_dump.args(["--format=custom", "--no-owner", "--dbname", &forged, "--file"]).arg(&dump);
    assert!(pg_dump.status().unwrap().success());
    let new = hex::encode(Sha256::digest(std::fs::read(&dump).unwrap()));
    let manifest = desk.path().join("kept/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains(&old));
    std::fs::write(&manifest, text.replace(&old, &new)).unwrap();
    let said = refused(countersign(desk.path(), &format!("restore kept {used} --force")).output().unwrap());
    assert!(said.contains("entry 1 was changed"), "{said}");
    assert_eq!(t.number("SELECT COUNT(*) FROM models WHERE name = 'PD Mortgage'").await, 1);
    t.everything_holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_does_not_stand_among_a_tools_arguments() {
    let t = T::postgres().await;
    let desk = TempDir::new().unwrap();
    let fake = desk.path().join("pg_dump");
    std::fs::write(&fake, "#!/bin/sh\necho \"$@\" > arguments\necho \"$PGPASSWORD\" > password\nexit 1\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let address = t.database_address().unwrap().replace("countersign@", "countersign:s3cr%40t@");
    let mut command =
        countersign(desk.path(), &format!("backup kept --data {} --database {address}", t.folder().display()));
    let path = format!("{}:{}", desk.path().display(), std::env::var("PATH").unwrap());
    refused(command.env("PATH", path).output().unwrap());

    let arguments = std::fs::read_to_string(desk.path().join("arguments")).unwrap();
    assert!(arguments.contains("postgres://countersign@localhost/") && !arguments.contains("s3cr"), "{arguments}");
    assert_eq!(std::fs::read_to_string(desk.path().join("password")).unwrap().trim(), "s3cr@t");
}
