//! Countersign: the deployment control plane for models in firms that must answer for them.
//!
//! The map, in reading order. A lower line may call the ones above it, never the other way.

pub mod app;
pub mod config;
pub mod db;
pub mod error;
pub mod ids;
pub mod truths;
pub mod words;

pub mod audit;
pub mod identity;
pub mod web;

pub mod approvals;
pub mod artifacts;
pub mod deployments;
pub mod environments;
pub mod inventory;
pub mod metrics;
pub mod mlflow;
pub mod operations;
pub mod readiness;
pub mod releases;
pub mod reports;
pub mod tasks;
pub mod training;
pub mod validation;

pub mod backup;
pub mod cli;
pub mod demo;
pub mod openapi;
pub mod router;

use std::pin::Pin;

use approvals::DecisionHandler;
use approvals::rules::TicketKind;
use operations::rules::OperationKind;

/// Who is told the answer to a ticket, by its kind: approvals know no area that asks.
#[must_use]
pub fn decision_handlers() -> Vec<DecisionHandler> {
    let once_more = |kind, decided| DecisionHandler { kind, decided, expired: None };
    let of_release =
        |kind| DecisionHandler { kind, decided: releases::ticket_decided, expired: Some(releases::ticket_expired) };
    vec![
        once_more(TicketKind::ValidationApproval, validation::ticket_decided),
        once_more(TicketKind::RegionalApproval, tasks::regional_ticket_decided),
        once_more(TicketKind::OverrideReview, tasks::override_ticket_decided),
        of_release(TicketKind::ReleaseApproval),
        of_release(TicketKind::RollbackApproval),
        of_release(TicketKind::FreezeOverride),
    ]
}

/// Who carries out operations, by their kind: workers know no area that queues them.
#[must_use]
pub fn operation_handlers() -> Vec<operations::Handler> {
    vec![operations::Handler { kind: OperationKind::Release, take: releases::took, told: releases::was_told }]
}

/// Counts what the sidebar shows: one statement over three areas.
fn count_badges<'a>(
    app: &'a app::App,
    actor: &'a identity::Actor,
) -> Pin<Box<dyn Future<Output = error::Result<web::Badges>> + Send + 'a>> {
    Box::pin(reports::badges(app, actor))
}
