//! The product in a real browser: Chromium, driven by chromedriver, against the real binary.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod chrome;
#[allow(dead_code)]
#[path = "../support/credit.rs"]
mod credit;
mod delivery;
mod first_steps;
mod journey;
mod pages;
#[allow(dead_code)]
#[path = "../support/server.rs"]
mod server;

#[allow(dead_code)]
#[path = "../it/builder.rs"]
mod builder;
#[allow(dead_code)]
#[path = "../it/checks.rs"]
mod checks;
#[allow(dead_code)]
#[path = "../it/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../it/harness.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../it/machines.rs"]
mod machines;
