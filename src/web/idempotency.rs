//! `Idempotency-Key`: the same write, sent again, answers as the first one did.
//!
//! The key is claimed in the transaction of the act itself ([`crate::audit::Act::commit`]), so
//! that a write is done once even if its answer was lost; here the answer is kept and repeated.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::extract::Caller;
use crate::app::App;
use crate::audit::{self, IdempotencyKey};
use crate::error::{self, Error, Result};

/// Around all API routes.
pub async fn keep_answers(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method().is_safe() || !request.headers().contains_key("idempotency-key") {
        return next.run(request).await;
    }
    carry_out(&app, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn carry_out(app: &App, request: Request, next: Next) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let key = parts
        .headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .filter(|key| (1..=200).contains(&key.len()))
        .ok_or_else(|| Error::field("Idempotency-Key", "It must be 1 to 200 visible ASCII characters."))?
        .to_owned();
    let Caller(mut actor) = Caller::from_request_parts(&mut parts, app).await?;
    let body = to_bytes(body, app.settings.max_upload_bytes)
        .await
        .map_err(|_| Error::new(&error::TOO_LARGE, "The body is larger than this address takes."))?;
    let mut hasher = Sha256::new();
    hasher.update(format!("{} {}\n", parts.method, parts.uri));
    hasher.update(&body);
    let request = hex::encode(hasher.finalize());

    if let Some(answer) = audit::kept_answer(&app.db, actor.user_id, &key, &request).await? {
        return Ok(repeat(answer));
    }
    actor.who.idempotency = Some(IdempotencyKey { key: key.clone(), request });
    let user_id = actor.user_id;
    parts.extensions.insert(Caller(actor));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    // An answer that must not be stored holds a secret.
    let secret = response.headers().get(header::CACHE_CONTROL).is_some_and(|value| value == "no-store");
    if !response.status().is_success() || secret {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(Error::internal)?;
    audit::keep_answer(&app.db, user_id, &key, parts.status.as_u16(), &body).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn repeat(answer: audit::KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}
