//! Backups of a PostgreSQL database, by its own tools: the dump is made, its ledger verified from the
//! dump itself, and restored in one transaction.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use countersign_ledger::{Entry, Head, Sealed, Verifier};

use crate::db::{Db, Query};

const MISSING: &str = "PostgreSQL's own tools are needed; install postgresql-client";

/// Writes everything that the database holds, as of one instant, into the file `dump`.
pub(super) async fn dump(address: &str, dump: &Path) -> anyhow::Result<()> {
    let mut tool = tool("pg_dump", address);
    tool.args(["--format=custom", "--no-owner", "--file"]).arg(dump);
    run(tool).await
}

/// Verifies the ledger in a dump, without any database, and returns its length and head.
pub(super) async fn verify(dump: &Path) -> anyhow::Result<Head> {
    let mut tool = Command::new("pg_restore");
    tool.args(["--data-only", "--table=ledger_entries", "--table=ledger_head", "--file=-"]).arg(dump);
    tool.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    tokio::task::spawn_blocking(move || {
        let mut child = tool.spawn().context(MISSING)?;
        let script = child.stdout.take().context("pg_restore says nothing")?;
        let read = read_ledger(BufReader::new(script).split(b'\n'));
        // Ended early by a fault, it would wait for us for ever.
        if read.is_err() {
            child.kill()?;
        }
        let done = child.wait()?;
        let head = read?;
        anyhow::ensure!(done.success(), "pg_restore cannot read the dump");
        Ok(head)
    })
    .await?
}

/// Puts a dump into the database, wholly or not at all. With `force` it replaces what is there.
pub(super) async fn restore(dump: &Path, address: &str, force: bool) -> anyhow::Result<()> {
    if !force {
        let db = Db::open_postgres(address, 1).await?;
        let tables = Query::new(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
        );
        let (tables,) = tables.one::<(i64,)>(&db).await?;
        db.close().await;
        anyhow::ensure!(tables == 0, "The database is not empty; --force replaces what it holds.");
    }
    let mut tool = tool("pg_restore", address);
    tool.args(["--no-owner", "--exit-on-error", "--single-transaction"]);
    if force {
        tool.args(["--clean", "--if-exists"]);
    }
    tool.arg(dump);
    run(tool).await
}

/// One of PostgreSQL's tools, for this database. Everybody on the machine can read a program's
/// arguments, so the password goes another way.
fn tool(name: &str, address: &str) -> Command {
    let (address, password) = without_password(address);
    let mut tool = Command::new(name);
    tool.arg("--no-password").arg("--dbname").arg(address);
    if let Some(password) = password {
        tool.env("PGPASSWORD", password);
    }
    tool
}

async fn run(mut tool: Command) -> anyhow::Result<()> {
    let name = tool.get_program().to_string_lossy().into_owned();
    let done = tokio::task::spawn_blocking(move || tool.stdin(Stdio::null()).output()).await?.context(MISSING)?;
    let said = String::from_utf8_lossy(&done.stderr);
    // The first error is the cause; what follows only gives up.
    let cause = said.lines().find(|line| line.contains("error:")).unwrap_or("it does not say why");
    anyhow::ensure!(done.status.success(), "{name} failed, and nothing was changed: {cause}");
    Ok(())
}

/// An address without its password, wherever it stood, and the password.
fn without_password(address: &str) -> (String, Option<String>) {
    let (mut whole, query) = address.split_once('?').map_or((address.to_owned(), ""), |(a, b)| (a.to_owned(), b));
    let mut password = None;
    if let Some((scheme, rest)) = address.split('?').next().and_then(|text| text.split_once("://"))
        && let Some((person, place)) = rest.rsplit_once('@')
        && let Some((name, secret)) = person.split_once(':')
    {
        password = Some(decoded(secret));
        whole = format!("{scheme}://{name}@{place}");
    }
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("password=") {
            Some(secret) => password = Some(decoded(secret)),
            None => kept.push(pair),
        }
    }
    if !kept.is_empty() {
        whole = format!("{whole}?{}", kept.join("&"));
    }
    (whole, password)
}

/// A part of an address as it is meant; a plus is a plus there.
fn decoded(text: &str) -> String {
    let pair = format!("_={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Reads the two tables of the ledger as `COPY` writes them, and verifies them.
fn read_ledger(lines: impl Iterator<Item = std::io::Result<Vec<u8>>>) -> anyhow::Result<Head> {
    let mut verifier = Verifier::new();
    let mut recorded = None;
    // A table keeps no order, so entries that come early wait for those before them.
    let mut waiting = BTreeMap::new();
    let mut table: Option<(String, Vec<String>)> = None;
    for line in lines {
        let line = String::from_utf8(line?).context("The dump is not UTF-8")?;
        let Some((name, columns)) = &table else {
            table = copied(&line);
            continue;
        };
        if line == "\\." {
            table = None;
            continue;
        }
        let row: BTreeMap<&str, Option<String>> =
            columns.iter().map(String::as_str).zip(line.split('\t').map(unescaped)).collect();
        if name.ends_with("ledger_head") {
            recorded = Some(Head { seq: number(&row, "seq")?, hash: text(&row, "hash")? });
        } else {
            let sealed = sealed(&row)?;
            waiting.insert(sealed.entry.seq, sealed);
        }
        while let Some(next) = waiting.remove(&(verifier.head().seq + 1)) {
            verifier.push(&next).context("The ledger does not verify")?;
        }
    }
    if let Some((_, early)) = waiting.pop_first() {
        verifier.push(&early).context("The ledger does not verify")?;
    }
    let recorded = recorded.context("The dump has no ledger")?;
    verifier.finish(&recorded).context("The ledger does not verify")
}

/// `COPY public.name (a, b) FROM stdin;` as the table's name and columns.
fn copied(line: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
    let columns = rest.strip_suffix(") FROM stdin;")?;
    Some((name.to_owned(), columns.split(", ").map(|column| column.trim_matches('"').to_owned()).collect()))
}

/// A value as `COPY` writes it; none for `\N`.
fn unescaped(value: &str) -> Option<String> {
    if value == "\\N" {
        return None;
    }
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                other => other,
            },
            other => other,
        });
    }
    Some(text)
}

type Fields<'a> = BTreeMap<&'a str, Option<String>>;

fn text(row: &Fields<'_>, column: &str) -> anyhow::Result<String> {
    row.get(column).cloned().flatten().with_context(|| format!("an entry of the ledger has no {column}"))
}

fn number(row: &Fields<'_>, column: &str) -> anyhow::Result<i64> {
    text(row, column)?.parse().with_context(|| format!("{column} of a ledger entry is no number"))
}

fn sealed(row: &Fields<'_>) -> anyhow::Result<Sealed> {
    let optional = |column: &str| row.get(column).cloned().flatten();
    let optional_number = |column: &str| row.get(column).cloned().flatten().map(|_| number(row, column)).transpose();
    let at = text(row, "at")?;
    let at = chrono::DateTime::parse_from_str(&at, "%Y-%m-%d %H:%M:%S%.f%#z")
        .with_context(|| format!("“{at}” in the ledger is no instant"))?;
    let entry = Entry {
        seq: number(row, "seq")?,
        at: crate::audit::ledger_time(at.to_utc()),
        actor_id: optional_number("actor_id")?,
        actor: text(row, "actor")?,
        agent: optional("agent"),
        action: text(row, "action")?,
        entity: text(row, "entity")?,
        entity_id: text(row, "entity_id")?,
        model_id: optional_number("model_id")?,
        before: optional("before"),
        after: optional("after"),
        reason: optional("reason"),
        request_id: text(row, "request_id")?,
    };
    Ok(Sealed { entry, prev_hash: text(row, "prev_hash")?, hash: text(row, "hash")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_an_address_wherever_it_stands() {
        for (address, left, password) in [
            ("postgres://cs@db/main", "postgres://cs@db/main", None),
            (
                "postgres://cs:s3cret@db:5432/main?sslmode=require",
                "postgres://cs@db:5432/main?sslmode=require",
                Some("s3cret"),
            ),
            ("postgres://cs:a%40b+%2Fc@db/main", "postgres://cs@db/main", Some("a@b+/c")),
            ("postgres://cs:p@ss@db/main", "postgres://cs@db/main", Some("p@ss")),
            (
                "postgres:///main?host=/run/pg&password=s3cret&user=cs",
                "postgres:///main?host=/run/pg&user=cs",
                Some("s3cret"),
            ),
            ("postgres:///main?password=s3cret", "postgres:///main", Some("s3cret")),
        ] {
            assert_eq!(without_password(address), (left.to_owned(), password.map(str::to_owned)), "{address}");
        }
    }

    #[test]
    fn values_are_read_as_copy_writes_them() {
        assert_eq!(unescaped("\\N"), None);
        assert_eq!(unescaped(""), Some(String::new()));
        assert_eq!(unescaped("a\\tb\\nc\\\\d"), Some("a\tb\nc\\d".to_owned()));
    }
}
