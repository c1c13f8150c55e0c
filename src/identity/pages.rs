//! The pages of this area: sign-in, one's own account, people, the form to lend rights.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::error::{Error, FieldError, Result};

mod account;
mod delegations;
mod people;
mod sign_in;

/// Their routes.
pub fn routes() -> Router<App> {
    Router::new().merge(sign_in::routes()).merge(account::routes()).merge(people::routes()).merge(delegations::routes())
}

/// What was refused in a form that is shown again.
#[derive(Debug, Default)]
struct Refused {
    /// The fields at fault.
    fields: Vec<FieldError>,
    /// What is at fault if no field is.
    message: Option<String>,
}

impl Refused {
    /// What an error says about a form; errors that are not the person's go on as they are.
    ///
    /// # Errors
    /// The error itself, if showing the form again would not help.
    fn by(error: Error) -> Result<(StatusCode, Self)> {
        let fields = error.field_errors().to_vec();
        let status = error.status();
        if !matches!(status.as_u16(), 409 | 412 | 422 | 429) {
            return Err(error);
        }
        let message = fields.is_empty().then(|| format!("{} {}", error.detail(), error.advice()));
        Ok((status, Self { fields, message }))
    }
}

/// A page that was asked for, or shown again with the status of its error.
fn answer(status: StatusCode, html: axum::response::Html<String>) -> Response {
    (status, html).into_response()
}
