//! A PostgreSQL server of our own, for as long as this process lives.
//!
//! It listens on a socket in a temporary folder and on no port. A shell stands between it and us:
//! when our end of its standard input closes, however we died, it stops the server by its number
//! and removes the folder, so that nothing is ever left behind.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const SCRIPT: &str = r#"
set -eu
umask 077
folder=$(mktemp -d "${TMPDIR:-/tmp}/countersign-postgres.XXXXXX")
cd "$folder"
server=
stop() {
    if [ -n "$server" ]; then kill -INT "$server" || true; wait "$server" || true; fi
    cd / && rm -rf "$folder"
}
trap stop EXIT
give_up() { cat "$folder/log" >&2; exit 1; }
"$1/initdb" --pgdata="$folder/data" --auth=trust --username=countersign --encoding=UTF8 --locale=C --no-sync >"$folder/log" 2>&1 || give_up
"$1/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=400 -c shared_buffers=128MB \
    -c fsync="$2" -c full_page_writes="$2" -c synchronous_commit="$2" -c logging_collector=off >"$folder/log" 2>&1 </dev/null &
server=$!
tries=0
# The eighth line of this file says when connections are taken.
until grep -q '^ready' "$folder/data/postmaster.pid" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -le 300 ] && kill -0 "$server" || give_up
    sleep 0.1
done
echo "$folder"
cat >/dev/null || true
"#;

/// The running server.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    /// Kept, never read: its standard input is what keeps the server running.
    _shell: Child,
}

impl Postgres {
    /// The server of this process, started when it is first asked for. With `durable`, it waits for
    /// the disk as a real one does; tests do without.
    ///
    /// # Panics
    /// PostgreSQL is not installed, or does not start.
    pub fn shared(durable: bool) -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(durable))
    }

    /// The address of one of its databases, as `--database` takes it.
    pub fn address(&self, database: &str) -> String {
        format!("postgres://countersign@localhost/{database}?host={}", self.folder.display())
    }

    fn start(durable: bool) -> Self {
        let binaries = binaries().unwrap_or_else(|| {
            panic!("PostgreSQL's server (initdb, postgres) is not installed; `make tools` installs what the tests need")
        });
        let mut command = as_postgres_user();
        command.args(["sh", "-c", SCRIPT, "sh"]).arg(binaries).arg(if durable { "on" } else { "off" });
        // A group of its own, so that Ctrl-C reaches us and not the shell that cleans up after us.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        let mut shell = command.spawn().expect("a shell starts");
        let mut folder = String::new();
        let output = shell.stdout.take().expect("the shell's output is piped");
        BufReader::new(output).read_line(&mut folder).expect("the shell's output is text");
        assert!(!folder.is_empty(), "PostgreSQL did not start; its log stands above");
        Self { folder: PathBuf::from(folder.trim_end()), _shell: shell }
    }
}

/// `env`, or for root, whom PostgreSQL refuses to serve, `setpriv` to the user `postgres`.
fn as_postgres_user() -> Command {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    if id.stdout.trim_ascii() != b"0" {
        return Command::new("env");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command
}

/// The folder of the newest server that is installed: Debian keeps them outside of `PATH`.
fn binaries() -> Option<PathBuf> {
    let newest = |folder: &Path| {
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(folder)
            .ok()?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
            })
            .filter(|(_, bin)| bin.join("initdb").exists())
            .collect();
        versions.sort();
        versions.pop().map(|(_, bin)| bin)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists())
        .or_else(|| newest(Path::new("/usr/lib/postgresql")))
}
