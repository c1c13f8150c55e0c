//! The identifiers of the product's things: integers in the API, types in the code.
//!
//! Knows nothing of what they identify; every area may use them.

/// Declares an identifier: a number in JSON, in paths and in the database, a type in the code.
macro_rules! id_type {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = i64, minimum = 1, example = 1)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        crate::db::column_type!($name as i64, |id| id.0, |number| Ok(Self(number)));
    )*};
}

id_type!(
    /// A person.
    UserId,
    /// A team, which holds projects.
    TeamId,
    /// A project, which holds models.
    ProjectId,
    /// A legal entity or market with its own approver.
    RegionId,
    /// A named model in the inventory.
    ModelId,
    /// One immutable change of a model.
    VersionId,
    /// The lending of an owner's rights on a model.
    DelegationId,
    /// The review of one or more versions.
    RequestId,
    /// One required approval of a validation request.
    ApprovalId,
    /// One thing to decide in the approval inbox.
    TicketId,
    /// The owner's to-do of one version in one region.
    TaskId,
    /// The ratified fact that a version was live in a region.
    RegionDeploymentId,
    /// The review of a confirmation before approval.
    OverrideId,
    /// A program's credential.
    TokenId,
    /// A place models run.
    EnvironmentId,
    /// A time in which nothing is released into an environment.
    FreezeId,
    /// One attempt to bring a version into an environment.
    ReleaseId,
    /// Durable work of several steps.
    OperationId,
    /// A version serving in an environment.
    DeploymentId,
    /// A difference between what runs and what was approved or ratified.
    DriftId,
    /// A rule that says which approvals a decision needs.
    RuleId,
    /// A file to learn from.
    DatasetId,
    /// What runs are grouped by.
    ExperimentId,
    /// A run that makes an artifact.
    JobId,
);

impl TicketId {
    /// A ticket's number as people say it: `CS-1042`.
    #[must_use]
    pub fn number(self) -> String {
        format!("CS-{}", 1000 + self.0)
    }
}
