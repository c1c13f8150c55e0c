//! Demo data: a small firm's last four months, told through the areas' own functions.
//!
//! Nothing is written past them, so that the demo's ledger, tickets and tasks are as real as anybody's;
//! only the clock is moved back, act by act. It fills an empty database and never another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use crate::app::{App, Clock};
use crate::approvals::rules::Verdict;
use crate::approvals::{self, Decision, InboxFilter};
use crate::identity::delegations::{self, NewDelegation};
use crate::identity::people::PeopleFilter;
use crate::identity::policy::{self, Policy};
use crate::identity::rules::DEMO_PASSWORD;
use crate::identity::{self, Actor, NewUser, Role};
use crate::ids::{ModelId, ProjectId, RegionId, RequestId, VersionId};
use crate::inventory::models::{self, ModelBody, RegionUse};
use crate::inventory::projects::{self, ProjectBody, TeamBody};
use crate::inventory::regions::{self, RegionBody};
use crate::inventory::versions::{self, VersionBody};
use crate::tasks::{self, Adjust, Confirm, Deploy, DeployMode, DeployRegion, TaskFilter};
use crate::validation::rules::ValidationType;
use crate::validation::{self, NewRequest, Step};
use crate::words::{ChangeType, ModelStatus, Priority, RiskTier, ValidationState, VersionScope};

mod delivery;
mod story;
mod training;

/// Somebody of the demo.
#[derive(Debug)]
pub struct Person {
    /// The address with which they sign in.
    pub email: &'static str,
    /// Their name.
    pub name: &'static str,
    /// Their role.
    pub role: Role,
    /// The region they approve for, by its code.
    pub region: Option<&'static str>,
    /// What they are there for.
    pub about: &'static str,
}

const fn person(
    email: &'static str,
    name: &'static str,
    role: Role,
    region: Option<&'static str>,
    about: &'static str,
) -> Person {
    Person { email, name, role, region, about }
}

/// Everybody of the demo; all have the same password.
pub static PEOPLE: &[Person] = &[
    person("anna@demo.example", "Anna Keller", Role::Member, None, "owns PD Mortgage and others: deploys and confirms"),
    person("ben@demo.example", "Ben Ortiz", Role::Member, None, "owns Credit Card Fraud and others"),
    person("dana@demo.example", "Dana Novak", Role::Member, None, "deploys PD Mortgage as Anna's delegate"),
    person("mia@demo.example", "Mia Chen", Role::Member, None, "develops models"),
    person("validator@demo.example", "Viktor Lang", Role::Validator, None, "works on validations"),
    person("global@demo.example", "Grace Osei", Role::GlobalApprover, None, "gives the global approval"),
    person("uk@demo.example", "Robin Shaw", Role::RegionalApprover, Some("UK"), "approves for the UK"),
    person("apac@demo.example", "Mei Tan", Role::RegionalApprover, Some("APAC"), "approves for Asia-Pacific"),
    person("compliance@demo.example", "Clara Weiss", Role::Compliance, None, "reviews overrides"),
    person("auditor@demo.example", "Anders Berg", Role::Auditor, None, "reads everything, changes nothing"),
    person("operator@demo.example", "Omar Haddad", Role::Operator, None, "runs environments"),
    person("admin@demo.example", "Ada Reyes", Role::Admin, None, "manages people, regions, rules"),
];

/// The sign-ins, as the command line prints them.
#[must_use]
pub fn sign_ins() -> String {
    let lines = PEOPLE.iter().map(|one| format!("  {:<26} {:<18} {}\n", one.email, one.role.label(), one.about));
    format!("Demo sign-ins, all with the password “{DEMO_PASSWORD}”:\n{}", lines.collect::<String>())
}

/// Fills the database if nobody is in it; tells whether it did.
///
/// # Errors
/// Only failures: a demo that does not fit the rules is a bug.
pub async fn fill_if_empty(app: &App) -> anyhow::Result<bool> {
    let people = identity::list_users(app, &Actor::console(), &PeopleFilter::default()).await?;
    if people.total_count > 0 {
        return Ok(false);
    }
    let hands = Hands(Arc::new(Mutex::new(app.now())));
    let past =
        App::new(app.settings.clone(), app.db.clone(), Policy::parse(policy::BUILT_IN)?, Box::new(hands.clone()));
    let scene = Scene { today: app.now(), app: past, hands, cast: BTreeMap::new(), regions: BTreeMap::new() };
    scene.play().await.context("The demo data cannot be made")?;
    Ok(true)
}

/// A clock whose hands are moved.
#[derive(Debug, Clone)]
struct Hands(Arc<Mutex<DateTime<Utc>>>);

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the story plays: who there is, where, and when.
struct Scene {
    app: App,
    hands: Hands,
    today: DateTime<Utc>,
    cast: BTreeMap<&'static str, Actor>,
    regions: BTreeMap<&'static str, RegionId>,
}

impl Scene {
    /// Moves the clock to so many days ago; every act after it takes place a little later.
    fn days_ago(&self, days: i64) {
        let then = self.today - TimeDelta::days(days) - TimeDelta::hours(2);
        *self.hands.0.lock().unwrap_or_else(PoisonError::into_inner) = then;
    }

    fn date(&self, days_from_today: i64) -> NaiveDate {
        (self.today + TimeDelta::days(days_from_today)).date_naive()
    }

    fn who(&self, name: &str) -> anyhow::Result<&Actor> {
        self.cast.get(name).with_context(|| format!("nobody of the cast is called {name}"))
    }

    fn region(&self, code: &str) -> anyhow::Result<RegionId> {
        self.regions.get(code).copied().with_context(|| format!("there is no region {code}"))
    }

    fn region_ids(&self, codes: &[&str]) -> anyhow::Result<Vec<RegionId>> {
        codes.iter().map(|code| self.region(code)).collect()
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        let console = Actor::console();
        for (code, name, time_zone, requires_regional_approval) in [
            ("US", "United States", "America/New_York", false),
            ("UK", "United Kingdom", "Europe/London", true),
            ("EU", "European Union", "Europe/Berlin", false),
            ("APAC", "Asia-Pacific", "Asia/Singapore", true),
        ] {
            let body = RegionBody {
                code: code.into(),
                name: name.into(),
                time_zone: time_zone.into(),
                requires_regional_approval,
            };
            self.regions.insert(code, regions::create(&self.app, &console, body).await?.region_id);
        }
        for person in PEOPLE {
            let new = NewUser {
                email: person.email.into(),
                name: person.name.into(),
                password: Some(DEMO_PASSWORD.into()),
                roles: vec![person.role],
                approves_for: self.region_ids(person.region.as_slice())?,
            };
            let user = identity::add_user(&self.app, &console, new).await?.user_id;
            let name = person.email.split('@').next().unwrap_or_default();
            self.cast.insert(name, identity::actor_of(&self.app, user, "demo").await?);
        }
        Ok(())
    }

    async fn project(&self, team: &str, project: &str) -> anyhow::Result<ProjectId> {
        let admin = self.who("admin")?;
        let team = projects::keep_team(&self.app, admin, None, TeamBody { name: team.into() }).await?;
        let body = ProjectBody { name: project.into(), team_id: team.team_id };
        Ok(projects::keep_project(&self.app, admin, None, body).await?.project_id)
    }

    async fn model(
        &self,
        name: &str,
        description: &str,
        owner: &str,
        project: ProjectId,
        risk_tier: RiskTier,
        codes: &[&str],
    ) -> anyhow::Result<ModelId> {
        let uses = self.region_ids(codes)?.into_iter();
        let body = ModelBody {
            name: name.into(),
            description: description.into(),
            owner_id: self.who(owner)?.user_id,
            developer_id: Some(self.who("mia")?.user_id),
            project_id: project,
            risk_tier,
            status: ModelStatus::Active,
            regions: uses.map(|region_id| RegionUse { region_id, regional_owner_id: None }).collect(),
        };
        Ok(models::create(&self.app, self.who("admin")?, body).await?.model_id)
    }

    /// Submits a change; a version that names regions has a task for each of them.
    async fn version(
        &self,
        owner: &str,
        model: ModelId,
        change_type: ChangeType,
        description: &str,
        codes: &[&str],
        planned: Option<i64>,
    ) -> anyhow::Result<VersionId> {
        let digest = hex::encode(Sha256::digest(format!("{model} {description}")));
        let body = VersionBody {
            change_type,
            version_number: None,
            scope: VersionScope::Global,
            affected_region_ids: self.region_ids(codes)?,
            description: description.into(),
            planned_production_date: planned.map(|days| self.date(days)),
            artifact_digest: Some(digest),
        };
        Ok(versions::create(&self.app, self.who(owner)?, model, body).await?.version_id)
    }

    /// Asks for a validation and takes it, step by step, as far as `to`.
    async fn validation(
        &self,
        owner: &str,
        version: VersionId,
        scope: Option<&[&str]>,
        to: ValidationState,
    ) -> anyhow::Result<RequestId> {
        let new = NewRequest {
            version_ids: vec![version],
            region_ids: scope.map(|codes| self.region_ids(codes)).transpose()?,
            r#type: ValidationType::Change,
            priority: Priority::Medium,
            target_date: Some(self.date(20)),
            note: "Performance, stability and documentation of the change.".into(),
        };
        let mut detail = validation::request(&self.app, self.who(owner)?, new).await?;
        let way = validation::rules::WAY;
        for state in way.into_iter().skip(1).filter(|state| *state != ValidationState::Approved) {
            if detail.request.state == to {
                break;
            }
            let step = Step { to: state, reason: None, revision: detail.request.revision };
            let id = detail.request.request_id;
            detail = validation::transition(&self.app, self.who("validator")?, id, step).await?;
        }
        Ok(detail.request.request_id)
    }

    /// Everybody who can decide something approves it.
    async fn approve(&self, comment: &str) -> anyhow::Result<()> {
        for name in ["global", "uk", "apac"] {
            let approver = self.who(name)?;
            let filter = InboxFilter { limit: Some(50), ..InboxFilter::default() };
            for ticket in approvals::inbox(&self.app, approver, &filter).await?.items {
                let decision =
                    Decision { verdict: Verdict::Approve, comment: Some(comment.into()), revision: ticket.revision };
                approvals::decide(&self.app, approver, ticket.ticket_id, decision).await?;
            }
        }
        Ok(())
    }

    /// A validation that is asked for, worked on and approved.
    async fn validated(&self, owner: &str, version: VersionId, scope: Option<&[&str]>) -> anyhow::Result<()> {
        self.validation(owner, version, scope, ValidationState::PendingApproval).await?;
        self.approve("Findings closed; fit for use.").await
    }

    async fn deploy(&self, owner: &str, version: VersionId, codes: &[&str]) -> anyhow::Result<()> {
        let with = Deploy {
            mode: DeployMode::Now,
            regions: self.deploy_regions(codes, None)?,
            actual_production_date: None,
            confirmation_notes: Some("Checks after the change are green.".into()),
            validation_override_reason: None,
        };
        tasks::deploy(&self.app, self.who(owner)?, version, &with).await?;
        Ok(())
    }

    async fn schedule(&self, owner: &str, version: VersionId, codes: &[&str], in_days: i64) -> anyhow::Result<()> {
        let with = Deploy {
            mode: DeployMode::Schedule,
            regions: self.deploy_regions(codes, Some(self.date(in_days)))?,
            actual_production_date: None,
            confirmation_notes: None,
            validation_override_reason: None,
        };
        tasks::deploy(&self.app, self.who(owner)?, version, &with).await?;
        Ok(())
    }

    async fn override_in(&self, owner: &str, version: VersionId, codes: &[&str], reason: &str) -> anyhow::Result<()> {
        let with = Deploy {
            mode: DeployMode::Now,
            regions: self.deploy_regions(codes, None)?,
            actual_production_date: None,
            confirmation_notes: None,
            validation_override_reason: Some(reason.into()),
        };
        tasks::deploy(&self.app, self.who(owner)?, version, &with).await?;
        Ok(())
    }

    fn deploy_regions(&self, codes: &[&str], planned: Option<NaiveDate>) -> anyhow::Result<Vec<DeployRegion>> {
        let ids = self.region_ids(codes)?.into_iter();
        Ok(ids.map(|region_id| DeployRegion { region_id, planned_production_date: planned }).collect())
    }

    /// The owner's open tasks of a model, by region.
    async fn open_tasks(
        &self,
        owner: &str,
        model: ModelId,
    ) -> anyhow::Result<BTreeMap<Option<RegionId>, crate::ids::TaskId>> {
        let filter = TaskFilter { model_id: Some(model), ..TaskFilter::default() };
        let list = tasks::my_tasks(&self.app, self.who(owner)?, &filter).await?;
        Ok(list.items.into_iter().map(|task| (task.region_id, task.task_id)).collect())
    }

    async fn confirm(&self, owner: &str, model: ModelId, code: &str) -> anyhow::Result<()> {
        let open = self.open_tasks(owner, model).await?;
        let task = open.get(&Some(self.region(code)?)).context("there is no open task in the region")?;
        let with = Confirm {
            actual_production_date: (self.app.now() - TimeDelta::days(1)).date_naive(),
            confirmation_notes: Some("Live since the evening batch.".into()),
            validation_override_reason: None,
        };
        tasks::confirm(&self.app, self.who(owner)?, *task, &with).await?;
        Ok(())
    }

    async fn adjust(&self, owner: &str, model: ModelId, code: &str, in_days: i64, reason: &str) -> anyhow::Result<()> {
        let open = self.open_tasks(owner, model).await?;
        let task = open.get(&Some(self.region(code)?)).context("there is no open task in the region")?;
        let with = Adjust { planned_production_date: self.date(in_days), adjustment_reason: reason.into() };
        tasks::adjust(&self.app, self.who(owner)?, *task, &with).await?;
        Ok(())
    }

    async fn lend(&self, owner: &str, model: ModelId, to: &str) -> anyhow::Result<()> {
        let new = NewDelegation {
            user_id: self.who(to)?.user_id,
            can_deploy: true,
            can_submit_changes: true,
            expires_at: Some(self.today + TimeDelta::days(90)),
        };
        delegations::grant(&self.app, self.who(owner)?, model, &new).await?;
        Ok(())
    }
}
