//! The supervisor of one job: it starts the program, holds its limits, ends it with everything that it started, and
//! reports what it used.
//!
//! It is a process of its own between the server and the program. Its standard input is a pipe from the server: when
//! that closes, because the server wants it so or because the server is gone, the job ends. It is the reaper of all
//! orphans below it, so nothing that the program starts outlives the job, not even in a session of its own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

/// How often to look whether the program has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How often to look at the memory that it has.
const MEASURE: Duration = Duration::from_millis(200);
/// How long what the program left behind may take to end by itself.
const LEFT_BEHIND: Duration = Duration::from_millis(500);
/// How long killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(5);

/// What is to be supervised.
#[derive(Debug, Clone)]
pub struct Order {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// How long it may take.
    pub time: Duration,
    /// How much memory its processes may have together, in bytes.
    pub memory: u64,
    /// How long it may take to end once it is told to.
    pub grace: Duration,
    /// The file that the report is written to.
    pub report: PathBuf,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself.
    Exited,
    /// It was told to.
    Told,
    /// It took too long.
    TimeLimit,
    /// It took too much memory.
    MemoryLimit,
    /// It could not be started.
    NotStarted,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Why it ended.
    pub ending: Ending,
    /// The program's exit code; none if a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not be started.
    pub message: Option<String>,
    /// Processor time of the program and all that it started.
    pub cpu_seconds: f64,
    /// The most memory that its processes had together.
    pub peak_memory_bytes: u64,
}

/// Supervises until everything has ended, then reports.
///
/// # Errors
/// The report cannot be written.
pub async fn supervise(order: Order) -> anyhow::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).context("orphans cannot be taken in")?;
    let told = Arc::new(AtomicBool::new(false));
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let by_signal = Arc::clone(&told);
    tokio::spawn(async move {
        tokio::select! { _ = signals.0.recv() => (), _ = signals.1.recv() => () }
        by_signal.store(true, Ordering::Relaxed);
    });
    let by_pipe = Arc::clone(&told);
    std::thread::spawn(move || {
        // Whatever comes means nothing; that nothing more can come means the end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        by_pipe.store(true, Ordering::Relaxed);
    });
    let report = tokio::task::spawn_blocking(move || {
        let report = Supervision::of(&order, &told);
        write(&order.report, &report)
    });
    report.await?
}

fn write(path: &Path, report: &Report) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, serde_json::to_vec(report)?).context("the report cannot be written")?;
    std::fs::rename(draft, path).context("the report cannot be written")
}

/// A program being supervised.
struct Supervision {
    main: Pid,
    status: Option<ExitStatus>,
    peak: u64,
}

impl Supervision {
    fn of(order: &Order, told: &AtomicBool) -> Report {
        let [program, arguments @ ..] = &order.command[..] else { return not_started("no program was named") };
        let child = match Command::new(program).args(arguments).stdin(Stdio::null()).spawn() {
            Ok(child) => child,
            Err(cause) => return not_started(&cause.to_string()),
        };
        let mut this = Self { main: pid(child.id()), status: None, peak: 0 };
        let ending = this.watch(order, told);
        let patience = if ending == Ending::Exited { LEFT_BEHIND } else { order.grace };
        this.end(if ending == Ending::MemoryLimit { Duration::ZERO } else { patience });
        let (exit_code, signal) = this.status.map_or((None, None), |status| (status.code(), status.signal()));
        let peak_memory_bytes = this.peak.max(largest_child());
        Report { ending, exit_code, signal, message: None, cpu_seconds: cpu_seconds(), peak_memory_bytes }
    }

    /// Waits for the program's end, or a reason to end it.
    fn watch(&mut self, order: &Order, told: &AtomicBool) -> Ending {
        let began = Instant::now();
        let mut measured: Option<Instant> = None;
        loop {
            self.reap();
            if self.status.is_some() {
                return Ending::Exited;
            }
            if told.load(Ordering::Relaxed) {
                return Ending::Told;
            }
            if began.elapsed() >= order.time {
                return Ending::TimeLimit;
            }
            if measured.is_none_or(|at| at.elapsed() >= MEASURE) {
                measured = Some(Instant::now());
                let memory = descendants().into_iter().map(resident).sum();
                self.peak = self.peak.max(memory);
                if memory > order.memory {
                    return Ending::MemoryLimit;
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Takes note of every process that has ended: the program, and orphans that came to this one.
    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.main => {
                    self.status = Some(ExitStatus::from_raw(code << 8));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.main => {
                    self.status = Some(ExitStatus::from_raw(signal as i32));
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Err(Errno::EINTR) | Ok(_) => (),
                Err(_) => return,
            }
        }
    }

    /// Ends everything below this process: asked first, killed once the patience is over. What forks faster than it
    /// is killed is stopped before.
    fn end(&mut self, patience: Duration) {
        let began = Instant::now();
        let mut asked = BTreeSet::new();
        loop {
            self.reap();
            let below = descendants();
            if below.is_empty() {
                return;
            }
            let waited = began.elapsed();
            if waited < patience {
                below.iter().filter(|pid| asked.insert(**pid)).for_each(|pid| send(*pid, Signal::SIGTERM));
            } else if waited > patience + DYING {
                return;
            } else {
                below.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
                descendants().into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn not_started(why: &str) -> Report {
    Report {
        ending: Ending::NotStarted,
        exit_code: None,
        signal: None,
        message: Some(why.to_owned()),
        cpu_seconds: 0.0,
        peak_memory_bytes: 0,
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap_or(i32::MAX))
}

/// A process that is gone needs no signal.
fn send(to: Pid, what: Signal) {
    let _ = kill(to, what);
}

/// Every process below this one. Whoever has ended and was not waited for yet counts no more.
fn descendants() -> Vec<Pid> {
    let mut found = Vec::new();
    let mut ahead = vec![pid(std::process::id())];
    while let Some(parent) = ahead.pop() {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw) {
                if lives(child) {
                    found.push(child);
                }
                ahead.push(child);
            }
        }
    }
    found
}

fn lives(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before the state stands in parentheses, and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The memory that a process has, in bytes.
fn resident(process: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<u64> =
        line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// The memory that the largest of all ended processes had at its peak, in bytes.
fn largest_child() -> u64 {
    let kilobytes = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss());
    u64::try_from(kilobytes).unwrap_or_default() * 1024
}

fn cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) as f64 + (user.tv_usec() + system.tv_usec()) as f64 / 1e6
    })
}
