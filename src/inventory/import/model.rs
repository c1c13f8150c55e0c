//! What an import plan is made of. These types are shown as they are by the API, the page and the command line.

use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::{ModelStatus, RiskTier};

/// Everything a file would bring in, and everything in it that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportPlan {
    /// The name of this inventory, from the mapping. All external keys begin with it.
    pub source: String,
    /// The SHA-256 of the file.
    pub file_digest: String,
    /// The encoding that the file was read in, by its standard name.
    pub detected_encoding: String,
    /// How many rows the file has below its header, wholly blank ones not counted.
    pub rows: usize,
    /// One for each row without an error, in the order of the file.
    pub models: Vec<ImportedModel>,
    /// What is wrong, in the order of the file. A row with an error has no model.
    pub errors: Vec<RowError>,
    /// The regions that the models are used in, by code.
    pub regions: Vec<ImportedRegion>,
    /// The projects that the models belong to, by team and name.
    pub projects: Vec<ImportedProject>,
    /// The owners and developers, by e-mail address.
    pub people: Vec<ImportedPerson>,
}

/// One row of the file as a model of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportedModel {
    /// The line of the file that the row starts on, from 1.
    pub line: u64,
    /// What finds the same model again when the file is imported once more.
    pub external_key: String,
    /// Unique within the plan, whatever the case; at most 200 characters.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// The e-mail address of the owner, one of the plan's people.
    pub owner: String,
    /// The e-mail address of the developer, one of the plan's people.
    pub developer: Option<String>,
    /// The team that the project belongs to.
    pub team: String,
    /// The project, one of the plan's projects.
    pub project: String,
    /// How much harm the model can do.
    pub risk_tier: RiskTier,
    /// Where the model is in its life.
    pub status: ModelStatus,
    /// The codes of the regions that the model is used in; at least one.
    pub regions: Vec<String>,
    /// The day that work on the model began.
    pub initiated_on: Option<NaiveDate>,
    /// The day that it is to go to production.
    pub planned_production_date: Option<NaiveDate>,
    /// The day that it went to production.
    pub actual_production_date: Option<NaiveDate>,
    /// The day that it was taken out of use.
    pub retired_on: Option<NaiveDate>,
    /// All that has no field of its own, in the order of the columns.
    pub notes: Vec<LabelledNote>,
}

/// A text of the file that has no field of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabelledNote {
    /// What the text is about: the label that the mapping gives, or the column's header.
    pub label: String,
    /// The whole text, its line breaks kept.
    pub text: String,
}

/// A region that models of the file are used in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportedRegion {
    /// Unique; at most 40 characters.
    pub code: String,
    /// How to make the region if there is none. Without it (the file names the region, the mapping does not define it)
    /// the region has to be there already.
    pub definition: Option<RegionDefinition>,
}

/// What a region is, beside its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RegionDefinition {
    /// The region's name.
    pub name: String,
    /// An IANA time zone, such as `America/New_York`.
    pub time_zone: String,
    /// Whether the region's own approver has to approve each version.
    pub requires_regional_approval: bool,
}

/// A project and the team that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct ImportedProject {
    /// The team's name.
    pub team: String,
    /// The project's name.
    pub name: String,
}

/// An owner or developer. Somebody with this address who is known already stays as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportedPerson {
    /// In lower case.
    pub email: String,
    /// As it first stands in the file.
    pub name: String,
}

/// The tiers by the words that files use, whatever their case.
pub(super) const TIERS: [(&str, RiskTier); 3] = [
    (RiskTier::Tier1.as_str(), RiskTier::Tier1),
    (RiskTier::Tier2.as_str(), RiskTier::Tier2),
    (RiskTier::Tier3.as_str(), RiskTier::Tier3),
];

/// The states by the words that files use, whatever their case.
pub(super) const STATUSES: [(&str, ModelStatus); 4] = [
    (ModelStatus::InDevelopment.as_str(), ModelStatus::InDevelopment),
    (ModelStatus::Active.as_str(), ModelStatus::Active),
    (ModelStatus::PendingDecommission.as_str(), ModelStatus::PendingDecommission),
    (ModelStatus::Retired.as_str(), ModelStatus::Retired),
];

/// What is wrong with one cell, or with one whole row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowError {
    /// The line of the file that the row starts on, from 1. The cell may be further down if cells before it have
    /// several lines.
    pub line: u64,
    /// The position of the column, from 1; none if the error is about the whole row.
    pub column_index: Option<usize>,
    /// The header of the column.
    pub column: Option<String>,
    /// What stands there, shortened.
    pub value: String,
    /// The rule that is broken.
    pub rule: RowRule,
    /// A sentence: what is wrong and what to do.
    pub hint: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(index) = self.column_index {
            write!(f, ", column {index}")?;
        }
        if let Some(column) = &self.column {
            write!(f, " \"{}\"", super::shortened(column, 60))?;
        }
        write!(f, ": {}", self.hint)
    }
}

/// The rules that a row can break. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowRule {
    /// The row has more or fewer cells than the header, or a quote that is never closed.
    Cells,
    /// A text is longer than its limit.
    TooLong,
    /// A cell holds a character that cannot be stored.
    Character,
    /// The value is needed, and blank.
    Required,
    /// The value is not in the mapping's table, or not one of those allowed.
    UnknownValue,
    /// The text is not a date in one of the mapping's formats, or not within its bounds.
    Date,
    /// The text is not an e-mail address.
    Email,
    /// Another row has the same key.
    RepeatedKey,
    /// A model that this inventory does not bring in bears the name already.
    NameTaken,
    /// There is no such region, and the mapping does not say how to make it.
    UnknownRegion,
    /// The person's account is disabled.
    DisabledPerson,
    /// The project stands in the file under another team too.
    ProjectTeam,
}
