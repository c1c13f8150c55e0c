//! A form that broke a rule is shown again, with its input and the rule beside the field.

use std::str::FromStr;

use crate::error::{self, Error, FieldError, Fields, Result};

/// Why a form was not accepted; empty when it is shown for the first time.
#[derive(Debug, Default)]
pub struct Refusal(Option<Error>);

impl Refusal {
    /// Keeps an error that the form can show.
    ///
    /// # Errors
    /// Gives back what a form cannot mend: what is hidden, forbidden or broken.
    pub fn of(error: Error) -> Result<Self> {
        let hopeless = [&error::NOT_FOUND, &error::UNAUTHENTICATED, &error::INTERNAL, &error::BUSY, &error::CSRF];
        if hopeless.contains(&error.code()) || error.status() == axum::http::StatusCode::FORBIDDEN {
            return Err(error);
        }
        Ok(Self(Some(error)))
    }

    /// The fields at fault, each with the rule it broke.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        self.0.as_ref().map_or(&[], Error::field_errors)
    }

    /// What is wrong with the form as a whole, and what to do.
    #[must_use]
    pub fn whole(&self) -> Option<(&str, &str)> {
        let error = self.0.as_ref().filter(|error| error.field_errors().is_empty())?;
        Some((error.detail(), error.advice()))
    }

    /// The status of a page that shows the form: 200 at first, then the error's own.
    #[must_use]
    pub fn status(&self) -> axum::http::StatusCode {
        self.0.as_ref().map_or(axum::http::StatusCode::OK, Error::status)
    }
}

/// Reads a field's text, noting the rule that it breaks.
pub fn read<T: FromStr>(fields: &mut Fields, name: &str, text: &str, rule: &str) -> Option<T> {
    let value = text.trim().parse().ok();
    if value.is_none() {
        fields.refuse(name, rule);
    }
    value
}

/// Reads a field that may be left empty.
pub fn read_optional<T: FromStr>(fields: &mut Fields, name: &str, text: &str, rule: &str) -> Option<T> {
    if text.trim().is_empty() { None } else { read(fields, name, text, rule) }
}
