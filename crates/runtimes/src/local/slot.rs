//! A slot: a folder in which at most one process lives, whoever starts it and however often that is interrupted.
//!
//! - `lock` is held (flock) by the process for as long as it lives: it is the process's standard input, so the program
//!   need not know of it, and the kernel gives it up at the process's death, whatever its cause. Starting takes the
//!   lock first and hands it over in the act of starting. So there is no instant in which two can be started.
//! - `process.json` says who it is. A fresh nonce is written down before the start and handed over in the environment:
//!   if the starter dies between starting and writing the process id down, the nonce finds the process in /proc.
//! - A process id alone is never trusted: boot, start time and nonce must agree, and signals go through a pidfd.
//! - Files are written only by who holds the environment; whoever only looks, writes nothing.
//! - `stdout` has what the process printed since its start, `log` what it wrote to standard error, over all its lives.
//!
//! Processes get a process group of their own, so that the keyboard's interrupt does not reach them. A session of
//! their own would need code that runs between fork and exec, which is unsafe; it would keep them from the terminal's
//! hang-up only, and that goes to the foreground group alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::files;
use super::process::{self, Handle, Identity};

/// How long a lock may be held by a process that is ending, or that is between fork and exec.
const SETTLES: Duration = Duration::from_secs(5);
/// How often to look.
const LOOK: Duration = Duration::from_millis(10);
/// How many starts are remembered.
const REMEMBERED: usize = 20;
/// The name of the variable that carries the nonce.
pub use crate::gateway::INSTANCE as NONCE;

/// A folder for one process.
#[derive(Debug, Clone)]
pub struct Slot {
    folder: PathBuf,
}

/// Who lives in a slot, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Names this start and no other.
    pub nonce: String,
    /// The process, once it was written down.
    pub process: Option<Identity>,
    /// Where it said it listens.
    pub address: Option<SocketAddr>,
    /// The last starts, in milliseconds since 1970, ascending.
    pub starts: Vec<u64>,
    /// How it ended, as a sentence; empty while it lives and before it is known.
    pub exit: String,
    /// What it was started with.
    pub arguments: Vec<String>,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// One lived already.
    Lives(Handle),
    /// It was started; the child is to be waited for.
    New(Child),
}

/// Why a slot cannot do what it should.
#[derive(Debug)]
pub enum SlotError {
    /// The lock is held, and nobody is found who holds it.
    Held,
    /// The program cannot be started.
    Spawn(io::Error),
    /// A file cannot be read or written.
    File(io::Error),
    /// The process outlived SIGKILL.
    Survived,
}

impl From<io::Error> for SlotError {
    fn from(cause: io::Error) -> Self {
        Self::File(cause)
    }
}

impl Slot {
    /// The slot in that folder, which need not be there.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A file of the slot.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Who lives here, or did.
    pub fn life(&self) -> io::Result<Life> {
        Ok(files::read(&self.path("process.json"))?.unwrap_or_default())
    }

    /// Writes down who lives here.
    pub fn record(&self, life: &Life) -> io::Result<()> {
        files::write(&self.path("process.json"), life)
    }

    /// The process, if it lives. One whose start was interrupted is found by its nonce.
    pub fn alive(&self) -> io::Result<Option<Handle>> {
        let life = self.life()?;
        match &life.process {
            Some(identity) => Ok(process::find(identity, &life.nonce)),
            None => Ok(process::search(&life.nonce)?.map(|(_, handle)| handle)),
        }
    }

    /// Writes down what was found out since the start: the process whose start was interrupted, the address.
    pub fn refresh(&self) -> io::Result<Life> {
        let mut life = self.life()?;
        let known = life.clone();
        if life.process.is_none() {
            life.process = process::search(&life.nonce)?.map(|(identity, _)| identity);
        }
        life.address = self.address(&life)?;
        if life != known {
            self.record(&life)?;
        }
        Ok(life)
    }

    /// Sees to it that exactly one process lives here. `point` is told each instant at which a crash could strike.
    pub async fn start(
        &self,
        launch: &Launch,
        now: u64,
        point: &(dyn Fn(&'static str) + Sync),
    ) -> Result<Started, SlotError> {
        std::fs::create_dir_all(&self.folder)?;
        let until = tokio::time::Instant::now() + SETTLES;
        let lock = loop {
            if let Some(handle) = self.alive()? {
                self.refresh()?;
                return Ok(Started::Lives(handle));
            }
            match self.try_lock()? {
                Some(lock) => break lock,
                None if tokio::time::Instant::now() > until => return Err(SlotError::Held),
                None => tokio::time::sleep(LOOK).await,
            }
        };
        point("locked");
        let mut life = self.life()?;
        life.starts.push(now);
        let forgotten = life.starts.len().saturating_sub(REMEMBERED);
        let starts = life.starts.split_off(forgotten);
        let arguments = launch.arguments.clone();
        let life = Life { nonce: process::nonce(), starts, arguments, ..Life::default() };
        self.record(&life)?;
        point("intended");
        let child = self.spawn(launch, &life.nonce, lock)?;
        point("spawned");
        let identity = child.id().and_then(process::identify);
        // A process that has ended already cannot be identified: it is found dead by whoever looks for it.
        self.record(&Life { process: identity.or_else(|| Some(Identity::ended())), ..life })?;
        point("recorded");
        Ok(Started::New(child))
    }

    fn spawn(&self, launch: &Launch, nonce: &str, lock: File) -> Result<Child, SlotError> {
        let stdout = OpenOptions::new().create(true).append(true).open(self.path("stdout"))?;
        stdout.set_len(0)?;
        let log = OpenOptions::new().create(true).append(true).open(self.path("log"))?;
        Command::new(&launch.program)
            .args(&launch.arguments)
            .env_clear()
            .env(NONCE, nonce)
            .current_dir(&self.folder)
            .stdin(Stdio::from(lock))
            .stdout(stdout)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(SlotError::Spawn)
    }

    /// The lock, if nobody holds it. It is given up by dropping it, never by unlocking: that would unlock it for the
    /// process it was handed to as well.
    fn try_lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }

    /// Ends the process: SIGTERM, patience, SIGKILL, for it and what it left behind; then proves that it is gone.
    /// Returns whether it ended by itself in time.
    pub async fn end(&self, patience: Duration, point: &(dyn Fn(&'static str) + Sync)) -> Result<bool, SlotError> {
        if !self.path("lock").exists() {
            return Ok(true);
        }
        let (mut in_time, nonce) = (true, self.life()?.nonce);
        if let Some(handle) = self.alive()? {
            handle.signal(Signal::TERM);
            point("terminated");
            in_time = handle.ended_within(patience).await;
        }
        let until = tokio::time::Instant::now() + SETTLES;
        // Nobody holds the lock: nobody lives. Whoever does not listen by now is killed.
        while self.try_lock()?.is_none() {
            if tokio::time::Instant::now() > until {
                return Err(SlotError::Survived);
            }
            process::all(&nonce)?.iter().for_each(|(_, handle)| handle.signal(Signal::KILL));
            tokio::time::sleep(LOOK).await;
        }
        Ok(in_time)
    }

    /// Where the process says that it listens: the first line of JSON on its standard output with an `address`.
    pub fn address(&self, life: &Life) -> io::Result<Option<SocketAddr>> {
        match life.address {
            Some(address) => Ok(Some(address)),
            None => Ok(files::head(&self.path("stdout"))?.lines().find_map(said_address)),
        }
    }

    /// The end of the log.
    pub fn tail(&self) -> String {
        files::tail(&self.path("log"))
    }

    /// Keeps the files that the process writes within bounds.
    pub fn limit_logs(&self) -> io::Result<()> {
        files::limit(&self.path("log"))?;
        files::limit(&self.path("stdout"))
    }

    /// The slot's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn said_address(line: &str) -> Option<SocketAddr> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    said["address"].as_str()?.parse().ok()
}
