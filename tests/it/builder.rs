//! The things a scene is made of: people, regions, models, versions, made in sentences.
//!
//! Each builder makes its thing when it is awaited.

use std::pin::Pin;

use chrono::{DateTime, Utc};
use countersign::db::Query;
use countersign::identity::{Role, digest_of_secret};
use countersign::ids::{ModelId, ProjectId, RegionId, RequestId, TaskId, TeamId, UserId, VersionId};
use countersign::readiness;
use serde_json::json;

use crate::harness::{T, date, instant};

type Making<Thing> = Pin<Box<dyn Future<Output = Thing> + Send>>;

/// Makes `$builder` awaitable, by its `make`.
macro_rules! awaited {
    ($($builder:ident => $thing:ty),*) => {$(
        impl IntoFuture for $builder {
            type Output = $thing;
            type IntoFuture = Making<$thing>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.make())
            }
        }
    )*};
}

awaited!(PersonBuilder => Person, RegionBuilder => Region, ModelBuilder => Model, VersionBuilder => Version);

/// Somebody with an account, a session and a token for writing.
#[derive(Clone, Debug)]
pub struct Person {
    pub t: T,
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub token: String,
    pub session: String,
    pub csrf: String,
}

/// A region.
#[derive(Clone, Debug)]
pub struct Region {
    pub id: RegionId,
    pub code: String,
}

/// A model in the inventory.
#[derive(Clone, Debug)]
pub struct Model {
    pub t: T,
    pub id: ModelId,
    pub name: String,
    pub owner: Person,
    pub regions: Vec<Region>,
}

/// A version of a model.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: VersionId,
    pub number: String,
    pub model: Model,
    /// Its validation, if it has one.
    pub request: Option<RequestId>,
}

impl T {
    /// A person: `t.person("Anna").role(Role::Validator).await`.
    pub fn person(&self, name: &str) -> PersonBuilder {
        PersonBuilder { t: self.clone(), name: name.to_owned(), roles: Vec::new(), regions: Vec::new() }
    }

    /// An administrator.
    pub async fn admin(&self) -> Person {
        self.person("Ada Admin").role(Role::Admin).await
    }

    /// A region in UTC, with its code as name: `t.region("UK").requires_approval().await`.
    pub fn region(&self, code: &str) -> RegionBuilder {
        RegionBuilder { t: self.clone(), code: code.to_owned(), zone: "UTC".to_owned(), requires_approval: false }
    }

    /// A model of tier 2: `t.model("PD Mortgage").owned_by(&anna).in_regions([&uk, &us]).await`.
    pub fn model(&self, name: &str) -> ModelBuilder {
        ModelBuilder {
            t: self.clone(),
            name: name.to_owned(),
            owner: None,
            developer: None,
            tier: "TIER_2".to_owned(),
            regions: Vec::new(),
            regional_owners: Vec::new(),
        }
    }

    /// One number from the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        Query::new(sql).one::<(i64,)>(&self.app().db).await.unwrap().0
    }
}

/// A person to be made.
#[derive(Debug)]
#[must_use = "a person is made when awaited"]
pub struct PersonBuilder {
    t: T,
    name: String,
    roles: Vec<Role>,
    regions: Vec<RegionId>,
}

impl PersonBuilder {
    /// With a role.
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Who approves for these regions.
    pub fn approver_of<'a>(mut self, regions: impl IntoIterator<Item = &'a Region>) -> Self {
        self.regions.extend(regions.into_iter().map(|region| region.id));
        self
    }

    async fn make(self) -> Person {
        let Self { t, name, roles, regions } = self;
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let mut act = t.act().await;
        let now = act.now;
        let tx = &mut act.tx;
        let (id,): (UserId,) =
            Query::new("INSERT INTO users (email, name, created_at) VALUES ($1, $2, $3) RETURNING user_id")
                .bind(&email)
                .bind(&name)
                .bind(now)
                .one(&mut *tx)
                .await
                .unwrap();
        let everywhere = roles.into_iter().map(|role| (role, None));
        for (role, region) in everywhere.chain(regions.into_iter().map(|id| (Role::RegionalApprover, Some(id)))) {
            Query::new("INSERT INTO user_roles (user_id, role, region_id) VALUES ($1, $2, $3)")
                .bind(id)
                .bind(role)
                .bind(region)
                .run(&mut *tx)
                .await
                .unwrap();
        }
        let person = Person {
            t: t.clone(),
            id,
            name,
            email,
            token: t.app().secret(),
            session: t.app().secret(),
            csrf: t.app().secret(),
        };
        credentials(tx, &person, now).await;
        act.commit().await.unwrap();
        person
    }
}

/// A session and a token that outlast every test, without the cost of hashing a password.
async fn credentials(tx: &mut countersign::db::Tx, person: &Person, now: DateTime<Utc>) {
    let end = instant("2126-01-01T00:00:00Z");
    Query::new(
        "INSERT INTO sessions (token_hash, user_id, csrf_token, created_at, seen_at, expires_at, client)
         VALUES ($1, $2, $3, $4, $4, $5, 'test')",
    )
    .bind(digest_of_secret(&person.session))
    .bind(person.id)
    .bind(&person.csrf)
    .bind(now)
    .bind(end)
    .run(&mut *tx)
    .await
    .unwrap();
    Query::new(
        "INSERT INTO api_tokens (user_id, name, token_hash, scope, created_at, expires_at, last_used_at)
         VALUES ($1, 'test', $2, 'write', $3, $4, $3)",
    )
    .bind(person.id)
    .bind(digest_of_secret(&person.token))
    .bind(now)
    .bind(end)
    .run(tx)
    .await
    .unwrap();
}

/// A region to be made.
#[derive(Debug)]
#[must_use = "a region is made when awaited"]
pub struct RegionBuilder {
    t: T,
    code: String,
    zone: String,
    requires_approval: bool,
}

impl RegionBuilder {
    /// Whose own approver must agree.
    pub fn requires_approval(mut self) -> Self {
        self.requires_approval = true;
        self
    }

    /// With another time zone than UTC.
    pub fn in_zone(mut self, zone: &str) -> Self {
        zone.clone_into(&mut self.zone);
        self
    }

    async fn make(self) -> Region {
        let mut act = self.t.act().await;
        let (id,) = Query::new(
            "INSERT INTO regions (code, name, time_zone, requires_regional_approval) VALUES ($1, $2, $3, $4) RETURNING region_id",
        )
        .bind(&self.code)
        .bind(&self.code)
        .bind(self.zone)
        .bind(self.requires_approval)
        .one(&mut act.tx)
        .await
        .unwrap();
        act.commit().await.unwrap();
        Region { id, code: self.code }
    }
}

/// A model to be made.
#[derive(Debug)]
#[must_use = "a model is made when awaited"]
pub struct ModelBuilder {
    t: T,
    name: String,
    owner: Option<Person>,
    developer: Option<UserId>,
    tier: String,
    regions: Vec<Region>,
    regional_owners: Vec<(RegionId, UserId)>,
}

impl ModelBuilder {
    /// Who owns it; without this, somebody made for it.
    pub fn owned_by(mut self, owner: &Person) -> Self {
        self.owner = Some(owner.clone());
        self
    }

    /// Who develops it.
    pub fn developed_by(mut self, developer: &Person) -> Self {
        self.developer = Some(developer.id);
        self
    }

    /// How much harm it can do: `"TIER_1"`.
    pub fn tier(mut self, tier: &str) -> Self {
        tier.clone_into(&mut self.tier);
        self
    }

    /// Where it is used.
    pub fn in_regions<'a>(mut self, regions: impl IntoIterator<Item = &'a Region>) -> Self {
        self.regions.extend(regions.into_iter().cloned());
        self
    }

    /// Who owns it in one of its regions.
    pub fn regional_owner(mut self, region: &Region, owner: &Person) -> Self {
        self.regional_owners.push((region.id, owner.id));
        self
    }

    async fn make(self) -> Model {
        let Self { t, name, owner, developer, tier, regions, regional_owners } = self;
        let owner = match owner {
            Some(owner) => owner,
            None => t.person(&format!("Owner of {name}")).await,
        };
        let mut act = t.act().await;
        let project = project(&mut act.tx).await;
        let (id,): (ModelId,) = Query::new(
            "INSERT INTO models (name, owner_id, developer_id, project_id, risk_tier, status, created_at)
             VALUES ($1, $2, $3, $4, $5, 'ACTIVE', $6) RETURNING model_id",
        )
        .bind(&name)
        .bind(owner.id)
        .bind(developer)
        .bind(project)
        .bind(tier)
        .bind(act.now)
        .one(&mut act.tx)
        .await
        .unwrap();
        for region in &regions {
            let regional_owner = regional_owners.iter().find(|(at, _)| *at == region.id).map(|(_, owner)| *owner);
            Query::new("INSERT INTO model_regions (model_id, region_id, regional_owner_id) VALUES ($1, $2, $3)")
                .bind(id)
                .bind(region.id)
                .bind(regional_owner)
                .run(&mut act.tx)
                .await
                .unwrap();
        }
        act.commit().await.unwrap();
        Model { t, id, name, owner, regions }
    }
}

/// The project that holds every model of a test.
async fn project(tx: &mut countersign::db::Tx) -> ProjectId {
    let found = Query::new("SELECT project_id FROM projects WHERE name = 'Credit'").optional::<(ProjectId,)>(&mut *tx);
    if let Some((id,)) = found.await.unwrap() {
        return id;
    }
    let (team,): (TeamId,) =
        Query::new("INSERT INTO teams (name) VALUES ('Risk') RETURNING team_id").one(&mut *tx).await.unwrap();
    Query::new("INSERT INTO projects (name, team_id) VALUES ('Credit', $1) RETURNING project_id")
        .bind(team)
        .one::<(ProjectId,)>(tx)
        .await
        .unwrap()
        .0
}

impl Model {
    /// A version, a MAJOR change for all regions: `model.version("2.0").planned("2026-04-30").await`.
    pub fn version(&self, number: &str) -> VersionBuilder {
        VersionBuilder {
            model: self.clone(),
            number: number.to_owned(),
            minor: false,
            scope: "GLOBAL",
            regions: Vec::new(),
            planned: None,
            artifact: None,
            validation: None,
            validated_for: None,
        }
    }
}

impl Version {
    /// Schedules it, by its owner, and returns the open tasks: one a region, or one for all of them.
    pub async fn scheduled_in(&self, regions: &[&Region], on: &str) -> Vec<TaskId> {
        let regions: Vec<_> =
            regions.iter().map(|one| json!({ "region_id": one.id, "planned_production_date": on })).collect();
        let body = json!({ "mode": "schedule", "regions": regions });
        let answer = self.model.owner.post(&format!("/api/v1/versions/{}/deploy", self.id), body).await.ok().json();
        let tasks = answer["tasks"].as_array().expect("a deploy answers its tasks");
        tasks.iter().map(|task| TaskId(task["task_id"].as_i64().unwrap())).collect()
    }
}

/// How far the validation of a version to be made has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validation {
    InProgress,
    Approved,
}

/// A version to be made.
#[derive(Debug)]
#[must_use = "a version is made when awaited"]
pub struct VersionBuilder {
    model: Model,
    number: String,
    minor: bool,
    scope: &'static str,
    regions: Vec<Region>,
    planned: Option<String>,
    artifact: Option<String>,
    validation: Option<Validation>,
    validated_for: Option<Vec<Region>>,
}

impl VersionBuilder {
    /// A MINOR change.
    pub fn minor(mut self) -> Self {
        self.minor = true;
        self
    }

    /// Only for these regions, each by itself.
    pub fn regional<'a>(mut self, regions: impl IntoIterator<Item = &'a Region>) -> Self {
        self.scope = "REGIONAL";
        self.affecting(regions)
    }

    /// Global, but only these regions.
    pub fn affecting<'a>(mut self, regions: impl IntoIterator<Item = &'a Region>) -> Self {
        self.regions = regions.into_iter().cloned().collect();
        self
    }

    /// With the date it is meant to go live.
    pub fn planned(mut self, on: &str) -> Self {
        self.planned = Some(on.to_owned());
        self
    }

    /// With an artifact, by its digest.
    pub fn artifact(mut self, digest: &str) -> Self {
        self.artifact = Some(digest.to_owned());
        self
    }

    /// With a validation that is in progress.
    pub fn in_validation(mut self) -> Self {
        self.validation = Some(Validation::InProgress);
        self
    }

    /// With an approved validation, of today.
    pub fn approved(mut self) -> Self {
        self.validation = Some(Validation::Approved);
        self
    }

    /// With these regions in the scope of its validation, instead of all it is meant for.
    pub fn validated_for<'a>(mut self, regions: impl IntoIterator<Item = &'a Region>) -> Self {
        self.validated_for = Some(regions.into_iter().cloned().collect());
        self
    }

    async fn make(self) -> Version {
        let model = self.model.clone();
        let mut act = model.t.act().await;
        let (major, minor) = self.number.split_once('.').expect("a version's number is MAJOR.MINOR");
        if let Some(digest) = &self.artifact {
            Query::new(
                "INSERT INTO artifacts (digest, file_name, stored, recorded_by_id, recorded_at)
                 VALUES ($1, 'model.onnx', FALSE, $2, $3) ON CONFLICT (digest) DO NOTHING",
            )
            .bind(digest)
            .bind(model.owner.id)
            .bind(act.now)
            .run(&mut act.tx)
            .await
            .unwrap();
        }
        let (id,): (VersionId,) = Query::new(
            "INSERT INTO versions (model_id, number, major, minor, change_type, scope, description,
                                   planned_production_date, artifact_digest, submitted_by_id, created_at, ordinal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
                     (SELECT COUNT(*) + 1 FROM versions WHERE model_id = $1)) RETURNING version_id",
        )
        .bind(model.id)
        .bind(&self.number)
        .bind(major.parse::<i64>().unwrap())
        .bind(minor.parse::<i64>().unwrap())
        .bind(if self.minor { "MINOR" } else { "MAJOR" })
        .bind(self.scope)
        .bind(format!("Change {} of {}", self.number, model.name))
        .bind(self.planned.as_deref().map(date))
        .bind(self.artifact.as_ref())
        .bind(model.owner.id)
        .bind(act.now)
        .one(&mut act.tx)
        .await
        .unwrap();
        for region in &self.regions {
            Query::new("INSERT INTO version_regions (version_id, region_id) VALUES ($1, $2)")
                .bind(id)
                .bind(region.id)
                .run(&mut act.tx)
                .await
                .unwrap();
        }
        let request = match self.validation {
            Some(state) => Some(self.validate(&mut act, id, state).await),
            None => None,
        };
        readiness::refresh(&mut act, &[model.id]).await.unwrap();
        act.commit().await.unwrap();
        Version { id, number: self.number, model, request }
    }

    /// Makes the validation of the version as it would stand.
    async fn validate(&self, act: &mut countersign::audit::Act, version: VersionId, state: Validation) -> RequestId {
        let approved = state == Validation::Approved;
        let (request,): (RequestId,) = Query::new(
            "INSERT INTO validation_requests (type, priority, state, requested_by_id, requested_at, completion_date, completed_at)
             VALUES ('CHANGE', 'MEDIUM', $1, $2, $3, $4, $5) RETURNING request_id",
        )
        .bind(if approved { "APPROVED" } else { "IN_PROGRESS" })
        .bind(self.model.owner.id)
        .bind(act.now)
        .bind(approved.then(|| act.now.date_naive()))
        .bind(approved.then_some(act.now))
        .one(&mut act.tx)
        .await
        .unwrap();
        Query::new("INSERT INTO validation_versions (request_id, version_id) VALUES ($1, $2)")
            .bind(request)
            .bind(version)
            .run(&mut act.tx)
            .await
            .unwrap();
        let targets = if self.regions.is_empty() { &self.model.regions } else { &self.regions };
        for region in self.validated_for.as_ref().unwrap_or(targets) {
            Query::new("INSERT INTO validation_regions (request_id, region_id) VALUES ($1, $2)")
                .bind(request)
                .bind(region.id)
                .run(&mut act.tx)
                .await
                .unwrap();
        }
        request
    }
}

impl T {
    /// Takes a version through its validation over the API: `requester` asks, a validator works, and the
    /// approvers decide the tickets that are theirs.
    pub async fn approve(&self, version: &Version, requester: &Person, approvers: &[&Person]) -> RequestId {
        let validator = self.person(&format!("Validator of {}", version.id)).role(Role::Validator).await;
        let body = serde_json::json!({ "version_ids": [version.id], "type": "CHANGE" });
        let asked = requester.post("/api/v1/validations", body).await.expect(201);
        let id = asked.json()["request_id"].as_i64().expect("a request has a number");
        let mut revision = asked.revision();
        for state in ["PLANNING", "IN_PROGRESS", "REVIEW", "PENDING_APPROVAL"] {
            let step = serde_json::json!({ "state": state });
            let moved = validator.post(&format!("/api/v1/validations/{id}/transition"), step).if_match(revision).await;
            revision = moved.ok().revision();
        }
        for approver in approvers {
            let mine = approver.get("/api/v1/approvals/inbox?view=mine&status=pending").await.ok().json();
            for ticket in
                mine["items"].as_array().expect("a list").iter().filter(|one| one["kind"] == "validation_approval")
            {
                let address = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
                let seen = ticket["revision"].as_i64().expect("a revision");
                approver.post(&address, serde_json::json!({ "comment": "Looked at it" })).if_match(seen).await.ok();
            }
        }
        RequestId(id)
    }
}
