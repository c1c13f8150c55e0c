//! The log of a job: what its program wrote, of any length, in a bounded file. Its beginning and its end are kept,
//! and what lies between is counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How much of the beginning is kept, in bytes.
pub const HEAD: u64 = 1 << 20;
/// How much of the end is kept, in bytes.
pub const TAIL: usize = 256 << 10;
/// How much is read at once.
pub const MOST: u64 = 64 << 10;

/// A log being written.
#[derive(Debug)]
pub struct LogWriter {
    folder: PathBuf,
    head: File,
    /// Bytes that were written in all.
    written: u64,
    tail: Vec<u8>,
    changed: bool,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LogPiece {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// How many bytes before it are not kept.
    pub omitted: i64,
    /// Where the next piece starts; the same as was asked for if there is nothing more yet.
    pub next_offset: i64,
    /// How many bytes were written in all.
    pub size: i64,
}

impl LogWriter {
    /// Begins a log in a folder that is there.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        let head = OpenOptions::new().create(true).truncate(true).write(true).open(folder.join("log"))?;
        Ok(Self { folder: folder.to_owned(), head, written: 0, tail: Vec::new(), changed: false })
    }

    /// Adds what was written.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(HEAD.saturating_sub(self.written)).unwrap_or_default().min(bytes.len());
        self.head.write_all(&bytes[..room])?;
        self.written += bytes.len() as u64;
        let rest = &bytes[room..];
        if !rest.is_empty() {
            self.changed = true;
            self.tail.extend_from_slice(&rest[rest.len().saturating_sub(TAIL)..]);
            // It is cut at twice its length, so that not every line moves all of it.
            if self.tail.len() > 2 * TAIL {
                self.tail.drain(..self.tail.len() - TAIL);
            }
        }
        Ok(())
    }

    /// Writes the end down, for whoever reads.
    pub fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            let tail = &self.tail[self.tail.len().saturating_sub(TAIL)..];
            let draft = self.folder.join("log-end.draft");
            let mut file = File::create(&draft)?;
            file.write_all(&self.written.to_le_bytes())?;
            file.write_all(tail)?;
            fs::rename(draft, self.folder.join("log-end"))?;
        }
        Ok(())
    }

    /// The last line that has something to say, for a message; at most `most` characters.
    pub fn last_line(&self, most: usize) -> Option<String> {
        let head;
        let text = if self.tail.is_empty() {
            head = read_head(&self.folder, self.written.saturating_sub(4096)).unwrap_or_default();
            &head
        } else {
            &self.tail
        };
        let text = String::from_utf8_lossy(text);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        let clean = line.chars().filter(|c| !c.is_control());
        Some(clean.take(most).collect())
    }
}

fn read_head(folder: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(folder.join("log"))?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The end of the log: how many bytes were written in all, and the last of them.
fn read_tail(folder: &Path) -> io::Result<Option<(u64, Vec<u8>)>> {
    let bytes = match fs::read(folder.join("log-end")) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    let Some((size, tail)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    Ok(Some((u64::from_le_bytes(*size), tail.to_vec())))
}

/// A piece of the log that a folder holds, from an offset on; an empty one if there is no log.
pub fn read(folder: &Path, offset: u64) -> io::Result<LogPiece> {
    let head_size = match fs::metadata(folder.join("log")) {
        Ok(metadata) => metadata.len(),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => 0,
        Err(cause) => return Err(cause),
    };
    let tail = read_tail(folder)?;
    let size = tail.as_ref().map_or(head_size, |(size, _)| *size);
    let (from, bytes) = match tail {
        _ if offset < head_size => (offset, read_head(folder, offset)?),
        Some((size, tail)) => {
            let begins = size - tail.len() as u64;
            let from = offset.clamp(begins, size);
            let skip = usize::try_from(from - begins).unwrap_or(usize::MAX).min(tail.len());
            let piece = &tail[skip..];
            (from, piece[..piece.len().min(usize::try_from(MOST).unwrap_or(usize::MAX))].to_vec())
        }
        None => (offset.min(size), Vec::new()),
    };
    let bytes = whole_characters(&bytes);
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(LogPiece {
        text: String::from_utf8_lossy(bytes).into_owned(),
        omitted: number(from.saturating_sub(offset)),
        next_offset: number(from + bytes.len() as u64),
        size: number(size),
    })
}

/// The last part of the log, at most `most` bytes, from the beginning of a line.
pub fn read_end(folder: &Path, most: u64) -> io::Result<LogPiece> {
    let size = u64::try_from(read(folder, u64::MAX)?.size).unwrap_or_default();
    let offset = size.saturating_sub(most.min(MOST));
    let mut piece = read(folder, offset)?;
    if offset > 0
        && let Some(end) = piece.text.find('\n')
    {
        piece.text.drain(..=end);
    }
    Ok(piece)
}

/// Without a character that is cut in two at the end; the next piece begins with it.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(cause) if cause.error_len().is_none() && cause.valid_up_to() > 0 => &bytes[..cause.valid_up_to()],
        _ => bytes,
    }
}
