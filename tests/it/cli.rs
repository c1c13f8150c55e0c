//! The program as an operator meets it: the binary, its flags, its exit codes, its sentences.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;

/// A working folder of its own, without any of the caller's configuration.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(line.split_whitespace()).current_dir(self.0.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUNTERSIGN_")) {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, line: &str) -> Said {
        Said(self.command(line).output().unwrap())
    }

    fn add_user(&self, line: &str) -> Said {
        let mut child = self
            .command(&format!("user add {line} --password-stdin"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"a long enough password\n").unwrap();
        Said(child.wait_with_output().unwrap())
    }

    /// Starts a server on a free port.
    fn serve(&self, line: &str) -> Server {
        let mut child = self
            .command(&format!("serve --listen 127.0.0.1:0 {line}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.trim().rsplit_once("http://").expect("the server prints its address").1.to_owned();
        Server { child, address }
    }

    /// Does to the database what only somebody outside of the product could.
    async fn tamper(&self, statements: &[&'static str]) {
        let address = format!("sqlite://{}", self.path("data/countersign.db").display());
        let mut database = SqliteConnection::connect(&address).await.unwrap();
        for trigger in ["DROP TRIGGER ledger_entries_no_update", "DROP TRIGGER ledger_entries_no_delete"] {
            sqlx::query(trigger).execute(&mut database).await.unwrap();
        }
        for statement in statements {
            sqlx::query(*statement).execute(&mut database).await.unwrap();
        }
        database.close().await.unwrap();
    }

    /// A ledger of five entries and more.
    fn with_people(self) -> Self {
        for name in ["anna", "ben", "chen", "dora", "emil"] {
            self.add_user(&format!("{name}@example.com --name {name} --role ADMIN")).done();
        }
        self
    }
}

struct Said(Output);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    fn done(&self) -> String {
        assert_eq!(self.0.status.code(), Some(0), "{}", self.complaint());
        self.text()
    }

    /// It failed with one sentence, and without a backtrace.
    #[track_caller]
    fn refused(&self) -> String {
        let complaint = self.complaint();
        assert_eq!(self.0.status.code(), Some(1), "{complaint}{}", self.text());
        assert_eq!(complaint.trim().lines().count(), 1, "{complaint}");
        assert!(complaint.starts_with("countersign: "), "{complaint}");
        complaint
    }
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_is_there_for_every_command_and_wrong_usage_exits_with_two() {
    let desk = Desk::new();
    for command in ["", "serve", "user add", "token create", "backup", "restore", "audit verify", "config show"] {
        let help = desk.run(&format!("{command} --help")).done();
        assert!(help.contains("Usage: countersign"), "{help}");
    }
    assert_eq!(desk.run("fly").0.status.code(), Some(2));
    assert_eq!(desk.run("serve --colour red").0.status.code(), Some(2));
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let desk = Desk::new();
    std::fs::write(desk.path("countersign.toml"), "listen = '1.1.1.1:1'\ndata = 'from-file'\nmax_upload_mib = 7\n")
        .unwrap();
    let said = desk
        .command("config show --listen 3.3.3.3:3 --database postgres://cs:secret@db/cs")
        .env("COUNTERSIGN_LISTEN", "2.2.2.2:2")
        .env("COUNTERSIGN_DATA", "from-environment")
        .output()
        .unwrap();
    let shown = Said(said).done();
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("listen").contains("3.3.3.3:3") && line("listen").contains("(flag --listen)"));
    assert!(line("data ").contains("from-environment") && line("data ").contains("(environment COUNTERSIGN_DATA)"));
    assert!(line("max_upload_mib").contains('7') && line("max_upload_mib").contains("(file countersign.toml)"));
    assert!(line("log_format").contains("(default)"));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_setting_that_does_not_exist_or_does_not_fit_is_refused() {
    let desk = Desk::new();
    std::fs::write(desk.path("a.toml"), "lisen = '1.1.1.1:1'\n").unwrap();
    assert!(desk.run("config show --config a.toml").refused().contains("“lisen”"));
    std::fs::write(desk.path("b.toml"), "max_upload_mib = 'much'\n").unwrap();
    assert!(desk.run("config show --config b.toml").refused().contains("max_upload_mib"));
    assert!(desk.run("config show --config none.toml").refused().contains("none.toml"));
}

#[test]
fn people_are_added_listed_and_disabled() {
    let desk = Desk::new();
    let added = desk.add_user("Anna@Example.com --name Anna --role ADMIN").done();
    assert!(added.contains("anna@example.com"), "{added}");
    desk.run("user add ben@example.com --name Ben --generate-password").done();
    assert!(desk.add_user("anna@example.com --name Again").refused().contains("already"));
    let list = desk.run("user list").done();
    assert!(list.contains("ADMIN") && list.contains("ben@example.com"), "{list}");
    desk.run("user disable ben@example.com").done();
    assert!(desk.run("user list").done().contains("disabled"));
    assert!(desk.run("user disable anna@example.com").refused().contains("last"));
}

#[test]
fn a_token_is_printed_once_and_can_be_revoked() {
    let desk = Desk::new().with_people();
    let token = desk.run("token create anna@example.com --name report --scope read").done();
    assert!(token.starts_with("cs_") && token.lines().count() == 1, "{token}");
    let list = desk.run("token list anna@example.com").done();
    assert!(list.contains("report") && list.contains("in force") && !list.contains(token.trim()), "{list}");
    desk.run("token revoke 1").done();
    assert!(desk.run("token list anna@example.com").done().contains("ended"));
}

#[test]
fn a_server_says_where_it_is_is_healthy_and_ends_when_told() {
    let desk = Desk::new();
    let mut server = desk.serve("");
    desk.run(&format!("healthcheck --listen {}", server.address)).done();
    let taken = desk.run(&format!("serve --data other --listen {}", server.address)).refused();
    assert!(taken.contains("is taken"), "{taken}");
    let twice = desk.run("serve --listen 127.0.0.1:0").refused();
    assert!(twice.contains("Another server uses the data folder"), "{twice}");
    server.signal("-TERM");
    let told = Instant::now();
    assert!(server.child.wait().unwrap().success());
    assert!(told.elapsed() < Duration::from_secs(3));
    assert!(desk.run(&format!("healthcheck --listen {}", server.address)).refused().contains("No server answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_ends_the_streams_of_open_pages() {
    let desk = Desk::new().with_people();
    let token = desk.run("token create anna@example.com --name t").done();
    let mut server = desk.serve("");
    let client = reqwest::Client::new();
    let live = format!("http://{}/live", server.address);
    let stream = client.get(live).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    server.signal("-INT");
    let told = Instant::now();
    let exit = tokio::task::spawn_blocking(move || server.child.wait().unwrap()).await.unwrap();
    assert!(exit.success());
    assert!(told.elapsed() < Duration::from_secs(3));
    drop(stream);
}

#[test]
fn a_demo_is_made_through_the_product_so_its_ledger_verifies() {
    let desk = Desk::new();
    let started = Instant::now();
    let sign_ins = desk.run("demo").done();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let people = desk.run("user list").done();
    for role in
        ["ADMIN", "VALIDATOR", "GLOBAL_APPROVER", "REGIONAL_APPROVER", "OPERATOR", "COMPLIANCE", "AUDITOR", "MEMBER"]
    {
        assert!(people.contains(role), "{people}");
    }
    for line in people.lines() {
        let email = line.split_whitespace().nth(1).unwrap();
        assert!(sign_ins.contains(email), "{email} is not among the sign-ins");
    }
    desk.run("audit verify").done();
    assert!(desk.run("demo").refused().contains("not empty"));
    desk.add_user("late@example.com --name late").done();
    desk.run("demo --reset").done();
    assert!(!desk.run("user list").done().contains("late@example.com"));
}

#[test]
fn a_ledger_that_was_left_alone_verifies() {
    let desk = Desk::new().with_people();
    assert!(desk.run("audit verify").done().starts_with("5 entries verified"));
    let result: Value = serde_json::from_str(&desk.run("audit verify --json").done()).unwrap();
    assert_eq!(result["entries"], 5);
    let head = result["head"].as_str().unwrap();
    desk.run(&format!("audit verify --head {head}")).done();
    desk.run(&format!("audit verify --head {}", "0".repeat(64))).refused();
    assert!(desk.run("audit verify --data nowhere").refused().contains("no database"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_entry_is_found() {
    let desk = Desk::new().with_people();
    desk.tamper(&["UPDATE ledger_entries SET actor = 'Mallory' WHERE seq = 3"]).await;
    assert!(desk.run("audit verify").refused().contains("entry 3 was changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_entry_is_found_in_the_middle_and_at_the_end() {
    let desk = Desk::new().with_people();
    desk.tamper(&["DELETE FROM ledger_entries WHERE seq = 3"]).await;
    assert!(desk.run("audit verify").refused().contains("entry 3 is missing"));
    let desk = Desk::new().with_people();
    desk.tamper(&["DELETE FROM ledger_entries WHERE seq = 5"]).await;
    assert!(desk.run("audit verify").refused().contains("entries were cut off or added"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reordered_entries_are_found() {
    let desk = Desk::new().with_people();
    desk.tamper(&[
        "UPDATE ledger_entries SET seq = 100 WHERE seq = 2",
        "UPDATE ledger_entries SET seq = 2 WHERE seq = 4",
        "UPDATE ledger_entries SET seq = 4 WHERE seq = 100",
    ])
    .await;
    assert!(desk.run("audit verify").refused().contains("entry 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_added_behind_the_head_is_found() {
    let desk = Desk::new().with_people();
    desk.tamper(&[
        "INSERT INTO ledger_entries SELECT 6, at, actor_id, actor, agent, action, entity, entity_id, model_id,
                   before, after, reason, request_id, prev_hash, hash FROM ledger_entries WHERE seq = 5",
    ])
    .await;
    assert!(desk.run("audit verify").refused().contains("added"));
}

#[test]
fn a_backup_is_made_while_the_server_runs_and_brings_everything_back() {
    let desk = Desk::new().with_people();
    let server = desk.serve("");
    std::fs::create_dir_all(desk.path("data/artifacts")).unwrap();
    std::fs::write(desk.path("data/artifacts/bytes"), b"weights").unwrap();
    assert!(desk.run("backup kept").done().contains("5 entries"));
    assert!(desk.run("backup kept").refused().contains("exists already"));
    assert!(desk.run("restore kept --force").refused().contains("Another server uses"));
    drop(server);
    desk.add_user("late@example.com --name late").done();
    assert!(desk.run("restore kept").refused().contains("not empty"));
    desk.run("restore kept --force").done();
    assert!(!desk.run("user list").done().contains("late@example.com"));
    assert_eq!(std::fs::read(desk.path("data/artifacts/bytes")).unwrap(), b"weights");
    desk.run("restore kept --data elsewhere").done();
    assert!(desk.run("audit verify --data elsewhere").done().starts_with("5 entries"));
}

#[test]
fn an_inventory_is_previewed_imported_and_imported_again() {
    let desk = Desk::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (file, mapping) = (
        root.join("tests/data/federal-ai-use-cases-2024.csv"),
        root.join("docs/mappings/federal-ai-use-cases-2024.toml"),
    );
    let import = |rest: &str| desk.run(&format!("import inventory {} {rest}", file.display()));
    let by_file = format!("--mapping {}", mapping.display());
    let preview = import(&format!("{by_file} --dry-run")).done();
    assert!(preview.contains("2133 rows") && preview.contains("windows-1252"), "{preview}");
    assert!(preview.contains("nothing was changed): 2,133 models added, 0 changed"), "{preview}");
    assert!(import(&by_file).done().contains("Imported: 2,133 models added, 0 changed"));
    let again = import("--mapping federal-ai-use-cases-2024").done();
    assert!(again.contains("Imported: 0 models added, 0 changed, 2,133 as before, 0 rows left out"), "{again}");
    std::fs::write(
        desk.path("bad.toml"),
        std::fs::read_to_string(&mapping).unwrap().replace("\"Planned\"", "\"Plan\""),
    )
    .unwrap();
    let bad = import("--mapping bad.toml");
    assert!(bad.refused().contains("rows cannot be imported, so nothing was"));
    let first = bad.text().lines().next().unwrap_or_default().to_owned();
    assert!(first.starts_with("line ") && first.contains("column 10 \"Stage of Development\": \"Planned\""), "{first}");
    assert!(import("--mapping none.toml").refused().contains("none.toml"));
}

fn overwrite(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_backup_that_was_tampered_with_is_not_restored_and_nothing_is_replaced() {
    let desk = Desk::new().with_people();
    desk.run("backup kept").done();
    overwrite(&desk.path("kept/countersign.db"));
    assert!(desk.run("restore kept --force").refused().contains("countersign.db was changed"));
    overwrite(&desk.path("kept/countersign.db"));
    std::fs::write(desk.path("kept/more"), b"x").unwrap();
    assert!(desk.run("restore kept --force").refused().contains("more is in the backup"));
    std::fs::remove_file(desk.path("kept/more")).unwrap();
    let manifest = std::fs::read_to_string(desk.path("kept/manifest.json")).unwrap();
    std::fs::write(desk.path("kept/manifest.json"), manifest.replace("\"countersign.db\"", "\"../countersign.db\""))
        .unwrap();
    assert!(desk.run("restore kept --force").refused().contains("outside"));
    assert!(desk.run("user list").done().contains("emil@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_ledger_is_not_backed_up_as_if_it_were_whole() {
    let desk = Desk::new().with_people();
    desk.tamper(&["UPDATE ledger_entries SET reason = 'x' WHERE seq = 2"]).await;
    assert!(desk.run("backup kept").refused().contains("entry 2 was changed"));
    assert!(!desk.path("kept").exists());
}
