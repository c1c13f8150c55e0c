//! Errors in MLflow's own shape, whatever part of the product refused.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::error::{self, Error};

/// Turns a problem document into what MLflow's clients read: `error_code` and `message`.
pub async fn in_its_shape(request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    match answer.extensions().get::<Arc<Error>>() {
        Some(error) => shaped(error),
        None => answer,
    }
}

fn shaped(error: &Error) -> Response {
    let (code, status) = words(error);
    refusal(status, code, error.detail())
}

/// MLflow's name and HTTP status for a code of ours. What a client would send again by itself (429, 5xx) is only what
/// may succeed the next time.
fn words(error: &Error) -> (&'static str, StatusCode) {
    let code = error.code();
    match code.code {
        "unauthenticated" => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
        "forbidden" | "read_only_token" | "csrf" | "not_eligible" | "validation_not_approved" => {
            ("PERMISSION_DENIED", StatusCode::FORBIDDEN)
        }
        "not_found" => ("RESOURCE_DOES_NOT_EXIST", StatusCode::NOT_FOUND),
        "conflict" => ("RESOURCE_ALREADY_EXISTS", StatusCode::BAD_REQUEST),
        "invalid" | "malformed" | "unsupported_media_type" => ("INVALID_PARAMETER_VALUE", StatusCode::BAD_REQUEST),
        "too_large" => ("INVALID_PARAMETER_VALUE", StatusCode::PAYLOAD_TOO_LARGE),
        "busy" => ("TEMPORARILY_UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        "internal" => ("INTERNAL_ERROR", StatusCode::INTERNAL_SERVER_ERROR),
        "method_not_allowed" => ("ENDPOINT_NOT_FOUND", StatusCode::METHOD_NOT_ALLOWED),
        "not_supported" => ("NOT_IMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
        _ => ("INVALID_STATE", StatusCode::BAD_REQUEST),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({ "error_code": code, "message": message }))).into_response()
}

/// What is asked for at an address of MLflow's that this server does not have.
pub async fn no_such_endpoint(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!("{method} {path} is not supported by this server; docs/mlflow.md lists what is.");
    refusal(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", &message)
}

/// A parameter that breaks its rule, in a sentence.
pub fn wrong(sentence: impl Into<String>) -> Error {
    Error::new(&error::MALFORMED, sentence)
}

/// A thing that is not there, or not to be seen, in MLflow's words.
pub fn missing(what: &str, name: &str) -> Error {
    Error::new(&error::NOT_FOUND, format!("There is no {what} “{name}” that you can see."))
}

/// Something that is part of MLflow and not of this server.
pub fn not_supported(sentence: impl Into<String>) -> Error {
    Error::new(&error::NOT_SUPPORTED, sentence)
}
