//! Shows the errors of page routes as pages; the same error answers a program as a document.

use std::sync::Arc;

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::filters;
use super::shell::TOAST_COOKIE;
use crate::error::Error;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    hint: &'a str,
    code: &'a str,
    request_id: &'a str,
}

/// Around all pages: errors become pages, a toast that was shown is forgotten.
pub async fn as_pages(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = super::request_id::RequestId::of(&parts);
    let has_toast = super::extract::cookie(&parts.headers, TOAST_COOKIE).is_some();
    let refresh = parts.headers.contains_key("x-live");
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(error) = response.extensions().get::<Arc<Error>>().cloned() {
        return page(&error, &request_id);
    }
    if has_toast && !refresh && response.status() == axum::http::StatusCode::OK {
        let forget = format!("{TOAST_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        if let Ok(forget) = HeaderValue::from_str(&forget) {
            response.headers_mut().append(header::SET_COOKIE, forget);
        }
    }
    response
}

/// An error as a page.
#[must_use]
pub fn page(error: &Error, request_id: &str) -> Response {
    let page = ErrorPage {
        title: error.code().title,
        status: error.code().status,
        detail: error.detail(),
        hint: error.advice(),
        code: error.code().code,
        request_id,
    };
    let html = page.render().unwrap_or_else(|_| "Something broke.".to_owned());
    (error.status(), Html(html)).into_response()
}
