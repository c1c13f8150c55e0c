//! Backups: a folder that holds everything, with a manifest that proves it.
//!
//! A backup is taken while the server runs, and verified before it gets its name: the database's
//! own check, the whole ledger, a SHA-256 of every file. A restore verifies the same before it
//! touches what is there, and replaces a PostgreSQL database in one transaction. Neither reads
//! settings or prints anything.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use countersign_ledger::Head;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::audit::verify;
use crate::db::{Db, Engine};

mod postgres;

/// The manifest's name in the folder.
const MANIFEST: &str = "manifest.json";
/// What PostgreSQL's own tool wrote.
const DUMP: &str = "database.dump";
/// The embedded database's file.
const DATABASE: &str = "countersign.db";
/// Where a restore prepares, and where it puts what it replaces, inside the data folder.
const STAGES: [&str; 2] = ["restoring", "replaced"];

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the backup; this is form 1.
    pub form: u32,
    /// The version of the product that made it.
    pub version: String,
    /// When it was made.
    pub made_at: chrono::DateTime<chrono::Utc>,
    /// How many entries its ledger has.
    pub ledger_entries: i64,
    /// The hash of the last of them.
    pub ledger_head: String,
    /// Every file, by its path in the folder, with its SHA-256.
    pub files: BTreeMap<String, String>,
}

/// Makes a backup of the running product in the new folder `target`.
///
/// # Errors
/// `target` exists, there is no room, `pg_dump` is missing, or what was copied does not verify.
pub async fn make(app: &App, database: &str, target: &Path) -> anyhow::Result<Manifest> {
    let name = target.display();
    anyhow::ensure!(!target.exists(), "{name} exists already; name a new folder.");
    let part = target.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    fs::create_dir_all(&part).with_context(|| format!("{} cannot be made", part.display()))?;
    let ledger = match app.db.engine() {
        Engine::Sqlite => {
            app.db.copy_into(&part.join(DATABASE)).await.context("The database cannot be copied")?;
            verify_database(&part).await?
        }
        Engine::Postgres => {
            postgres::dump(database, &part.join(DUMP)).await?;
            postgres::verify(&part.join(DUMP)).await?
        }
    };
    // Artifacts are written before the database names them and never change, so whatever the copied
    // database names is here by now.
    for file in files_below(&app.settings.data)?.into_iter().filter(|file| !is_own(file)) {
        copy(&app.settings.data.join(&file), &part.join(&file))?;
    }
    let mut files = BTreeMap::new();
    for file in files_below(&part)? {
        files.insert(path_text(&file)?, digest(&part.join(&file))?);
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (ledger_entries, ledger_head) = (ledger.seq, ledger.hash);
    let manifest = Manifest { form: 1, version, made_at: app.now(), ledger_entries, ledger_head, files };
    fs::write(part.join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    fs::rename(&part, target).with_context(|| format!("The backup cannot be named {name}"))?;
    Ok(manifest)
}

/// Verifies that a backup is what its manifest says.
///
/// # Errors
/// A file was changed, is missing, or does not belong there.
pub fn check(source: &Path) -> anyhow::Result<Manifest> {
    let name = source.display();
    let text =
        fs::read(source.join(MANIFEST)).with_context(|| format!("{name} is not a backup: it has no {MANIFEST}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{MANIFEST} in {name} cannot be read"))?;
    anyhow::ensure!(manifest.form == 1, "The backup has form {}, this version knows form 1.", manifest.form);
    for (path, wanted) in &manifest.files {
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(plain, "The backup names {path}, which lies outside of it.");
        let found = digest(&source.join(path)).with_context(|| format!("{path} is missing from the backup"))?;
        anyhow::ensure!(found == *wanted, "{path} was changed since the backup was made.");
    }
    for file in files_below(source)? {
        let path = path_text(&file)?;
        anyhow::ensure!(
            path == MANIFEST || manifest.files.contains_key(&path),
            "{path} is in the backup, but its manifest does not name it."
        );
    }
    Ok(manifest)
}

/// Puts a checked backup into the data folder `data`, and into `database` if that names a PostgreSQL one.
/// The caller holds the folder, so that no server uses it.
///
/// # Errors
/// The database or its ledger does not verify, or there is data already and `force` is not set.
pub async fn restore(
    source: &Path,
    manifest: &Manifest,
    data: &Path,
    database: &str,
    force: bool,
) -> anyhow::Result<()> {
    let of_postgres = manifest.files.contains_key(DUMP);
    anyhow::ensure!(
        of_postgres != database.is_empty(),
        "The backup is of {}; name the matching --database.",
        if of_postgres { "a PostgreSQL database" } else { "an embedded database" }
    );
    let old: Vec<PathBuf> = entries_of(data)?;
    anyhow::ensure!(
        force || old.is_empty(),
        "The data folder {} is not empty; --force replaces what it holds.",
        data.display()
    );
    let [staged, replaced] = STAGES.map(|name| data.join(name));
    for stage in [&staged, &replaced] {
        if stage.exists() {
            fs::remove_dir_all(stage)?;
        }
        fs::create_dir_all(stage)?;
    }
    for path in manifest.files.keys().filter(|path| *path != DUMP) {
        copy(&source.join(path), &staged.join(path))?;
    }
    if of_postgres {
        postgres::verify(&source.join(DUMP)).await?;
        postgres::restore(&source.join(DUMP), database, force).await?;
    } else {
        verify_database(&staged).await?;
    }
    // Until here no file was replaced, and the database at once; from here only names change.
    for entry in old {
        fs::rename(data.join(&entry), replaced.join(&entry))?;
    }
    for entry in fs::read_dir(&staged)? {
        let entry = entry?;
        fs::rename(entry.path(), data.join(entry.file_name()))?;
    }
    fs::remove_dir(&staged)?;
    fs::remove_dir_all(&replaced)?;
    Ok(())
}

/// Removes the embedded database and the artifacts of a data folder, which the caller holds. Only
/// what the product itself made is touched, whatever else lies in the folder.
///
/// # Errors
/// A file cannot be removed.
pub fn clear(data: &Path) -> anyhow::Result<()> {
    for entry in entries_of(data)? {
        let (path, name) = (data.join(&entry), entry.to_string_lossy().into_owned());
        if name.starts_with(DATABASE) {
            fs::remove_file(path)?;
        } else if name == "artifacts" {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Checks the embedded database in `folder` and its ledger; returns the ledger's length and head.
async fn verify_database(folder: &Path) -> anyhow::Result<Head> {
    let db = Db::open_sqlite(folder).await.context("The copied database cannot be opened")?;
    db.check_integrity().await?;
    let verified = verify(&db).await;
    db.close().await;
    verified?.map_err(|(_, fault)| fault).context("The ledger does not verify")
}

/// What belongs to the running product or to an unfinished restore, and is not part of a backup.
fn is_own(path: &Path) -> bool {
    let first =
        path.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    first.starts_with(DATABASE) || first == "countersign.lock" || STAGES.contains(&first.as_str())
}

/// What a restore would replace in the data folder.
fn entries_of(data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(data)?;
    let mut entries = Vec::new();
    for entry in fs::read_dir(data)? {
        let name = PathBuf::from(entry?.file_name());
        if name.as_os_str() != "countersign.lock" && STAGES.iter().all(|stage| name != Path::new(stage)) {
            entries.push(name);
        }
    }
    Ok(entries)
}

/// All files below a folder, relative to it, in order. Links are not followed.
fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        for entry in fs::read_dir(folder.join(&relative))? {
            let entry = entry?;
            let (path, kind) = (relative.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("{} cannot be copied", from.display()))?;
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

fn digest(file: &Path) -> anyhow::Result<String> {
    let mut reader = fs::File::open(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("the name {} is not UTF-8", path.display()))
}
