//! One job from its claim to its end: the data checked, the program started under its supervisor, followed, its
//! artifact kept.

use std::time::Duration;

use tokio::fs;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::conclude::conclude;
use super::listen::{Heard, listen};
use super::log::LogWriter;
use super::output::{Measured, Progress};
use super::place::{Place, prepare, start};
use super::{Ended, Held, folder, leased_until, store};
use crate::app::App;
use crate::error::Result;
use crate::ids::JobId;
use crate::training::Told;
use crate::training::points::{self, Point};
use crate::training::rules::Cause;

/// How often what was measured is written down.
const FLUSH: Duration = Duration::from_millis(300);
/// How many signs of life are given in the length of a lease.
const HEARTBEATS: u32 = 5;
/// How many points wait to be written; then the program has to wait.
const WAITING: usize = 20_000;
/// How long what the program wrote last may take to come.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Carries out a job; none if it was lost to somebody else.
pub async fn carry_out(app: &App, held: &Held) -> Option<Ended> {
    let outcome = match prepare(app, held).await {
        Ok(Ok(place)) => run(app, held, &place).await,
        Ok(Err(ended)) => Some(ended),
        Err(error) => Some(Ended::failed(Cause::NotStarted, format!("It could not be prepared: {error}."))),
    };
    tidy(app, held.job_id).await;
    outcome
}

/// Removes the folder that the program worked in; the log stays.
pub async fn tidy(app: &App, job: JobId) {
    let work = folder(app, job).join("work");
    if let Err(cause) = fs::remove_dir_all(&work).await
        && cause.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%cause, folder = %work.display(), "a job's folder cannot be removed");
    }
}

/// What was heard and is not written down yet.
struct Notes {
    points: Vec<Point>,
    progress: Progress,
    news: bool,
    log: LogWriter,
}

impl Notes {
    fn hear(&mut self, heard: Heard) -> std::io::Result<()> {
        match heard {
            Heard::Point(measured, progress, at_ms) => {
                let Measured { name, value, step, epoch } = measured;
                self.points.push(Point { name, step, epoch, value, at_ms });
                self.progress = self.progress.and(progress);
            }
            Heard::Progress(progress) => self.progress = self.progress.and(progress),
            Heard::Log(bytes) => return self.log.add(&bytes),
        }
        self.news = true;
        Ok(())
    }
}

/// What is known of the hold on the job.
#[derive(PartialEq, Eq)]
enum Hold {
    Kept { stop_asked: bool },
    Lost,
}

async fn run(app: &App, held: &Held, place: &Place) -> Option<Ended> {
    let started = LogWriter::begin(&place.folder).and_then(|log| Ok((log, start(app, held, place)?)));
    let (log, mut child) = match started {
        Ok(started) => started,
        Err(cause) => return Some(Ended::failed(Cause::NotStarted, format!("It could not be started: {cause}."))),
    };
    let group = child.id();
    let (send, mut receive) = mpsc::channel(256);
    if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
        tokio::spawn(listen(app.clone(), stdout, true, send.clone()));
        tokio::spawn(listen(app.clone(), stderr, false, send));
    }
    let mut notes = Notes { points: Vec::new(), progress: Progress::default(), news: false, log };
    let why = follow(app, held, &mut child, &mut receive, &mut notes).await;
    // Whatever became of the supervisor, nobody of its group lives on.
    if let Some(leader) = group.and_then(|id| i32::try_from(id).ok()) {
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::Signal::SIGKILL);
    }
    let _ = tokio::time::timeout(LAST_WORDS, async {
        while let Some(heard) = receive.recv().await {
            let _ = notes.hear(heard);
            if notes.points.len() >= WAITING && flush(app, held, &mut notes).await.is_ok_and(|hold| hold == Hold::Lost)
            {
                return;
            }
        }
    })
    .await;
    if why == Why::Lost {
        return None;
    }
    for _ in 0..10 {
        match flush(app, held, &mut notes).await {
            Ok(Hold::Lost) => return None,
            Ok(Hold::Kept { .. }) => break,
            Err(error) => tracing::warn!(%error, job = %held.job_id, "points were not recorded; trying again"),
        }
        tokio::time::sleep(FLUSH).await;
    }
    Some(conclude(app, held, place, why, &notes.log).await)
}

/// Why the program was followed no more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It ended.
    Ended,
    /// Somebody asked for it to be stopped.
    Stopped,
    /// No sign of life could be given in time.
    LeaseLost,
    /// Somebody else has written its end.
    Lost,
}

/// Follows a program until its supervisor has ended, writing down what it says and giving signs of life.
async fn follow(
    app: &App,
    held: &Held,
    child: &mut Child,
    receive: &mut mpsc::Receiver<Heard>,
    notes: &mut Notes,
) -> Why {
    let mut why = Why::Ended;
    let mut stdin = child.stdin.take();
    let mut tick = tokio::time::interval(FLUSH.min(app.lease / HEARTBEATS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = app.training.listen();
    let (mut beat, mut hears) = (Instant::now(), true);
    loop {
        tokio::select! {
            _ = child.wait() => return why,
            heard = receive.recv(), if hears && notes.points.len() < WAITING => match heard {
                Some(heard) => if let Err(cause) = notes.hear(heard) {
                    tracing::warn!(%cause, job = %held.job_id, "the log cannot be written");
                },
                None => hears = false,
            },
            told = told.recv() => if told == Ok(Told::Stop(held.job_id)) && why == Why::Ended {
                why = Why::Stopped;
                // The supervisor ends the job once its standard input is closed.
                drop(stdin.take());
            },
            _ = tick.tick() => {
                if !notes.news && beat.elapsed() < app.lease / HEARTBEATS {
                    let _ = notes.log.flush();
                    continue;
                }
                match flush(app, held, notes).await {
                    Ok(Hold::Kept { stop_asked }) => {
                        beat = Instant::now();
                        if stop_asked && why == Why::Ended {
                            why = Why::Stopped;
                            drop(stdin.take());
                        }
                    }
                    Ok(Hold::Lost) => {
                        why = Why::Lost;
                        drop(stdin.take());
                    }
                    Err(error) => {
                        tracing::warn!(%error, job = %held.job_id, "cannot give a sign of life; trying again");
                        if beat.elapsed() > app.lease && why == Why::Ended {
                            why = Why::LeaseLost;
                            drop(stdin.take());
                        }
                    }
                }
            }
        }
    }
}

/// Writes down what was measured, under the fence.
async fn flush(app: &App, held: &Held, notes: &mut Notes) -> Result<Hold> {
    let _ = notes.log.flush();
    let mut tx = app.db.begin().await?;
    let until = leased_until(app, app.now());
    let Some(stop_asked) = store::renew(&mut tx, held, until, &notes.progress).await? else { return Ok(Hold::Lost) };
    if !notes.points.is_empty() {
        points::record(&mut tx, held.job_id, &notes.points).await?;
    }
    tx.commit().await?;
    notes.points.clear();
    if std::mem::take(&mut notes.news) {
        app.training.moved(held.job_id);
    }
    Ok(Hold::Kept { stop_asked })
}
