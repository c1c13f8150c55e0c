//! Revisions as ETags: a write says which state it was decided on, and a stale one is refused.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;
use crate::error::{self, Error, Result};

/// How often a thing was changed; it is 1 when the thing is made.
pub type Revision = i64;

/// The revision that a write was decided on, from `If-Match: "7"`.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub Revision);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(Error::new(&error::PRECONDITION_REQUIRED, "The If-Match header is missing."));
        };
        value
            .to_str()
            .ok()
            .and_then(|text| text.trim().trim_start_matches("W/").trim_matches('"').parse().ok())
            .map(Self)
            .ok_or_else(|| Error::new(&error::MALFORMED, "The If-Match header is not an ETag of this product."))
    }
}

/// Refuses a write that was decided on an older state.
///
/// # Errors
/// `stale`, with the revision there is now.
pub fn check_revision(what: &str, seen: Revision, is: Revision) -> Result<()> {
    if seen == is {
        Ok(())
    } else {
        Err(Error::new(&error::STALE, format!("The {what} has revision {is}; this was decided on revision {seen}."))
            .fact("revision", is))
    }
}

/// A JSON answer that carries its thing's revision as ETag.
#[derive(Debug)]
pub struct Tagged<T>(pub Revision, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.1).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.0)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}
