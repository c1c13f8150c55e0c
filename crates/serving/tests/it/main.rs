//! The model server over HTTP, on a free port, with the artifacts of `tests/fixtures`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod binary;
mod harness;
mod limits;
mod metrics;
mod protocol;
mod refused;
mod scores;
