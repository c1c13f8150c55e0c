//! The file of a data set: where it may lie, its digest, and what it holds.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use countersign_training::Table;
use sha2::{Digest as _, Sha256};

use super::rules::{Columns, Preview};
use crate::app::App;
use crate::artifacts::Digest;
use crate::error::{Error, Result};

/// How much is hashed at once.
const CHUNK: usize = 1 << 20;

/// What a file holds.
#[derive(Debug)]
pub struct Survey {
    /// How it is written: `csv` or `parquet`.
    pub format: &'static str,
    /// Its digest.
    pub digest: Digest,
    /// How many rows it has.
    pub rows: i64,
    /// Its columns.
    pub columns: Columns,
    /// Its first rows.
    pub preview: Preview,
}

/// Hashes a file and reads it as a table. One file at a time: a large table takes hundreds of megabytes.
///
/// # Errors
/// `invalid` with the field and the line at fault, if it is no table.
pub async fn survey(app: &App, path: PathBuf, field: &'static str) -> Result<Survey> {
    let _turn = app.training.reading.acquire().await.map_err(Error::internal)?;
    // A reader that gives up on a file that is not what it says has found that out, and no more.
    let read = tokio::task::spawn_blocking(move || read(&path, field)).await;
    read.unwrap_or_else(|_| Err(Error::field(field, "The file is damaged; it cannot be read as a table.")))
}

fn read(path: &Path, field: &'static str) -> Result<Survey> {
    let refuse = |cause: std::io::Error| Error::field(field, format!("The file cannot be read: {cause}."));
    let mut file = File::open(path).map_err(refuse)?;
    let mut magic = Vec::new();
    (&file).take(4).read_to_end(&mut magic).map_err(refuse)?;
    let format = if magic == b"PAR1" { "parquet" } else { "csv" };
    let digest = hash_file(&mut file).map_err(refuse)?;
    let table = Table::read_file(file).map_err(|cause| Error::field(field, cause.sentence))?;
    if table.rows == 0 {
        return Err(Error::field(field, "The file has no row below the names of its columns."));
    }
    let rows = i64::try_from(table.rows).unwrap_or(i64::MAX);
    Ok(Survey { format, digest, rows, columns: Columns::inferred(&table.columns), preview: Preview(table.preview) })
}

fn hash_file(file: &mut File) -> std::io::Result<Digest> {
    file.rewind()?;
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest::of(hasher)),
            length => hasher.update(&piece[..length]),
        }
    }
}

/// The digest of a file as it is now.
///
/// # Errors
/// It cannot be read.
pub async fn hash(path: PathBuf) -> std::io::Result<Digest> {
    let hashed = tokio::task::spawn_blocking(move || hash_file(&mut File::open(path)?)).await;
    hashed.map_err(std::io::Error::other)?
}

/// A file below one of the folders that the operator allows; links are followed before it is judged.
///
/// # Errors
/// `invalid` with the reason.
pub fn allowed(app: &App, location: &str) -> Result<PathBuf> {
    let folders = &app.settings.data_folders;
    let refuse = |sentence: String| Err(Error::field("location", sentence));
    if folders.is_empty() {
        return refuse(
            "Files of the server's machine cannot be referred to here: no folder is allowed. Whoever runs the server \
             sets data_folders."
                .to_owned(),
        );
    }
    let path = match Path::new(location).canonicalize() {
        Ok(path) => path,
        Err(cause) => return refuse(format!("There is no such file: {cause}.")),
    };
    let inside = folders.iter().filter_map(|folder| folder.canonicalize().ok()).any(|folder| path.starts_with(folder));
    if !inside {
        let names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return refuse(format!("The file must lie below one of these folders: {}.", names.join(", ")));
    }
    if path.is_file() { Ok(path) } else { refuse("This is not a file.".to_owned()) }
}
