//! Training: data sets, jobs that make an artifact, and what they measure on the way (3-lifecycle, Training jobs).
//!
//! A job is a process of its own, started and watched by a server; this area never learns anything by itself, and it
//! deploys nothing.

pub mod points;
pub mod rules;
#[cfg(test)]
mod tests;
