//! Several people at once: exactly one wins, the others are told what happened, nothing is halved.

use std::time::Duration;

use countersign::db::Query;
use countersign::identity::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person, Version};
use crate::client::{Answer, Sending};
use crate::harness::T;
use crate::validation::{mine, pending};

/// Sends all requests at once, each from a task of its own.
async fn at_once(requests: impl IntoIterator<Item = Sending>) -> Vec<Answer> {
    let sent = requests.into_iter().map(|request| tokio::spawn(request.into_future()));
    join_all(sent).await.into_iter().map(Result::unwrap).collect()
}

/// How many answers have this status.
fn having(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status() == status).count()
}

/// Names another artifact for a version.
fn another_artifact(version: &Version, digit: char) -> Sending {
    let body = json!({ "digest": digit.to_string().repeat(64) });
    version.model.owner.put(&format!("/api/v1/versions/{}/artifact-reference", version.id), body)
}

/// Approves a ticket as it was read.
fn approve(person: &Person, ticket: &Value) -> Sending {
    let path = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
    person.post(&path, json!({})).if_match(ticket["revision"].as_i64().unwrap())
}

/// Gives a model to somebody else.
async fn hand_over(admin: &Person, model: &Model, to: &Person) -> Sending {
    let address = format!("/api/v1/models/{}", model.id);
    let answer = admin.get(&address).await.ok();
    let mut body = crate::inventory::body_of(&answer.json());
    body["owner_id"] = json!(to.id);
    admin.put(&address, body).if_match(answer.revision())
}

impl T {
    /// Every approval that stands names the bytes that each version of its request has now.
    async fn approvals_stand_for_the_bytes_they_name(&self) {
        let standing: Vec<(i64, String, i64, Option<String>)> = self
            .rows(
                "SELECT a.approval_id, a.digests, v.version_id, v.artifact_digest FROM validation_approvals a
                 JOIN validation_versions x ON x.request_id = a.request_id JOIN versions v ON v.version_id = x.version_id
                 WHERE a.state IN ('PENDING', 'APPROVED')",
            )
            .await;
        for (approval, digests, version, artifact) in standing {
            let named: Value = serde_json::from_str(&digests).unwrap();
            assert_eq!(named[version.to_string()], json!(artifact), "approval {approval} of version {version}");
        }
        let unfounded = "SELECT COUNT(*) FROM validation_requests r WHERE r.state = 'APPROVED' AND EXISTS (
            SELECT 1 FROM validation_approvals a WHERE a.request_id = r.request_id AND a.state = 'PENDING')";
        assert_eq!(self.number(unfounded).await, 0, "a request is approved, and still waits for an approval");
    }
}

both! {
    async fn an_approval_never_stands_for_bytes_it_did_not_name(t: T) {
        let anna = t.person("Anna").await;
        let validator = t.person("Val").role(Role::Validator).await;
        let glenda = t.person("Glenda").role(Role::GlobalApprover).await;
        let uk = t.region("UK").requires_approval().await;
        let rhys = t.person("Rhys").approver_of([&uk]).await;
        for round in 1..=8 {
            let model = t.model(&format!("Model {round}")).owned_by(&anna).in_regions([&uk]).await;
            let version = model.version("2.0").artifact(&"a".repeat(64)).await;
            pending(&validator, &version).await;
            let (global, regional) = (mine(&glenda).await.remove(0), mine(&rhys).await.remove(0));

            let answers = at_once([
                approve(&glenda, &global),
                another_artifact(&version, 'b'),
                approve(&rhys, &regional),
            ]).await;

            answers[1].clone().ok();
            for late in [&answers[0], &answers[2]].into_iter().filter(|answer| answer.status() != 200) {
                late.clone().refused(409, "ticket_not_open");
            }
            t.approvals_stand_for_the_bytes_they_name().await;
            let ready = anna.get("/api/v1/deployment-tasks/ready-to-deploy").await.ok().json();
            assert_eq!(ready["total_count"], round - 1, "nothing is ready whose bytes nobody approved");
            // Whichever came first, the bytes there are now must be approved anew.
            for person in [&glenda, &rhys] {
                for ticket in mine(person).await {
                    approve(person, &ticket).await.ok();
                }
            }
            let request = validator.get("/api/v1/validations?state=APPROVED").await.ok().json();
            if request["total_count"] != round {
                // A request that was approved for the old bytes went back to revision.
                let back = validator.get("/api/v1/validations?state=REVISION").await.ok().json();
                let id = back["items"][0]["request_id"].as_i64().unwrap();
                crate::validation::step(&validator, id, "PENDING_APPROVAL", Value::Null).await;
                for person in [&glenda, &rhys] {
                    approve(person, &mine(person).await.remove(0)).await.ok();
                }
            }
        }
        t.approvals_stand_for_the_bytes_they_name().await;
        t.everything_holds().await;
    }

    async fn artifacts_of_versions_validated_together_change_at_once(t: T) {
        let anna = t.person("Anna").await;
        let validator = t.person("Val").role(Role::Validator).await;
        let glenda = t.person("Glenda").role(Role::GlobalApprover).await;
        let us = t.region("US").await;
        let mut versions = Vec::new();
        for name in ["PD", "LGD", "EAD"] {
            let model = t.model(name).owned_by(&anna).in_regions([&us]).await;
            versions.push(model.version("2.0").artifact(&"a".repeat(64)).await);
        }
        let id = crate::validation::pending_on(&validator, &versions.iter().collect::<Vec<_>>()).await;
        for round in ['b', 'c', 'd', 'e'] {
            let ticket = mine(&glenda).await.remove(0);
            let changes = versions.iter().rev().map(|version| another_artifact(version, round));
            let answers = at_once(changes.chain([approve(&glenda, &ticket)])).await;

            assert_eq!(having(&answers[..3], 200), 3, "no change is lost to another");
            if answers[3].status() != 200 {
                answers[3].clone().refused(409, "ticket_not_open");
            }
            t.approvals_stand_for_the_bytes_they_name().await;
            let path = format!("/api/v1/validations/{id}");
            if validator.get(&path).await.ok().json()["state"] == "REVISION" {
                crate::validation::step(&validator, id, "PENDING_APPROVAL", Value::Null).await;
            }
        }
        t.everything_holds().await;
    }

    async fn a_delegate_confirms_once_while_the_owner_changes(t: T) {
        let (admin, uk) = (t.admin().await, t.region("UK").await);
        let (anna, bert, dora) = (t.person("Anna").await, t.person("Bert").await, t.person("Dora").await);
        for round in 1..=6 {
            let model = t.model(&format!("Model {round}")).owned_by(&anna).in_regions([&uk]).await;
            let version = model.version("2.0").approved().await;
            let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);
            let lend = json!({ "user_id": dora.id, "can_deploy": true });
            anna.post(&format!("/api/v1/models/{}/delegations", model.id), lend).await.ok();
            let confirm = |by: &Person| {
                let body = json!({ "actual_production_date": "2026-03-31", "confirmation_notes": by.name });
                by.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body)
            };

            let new_owner = hand_over(&admin, &model, &bert).await;
            let answers = at_once([confirm(&dora), new_owner, confirm(&anna), confirm(&bert)]).await;

            answers[1].clone().ok();
            let confirming = [&answers[0], &answers[2], &answers[3]];
            let winner: Vec<_> = confirming.iter().filter(|answer| answer.status() == 200).collect();
            assert_eq!(winner.len(), 1, "exactly one confirms: {confirming:?}");
            let winner = winner[0].json();
            for loser in confirming.into_iter().filter(|answer| answer.status() != 200) {
                // Anna may no longer see the model, Bert not yet; else they see who was faster.
                if loser.status() != 404 {
                    let problem = loser.clone().refused(409, "task_not_open").json();
                    assert_eq!(problem["task"]["confirmation_notes"], winner["confirmation_notes"]);
                }
            }
            assert_eq!(admin.get(&format!("/api/v1/models/{}", model.id)).await.ok().json()["owner_id"], json!(bert.id));
            let kept = admin.get(&format!("/api/v1/deployment-tasks/{task}")).await.ok().json();
            assert_eq!(kept["status"], "CONFIRMED");
            assert_eq!(kept["confirmed_by_name"], winner["confirmation_notes"]);
            // A task that was open when the model was handed over went to the new owner with it.
            assert!([json!(anna.id), json!(bert.id)].contains(&kept["assigned_to_id"]), "{kept}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments").await, 6);
        t.everything_holds().await;
    }

    async fn of_fifty_confirmations_one_wins_and_the_others_see_its_result(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);

        let body = json!({ "actual_production_date": "2026-03-31", "confirmation_notes": "Live since noon" });
        let answers = at_once((0..50).map(|_| anna.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body.clone()))).await;

        assert_eq!(having(&answers, 200), 1);
        for loser in answers.iter().filter(|answer| answer.status() != 200) {
            let problem = loser.clone().refused(409, "task_not_open").json();
            assert_eq!(problem["task"]["status"], "CONFIRMED");
            assert_eq!(problem["task"]["confirmation_notes"], "Live since noon");
            assert_eq!(problem["task"]["confirmed_by_name"], "Anna");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments").await, 1);
        t.everything_holds().await;
    }

    async fn of_two_deploys_of_one_pair_one_makes_the_task(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await
            .version("2.0").regional([&uk]).approved().await;

        let body = json!({ "mode": "schedule", "regions": [{ "region_id": uk.id, "planned_production_date": "2026-04-30" }] });
        let deploy = || anna.post(&format!("/api/v1/versions/{}/deploy", version.id), body.clone());
        let answers = at_once((0..8).map(|_| deploy())).await;

        let winner = answers.iter().find(|answer| answer.status() == 200).expect("one deploys").json();
        assert_eq!(having(&answers, 200), 1);
        for loser in answers.iter().filter(|answer| answer.status() != 200) {
            let problem = loser.clone().refused(409, "task_exists").json();
            assert_eq!(problem["task_id"], winner["tasks"][0]["task_id"]);
        }
        t.everything_holds().await;
    }

    async fn one_key_from_several_clients_is_one_act(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);
        let address = format!("/api/v1/deployment-tasks/{task}/adjust");
        let body = json!({ "planned_production_date": "2026-05-31", "adjustment_reason": "The vendor is late" });
        let adjust = || anna.patch(&address, body.clone()).idempotency_key("adjust-once");

        let answers = at_once((0..12).map(|_| adjust())).await;

        // Adjusting twice is allowed, so that only the key keeps the act from being repeated.
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'task.adjusted'").await, 1);
        assert!(having(&answers, 200) >= 1);
        let first = answers.iter().find(|answer| answer.status() == 200).expect("one adjusts").json();
        for answer in &answers {
            match answer.status() {
                200 => assert_eq!(answer.json(), first),
                _ => drop(answer.clone().refused(409, "idempotency_under_way")),
            }
        }
        let again = adjust().await.ok();
        assert_eq!(again.json(), first);
        assert_eq!(again.header("idempotency-replayed"), "true");
        let other = json!({ "planned_production_date": "2026-06-30", "adjustment_reason": "The vendor is late" });
        anna.patch(&address, other).idempotency_key("adjust-once").await.refused(422, "idempotency_mismatch");
        t.everything_holds().await;
    }

    async fn confirming_adjusting_and_cancelling_at_once_ends_in_one_state(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);
        let address = |verb| format!("/api/v1/deployment-tasks/{task}/{verb}");

        let answers = at_once((0..10).flat_map(|_| [
            anna.patch(&address("confirm"), json!({ "actual_production_date": "2026-03-31" })),
            anna.patch(&address("cancel"), json!({ "cancellation_reason": "Rolled back" })),
            anna.patch(&address("adjust"), json!({ "planned_production_date": "2026-06-30", "adjustment_reason": "Late" })),
        ])).await;

        let ended = answers.iter().filter(|answer| answer.status() == 200)
            .filter(|answer| matches!(answer.json()["status"].as_str(), Some("CONFIRMED" | "CANCELLED"))).count();
        assert_eq!(ended, 1);
        assert_eq!(having(&answers, 200) + having(&answers, 409), answers.len());
        t.everything_holds().await;
    }
}

/// On SQLite one writes at a time; on PostgreSQL a preview refers to a model and an environment that others have locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_does_not_wait_for_who_decides() {
    let t = T::postgres().await;
    let scene = crate::releases::scene(&t, "development").await;
    let version = crate::releases::version(&scene, "1.0").await;
    let mut act = t.act().await;
    for locked in ["SELECT model_id FROM models", "SELECT environment_id FROM environments"] {
        Query::new(locked).for_update().all::<(i64,)>(&mut act.tx).await.unwrap();
    }
    let looked = tokio::time::timeout(Duration::from_secs(60), crate::releases::preview(&scene, &version)).await;
    assert!(looked.is_ok(), "a preview waits for a lock that it does not need");
}
