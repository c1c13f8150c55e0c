//! `/sign-in` and `/sign-out`: plain forms, without a session and so without its token.

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::app::App;
use crate::error::{self, Error, Result};
use crate::identity::people::PeopleFilter;
use crate::identity::rules::{DEMO_ADDRESS, SESSION_LIFETIME, local_path};
use crate::identity::{self, SignedIn};
use crate::web::extract::{Form, Query, SESSION_COOKIE, cookie, parse_pairs};
use crate::web::filters;
use crate::web::request_id::RequestId;
use crate::web::shell::html;

pub fn routes() -> Router<App> {
    Router::new().route("/sign-in", get(show).post(sign_in)).route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "identity/sign-in.html")]
struct SignInPage<'a> {
    /// What went wrong, and what to do.
    problem: Option<(&'a str, &'a str)>,
    email: &'a str,
    next: &'a str,
    demo: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`: the form; whoever is signed in already is sent on.
async fn show(State(app): State<App>, Query(query): Query<Next>, parts: Parts) -> Result<Response> {
    let next = local_path(&query.next);
    if let Some(token) = cookie(&parts.headers, SESSION_COOKIE)
        && identity::authenticate_session(&app, token, RequestId::of(&parts)).await.is_ok()
    {
        return Ok(Redirect::to(next).into_response());
    }
    page(&app, StatusCode::OK, None, "", next).await
}

/// `POST /sign-in`: sets the session cookie and goes on to where the person wanted to be.
async fn sign_in(State(app): State<App>, parts: Parts, body: Bytes) -> Result<Response> {
    same_site(&parts.headers)?;
    let Fields { email, password, next } = parse_pairs(&body)?;
    let next = local_path(&next);
    let client = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let old = cookie(&parts.headers, SESSION_COOKIE);
    match identity::sign_in(&app, &email, password, client, old, &RequestId::of(&parts)).await {
        Ok(session) => Ok((set_cookie(&app, &session)?, Redirect::to(next)).into_response()),
        Err(error) if error.status().is_client_error() => {
            page(&app, error.status(), Some((error.detail(), error.advice())), &email, next).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /sign-out`.
async fn sign_out(State(app): State<App>, form: Form<IgnoredAny>) -> Result<Response> {
    identity::sign_out(&app, &form.visitor.actor).await?;
    Ok((forget_cookie()?, Redirect::to("/sign-in")).into_response())
}

async fn page(
    app: &App,
    status: StatusCode,
    problem: Option<(&str, &str)>,
    email: &str,
    next: &str,
) -> Result<Response> {
    let demo = if app.settings.demo { demo_accounts(app).await? } else { Vec::new() };
    let html = html(&SignInPage { problem, email, next, demo })?;
    Ok((status, [(header::CACHE_CONTROL, "no-store")], html).into_response())
}

/// The accounts of a demo, with their roles in words.
///
/// Known by their addresses: a demo switched on over real data names nobody real.
async fn demo_accounts(app: &App) -> Result<Vec<(String, String)>> {
    let q = Some(DEMO_ADDRESS.to_owned());
    let filter = PeopleFilter { q, disabled: Some(false), limit: Some(20), ..PeopleFilter::default() };
    let people = identity::list_users(app, &identity::Actor::console(), &filter).await?.page.items;
    let known = people.into_iter().filter(|person| person.email.ends_with(DEMO_ADDRESS));
    Ok(known
        .map(|person| {
            let roles: Vec<_> = person.roles.iter().map(|role| role.label()).collect();
            (person.email, roles.join(", ").to_lowercase())
        })
        .collect())
}

/// Refuses a form that another site sent: there is no session yet whose token it could carry.
///
/// Browsers say so in `Sec-Fetch-Site`, older ones in `Origin`; programs send neither.
fn same_site(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let ours = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").map(|(_, host)| host) == text("host"),
        (None, None) => true,
    };
    if ours { Ok(()) } else { Err(Error::new(&error::CSRF, "The sign-in form came from another site.")) }
}

type Cookie = [(header::HeaderName, HeaderValue); 1];

fn set_cookie(app: &App, session: &SignedIn) -> Result<Cookie> {
    let secure = if app.settings.secure_cookies { "; Secure" } else { "" };
    let age = SESSION_LIFETIME.num_seconds();
    cookie_header(&format!("{SESSION_COOKIE}={}; HttpOnly; SameSite=Lax; Path=/; Max-Age={age}{secure}", session.token))
}

/// Makes the browser forget a session that has ended.
pub fn forget_cookie() -> Result<Cookie> {
    cookie_header(&format!("{SESSION_COOKIE}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"))
}

fn cookie_header(value: &str) -> Result<Cookie> {
    Ok([(header::SET_COOKIE, HeaderValue::from_str(value).map_err(Error::internal)?)])
}
