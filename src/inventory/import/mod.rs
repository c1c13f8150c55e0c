//! Bringing an inventory in from a CSV file.
//!
//! Bytes and a [`Mapping`] go in, an [`ImportPlan`] comes out: the models, people, projects and regions that the file
//! describes, and an error with line and column for each row that does not say enough. Planning reads no clock and no
//! database, and the same bytes with the same mapping always give the same plan, which is what makes an import
//! re-runnable: `external_key` finds the model of the run before. [`import_inventory`] applies a plan, or tells what it
//! would change; the command line, the API and the page all call it.
//!
//! `docs/import.md` describes the mapping file for the people who write one.

mod api;
mod apply;
mod bind;
mod check;
mod distinct;
mod field;
mod kept;
mod mapping;
mod merge;
mod model;
mod pages;
mod plan;
mod reader;
mod report;
pub mod shipped;
mod store;
mod table;
mod template;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::error::Error;

#[cfg(test)]
use crate::words::{ModelStatus, RiskTier};
pub use api::api;
pub use apply::{import_file, import_inventory};
pub use mapping::Mapping;
pub use model::{
    ImportPlan, ImportedModel, ImportedPerson, ImportedProject, ImportedRegion, LabelledNote, RowError, RowRule,
};
pub use pages::pages;
pub use plan::plan;
pub use report::{ChangedModel, CreatedModel, ImportReport};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;
/// The most rows that one file may have: each is a model, and no inventory is larger.
pub const MAX_ROWS: usize = 100_000;
/// The most columns that one file may have.
pub const MAX_COLUMNS: usize = 1_000;
/// The longest cell, in characters.
pub const MAX_CELL_CHARS: usize = 100_000;
/// The longest name of a model, project, team or person, in characters.
pub const MAX_NAME_CHARS: usize = 200;
/// The longest code of a region, in characters.
pub const MAX_REGION_CODE_CHARS: usize = 40;

/// Why there is no plan at all. What is wrong with single rows stands in [`ImportPlan::errors`] instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportError {
    /// The mapping is not the TOML that is expected; the message points at the place and lists what is allowed.
    MappingSyntax(String),
    /// The mapping is well formed, but the value of `key` (such as `model.status.values`) is not possible.
    Mapping {
        /// The key in the mapping file.
        key: String,
        /// A sentence: what is wrong and what is allowed.
        message: String,
    },
    /// The mapping and the file do not fit together: `key` names a column that the file does not have once.
    Column {
        /// The key in the mapping file.
        key: String,
        /// A sentence that names the nearest column.
        message: String,
    },
    /// The CSV file cannot be read as a whole.
    File(String),
}

impl ImportError {
    fn mapping(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Mapping { key: key.into(), message: message.into() }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MappingSyntax(message) => write!(f, "The mapping cannot be read: {message}"),
            Self::Mapping { key, message } => write!(f, "The mapping's {key} is not possible: {message}"),
            Self::Column { key, message } => write!(f, "The mapping's {key} does not fit the file: {message}"),
            Self::File(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        let field = match error {
            ImportError::MappingSyntax(_) | ImportError::Mapping { .. } | ImportError::Column { .. } => "mapping",
            ImportError::File(_) => "file",
        };
        Self::field(field, error.to_string())
    }
}

/// One line of text: every run of white space, line breaks and no-break spaces included, becomes one space.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What two texts are compared by where case and spacing do not matter.
fn folded(text: &str) -> String {
    one_line(text).to_lowercase()
}

/// `text` in at most `limit` characters, cut at a word where one ends in the second half, and marked with an ellipsis.
fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit.saturating_sub(1)).collect();
    let cut = head.rfind(' ').filter(|at| *at > head.len() / 2).unwrap_or(head.len());
    format!("{}…", head[..cut].trim_end())
}
