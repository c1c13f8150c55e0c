//! The inbox over JSON.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::rules::{ApprovalRule, Verdict};
use super::{
    BulkApproval, BulkDecision, Decision, Inbox, InboxFilter, MinorChangeRule, NewRule, Rulebook, TicketDetail,
    TicketView, decisions, expiry, inbox, rulebook,
};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::{RuleId, TicketId, UserId};
use crate::web::{Caller, IfMatch, Json, Path, Query, Tagged};

/// What is said with a decision.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// Why; a rejection needs it. At most 2,000 characters.
    #[serde(default)]
    comment: Option<String>,
}

/// A comment.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentBody {
    /// The text, at most 2,000 characters.
    comment: String,
}

/// Whom a ticket is given to.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignBody {
    /// The person, who must be able to decide it; null for nobody.
    user_id: Option<UserId>,
}

/// How many people a rule asks for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// How many different people must approve, 1 to 9.
    needed: i64,
}

/// List tickets.
#[utoipa::path(get, path = "/approvals/inbox", tag = "Approvals", params(InboxFilter),
    responses((status = 200, body = Inbox), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<InboxFilter>,
) -> Result<Json<Inbox>> {
    Ok(Json(inbox::inbox(&app, &actor, &filter).await?))
}

/// One ticket with all it takes to decide it.
#[utoipa::path(get, path = "/approvals/inbox/{ticket_id}", tag = "Approvals", params(("ticket_id" = TicketId, Path)),
    responses((status = 200, body = TicketDetail), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(ticket_id): Path<TicketId>,
) -> Result<Tagged<TicketDetail>> {
    let detail = inbox::ticket(&app, &actor, ticket_id).await?;
    Ok(Tagged(detail.ticket.revision, detail))
}

/// Approve a ticket.
#[utoipa::path(post, path = "/approvals/inbox/{ticket_id}/approve", tag = "Approvals", request_body = DecisionBody,
    params(("ticket_id" = TicketId, Path), ("If-Match" = String, Header, description = "The ETag of the ticket that was read")),
    responses((status = 200, body = TicketView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn approve(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(ticket_id): Path<TicketId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<DecisionBody>,
) -> Result<Tagged<TicketView>> {
    let decision = Decision { verdict: Verdict::Approve, comment: body.comment, revision };
    let ticket = decisions::decide(&app, &actor, ticket_id, decision).await?;
    Ok(Tagged(ticket.revision, ticket))
}

/// Approve several tickets of one kind.
///
/// Each succeeds or fails on its own.
#[utoipa::path(post, path = "/approvals/inbox/bulk/approve", operation_id = "bulk_approve_tickets", tag = "Approvals",
    request_body = BulkApproval,
    responses((status = 200, body = BulkDecision), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn approve_all(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<BulkApproval>,
) -> Result<Json<BulkDecision>> {
    Ok(Json(super::approve_all(&app, &actor, body).await?))
}

/// Reject a ticket.
#[utoipa::path(post, path = "/approvals/inbox/{ticket_id}/reject", tag = "Approvals", request_body = DecisionBody,
    params(("ticket_id" = TicketId, Path), ("If-Match" = String, Header, description = "The ETag of the ticket that was read")),
    responses((status = 200, body = TicketView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn reject(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(ticket_id): Path<TicketId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<DecisionBody>,
) -> Result<Tagged<TicketView>> {
    let decision = Decision { verdict: Verdict::Reject, comment: body.comment, revision };
    let ticket = decisions::decide(&app, &actor, ticket_id, decision).await?;
    Ok(Tagged(ticket.revision, ticket))
}

/// Comment on a ticket.
#[utoipa::path(post, path = "/approvals/inbox/{ticket_id}/comment", tag = "Approvals", request_body = CommentBody,
    params(("ticket_id" = TicketId, Path)),
    responses((status = 200, body = TicketView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn comment(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(ticket_id): Path<TicketId>,
    Json(body): Json<CommentBody>,
) -> Result<Tagged<TicketView>> {
    let ticket = decisions::comment(&app, &actor, ticket_id, &body.comment).await?;
    Ok(Tagged(ticket.revision, ticket))
}

/// Give a ticket to somebody who could decide it.
#[utoipa::path(post, path = "/approvals/inbox/{ticket_id}/assign", tag = "Approvals", request_body = AssignBody,
    params(("ticket_id" = TicketId, Path)),
    responses((status = 200, body = TicketView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn assign(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(ticket_id): Path<TicketId>,
    Json(body): Json<AssignBody>,
) -> Result<Tagged<TicketView>> {
    let ticket = decisions::assign(&app, &actor, ticket_id, body.user_id).await?;
    Ok(Tagged(ticket.revision, ticket))
}

/// Ask the question of an expired ticket again.
#[utoipa::path(post, path = "/approvals/inbox/{ticket_id}/ask-again", tag = "Approvals",
    params(("ticket_id" = TicketId, Path)),
    responses((status = 201, body = TicketView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn ask_again(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(ticket_id): Path<TicketId>,
) -> Result<(StatusCode, Tagged<TicketView>)> {
    let ticket = expiry::ask_again(&app, &actor, ticket_id).await?;
    Ok((StatusCode::CREATED, Tagged(ticket.revision, ticket)))
}

/// The rules that say which approvals are needed.
#[utoipa::path(get, path = "/approval-rules", tag = "Approvals", responses((status = 200, body = Rulebook)))]
pub async fn rules(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Rulebook>> {
    Ok(Json(rulebook::rulebook(&app, &actor).await?))
}

/// Add a rule.
#[utoipa::path(post, path = "/approval-rules", tag = "Approvals", request_body = NewRule,
    responses((status = 200, body = ApprovalRule), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn add_rule(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<NewRule>,
) -> Result<Json<ApprovalRule>> {
    Ok(Json(rulebook::add_rule(&app, &actor, body).await?))
}

/// Change how many people a rule asks for.
#[utoipa::path(patch, path = "/approval-rules/{rule_id}", tag = "Approvals", request_body = RuleBody,
    params(("rule_id" = RuleId, Path)),
    responses((status = 200, body = ApprovalRule), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub async fn change_rule(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(rule_id): Path<RuleId>,
    Json(body): Json<RuleBody>,
) -> Result<Json<ApprovalRule>> {
    Ok(Json(rulebook::change_rule(&app, &actor, rule_id, body.needed).await?))
}

/// Remove a special rule.
#[utoipa::path(delete, path = "/approval-rules/{rule_id}", tag = "Approvals", params(("rule_id" = RuleId, Path)),
    responses((status = 200, body = ApprovalRule), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn remove_rule(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(rule_id): Path<RuleId>,
) -> Result<Json<ApprovalRule>> {
    Ok(Json(rulebook::remove_rule(&app, &actor, rule_id).await?))
}

/// Say whether minor changes of a risk tier need a validation.
#[utoipa::path(put, path = "/minor-change-rules", tag = "Approvals", request_body = MinorChangeRule,
    responses((status = 200, body = MinorChangeRule), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn set_minor_rule(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<MinorChangeRule>,
) -> Result<Json<MinorChangeRule>> {
    Ok(Json(rulebook::set_minor_rule(&app, &actor, body).await?))
}
