//! Files of the state folder: written whole or not at all, logs kept within bounds.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How large a log may become before it is moved aside. One older part is kept.
const LARGEST_LOG: u64 = 10 << 20;
/// How much of a log's end is shown.
const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 40;

/// Reads a file of JSON; `None` if there is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Replaces a file by JSON: after a crash there is the old or the new one, whole.
pub fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(parent)?;
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(parent)?.sync_all()
}

/// The path from the root: relative ones are meant from where this process runs.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Removes a file that may not be there.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// The beginning of a file that a process writes; empty if there is none.
pub fn head(path: &Path) -> io::Result<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(cause) => return Err(cause),
    };
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a file; empty if it cannot be read: it is shown beside what really went wrong.
pub fn tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Moves a log aside that has become too large. The process goes on writing into the same file, so it is copied and
/// emptied; what is written in the instant between the two is lost.
pub fn limit(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > LARGEST_LOG => (),
        Ok(_) => return Ok(()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    }
    std::fs::copy(path, path.with_added_extension("1"))?;
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_too_large_is_moved_aside_while_its_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        writer.write_all(b"before\n").unwrap();
        limit(&path).unwrap();
        assert_eq!(tail(&path), "before");
        writer.set_len(LARGEST_LOG + 1).unwrap();
        limit(&path).unwrap();
        writer.write_all(b"after\n").unwrap();
        assert_eq!(tail(&path), "after");
        assert_eq!(std::fs::metadata(folder.path().join("log.1")).unwrap().len(), LARGEST_LOG + 1);
    }

    #[test]
    fn a_tail_is_the_last_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines: Vec<_> = (0..1000).map(|line| format!("line {line}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        assert_eq!(tail(&path), lines[1000 - TAIL_LINES..].join("\n"));
        assert_eq!(tail(&folder.path().join("nothing")), "");
    }
}
