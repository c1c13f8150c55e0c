//! Behaviour of the whole product over HTTP, on both databases.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

// What a scene can be made of stays, whether or not a test uses it today.
#[allow(dead_code)]
mod builder;
#[allow(dead_code)]
mod checks;
#[allow(dead_code)]
mod client;
#[allow(dead_code)]
mod harness;
#[allow(dead_code)]
mod live;
#[allow(dead_code)]
mod machines;

mod approvals;
mod audit;
mod backup;
mod cli;
mod concurrency;
mod crash;
#[path = "../support/credit.rs"]
mod credit;
mod datasets;
mod delivery;
mod deployments;
mod deploys;
mod documents;
mod environments;
mod examples;
mod external;
mod house;
mod identity;
mod import;
mod inventory;
mod kills;
mod metrics;
mod migrations;
mod mlflow;
mod mlflow_client;
mod mlflow_filters;
mod points;
mod programs;
mod python;
mod readiness;
mod readiness_property;
mod release_ends;
mod releases;
mod reports;
mod rollouts;
mod serve_model;
mod servers;
mod statements;
mod tasks;
mod training;
mod training_servers;
mod training_stream;
mod uploads;
mod validation;
