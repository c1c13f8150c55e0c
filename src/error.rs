//! The one error type: what happened, why, and what to do, under a stable code.
//!
//! An [`Error`] answers as a problem document (RFC 9457); pages turn the same error into an error
//! page. The cause of an internal error is logged once, at the edge, and never shown.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::db::DbError;

mod codes;
#[allow(clippy::wildcard_imports, reason = "the codes are this module's vocabulary")]
pub use codes::*;
pub use codes::{ALL, Code};

/// What a fallible act returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal or a failure, ready to be told to a person or a program.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: &'static Code,
    detail: String,
    hint: Option<String>,
    fields: Vec<FieldError>,
    facts: Map<String, Value>,
    cause: Option<anyhow::Error>,
}

/// A field that was refused, and the rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field's name, as sent; nested ones with dots.
    pub field: String,
    /// What is wrong with it, as a sentence.
    pub message: String,
}

/// A problem document, RFC 9457, with the product's own members.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[schema(example = "/docs/errors#task_not_open")]
    pub r#type: String,
    /// The case, in few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, as a sentence.
    pub detail: String,
    /// The stable code.
    #[schema(example = "task_not_open")]
    pub code: String,
    /// What to do.
    pub hint: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub fields: Vec<FieldError>,
    /// Facts that belong to the case, named in the code's documentation.
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    pub facts: Map<String, Value>,
}

impl Error {
    /// A case with its sentence.
    #[must_use]
    pub fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            hint: None,
            fields: Vec::new(),
            facts: Map::new(),
            cause: None,
        }))
    }

    /// Something of ours broke; the cause goes to the log alone.
    #[must_use]
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let mut error = Self::new(&INTERNAL, "The server could not finish this request; nothing was changed.");
        error.0.cause = Some(cause.into());
        error
    }

    /// A thing that does not exist, or that this person may not see.
    #[must_use]
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(&NOT_FOUND, format!("There is no {what} {id} that you can see."))
    }

    /// One field that breaks its rule.
    #[must_use]
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// Several fields that break their rules.
    #[must_use]
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let names: Vec<_> = fields.iter().map(|one| format!("{}: {}", one.field, one.message)).collect();
        let mut error = Self::new(&INVALID, names.join(" "));
        error.0.fields = fields;
        error
    }

    /// Says what to do, where the code's own hint is too general.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a fact to the problem document.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.facts.insert(name.to_owned(), json!(value));
        self
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> &'static Code {
        self.0.code
    }

    /// What happened, as a sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> &str {
        self.0.hint.as_deref().unwrap_or(self.0.code.hint)
    }

    /// The fields at fault.
    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem document.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            r#type: format!("/docs/errors#{}", self.0.code.code),
            title: self.0.code.title.to_owned(),
            status: self.0.code.status,
            detail: self.0.detail.clone(),
            code: self.0.code.code.to_owned(),
            hint: self.advice().to_owned(),
            fields: self.0.fields.clone(),
            facts: self.0.facts.clone(),
        }
    }

    /// Writes the cause of an internal error to the log, once, at the edge.
    pub fn log(&self) {
        if let Some(cause) = &self.0.cause {
            tracing::error!(code = self.0.code.code, cause = format!("{cause:#}"), "request failed");
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.0.detail, self.0.code.code)?;
        match &self.0.cause {
            Some(cause) => write!(f, ": {cause:#}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::PoolTimedOut => Self::new(&BUSY, "The database did not answer in time."),
            other => Self::internal(other),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log();
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // The page router finds the error here and shows it as a page.
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

/// Collects the broken rules of several fields, so that a person hears of all of them at once.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Notes a broken rule.
    pub fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Notes a broken rule unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, message: &str) {
        if !holds {
            self.refuse(field, message);
        }
    }

    /// A text that must be there, trimmed, of at most `most` characters.
    pub fn text(&mut self, field: &str, value: &str, most: usize) -> String {
        let value = value.trim();
        if value.is_empty() {
            self.refuse(field, "This is required.");
        }
        self.optional_text(field, value, most)
    }

    /// A text that may be empty, trimmed, of at most `most` characters.
    pub fn optional_text(&mut self, field: &str, value: &str, most: usize) -> String {
        let value = value.trim();
        let length = value.chars().count();
        if length > most {
            self.refuse(field, format!("At most {most} characters are allowed; this has {length}."));
        }
        if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.refuse(field, "Control characters are not allowed.");
        }
        value.to_owned()
    }

    /// Succeeds if no rule was broken.
    ///
    /// # Errors
    /// `invalid`, with all fields at fault.
    pub fn done(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::fields(self.0)) }
    }
}
