//! Roles, relations and acts: the words in which the policy speaks. Pure.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::delegations::NewDelegation;
use crate::db::text_enum;
use crate::error::{Fields, Result};
use crate::ids::{RegionId, UserId};

text_enum! {
    /// What a person is in the firm (2-governance, Inventory, roles).
    pub enum Role {
        /// Manages people, regions, rules; may do what owners may.
        Admin = "ADMIN",
        /// Works on validation requests.
        Validator = "VALIDATOR",
        /// Gives the global approval.
        GlobalApprover = "GLOBAL_APPROVER",
        /// Gives the approval of named regions.
        RegionalApprover = "REGIONAL_APPROVER",
        /// Runs environments and releases.
        Operator = "OPERATOR",
        /// Reviews overrides.
        Compliance = "COMPLIANCE",
        /// Reads all, changes nothing.
        Auditor = "AUDITOR",
        /// Sees the models they have a relation to.
        Member = "MEMBER",
    }
}

impl Role {
    /// The role as a person reads it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Admin => "Administrator",
            Self::Validator => "Validator",
            Self::GlobalApprover => "Global approver",
            Self::RegionalApprover => "Regional approver",
            Self::Operator => "Operator",
            Self::Compliance => "Compliance",
            Self::Auditor => "Auditor",
            Self::Member => "Member",
        }
    }

    /// What the role is for, in a line.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Admin => "Manages people, regions, projects and rules; may do what owners may.",
            Self::Validator => "Works on validation requests.",
            Self::GlobalApprover => "Gives the global approval of a validation.",
            Self::RegionalApprover => "Gives the approval of the regions named.",
            Self::Operator => "Adds models, imports inventories, sees all deployment work.",
            Self::Compliance => "Reviews overrides; reads reports and the ledger.",
            Self::Auditor => "Reads everything, changes nothing; has no other role.",
            Self::Member => "Sees the models they have a relation to.",
        }
    }
}

text_enum! {
    /// How a person stands to the thing they act on.
    pub enum Relation {
        /// Owns the model.
        Owner = "owner",
        /// Develops the model.
        Developer = "developer",
        /// Owns the model in the region at hand.
        RegionalOwner = "regional_owner",
        /// Was lent the right to deploy, and the loan is in force.
        DelegateDeploy = "delegate_deploy",
        /// Was lent the right to submit changes, and the loan is in force.
        DelegateSubmit = "delegate_submit",
        /// Has the task at hand.
        Assignee = "assignee",
        /// Asked for what is to be decided.
        Requester = "requester",
        /// Has a relation to a model that is used in the region at hand.
        UsesRegion = "uses_region",
        /// Added the thing at hand.
        Creator = "creator",
        /// Is the person the act is about.
        Oneself = "oneself",
    }
}

text_enum! {
    /// Every kind of act, as policies name it: `Action::"task.confirm"`.
    pub enum Action {
        /// See a model and all that hangs on it.
        ModelView = "model.view",
        /// See every model, whatever one's relations.
        ModelViewAll = "model.view_all",
        /// Add a model to the inventory.
        ModelCreate = "model.create",
        /// Change a model's particulars, regions, owners.
        ModelEdit = "model.edit",
        /// Lend and take back an owner's rights.
        ModelDelegate = "model.delegate",
        /// Bring in an inventory file.
        InventoryImport = "inventory.import",
        /// Submit a change: make a version, plan it, give it an artifact.
        VersionSubmit = "version.submit",
        /// Delete a bare draft.
        VersionDelete = "version.delete",
        /// Ask for a validation, cancel it.
        ValidationRequest = "validation.request",
        /// Move a validation through its states.
        ValidationWork = "validation.work",
        /// Decide a ticket of the approval inbox.
        TicketDecide = "ticket.decide",
        /// Comment on a ticket, or give it to somebody.
        TicketComment = "ticket.comment",
        /// See every ticket.
        TicketViewAll = "ticket.view_all",
        /// See what is ready to deploy, of all models.
        ReadyViewAll = "ready.view_all",
        /// See the deployment tasks of all models.
        TaskViewAll = "task.view_all",
        /// Deploy: make tasks for an approved version.
        TaskCreate = "task.create",
        /// Confirm that a version went live.
        TaskConfirm = "task.confirm",
        /// Move a task's planned date.
        TaskAdjust = "task.adjust",
        /// Cancel a task.
        TaskCancel = "task.cancel",
        /// Read reports over all models.
        ReportView = "report.view",
        /// Read the whole ledger.
        LedgerView = "ledger.view",
        /// Add, change and disable people and their roles.
        PeopleManage = "people.manage",
        /// See who there is.
        PeopleView = "people.view",
        /// Add and change regions.
        RegionManage = "region.manage",
        /// Add and change teams and projects.
        ProjectManage = "project.manage",
        /// Change approval rules.
        RuleManage = "rule.manage",
        /// See environments.
        EnvironmentView = "environment.view",
        /// Add and change environments and their freeze windows.
        EnvironmentManage = "environment.manage",
        /// Preview a release and ask for it.
        ReleaseRequest = "release.request",
        /// Apply a release, or cancel it.
        ReleaseApply = "release.apply",
        /// Roll an environment back to a version that was applied there before.
        ReleaseRollback = "release.rollback",
        /// Pause, resume and retire a deployment.
        DeploymentManage = "deployment.manage",
        /// See the data sets that models learn from.
        DatasetView = "dataset.view",
        /// Add a data set.
        DatasetCreate = "dataset.create",
        /// Change what is said of a data set: its name, its columns' roles.
        DatasetManage = "dataset.manage",
        /// Run, stop, repeat and delete training jobs of a model.
        TrainingRun = "training.run",
        /// Change one's own password, sessions and tokens.
        AccountManage = "account.manage",
    }
}

impl Action {
    /// Whether the act changes anything: a token that may only read is refused, and so is an auditor.
    #[must_use]
    pub const fn mutates(self) -> bool {
        !matches!(
            self,
            Self::ModelView
                | Self::ModelViewAll
                | Self::TicketViewAll
                | Self::ReadyViewAll
                | Self::TaskViewAll
                | Self::ReportView
                | Self::LedgerView
                | Self::PeopleView
                | Self::EnvironmentView
                | Self::DatasetView
        )
    }

    /// The act as it stands in "You may not …".
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::ModelView => "see this model",
            Self::ModelViewAll => "see every model",
            Self::ModelCreate => "add models",
            Self::ModelEdit => "change this model",
            Self::ModelDelegate => "lend rights on this model",
            Self::InventoryImport => "import an inventory",
            Self::VersionSubmit => "submit changes of this model",
            Self::VersionDelete => "delete this version",
            Self::ValidationRequest => "ask for this validation",
            Self::ValidationWork => "work on this validation",
            Self::TicketDecide => "decide this ticket",
            Self::TicketComment => "comment on this ticket",
            Self::TicketViewAll => "see every ticket",
            Self::ReadyViewAll => "see what is ready in every model",
            Self::TaskViewAll => "see every deployment task",
            Self::TaskCreate => "deploy this version",
            Self::TaskConfirm => "confirm this deployment",
            Self::TaskAdjust => "adjust this deployment",
            Self::TaskCancel => "cancel this deployment",
            Self::ReportView => "read the reports",
            Self::LedgerView => "read the ledger",
            Self::PeopleManage => "manage people",
            Self::PeopleView => "see the list of people",
            Self::RegionManage => "manage regions",
            Self::ProjectManage => "manage teams and projects",
            Self::RuleManage => "change approval rules",
            Self::EnvironmentView => "see this environment",
            Self::EnvironmentManage => "manage environments",
            Self::ReleaseRequest => "release versions of this model",
            Self::ReleaseApply => "apply or cancel this release",
            Self::ReleaseRollback => "roll back this model",
            Self::DeploymentManage => "manage this deployment",
            Self::DatasetView => "see data sets",
            Self::DatasetCreate => "add data sets",
            Self::DatasetManage => "change this data set",
            Self::TrainingRun => "run training jobs of this model",
            Self::AccountManage => "change this account",
        }
    }
}

text_enum! {
    /// What an API token may do.
    pub enum TokenScope {
        /// Read what its person may read.
        Read = "read",
        /// Do what its person may do.
        Write = "write",
    }
}

text_enum! {
    /// Whether lent rights are in force.
    pub enum DelegationState {
        /// They are.
        Active = "ACTIVE",
        /// They ended at the instant that was agreed.
        Expired = "EXPIRED",
        /// They were taken back, or replaced.
        Revoked = "REVOKED",
    }
}

/// Whether lent rights are in force at `now` (2-governance, Inventory, delegate): what ended first counts.
#[must_use]
pub fn delegation_state(
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> DelegationState {
    match (expires_at, revoked_at) {
        (Some(expired), Some(revoked)) if expired <= revoked => DelegationState::Expired,
        (_, Some(_)) => DelegationState::Revoked,
        (Some(expires), None) if expires <= now => DelegationState::Expired,
        _ => DelegationState::Active,
    }
}

/// Whether rights may be lent: to somebody else than the owner and oneself, who can sign in; at
/// least one right; until an instant to come.
///
/// # Errors
/// `invalid`, with the fields at fault.
pub fn check_delegation(
    by: UserId,
    owner: UserId,
    disabled: bool,
    new: &NewDelegation,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut fields = Fields::default();
    fields.check(new.user_id != owner, "user_id", "The owner has all rights already.");
    fields.check(new.user_id == owner || new.user_id != by, "user_id", "You cannot lend rights to yourself.");
    fields.check(!disabled, "user_id", "This person is disabled.");
    fields.check(new.can_deploy || new.can_submit_changes, "can_deploy", "Lend at least one right.");
    let ends = new.expires_at;
    fields.check(ends.is_none_or(|ends| ends > now), "expires_at", "It must be in the future.");
    fields.check(ends.is_none_or(|ends| ends.year() <= LAST_YEAR), "expires_at", "It is too far away.");
    fields.done()
}

/// The last year that a date typed in may name.
const LAST_YEAR: i32 = 9999;

/// How the address of every demo account ends; no real address does.
pub const DEMO_ADDRESS: &str = "@demo.example";

/// The password of every demo account; the sign-in page of a demo shows it.
pub const DEMO_PASSWORD: &str = "countersign demo";

/// Failed sign-ins that are forgiven before the account is locked.
pub const FREE_FAILURES: i64 = 5;

/// After this time without a failure, failed sign-ins are forgotten.
pub const FAILURES_FORGOTTEN: TimeDelta = TimeDelta::days(1);

/// How long a session lives at most, and an unused one.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::hours(12);

/// Until when an account is locked after its `failures`th failed sign-in in a row: half a minute,
/// doubled with each further failure, at most an hour.
#[must_use]
pub fn locked_until(failures: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let beyond = failures - FREE_FAILURES;
    (beyond >= 0).then(|| {
        let seconds = 30_i64.saturating_mul(1 << beyond.min(7));
        now + TimeDelta::seconds(seconds.min(3600))
    })
}

/// Whether `password` is good enough: 12 characters at least, and not the e-mail's own name.
///
/// # Errors
/// The rule it breaks, as a sentence (NIST SP 800-63B: length counts, composition rules do not).
pub fn check_password(password: &str, email: &str) -> Result<(), &'static str> {
    let length = password.chars().count();
    if length < 12 {
        return Err("At least 12 characters are needed.");
    }
    if length > 200 {
        return Err("At most 200 characters are allowed.");
    }
    let name = email.split('@').next().unwrap_or_default();
    if !name.is_empty() && password.to_lowercase().contains(&name.to_lowercase()) && length < name.len() + 8 {
        return Err("It is too close to the e-mail address.");
    }
    Ok(())
}

/// Whether `email` looks like an address: one `@`, something on both sides, no white space.
#[must_use]
pub fn is_email(email: &str) -> bool {
    email.len() <= 200
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.len() > 2 && !host.contains('@'))
}

/// After how many days a token expires at the latest.
pub const LONGEST_TOKEN_DAYS: i64 = 366;

/// Whether roles and regions go together.
///
/// # Errors
/// The field at fault and the rule it breaks.
pub fn check_roles(roles: &[Role], regions: &[RegionId]) -> Result<(), (&'static str, &'static str)> {
    let regional = roles.contains(&Role::RegionalApprover);
    if regional && regions.is_empty() {
        return Err(("approves_for", "A regional approver needs at least one region."));
    }
    if !regional && !regions.is_empty() {
        return Err(("approves_for", "Only a regional approver has regions."));
    }
    // The policy refuses an auditor every change: beside another role that would take the other away.
    if roles.contains(&Role::Auditor) && roles.len() > 1 {
        return Err(("roles", "An auditor changes nothing, and so has no other role."));
    }
    Ok(())
}

/// The address to go to after signing in: a path of this server, else the dashboard.
///
/// Browsers read `//host`, `/\\host` and paths with white space as other servers' addresses.
#[must_use]
pub fn local_path(next: &str) -> &str {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.chars().all(|c| c.is_ascii_graphic());
    if local { next } else { "/" }
}
