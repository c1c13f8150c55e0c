//! What came of a job: from the supervisor's report, and the artifact that it left.

use tokio::fs;

use super::carry::Why;
use super::log::LogWriter;
use super::place::{Place, unchanged};
use super::supervise::{Ending, Report};
use super::{Ended, Held};
use crate::app::App;
use crate::artifacts;
use crate::training::rules::{Cause, JobState};
use crate::web::format;

/// What came of it, from the supervisor's report and the artifact.
pub async fn conclude(app: &App, held: &Held, place: &Place, why: Why, log: &LogWriter) -> Ended {
    let report = fs::read(place.folder.join("report.json")).await.ok();
    let report: Option<Report> = report.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(report) = report else {
        return Ended::failed(Cause::Interrupted, "The job's supervisor was killed. It can be repeated.");
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
