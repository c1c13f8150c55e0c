//! Extractors: a request's parts, parsed or refused with a problem document.

use std::collections::BTreeMap;

use axum::RequestExt as _;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;

use super::request_id::RequestId;
use super::shell::Toast;
use crate::app::App;
use crate::error::{self, Error, Result};
use crate::identity::{self, Actor};

/// The session cookie's name.
pub const SESSION_COOKIE: &str = "countersign_session";

/// Whoever calls the API, with a token or with a session.
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let request_id = RequestId::of(parts);
        let actor = match token(&parts.headers)? {
            Some(token) => identity::authenticate_token(app, &token, request_id).await?,
            None => {
                let token = cookie(&parts.headers, SESSION_COOKIE).ok_or_else(nobody)?;
                let actor = identity::authenticate_session(app, token, request_id).await?;
                if !parts.method.is_safe() {
                    let sent = parts.headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
                    check_csrf(&actor, sent.unwrap_or_default())?;
                }
                actor
            }
        };
        let caller = Self(actor);
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

fn nobody() -> Error {
    Error::new(&error::UNAUTHENTICATED, "The request carries neither a token nor a session.")
}

/// The token of a request: as a bearer's, or as the password of a client that knows only names and passwords.
fn token(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unreadable = || {
        Error::new(&error::UNAUTHENTICATED, "The Authorization header is neither “Bearer TOKEN” nor “Basic …” with it.")
    };
    let (scheme, rest) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unreadable)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unreadable());
    }
    let plain = BASE64_STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let plain = plain.ok_or_else(unreadable)?;
    plain.split_once(':').map(|(_, token)| Some(token.to_owned())).ok_or_else(unreadable)
}

/// The value of a cookie.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn check_csrf(actor: &Actor, sent: &str) -> Result<()> {
    let wanted = actor.csrf_token();
    if !wanted.is_empty() && bool::from(wanted.as_bytes().ct_eq(sent.as_bytes())) {
        Ok(())
    } else {
        Err(Error::new(&error::CSRF, "The form or request does not carry this session's token."))
    }
}

/// Whoever looks at a page; without a session they are sent to sign in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The person.
    pub actor: Actor,
    /// What the page before wants to have said.
    pub toast: Option<Toast>,
    /// The page's own address.
    pub here: String,
    /// The product's address, as the browser reached it.
    pub origin: String,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let here = parts.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
        let Some(token) = cookie(&parts.headers, SESSION_COOKIE) else { return Err(to_sign_in(parts, &here)) };
        match identity::authenticate_session(app, token, RequestId::of(parts)).await {
            Ok(actor) => {
                let (toast, origin) = (Toast::take(&parts.headers), origin(app, &parts.headers));
                Ok(Self { actor, toast, here, origin })
            }
            Err(error) if error.code() == &error::UNAUTHENTICATED => Err(to_sign_in(parts, &here)),
            Err(error) => Err(error.into_response()),
        }
    }
}

/// Where programs reach the product if they stand where the browser stands.
fn origin(app: &App, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    // What stands in front of the product has the certificate; then cookies are for HTTPS alone.
    format!("{}://{host}", if app.settings.secure_cookies { "https" } else { "http" })
}

/// Only a page that was asked for with GET is worth returning to.
fn to_sign_in(parts: &Parts, here: &str) -> Response {
    if parts.method == Method::GET && here != "/" {
        let next: String = serde_html_form::to_string([("next", here)]).unwrap_or_default();
        Redirect::to(&format!("/sign-in?{next}")).into_response()
    } else {
        Redirect::to("/sign-in").into_response()
    }
}

/// A JSON body, parsed; what does not fit names the field.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        match axum::Json::<T>::from_request(request, app).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(json_error(&rejection)),
        }
    }
}

fn json_error(rejection: &JsonRejection) -> Error {
    match rejection {
        JsonRejection::JsonDataError(data) => {
            // axum's text reads "Failed to deserialize …: FIELD: message at line 1 column 2".
            let text = data.body_text();
            let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
            let (field, message) = text.split_once(": ").unwrap_or(("body", text));
            Error::field(field, sentence(message))
        }
        JsonRejection::JsonSyntaxError(syntax) => {
            Error::new(&error::MALFORMED, format!("The body is not JSON: {}", syntax.body_text()))
        }
        JsonRejection::MissingJsonContentType(_) => {
            Error::new(&error::UNSUPPORTED_MEDIA, "The body must be sent as application/json.")
        }
        JsonRejection::BytesRejection(bytes) => bytes_error(bytes),
        other => Error::new(&error::MALFORMED, other.body_text()),
    }
}

fn bytes_error(rejection: &BytesRejection) -> Error {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        Error::new(&error::TOO_LARGE, "The body is larger than this address takes.")
    } else {
        Error::new(&error::MALFORMED, rejection.body_text())
    }
}

fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let message = format!("{first}{}", letters.as_str());
    if message.ends_with('.') { message } else { message + "." }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A path's parameters; what is no number is something that does not exist.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        axum::extract::Path::<T>::from_request_parts(parts, app)
            .await
            .map(|path| Self(path.0))
            .map_err(|_| Error::new(&error::NOT_FOUND, format!("There is nothing at {}.", parts.uri.path())))
    }
}

/// A query string; repeated names make lists, empty values count as absent.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        parse_pairs(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

/// Parses `a=1&a=2&b=`, leaving out what is empty: a filter that was not filled in is no filter.
pub fn parse_pairs<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let pairs: Vec<(String, String)> = serde_html_form::from_bytes(text)
        .map_err(|cause| Error::new(&error::MALFORMED, format!("The parameters cannot be read: {cause}.")))?;
    let filled: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
    let text = serde_html_form::to_string(&filled).map_err(Error::internal)?;
    let parsed =
        serde_path_to_error::deserialize(serde_html_form::Deserializer::new(form_urlencoded::parse(text.as_bytes())));
    parsed.map_err(|cause| {
        let field = cause.path().to_string();
        let message = cause.into_inner().to_string();
        match message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(missing) => Error::field(missing, "This is required."),
            None => Error::field(&field, sentence(&message)),
        }
    })
}

/// A form of this session: its token is checked before its fields are read.
#[derive(Debug)]
pub struct Form<T> {
    /// The person who sent it.
    pub visitor: Visitor,
    /// The fields.
    pub fields: T,
}

impl<T: DeserializeOwned> FromRequest<App> for Form<T> {
    type Rejection = Response;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Response> {
        let visitor = request.extract_parts_with_state::<Visitor, App>(app).await?;
        let body = Bytes::from_request(request, app).await.map_err(|error| bytes_error(&error).into_response())?;
        let token: CsrfField = parse_pairs(&body).map_err(IntoResponse::into_response)?;
        check_csrf(&visitor.actor, &token.csrf).map_err(IntoResponse::into_response)?;
        let fields = parse_pairs(&body).map_err(IntoResponse::into_response)?;
        Ok(Self { visitor, fields })
    }
}

#[derive(serde::Deserialize)]
struct CsrfField {
    #[serde(rename = "_csrf", default)]
    csrf: String,
}

/// A form with a file, of this session.
#[derive(Debug)]
pub struct Upload {
    /// The person who sent it.
    pub visitor: Visitor,
    /// The text fields.
    pub fields: BTreeMap<String, String>,
    /// The files, by field name: file name and bytes.
    pub files: BTreeMap<String, (String, Bytes)>,
}

impl FromRequest<App> for Upload {
    type Rejection = Response;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Response> {
        let visitor = request.extract_parts_with_state::<Visitor, App>(app).await?;
        let MultipartBody { fields, files } =
            MultipartBody::from_request(request, app).await.map_err(IntoResponse::into_response)?;
        check_csrf(&visitor.actor, fields.get("_csrf").map_or("", String::as_str))
            .map_err(IntoResponse::into_response)?;
        Ok(Self { visitor, fields, files })
    }
}

/// A `multipart/form-data` body, at most as large as uploads may be.
#[derive(Debug)]
pub struct MultipartBody {
    /// The text fields.
    pub fields: BTreeMap<String, String>,
    /// The files, by field name: file name and bytes.
    pub files: BTreeMap<String, (String, Bytes)>,
}

impl FromRequest<App> for MultipartBody {
    type Rejection = Error;

    async fn from_request(mut request: Request, app: &App) -> Result<Self> {
        DefaultBodyLimit::max(app.settings.max_upload_bytes).apply(&mut request);
        let form = Multipart::from_request(request, app)
            .await
            .map_err(|cause| Error::new(&error::UNSUPPORTED_MEDIA, cause.body_text()))?;
        let (fields, files) = read_multipart(form, app.settings.max_upload_bytes).await?;
        Ok(Self { fields, files })
    }
}

/// What is sent is larger than the operator lets uploads be.
pub(crate) fn too_large(most: usize) -> Error {
    Error::new(&error::TOO_LARGE, format!("An upload has at most {} MiB here.", most >> 20))
        .hint("Make it smaller, or ask whoever runs the server for more.")
}

/// The parts of a multipart body: text fields, and files with their names.
type Multiparts = (BTreeMap<String, String>, BTreeMap<String, (String, Bytes)>);

/// Reads a multipart body whole, which its route limits to `most` bytes.
///
/// # Errors
/// `malformed`, `too_large`.
async fn read_multipart(mut form: Multipart, most: usize) -> Result<Multiparts> {
    let refuse = |cause: axum::extract::multipart::MultipartError| {
        if cause.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            too_large(most)
        } else {
            Error::new(&error::MALFORMED, cause.body_text())
        }
    };
    let (mut fields, mut files) = (BTreeMap::new(), BTreeMap::new());
    while let Some(part) = form.next_field().await.map_err(refuse)? {
        let name = part.name().unwrap_or_default().to_owned();
        match part.file_name().map(str::to_owned) {
            Some(file_name) => {
                files.insert(name, (file_name, part.bytes().await.map_err(refuse)?));
            }
            None => {
                fields.insert(name, part.text().await.map_err(refuse)?);
            }
        }
    }
    Ok((fields, files))
}
