//! What an import did, or would do: one answer for the command line, the API and the page.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::RowError;
use crate::audit::rules::Change;
use crate::ids::ModelId;

/// At most this many models of a kind are named in a report.
pub const MOST_MODELS: usize = 200;
/// At most this many errors are named in a report or a refusal.
pub const MOST_ERRORS: usize = 100;

/// What an import did, or would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportReport {
    /// Whether it was done; else this is a preview, and nothing was changed.
    pub committed: bool,
    /// The name of the inventory, from the mapping.
    pub source: String,
    /// The SHA-256 of the file.
    pub file_digest: String,
    /// The encoding that the file was read in.
    pub detected_encoding: String,
    /// How many rows the file has.
    pub rows: usize,
    /// How many models were added.
    pub created: usize,
    /// How many models were changed.
    pub updated: usize,
    /// How many models were there already, just so.
    pub unchanged: usize,
    /// How many rows were left out, because something is wrong with them.
    pub skipped: usize,
    /// How many people were added.
    pub new_people: usize,
    /// How many teams were added.
    pub new_teams: usize,
    /// How many projects were added.
    pub new_projects: usize,
    /// How many regions were added.
    pub new_regions: usize,
    /// The first 200 models that were changed.
    pub updated_models: Vec<ChangedModel>,
    /// The first 200 models that were added.
    pub created_models: Vec<CreatedModel>,
    /// How many errors there are in the rows left out.
    pub total_errors: usize,
    /// The first 100 of them.
    pub errors: Vec<RowError>,
}

/// A model that an import changes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangedModel {
    /// The line of the file.
    pub line: u64,
    /// The model.
    pub model_id: ModelId,
    /// Its name before.
    pub name: String,
    /// What changes, field by field.
    pub changes: Vec<Change>,
}

/// A model that an import adds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CreatedModel {
    /// The line of the file.
    pub line: u64,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// The address of its owner.
    pub owner: String,
}

impl ImportReport {
    /// What was done, in one line: `2,133 models added, 0 changed, 0 as before, 0 rows left out`.
    #[must_use]
    pub fn summary(&self) -> String {
        use crate::web::format::plural;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        format!(
            "{} added, {} changed, {} as before, {} left out",
            plural(number(self.created), "model"),
            crate::web::format::thousands(number(self.updated)),
            crate::web::format::thousands(number(self.unchanged)),
            plural(number(self.skipped), "row"),
        )
    }
}
