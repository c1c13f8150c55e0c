//! The local runtime and its gateway, with real processes.

#![allow(clippy::unwrap_used, reason = "a test that fails should stop where it fails")]

mod canary;
mod crash;
mod gateway;
mod harness;
mod steps;
mod supervision;
