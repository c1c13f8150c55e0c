//! Whatever is done in whatever order, what is kept of readiness is what the facts give.

use countersign::identity::Role;
use countersign::ids::{ModelId, VersionId};
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person, Region};
use crate::client::Answer;
use crate::harness::T;

const ACTS: [&str; 9] = [
    "approve",
    "deploy",
    "schedule",
    "confirm",
    "cancel",
    "override",
    "change owner",
    "change regions",
    "change artifact",
];

/// The same numbers in every run: a failure can be seen again.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    fn pick<'a, One>(&mut self, of: &'a [One]) -> Option<&'a One> {
        if of.is_empty() { None } else { Some(&of[self.roll(of.len())]) }
    }
}

struct World {
    t: T,
    ada: Person,
    owners: Vec<Person>,
    approvers: Vec<Person>,
    regions: Vec<Region>,
    models: Vec<Model>,
    dice: Dice,
    versions: usize,
}

impl World {
    async fn new(t: &T, seed: u64) -> Self {
        let regions = vec![t.region("US").await, t.region("UK").requires_approval().await, t.region("JP").await];
        let owners = vec![t.person("Anna").await, t.person("Ben").await];
        let mut models = Vec::new();
        for name in ["PD", "LGD", "EAD"] {
            models.push(t.model(name).owned_by(&owners[0]).in_regions(&regions[..2]).await);
        }
        let approvers =
            vec![t.person("Glob").role(Role::GlobalApprover).await, t.person("Rita").approver_of(&regions).await];
        Self { t: t.clone(), ada: t.admin().await, owners, approvers, regions, models, dice: Dice(seed), versions: 0 }
    }

    /// Whether the act was one that the rules allow at this moment.
    async fn act(&mut self, act: &str) -> bool {
        let answer = match act {
            "approve" => return self.approve().await,
            "deploy" => self.deploy(&json!({ "mode": "now" })).await,
            "schedule" => self.deploy(&json!({ "mode": "schedule", "on": "2026-12-31" })).await,
            "confirm" => self.close("confirm", json!({ "actual_production_date": self.t.today() })).await,
            "cancel" => self.close("cancel", json!({ "cancellation_reason": "No longer wanted by anybody" })).await,
            "override" => self.override_one().await,
            "change owner" => self.change_owner().await,
            "change regions" => self.change_regions().await,
            _ => self.change_artifact().await,
        };
        let Some(answer) = answer else { return false };
        assert!(answer.status() < 500, "{act}: {}", answer.text());
        answer.status() < 300
    }

    async fn approve(&mut self) -> bool {
        let Some(version) = self.version().await else { return false };
        let approvers: Vec<_> = self.approvers.iter().collect();
        self.t.approve(&version, &self.ada, &approvers).await;
        true
    }

    /// A new version of some model, for all of its regions or for one.
    async fn version(&mut self) -> Option<crate::builder::Version> {
        let model = self.dice.pick(&self.models)?.clone();
        self.versions += 1;
        let version = model.version(&format!("{}.0", self.versions));
        let used = self.regions_of(model.id).await;
        Some(match self.dice.roll(3) {
            0 if !used.is_empty() => {
                let one = self.dice.pick(&used)?;
                let region = self.regions.iter().find(|region| region.id.0 == *one)?;
                version.regional([region]).await
            }
            _ => version.await,
        })
    }

    async fn regions_of(&self, model: ModelId) -> Vec<i64> {
        let uses = self.t.rows::<(i64, i64)>("SELECT model_id, region_id FROM model_regions ORDER BY 1, 2").await;
        uses.into_iter().filter(|one| one.0 == model.0).map(|one| one.1).collect()
    }

    /// Deploys, now or later, some pair of version and region that is ready.
    async fn deploy(&mut self, how: &Value) -> Option<Answer> {
        let pairs = self.t.rows::<(i64, i64)>("SELECT version_id, region_id FROM ready_pairs ORDER BY 1, 2").await;
        let (version, region) = *self.dice.pick(&pairs)?;
        let target = json!({ "region_id": region, "planned_production_date": how.get("on") });
        let body = json!({ "mode": how["mode"], "regions": [target] });
        Some(self.ada.post(&format!("/api/v1/versions/{version}/deploy"), body).await)
    }

    async fn close(&mut self, how: &str, body: Value) -> Option<Answer> {
        let open = "SELECT task_id FROM deployment_tasks WHERE status IN ('PENDING', 'ADJUSTED') ORDER BY task_id";
        let tasks = self.t.rows::<(i64,)>(open).await;
        let task = self.dice.pick(&tasks)?.0;
        Some(self.ada.patch(&format!("/api/v1/deployment-tasks/{task}/{how}"), body).await)
    }

    /// Confirms a version that nobody has approved.
    async fn override_one(&mut self) -> Option<Answer> {
        let version = self.version().await?;
        let targets = self.t.rows::<(VersionId, i64)>("SELECT version_id, region_id FROM version_targets").await;
        let region = targets.into_iter().find(|one| one.0 == version.id)?.1;
        let body = json!({ "mode": "schedule", "regions": [{ "region_id": region, "planned_production_date": "2026-12-31" }] });
        let made = self.ada.post(&format!("/api/v1/versions/{}/deploy", version.id), body).await.ok().json();
        let task = &made["tasks"][0]["task_id"];
        let body = json!({ "actual_production_date": self.t.today(), "validation_override_reason": "The regulator asked for it today" });
        Some(self.ada.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body).await)
    }

    async fn change_owner(&mut self) -> Option<Answer> {
        let owner = self.dice.pick(&self.owners)?.id;
        self.change_model(|_, model| model["owner_id"] = json!(owner)).await
    }

    /// Takes a region away from a model, or gives it one, with or without an owner of its own.
    async fn change_regions(&mut self) -> Option<Answer> {
        let (region, owner) = (self.dice.pick(&self.regions)?.id, self.dice.pick(&self.owners)?.id);
        self.change_model(|dice, model| {
            let regions = model["regions"].as_array_mut().unwrap();
            let before = regions.len();
            regions.retain(|one| one["region_id"] != json!(region));
            if regions.len() == before || dice.roll(2) == 0 {
                regions.push(json!({ "region_id": region, "regional_owner_id": owner }));
            }
        })
        .await
    }

    async fn change_model(&mut self, change: impl FnOnce(&mut Dice, &mut Value)) -> Option<Answer> {
        let address = format!("/api/v1/models/{}", self.dice.pick(&self.models)?.id);
        let seen = self.ada.get(&address).await.ok();
        let view = seen.json();
        let uses = view["regions"].as_array().unwrap().iter();
        let uses: Vec<_> = uses
            .map(|one| json!({ "region_id": one["region_id"], "regional_owner_id": one["regional_owner_id"] }))
            .collect();
        let mut body = json!({ "regions": uses });
        for field in ["name", "description", "owner_id", "developer_id", "project_id", "risk_tier", "status"] {
            body[field] = view[field].clone();
        }
        change(&mut self.dice, &mut body);
        Some(self.ada.put(&address, body).if_match(seen.revision()).await)
    }

    async fn change_artifact(&mut self) -> Option<Answer> {
        let versions = self.t.rows::<(i64,)>("SELECT version_id FROM versions ORDER BY version_id").await;
        let version = self.dice.pick(&versions)?.0;
        let digest = format!("{:064x}", self.dice.roll(1_000_000));
        let body = json!({ "digest": digest, "file_name": "model.onnx" });
        Some(self.ada.put(&format!("/api/v1/versions/{version}/artifact-reference"), body).await)
    }
}

both! {
    async fn what_is_kept_of_readiness_is_what_the_facts_give(t: T) {
        let mut world = World::new(&t, 20_260_331).await;
        let mut done = [0; ACTS.len()];
        for step in 0..60 {
            // The first steps make something to act on.
            let which = if step < 4 { 0 } else { world.dice.roll(ACTS.len()) };
            if world.act(ACTS[which]).await {
                done[which] += 1;
            }
            t.readiness_equals_a_rebuild().await;
        }
        for (act, count) in ACTS.iter().zip(done) {
            assert!(count > 0, "no chance to {act}: {done:?}");
        }
        t.everything_holds().await;
    }
}
