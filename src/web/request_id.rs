//! Every request has a number of ours; it stands in the log, the ledger and the answer.

use axum::http::request::Parts;
use axum::http::{HeaderValue, Request};
use tower_http::request_id::MakeRequestId;

/// Makes request ids; what a client sends under this name is replaced, since the ledger keeps it.
#[derive(Debug, Clone, Copy)]
pub struct RequestId;

impl MakeRequestId for RequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<tower_http::request_id::RequestId> {
        let id = hex::encode(rand::random::<[u8; 12]>());
        HeaderValue::from_str(&id).ok().map(tower_http::request_id::RequestId::new)
    }
}

impl RequestId {
    /// The id of a request.
    #[must_use]
    pub fn of(parts: &Parts) -> String {
        parts
            .extensions
            .get::<tower_http::request_id::RequestId>()
            .and_then(|id| id.header_value().to_str().ok())
            .unwrap_or("unnumbered")
            .to_owned()
    }
}
