//! Why a table could not be read, or a training did not end well.

use std::fmt;

use serde::Serialize;

/// Stable names for what can go wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// `table_unreadable`: the file could not be read.
    TableUnreadable,
    /// `table_invalid`: it is not a table; line and column say where.
    TableInvalid,
    /// `table_too_large`: it exceeds one of the limits of [`crate::table`].
    TableTooLarge,
    /// `config_invalid`: the configuration breaks a rule; [`crate::Config::problems`] tells all of them by field.
    ConfigInvalid,
    /// `target_missing`: the table has no such target column.
    TargetMissing,
    /// `feature_missing`: the table lacks a feature column.
    FeatureMissing,
    /// `target_one_class`: the target has fewer than two values, or one of them in a single row only.
    TargetOneClass,
    /// `target_many_classes`: the target has more than two values.
    TargetManyClasses,
    /// `feature_too_varied`: a text column has too many different values to be of use.
    FeatureTooVaried,
    /// `no_rows`: no row has a value for the target.
    NoRows,
    /// `not_a_number`: a cell is text where numbers are needed, or a number that does not fit into 32 bits.
    NotANumber,
    /// `loss_diverged`: the loss is not a number any more.
    LossDiverged,
}

impl ErrorCode {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TableUnreadable => "table_unreadable",
            Self::TableInvalid => "table_invalid",
            Self::TableTooLarge => "table_too_large",
            Self::ConfigInvalid => "config_invalid",
            Self::TargetMissing => "target_missing",
            Self::FeatureMissing => "feature_missing",
            Self::TargetOneClass => "target_one_class",
            Self::TargetManyClasses => "target_many_classes",
            Self::FeatureTooVaried => "feature_too_varied",
            Self::NoRows => "no_rows",
            Self::NotANumber => "not_a_number",
            Self::LossDiverged => "loss_diverged",
        }
    }
}

/// A code for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Error {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened and, where one can say it, what to do.
    pub sentence: String,
    /// The line of the file, from 1, where that is known.
    pub line: Option<u64>,
    /// The name of the column, where that is known.
    pub column: Option<String>,
}

impl Error {
    pub(crate) fn new(code: ErrorCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), line: None, column: None }
    }

    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn in_column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {}
