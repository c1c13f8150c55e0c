//! Uploaded files between their preview and the confirmation, in `imports/` of the data folder, by their SHA-256.
//!
//! The confirmation names a digest and nothing else, so what is imported is what was previewed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::fs;

use crate::app::App;
use crate::artifacts::Digest;
use crate::error::{Error, Result};

/// Files that nobody confirmed are removed after a day.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

fn folder(app: &App) -> PathBuf {
    app.settings.data.join("imports")
}

/// Keeps bytes for a day and answers their digest.
pub async fn keep(app: &App, bytes: &Bytes) -> Result<Digest> {
    let folder = folder(app);
    fs::create_dir_all(&folder).await.map_err(Error::internal)?;
    sweep(app, &folder).await.map_err(Error::internal)?;
    let digest = Digest::of(Sha256::new_with_prefix(bytes));
    // Another name first, so that a file in its place is whole.
    let scratch = folder.join(hex::encode(app.random::<16>()));
    fs::write(&scratch, bytes).await.map_err(Error::internal)?;
    fs::rename(&scratch, folder.join(digest.as_str())).await.map_err(Error::internal)?;
    Ok(digest)
}

/// The bytes kept under a digest.
pub async fn open(app: &App, digest: &str) -> Result<Bytes> {
    let gone = || Error::field("file", "This upload is no longer kept; choose the file again.");
    let digest: Digest = digest.parse().map_err(|_| gone())?;
    let bytes = fs::read(folder(app).join(digest.as_str())).await.map_err(|_| gone())?;
    if Digest::of(Sha256::new_with_prefix(&bytes)) == digest { Ok(bytes.into()) } else { Err(gone()) }
}

/// Removes kept bytes. Whatever cannot be removed now is swept away later.
pub async fn remove(app: &App, digest: &str) {
    if let Ok(digest) = digest.parse::<Digest>() {
        let _ = fs::remove_file(folder(app).join(digest.as_str())).await;
    }
}

async fn sweep(app: &App, folder: &Path) -> std::io::Result<()> {
    let oldest = SystemTime::from(app.now()) - KEPT_FOR;
    let mut files = fs::read_dir(folder).await?;
    while let Some(file) = files.next_entry().await? {
        if file.metadata().await.and_then(|data| data.modified()).is_ok_and(|changed| changed < oldest) {
            let _ = fs::remove_file(file.path()).await;
        }
    }
    Ok(())
}
