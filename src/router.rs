//! Every route of the product, in one list: API, pages, live stream, assets, probes.

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Router, extract::State, http::StatusCode};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::{self, Error};
use crate::web::{self, request_id::RequestId};

/// Largest body of an ordinary request, in bytes; uploads have their own limit.
const BODY_LIMIT: usize = 1 << 20;

/// What pages may load: only what this server serves, no inline script, no frame.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
                   form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The API's routes below `/api/v1`, with their description.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(crate::identity::api())
        .merge(crate::inventory::api())
        .merge(crate::validation::api())
        .merge(crate::readiness::api())
        .merge(crate::tasks::api())
        .merge(crate::approvals::api())
        .merge(crate::environments::api())
        .merge(crate::releases::api())
        .merge(crate::deployments::api())
        .merge(crate::metrics::api())
        .merge(crate::training::api())
        .merge(crate::reports::api())
        .merge(crate::audit::api())
}

/// The pages' routes.
fn pages(document: &OpenApi) -> Router<App> {
    Router::new()
        .merge(crate::identity::pages())
        .merge(crate::inventory::pages())
        .merge(crate::validation::pages())
        .merge(crate::tasks::pages())
        .merge(crate::approvals::pages())
        .merge(crate::environments::pages())
        .merge(crate::releases::pages())
        .merge(crate::deployments::pages())
        .merge(crate::training::pages())
        .merge(crate::reports::pages())
        .merge(crate::audit::pages())
        .merge(crate::openapi::pages(document))
}

/// The whole product as one service.
pub fn router(app: App) -> Router {
    let (api, document) = crate::openapi::assemble(api());
    let text = Bytes::from(document.to_json().unwrap_or_default());
    let api = api
        .route("/openapi.json", get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text) }))
        .fallback(async || Error::new(&error::NOT_FOUND, "The API has no such address.").into_response())
        .method_not_allowed_fallback(async || method_not_allowed().into_response())
        .layer(from_fn_with_state(app.clone(), web::idempotency::keep_answers));
    let pages = pages(&document)
        .fallback(async || Error::new(&error::NOT_FOUND, "There is no such page.").into_response())
        .method_not_allowed_fallback(async || method_not_allowed().into_response())
        .layer(from_fn(web::errors::as_pages));
    Router::new()
        .nest("/api/v1", api)
        .route("/live", get(web::live::stream))
        .route("/static/{*path}", get(web::assets::serve))
        .route(
            "/favicon.ico",
            get(async || web::assets::serve(axum::extract::Path("favicon.svg".to_owned()), Default::default()).await),
        )
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(web::metrics::show))
        .merge(pages)
        .merge(crate::mlflow::routes())
        .route_layer(from_fn_with_state(app.clone(), web::metrics::measure))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CompressionLayer::new().gzip(true))
        .layer(CatchPanicLayer::custom(|_| Error::internal(anyhow::anyhow!("a handler panicked")).into_response()))
        .layer(header_layer(header::CONTENT_SECURITY_POLICY, CSP))
        .layer(header_layer(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_layer(header::REFERRER_POLICY, "same-origin"))
        .layer(header_layer(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(RequestId))
        .with_state(app)
}

fn method_not_allowed() -> Error {
    Error::new(&error::METHOD_NOT_ALLOWED, "The address exists, but does not take this method.")
}

fn header_layer(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// `GET /readyz`: whether the database answers.
async fn ready(State(app): State<App>) -> Result<&'static str, StatusCode> {
    let answer = crate::db::Query::new("SELECT 1").one::<(i32,)>(&app.db).await;
    answer.map(|_| "ready\n").map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}
