//! One job from its claim to its end: the data checked, the program started under its supervisor, followed, its
//! artifact kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::fs;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::log::LogWriter;
use super::output::{Line, Measured, Progress, understand};
use super::supervise::{Ending, Report};
use super::{Ended, Held, folder, leased_until, store};
use crate::app::App;
use crate::artifacts;
use crate::error::Result;
use crate::ids::JobId;
use crate::training::Told;
use crate::training::datasets::{self, DatasetView, file};
use crate::training::points::{self, Point};
use crate::training::rules::{Cause, Executor, JobState};
use crate::web::format;

/// How often what was measured is written down.
const FLUSH: Duration = Duration::from_millis(300);
/// How many signs of life are given in the length of a lease.
const HEARTBEATS: u32 = 5;
/// How many points wait to be written; then the program has to wait.
const WAITING: usize = 20_000;
/// So much is read of a program at once; it rests after each [`BURST`], so that a flood takes no whole core.
const CHUNK: usize = 64 << 10;
const BURST: usize = 1 << 20;
const REST: Duration = Duration::from_millis(20);
/// How long what the program wrote last may take to come.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Carries out a job; none if it was lost to somebody else.
pub async fn carry_out(app: &App, held: &Held) -> Option<Ended> {
    let outcome = match prepare(app, held).await {
        Ok(Ok(place)) => run(app, held, &place).await,
        Ok(Err(ended)) => Some(ended),
        Err(error) => Some(failed(Cause::NotStarted, format!("It could not be prepared: {error}."))),
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

fn failed(cause: Cause, message: String) -> Ended {
    Ended { state: JobState::Failed, cause: Some(cause), message: Some(message), ..Ended::default() }
}

/// Where a job runs, with what.
struct Place {
    folder: PathBuf,
    work: PathBuf,
    artifact: PathBuf,
    data: Option<(PathBuf, DatasetView)>,
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// Makes the job's folder and checks its data.
async fn prepare(app: &App, held: &Held) -> anyhow::Result<Result<Place, Ended>> {
    let folder = std::path::absolute(folder(app, held.job_id))?;
    let work = folder.join("work");
    match fs::remove_dir_all(&folder).await {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause.into()),
        _ => fs::create_dir_all(&work).await?,
    }
    let data = match held.dataset_id {
        None => None,
        Some(id) => match data_of(app, id).await? {
            Ok(found) => Some(found),
            Err(ended) => return Ok(Err(ended)),
        },
    };
    let mut place =
        Place { artifact: work.join("model.onnx"), folder, work, data, argv: Vec::new(), environment: BTreeMap::new() };
    match held.executor {
        Executor::Command => command(app, held, &mut place).await?,
        Executor::Builtin | Executor::Mlflow => builtin(app, held, &mut place).await?,
    }
    Ok(Ok(place))
}

/// The data set's file, if it still has the digest that it was added with.
async fn data_of(app: &App, id: crate::ids::DatasetId) -> anyhow::Result<Result<(PathBuf, DatasetView), Ended>> {
    let Some(view) = datasets::find(&app.db, id).await? else {
        return Ok(Err(failed(Cause::DataChanged, "Its data set is gone.".to_owned())));
    };
    let path = match &view.location {
        None => artifacts::file_of(app, &view.digest.parse().map_err(anyhow::Error::msg)?),
        Some(location) => match file::allowed(app, location) {
            Ok(path) => path,
            Err(error) => {
                let says = format!("The data set's file cannot be used: {}", error.detail());
                return Ok(Err(failed(Cause::DataChanged, says)));
            }
        },
    };
    Ok(match unchanged(&path, &view).await {
        None => Ok((std::path::absolute(path)?, view)),
        Some(why) => Err(failed(Cause::DataChanged, why)),
    })
}

/// Why the file is not the data set any more; none if it is.
async fn unchanged(path: &Path, view: &DatasetView) -> Option<String> {
    match file::hash(path.to_owned()).await {
        Ok(digest) if digest.as_str() == view.digest => None,
        Ok(_) => Some(format!(
            "The file of the data set “{}” is not the one that was added: its SHA-256 is another. Add it as a new data set.",
            view.name
        )),
        Err(cause) => Some(format!("The file of the data set “{}” cannot be read: {cause}.", view.name)),
    }
}

async fn builtin(app: &App, held: &Held, place: &mut Place) -> anyhow::Result<()> {
    let config = place.work.join("config.json");
    fs::write(&config, serde_json::to_vec(&held.configuration.builtin()?)?).await?;
    let Some((data, view)) = &place.data else { anyhow::bail!("the builtin training needs a data set") };
    let path = |path: &Path| path.display().to_string();
    place.argv =
        vec![path(&app.program), "train".into(), "--data".into(), path(data), "--digest".into(), view.digest.clone()];
    place.argv.extend(["--config".into(), path(&config), "--out".into(), path(&place.artifact)]);
    Ok(())
}

async fn command(app: &App, held: &Held, place: &mut Place) -> anyhow::Result<()> {
    let configuration = &held.configuration;
    let Some(command) = &configuration.command else { anyhow::bail!("no program was named") };
    let allowed = app.settings.training.programs.iter().any(|one| one.as_os_str() == command.program.as_str());
    anyhow::ensure!(allowed, "{} is not among the programs that this server allows", command.program);
    if let Some(script) = &command.script {
        let kept = artifacts::file_of(app, &script.digest.parse().map_err(anyhow::Error::msg)?);
        fs::copy(kept, place.work.join(artifacts::safe_name(&script.file_name))).await?;
    }
    let params = place.work.join("params.json");
    let mut all = configuration.parameters.clone();
    for (name, value) in [
        ("target", json!(configuration.target)),
        ("features", json!(configuration.features)),
        ("validation_share", json!(configuration.validation_share)),
        ("seed", json!(configuration.seed)),
    ] {
        all.entry(name.to_owned()).or_insert(value);
    }
    fs::write(&params, serde_json::to_vec_pretty(&all)?).await?;
    let variables = &mut place.environment;
    for (name, value) in &all {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        variables.insert(format!("COUNTERSIGN_PARAM_{}", name.to_uppercase()), text);
    }
    variables.insert("COUNTERSIGN_PARAMS".to_owned(), params.display().to_string());
    variables.insert("COUNTERSIGN_ARTIFACT".to_owned(), place.artifact.display().to_string());
    variables.insert("COUNTERSIGN_RUN_ID".to_owned(), held.run_uuid.clone());
    if let Some((data, view)) = &place.data {
        variables.insert("COUNTERSIGN_DATA".to_owned(), data.display().to_string());
        variables.insert("COUNTERSIGN_DATA_DIGEST".to_owned(), view.digest.clone());
    }
    place.argv = std::iter::once(command.program.clone()).chain(command.arguments.iter().cloned()).collect();
    Ok(())
}

/// Starts the supervisor, which leads a process group of its own and holds the limits.
fn start(app: &App, held: &Held, place: &Place) -> std::io::Result<Child> {
    let limits = &held.configuration;
    let mut command = Command::new(&app.program);
    command
        .args(["supervise-job", "--report"])
        .arg(place.folder.join("report.json"))
        .args(["--seconds", &(limits.time_limit_minutes * 60).to_string()])
        .args(["--memory-mib", &limits.memory_limit_mib.to_string(), "--"])
        .args(&place.argv)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", &place.work)
        .env("TMPDIR", &place.work)
        .envs(&place.environment)
        .current_dir(&place.work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// What comes of a program: a line of its standard output, understood, or bytes of its log.
enum Heard {
    Point(Measured, Progress, i64),
    Progress(Progress),
    Log(Vec<u8>),
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
        Err(cause) => return Some(failed(Cause::NotStarted, format!("It could not be started: {cause}."))),
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
enum Why {
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

/// Reads what a program writes until it writes no more. Lines of its standard output may be measurements.
async fn listen(app: App, mut from: impl AsyncRead + Unpin, measures: bool, send: mpsc::Sender<Heard>) {
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
                if piece.ends_with(b"\n") || line.len() > super::output::LONGEST {
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

/// What came of it, from the supervisor's report and the artifact.
async fn conclude(app: &App, held: &Held, place: &Place, why: Why, log: &LogWriter) -> Ended {
    let report = fs::read(place.folder.join("report.json")).await.ok();
    let report: Option<Report> = report.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(report) = report else {
        return failed(Cause::Interrupted, "The job's supervisor was killed. It can be repeated.".to_owned());
    };
    let cost = Ended {
        exit_code: report.exit_code.map(i64::from),
        cpu_seconds: Some(report.cpu_seconds),
        peak_memory_bytes: i64::try_from(report.peak_memory_bytes).ok(),
        ..Ended::default()
    };
    let limits = &held.configuration;
    let refused =
        |cause, message| Ended { state: JobState::Failed, cause: Some(cause), message: Some(message), ..cost.clone() };
    match (report.ending, why) {
        (Ending::NotStarted, _) => refused(
            Cause::NotStarted,
            format!("The program could not be started: {}.", report.message.unwrap_or_default()),
        ),
        (Ending::TimeLimit, _) => {
            let allowed = format::plural(limits.time_limit_minutes, "minute");
            refused(Cause::TimeLimit, format!("It took longer than the {allowed} that it might."))
        }
        (Ending::MemoryLimit, _) => {
            let says =
                format!("Its processes took more than the {} MiB of memory that they might.", limits.memory_limit_mib);
            refused(Cause::MemoryLimit, says)
        }
        (Ending::Told, Why::LeaseLost) => {
            let says =
                "The database did not answer for so long that the job could have been given up. It can be repeated.";
            refused(Cause::LeaseLost, says.to_owned())
        }
        (Ending::Told, Why::Stopped) => Ended {
            state: JobState::Cancelled,
            cause: Some(Cause::Stopped),
            message: Some("It was stopped.".to_owned()),
            ..cost
        },
        (Ending::Told, _) => refused(Cause::Interrupted, "It was ended from outside. It can be repeated.".to_owned()),
        (Ending::Exited, _) if report.exit_code != Some(0) => refused(Cause::ExitCode, exit_message(&report, log)),
        (Ending::Exited, _) => finish(app, place, cost).await,
    }
}

fn exit_message(report: &Report, log: &LogWriter) -> String {
    let how = match (report.exit_code, report.signal) {
        (Some(code), _) => format!("The program ended with exit code {code}."),
        (None, Some(signal)) => format!("The program was ended by signal {signal}."),
        (None, None) => "The program ended without telling how.".to_owned(),
    };
    match log.last_line(300) {
        Some(line) => format!("{how} It said last: {line}"),
        None => how,
    }
}

/// Keeps the artifact of a program that ended well.
async fn finish(app: &App, place: &Place, cost: Ended) -> Ended {
    let refused = |cause, message: String| Ended {
        state: JobState::Failed,
        cause: Some(cause),
        message: Some(message),
        ..cost.clone()
    };
    if let Some((path, view)) = &place.data
        && let Some(why) = unchanged(path, view).await
    {
        return refused(Cause::DataChanged, why);
    }
    let size = match fs::symlink_metadata(&place.artifact).await {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => metadata.len(),
        _ => {
            let says = "The program ended well, but left no artifact at COUNTERSIGN_ARTIFACT.";
            return refused(Cause::NoArtifact, says.to_owned());
        }
    };
    let most = app.settings.max_upload_bytes;
    if size > most as u64 {
        let size = format::bytes(i64::try_from(size).unwrap_or(i64::MAX));
        let says = format!("The artifact has {size}; at most {} MiB are taken here (max_upload_mib).", most >> 20);
        return refused(Cause::ArtifactTooLarge, says);
    }
    match artifacts::keep_file(app, &place.artifact).await {
        Ok(stored) => Ended { artifact: Some(stored), artifact_name: "model.onnx".to_owned(), ..cost },
        Err(error) => refused(Cause::NoArtifact, format!("The artifact cannot be kept: {}", error.detail())),
    }
}
