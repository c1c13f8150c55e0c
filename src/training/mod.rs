//! Training: data sets, jobs that make an artifact, and what they measure on the way (3-lifecycle, Training jobs).
//!
//! A job is a process of its own, started and watched by a server; this area never learns anything by itself, and it
//! deploys nothing.

use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub mod datasets;
pub mod points;
pub mod rules;
#[cfg(test)]
mod tests;

/// What the operator lets training jobs do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The programs that they may start.
    pub programs: Vec<PathBuf>,
    /// How many run at once on this server.
    pub at_once: usize,
    /// How many minutes one may take.
    pub minutes: i64,
    /// How much memory the processes of one may have together, in MiB.
    pub memory_mib: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { programs: Vec::new(), at_once: 1, minutes: 60, memory_mib: 2048 }
    }
}

/// What is known only while the server runs.
#[derive(Debug)]
pub struct Hall {
    /// The turn to read a data set: one at a time.
    reading: Semaphore,
}

impl Default for Hall {
    fn default() -> Self {
        Self { reading: Semaphore::new(1) }
    }
}

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(datasets::api::list, datasets::api::create))
        .routes(routes!(datasets::api::show, datasets::api::update))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/training/datasets", get(datasets::pages::list).post(datasets::pages::create))
        .route("/training/datasets/new", get(datasets::pages::new))
        .route("/training/datasets/{id}", get(datasets::pages::show).post(datasets::pages::update))
}
