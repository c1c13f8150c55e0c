//! The bytes of artifacts, kept by their SHA-256; the same bytes are kept once.
//!
//! Whose artifact it is, and who may see it, is the business of the versions that name it.

use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::App;
use crate::audit::Act;
use crate::error::{self, Error, Result};
use crate::ids::UserId;

pub mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use rules::{Digest, safe_name};

/// How much is read and sent at once.
const CHUNK: usize = 64 << 10;

/// Bytes that were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Their digest.
    pub digest: Digest,
    /// How many they are.
    pub size: i64,
}

/// An artifact on its way to somebody.
#[derive(Debug)]
pub struct Download {
    /// The name to save it under.
    pub file_name: String,
    /// Its size in bytes.
    pub size: u64,
    file: File,
}

/// Keeps a stream of bytes under their digest. Keeping the same bytes again changes nothing.
///
/// The bytes go to a file of another name first and take their place once they are whole and on
/// the disk, so that a file in its place is always whole.
///
/// # Errors
/// `too_large`, `malformed` if the stream breaks off, `digest_mismatch` if `expected` is another.
pub async fn keep<E: std::fmt::Display>(
    app: &App,
    bytes: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
    expected: Option<&Digest>,
) -> Result<Stored> {
    let stored = take(app, bytes, expected).await?;
    if stored.size == 0 { Err(Error::field("file", "The file is empty.")) } else { Ok(stored) }
}

/// Keeps a stream of bytes under their digest as [`keep`] does, even if there are none: a file among others may be empty.
///
/// # Errors
/// `too_large`, `malformed` if the stream breaks off.
pub async fn keep_any<E: std::fmt::Display>(
    app: &App,
    bytes: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
) -> Result<Stored> {
    take(app, bytes, None).await
}

async fn take<E: std::fmt::Display>(
    app: &App,
    mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
    expected: Option<&Digest>,
) -> Result<Stored> {
    let folder = app.settings.data.join("artifacts");
    let incoming = folder.join("incoming");
    fs::create_dir_all(&incoming).await.map_err(Error::internal)?;
    let scratch = Scratch(incoming.join(hex::encode(app.random::<16>())));
    let mut file = File::create_new(&scratch.0).await.map_err(Error::internal)?;
    let (mut hasher, mut size) = (Sha256::new(), 0_usize);
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|cause| Error::new(&error::MALFORMED, format!("The upload broke off: {cause}.")))?;
        size += chunk.len();
        if size > app.settings.max_upload_bytes {
            return Err(crate::web::too_large(app.settings.max_upload_bytes));
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(Error::internal)?;
    }
    let digest = Digest::of(hasher);
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        let detail = format!("The bytes have the digest {digest}, not {expected}.");
        return Err(Error::new(&error::DIGEST_MISMATCH, detail).fact("digest", digest.as_str()));
    }
    file.sync_all().await.map_err(Error::internal)?;
    drop(file);
    place(&scratch.0, &path(&folder, &digest)).await.map_err(Error::internal)?;
    Ok(Stored { digest, size: i64::try_from(size).unwrap_or(i64::MAX) })
}

/// Keeps a file of this machine under its digest; the file itself stays where it is.
///
/// # Errors
/// As [`keep`]; the file cannot be read.
pub async fn keep_file(app: &App, path: &Path) -> Result<Stored> {
    let file = File::open(path).await.map_err(Error::internal)?;
    keep(app, Box::pin(pieces(file)), None).await
}

/// The bytes of a file, a piece at a time.
fn pieces(file: File) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold(file, async |mut file| {
        let mut piece = vec![0; CHUNK];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), file)))
    })
}

/// Moves whole bytes to their place, and makes the move itself survive a power loss.
async fn place(from: &Path, to: &Path) -> std::io::Result<()> {
    if fs::try_exists(to).await? {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).await?;
    fs::rename(from, to).await?;
    File::open(folder).await?.sync_all().await
}

/// `ab/cdef…`: folders of a size that every file system likes.
fn path(folder: &Path, digest: &Digest) -> PathBuf {
    let (head, tail) = digest.as_str().split_at(2);
    folder.join(head).join(tail)
}

/// A file that is gone when its upload is over, one way or the other.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a success it was moved away; there is nothing to do about a failure.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Opens kept bytes.
///
/// # Errors
/// `not_found` if they are not (or no longer) in the data folder.
pub async fn open(app: &App, digest: &Digest, file_name: String) -> Result<Download> {
    let file = match File::open(path(&app.settings.data.join("artifacts"), digest)).await {
        Ok(file) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Err(Error::not_found("artifact", digest)),
        Err(cause) => return Err(Error::internal(cause)),
    };
    let size = file.metadata().await.map_err(Error::internal)?.len();
    Ok(Download { file_name, size, file })
}

impl Download {
    /// The bytes, a piece at a time.
    pub fn stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
        pieces(self.file)
    }
}

/// Notes that the bytes of an artifact are kept here.
///
/// # Errors
/// Only failures of the database.
pub async fn record_stored(act: &mut Act, stored: &Stored, file_name: &str, by: UserId) -> Result<()> {
    Ok(store::record(&mut act.tx, &stored.digest, Some(stored.size), file_name, by, act.now).await?)
}

/// Notes an artifact of which only the digest is known here.
///
/// # Errors
/// Only failures of the database.
pub async fn record_reference(act: &mut Act, digest: &Digest, file_name: &str, by: UserId) -> Result<()> {
    Ok(store::record(&mut act.tx, digest, None, file_name, by, act.now).await?)
}

/// Where the bytes of an artifact lie, if they are kept here.
#[must_use]
pub fn file_of(app: &App, digest: &Digest) -> PathBuf {
    path(&app.settings.data.join("artifacts"), digest)
}

/// The digest of the bytes that are kept for an artifact; none if they are kept elsewhere.
///
/// # Errors
/// The file cannot be read.
pub async fn hash_of(app: &App, digest: &Digest) -> Result<Option<Digest>> {
    let mut file = match File::open(file_of(app, digest)).await {
        Ok(file) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::internal(cause)),
    };
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut piece).await.map_err(Error::internal)? {
            0 => return Ok(Some(Digest::of(hasher))),
            length => hasher.update(&piece[..length]),
        }
    }
}

/// An artifact as a file to save: never shown in the browser, whatever its bytes say they are.
#[must_use]
pub fn attachment(download: Download) -> Response {
    let plain: String = download.file_name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    let whole: String = form_urlencoded::byte_serialize(download.file_name.as_bytes()).collect();
    let whole = whole.replace('+', "%20");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, download.size.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")),
    ];
    (headers, Body::from_stream(download.stream())).into_response()
}
