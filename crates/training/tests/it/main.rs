//! Trainings of the credit data, and what comes out of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod config;
mod ends;
mod export;
mod figures;
mod harness;
