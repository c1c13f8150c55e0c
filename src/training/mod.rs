//! Training: data sets, jobs that make an artifact, and what they measure on the way (3-lifecycle, Training jobs).
//!
//! A job is a process of its own, started and watched by a server; this area never learns anything by itself. What a job
//! made is deployed as a version and a release like any other; no gate is opened here.

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::{Notify, Semaphore, broadcast};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::ids::JobId;

pub mod datasets;
pub mod deploy;
pub mod jobs;
pub mod monitor;
pub mod points;
pub mod rules;
pub mod run;
#[cfg(test)]
mod tests;

/// What is known only while the server runs.
#[derive(Debug)]
pub struct Hall {
    /// The turn to read a data set: one at a time.
    reading: Semaphore,
    /// Rung when there may be a job to carry out.
    queue: Notify,
    told: broadcast::Sender<Told>,
    /// The monitors that were drawn last.
    drawings: monitor::Drawings,
    /// The turn to draw one.
    drawing: tokio::sync::Mutex<()>,
    /// Who reads watched jobs.
    readers: monitor::stream::Readers,
}

/// What this server's parts tell one another of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is to be stopped.
    Stop(JobId),
    /// It measured something.
    Moved(JobId),
}

impl Default for Hall {
    fn default() -> Self {
        Self {
            reading: Semaphore::new(1),
            queue: Notify::new(),
            told: broadcast::channel(256).0,
            drawings: monitor::Drawings::default(),
            drawing: tokio::sync::Mutex::default(),
            readers: monitor::stream::Readers::default(),
        }
    }
}

impl Hall {
    /// Lets this server look for jobs at once.
    fn wake(&self) {
        self.queue.notify_one();
    }

    async fn woken(&self) {
        self.queue.notified().await;
    }

    /// Tells whoever carries the job out here to stop it; another server learns of it by its next sign of life.
    fn stop(&self, job: JobId) {
        let _ = self.told.send(Told::Stop(job));
    }

    /// Tells whoever watches the job here to look.
    fn moved(&self, job: JobId) {
        let _ = self.told.send(Told::Moved(job));
    }

    fn listen(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }
}

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(datasets::api::list, datasets::api::create))
        .routes(routes!(datasets::api::show, datasets::api::update))
        .routes(routes!(jobs::api::list, jobs::api::create))
        .routes(routes!(jobs::api::show, jobs::api::delete))
        .routes(routes!(jobs::api::stop))
        .routes(routes!(jobs::api::retry))
        .routes(routes!(jobs::api::metrics))
        .routes(routes!(jobs::api::points))
        .routes(routes!(jobs::api::log))
        .routes(routes!(jobs::api::artifact))
        .routes(routes!(deploy::api::deploy))
        .routes(routes!(monitor::stream::follow))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/training/datasets", get(datasets::pages::list).post(datasets::pages::create))
        .route("/training/datasets/new", get(datasets::pages::new))
        .route("/training/datasets/{id}", get(datasets::pages::show).post(datasets::pages::update))
        .route("/training/jobs", get(jobs::pages::list).post(jobs::pages::create))
        .route("/training/jobs/new", get(jobs::pages::new))
        .route("/training/jobs/{id}", get(jobs::pages::show))
        .route("/training/runs/{uuid}", get(jobs::pages::show_run))
        .route("/training/jobs/{id}/act", post(jobs::pages::act))
        .route("/training/jobs/{id}/deploy", post(deploy::pages::deploy))
        .route("/training/jobs/{id}/monitor", get(monitor::show))
        .route("/training/jobs/{id}/toast", get(jobs::pages::toast))
        .route("/training/compare", get(monitor::compare::show))
        .route("/training/jobs/{id}/log", get(jobs::pages::log))
        .route("/training/jobs/{id}/artifact", get(jobs::pages::artifact))
}
