//! Processes, told apart for certain: a process id is reused, but not with the same start time and nonce.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::slot::NONCE;

/// How often a process is looked at that should end.
const LOOK: Duration = Duration::from_millis(10);

/// Which process it is, among all that ever had its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// When it began, in clock ticks since the machine's start.
    pub ticks: u64,
    /// Which start of the machine that was.
    pub boot: String,
}

impl Identity {
    /// One that ended before it could be looked at.
    pub fn ended() -> Self {
        Self { pid: 0, ticks: 0, boot: String::new() }
    }
}

/// A hold on one process: signals reach it or nobody.
#[derive(Debug)]
pub struct Handle {
    /// The process id, to be shown.
    pub pid: u32,
    descriptor: OwnedFd,
}

impl Handle {
    /// Sends a signal; to a process that is gone nothing is sent.
    pub fn signal(&self, signal: Signal) {
        if let Err(cause) = pidfd_send_signal(&self.descriptor, signal) {
            tracing::debug!(pid = self.pid, %cause, "a signal was not sent");
        }
    }

    /// Waits for its end; false if it still lives after that time.
    pub async fn ended_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.has_ended() {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// A process that has ended makes its pidfd readable, even before anybody has waited for it.
    fn has_ended(&self) -> bool {
        let mut watched = [PollFd::new(&self.descriptor, PollFlags::IN)];
        matches!(poll(&mut watched, Some(&Timespec::default())), Ok(ready) if ready > 0)
    }
}

/// A name for one start: 128 random bits.
pub fn nonce() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// What the process of that number is; `None` if there is none, or it has ended.
pub fn identify(pid: u32) -> Option<Identity> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may contain anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // Of the whole line the start time is field 22; the state is field 3.
    let ticks = fields.nth(18)?.parse().ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    Some(Identity { pid, ticks, boot })
}

/// A hold on the process if it lives and is the one that is meant.
pub fn find(identity: &Identity, nonce: &str) -> Option<Handle> {
    let handle = hold(identity.pid)?;
    // The hold comes first: what is read from now on is of the process that is held, or of none.
    let is_it = identify(identity.pid)? == *identity;
    // For an instant after its start a process shows no environment at all; that it began then is enough there.
    let environment = environment(identity.pid);
    (is_it && (environment.is_empty() || names(&environment, nonce))).then_some(handle)
}

fn hold(pid: u32) -> Option<Handle> {
    let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
    Some(Handle { pid, descriptor: pidfd_open(number, PidfdFlags::empty()).ok()? })
}

/// What a process was started with; empty if it is gone, or not ours to look at.
fn environment(pid: u32) -> Vec<u8> {
    std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

fn names(environment: &[u8], nonce: &str) -> bool {
    let wanted = format!("{NONCE}={nonce}");
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// Every living process that carries the nonce: the one that was started, and what it started.
pub fn all(nonce: &str) -> io::Result<Vec<(Identity, Handle)>> {
    let mut found = Vec::new();
    if nonce.is_empty() {
        return Ok(found);
    }
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if names(&environment(pid), nonce)
            && let (Some(handle), Some(identity)) = (hold(pid), identify(pid))
            && names(&environment(pid), nonce)
        {
            found.push((identity, handle));
        }
    }
    Ok(found)
}

/// The process that was started with the nonce: of all that carry it, the eldest.
pub fn search(nonce: &str) -> io::Result<Option<(Identity, Handle)>> {
    Ok(all(nonce)?.into_iter().min_by_key(|(identity, _)| (identity.ticks, identity.pid)))
}
