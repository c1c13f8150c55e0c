//! What a program writes, read until it writes no more.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use super::output::{self, Line, Measured, Progress, understand};
use crate::app::App;

/// So much is read of a program at once; it rests after each [`BURST`], so that a flood takes no whole core.
const CHUNK: usize = 64 << 10;
const BURST: usize = 1 << 20;
const REST: Duration = Duration::from_millis(20);

/// What comes of a program: a line of its standard output, understood, or bytes of its log.
pub enum Heard {
    Point(Measured, Progress, i64),
    Progress(Progress),
    Log(Vec<u8>),
}

/// Reads what a program writes until it writes no more. Lines of its standard output may be measurements.
pub async fn listen(app: App, mut from: impl AsyncRead + Unpin, measures: bool, send: mpsc::Sender<Heard>) {
    let (mut buffer, mut line, mut burst) = (vec![0; CHUNK], Vec::new(), 0);
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(length) if length > 0 => length,
            _ => break,
        };
        let mut log = Vec::new();
        if measures {
            for piece in buffer[..length].split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                // A line without an end is log, a piece at a time.
                if piece.ends_with(b"\n") || line.len() > output::LONGEST {
                    match heard(&app, &line) {
                        Some(heard) => {
                            if send.send(heard).await.is_err() {
                                return;
                            }
                        }
                        None => log.extend_from_slice(&line),
                    }
                    line.clear();
                }
            }
        } else {
            log.extend_from_slice(&buffer[..length]);
        }
        if !log.is_empty() && send.send(Heard::Log(log)).await.is_err() {
            return;
        }
        burst += length;
        if burst >= BURST {
            burst = 0;
            tokio::time::sleep(REST).await;
        }
    }
    if !line.is_empty() {
        let _ = send.send(heard(&app, &line).unwrap_or(Heard::Log(line))).await;
    }
}

fn heard(app: &App, line: &[u8]) -> Option<Heard> {
    match understand(line.trim_ascii_end()) {
        Line::Point(measured, progress) => Some(Heard::Point(measured, progress, app.now().timestamp_millis())),
        Line::Progress(progress) => Some(Heard::Progress(progress)),
        Line::Log => None,
    }
}
