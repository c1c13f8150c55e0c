//! The style sheet, scripts, icons and fonts, embedded in the binary.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

#[derive(rust_embed::RustEmbed)]
#[folder = "static"]
struct Assets;

/// `GET /static/{path}`: cached for a year when asked for with the file's digest (`?v=…`).
pub async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = Assets::get(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", &hex::encode(file.metadata.sha256_hash())[..16]);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let kind = file.metadata.mimetype().to_owned();
    (
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=3600".to_owned()), (header::ETAG, tag)],
        file.data,
    )
        .into_response()
}

/// The address of an asset, with the first digits of its digest, so that a new release is seen at once.
#[must_use]
pub fn address(path: &str) -> String {
    let digest = Assets::get(path).map(|file| hex::encode(&file.metadata.sha256_hash()[..4])).unwrap_or_default();
    format!("/static/{path}?v={digest}")
}
