//! Countersign: the deployment control plane for models in firms that must answer for them.
//!
//! The map, in reading order. A lower line may call the ones above it, never the other way.

pub mod app;
pub mod config;
pub mod db;
pub mod error;
pub mod ids;
pub mod words;

pub mod audit;
pub mod identity;
pub mod web;

pub mod approvals;
pub mod artifacts;
pub mod inventory;
pub mod readiness;
pub mod reports;
pub mod tasks;
pub mod validation;

pub mod backup;
pub mod cli;
pub mod demo;
pub mod openapi;
pub mod router;

use std::pin::Pin;

use approvals::DecisionHandler;
use approvals::rules::TicketKind;

/// Who is told the answer to a ticket, by its kind: approvals know no area that asks.
#[must_use]
pub fn decision_handlers() -> Vec<DecisionHandler> {
    vec![
        DecisionHandler { kind: TicketKind::ValidationApproval, decided: validation::ticket_decided },
        DecisionHandler { kind: TicketKind::RegionalApproval, decided: tasks::regional_ticket_decided },
        DecisionHandler { kind: TicketKind::OverrideReview, decided: tasks::override_ticket_decided },
    ]
}

/// Counts what the sidebar shows: one statement over three areas.
fn count_badges<'a>(
    app: &'a app::App,
    actor: &'a identity::Actor,
) -> Pin<Box<dyn Future<Output = error::Result<web::Badges>> + Send + 'a>> {
    Box::pin(reports::badges(app, actor))
}
