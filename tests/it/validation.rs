//! Validations over HTTP: from the request through the approvals to APPROVED, and back.

use countersign::identity::Role;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Person, Region, Version};
use crate::harness::T;

/// Asks for the validation of a version and takes it to the point where approvals are asked.
pub async fn pending(validator: &Person, version: &Version) -> i64 {
    pending_on(validator, &[version]).await
}

/// The same for several versions in one request.
pub async fn pending_on(validator: &Person, versions: &[&Version]) -> i64 {
    let ids: Vec<_> = versions.iter().map(|version| version.id).collect();
    let body = json!({ "version_ids": ids, "type": "CHANGE" });
    let id = validator.post("/api/v1/validations", body).await.expect(201).json()["request_id"].as_i64().unwrap();
    for state in ["PLANNING", "IN_PROGRESS", "REVIEW", "PENDING_APPROVAL"] {
        step(validator, id, state, Value::Null).await;
    }
    id
}

/// Takes a request to another state.
pub async fn step(person: &Person, id: i64, state: &str, reason: Value) -> Value {
    let revision = person.get(&format!("/api/v1/validations/{id}")).await.ok().revision();
    let body = json!({ "state": state, "reason": reason });
    person.post(&format!("/api/v1/validations/{id}/transition"), body).if_match(revision).await.ok().json()
}

/// The pending tickets that a person can decide.
pub async fn mine(person: &Person) -> Vec<Value> {
    let inbox = person.get("/api/v1/approvals/inbox").await.ok().json();
    inbox["items"].as_array().unwrap().iter().filter(|one| one["can_decide"] == true).cloned().collect()
}

/// Approves the one ticket that a person can decide.
pub async fn approve_mine(person: &Person) -> Value {
    let ticket = mine(person).await.remove(0);
    let path = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
    person.post(&path, json!({})).if_match(ticket["revision"].as_i64().unwrap()).await.ok().json()
}

/// Who takes part, and a version of a model in a region that requires approval and one that does not.
pub struct Scene {
    pub owner: Person,
    pub developer: Person,
    pub validator: Person,
    pub global: Person,
    pub regional: Person,
    pub uk: Region,
    pub version: Version,
}

pub async fn scene(t: &T) -> Scene {
    let uk = t.region("UK").requires_approval().await;
    let us = t.region("US").await;
    let owner = t.person("Anna").await;
    let developer = t.person("Dev").role(Role::GlobalApprover).await;
    let validator = t.person("Val").role(Role::Validator).await;
    let global = t.person("Glenda").role(Role::GlobalApprover).await;
    let regional = t.person("Rhys").approver_of([&uk]).await;
    let model = t.model("PD Mortgage").owned_by(&owner).developed_by(&developer).in_regions([&uk, &us]).await;
    let version = model.version("2.0").artifact(&"a".repeat(64)).planned("2026-04-30").await;
    Scene { owner, developer, validator, global, regional, uk, version }
}

both! {
    async fn the_last_approval_approves_and_makes_the_version_ready(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        approve_mine(&s.global).await;
        let path = format!("/api/v1/validations/{id}");
        assert_eq!(s.validator.get(&path).await.ok().json()["state"], "PENDING_APPROVAL");
        approve_mine(&s.regional).await;

        let done = s.validator.get(&path).await.ok().json();
        assert_eq!(done["state"], "APPROVED");
        assert_eq!(done["completion_date"], "2026-03-31");
        let ready = s.owner.get("/api/v1/deployment-tasks/ready-to-deploy").await.ok().json();
        assert_eq!(ready["total_count"], 2);
        assert_eq!(t.number("SELECT COUNT(*) FROM deployment_tasks").await, 1);
        s.validator.page(&format!("/validations/{id}")).await.ok();
        s.owner.page("/validations?state=APPROVED&sort=target").await.ok();
        assert_eq!(s.owner.get("/api/v1/validations?q=mortgage").await.ok().json()["total_count"], 1);
        t.everything_holds().await;
    }

    async fn nobody_sets_approved_by_hand(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        let path = format!("/api/v1/validations/{id}");
        let revision = s.validator.get(&path).await.revision();
        let answer = s.validator.post(&format!("{path}/transition"), json!({ "state": "APPROVED" })).if_match(revision).await;
        assert_eq!(answer.refused(409, "wrong_transition").json()["next_states"], json!(["REVISION", "ON_HOLD", "CANCELLED"]));
    }

    async fn a_page_asks_for_the_validation_of_several_versions(t: T) {
        let s = scene(&t).await;
        let us = t.region("JP").await;
        let lgd = t.model("LGD").owned_by(&s.owner).in_regions([&us]).await.version("1.0").await;
        t.model("Somebody else's").in_regions([&us]).await.version("1.0").await;
        let page = s.owner.page(&format!("/validations/new?version_id={}", s.version.id)).await.ok();
        assert_eq!(page.texts("#candidates th[scope=row]"), ["LGD"]);
        let both = s.owner.page(&page.attribute("#candidates a", "href")).await.ok();
        assert_eq!(both.texts("#chosen th[scope=row]"), ["LGD", "PD Mortgage"]);
        assert!(!both.has("#candidates"));
        assert_eq!(both.count("input[name=region_id][checked]"), 3);
        let fewer = s.owner.page(&both.attribute("#chosen tr:last-child a.btn", "href")).await.ok();
        assert_eq!(fewer.texts("#chosen th[scope=row]"), ["LGD"]);
        let made = s.owner.submit(&both, "form[action='/validations/new'][method=post]", &[("note", "Retrained together")]).await.ok();
        assert!(made.address.starts_with("/validations/"), "{}", made.address);
        assert!(made.text("#validation").contains("PD Mortgage") && made.text("#validation").contains("LGD"));
        assert_eq!(t.number("SELECT COUNT(*) FROM validation_versions").await, 2);

        let again = s.owner.submit(&both, "form[action='/validations/new'][method=post]", &[]).await.expect(409);
        assert!(again.text("[role=alert]").contains("in an open validation already"), "{}", again.html);
        // Whoever may ask for any validation starts from the list.
        let list = s.validator.page("/validations").await.ok();
        let blank = s.validator.page(&list.attribute(".page-head a", "href")).await.ok();
        assert_eq!(blank.texts("#candidates th[scope=row]"), ["Somebody else's"]);
        assert!(!blank.has("#chosen") && !blank.has("form[method=post][action='/validations/new']"));
        s.owner.page(&format!("/validations/new?version_id={}&version_id=99", lgd.id)).await.expect(404);
    }

    async fn a_version_has_one_open_request(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        let body = json!({ "version_ids": [s.version.id], "type": "CHANGE" });
        let problem = s.owner.post("/api/v1/validations", body).await.refused(409, "conflict").json();
        assert_eq!(problem["request_id"], id);
    }

    async fn a_rejection_sends_the_request_back_and_withdraws_what_else_was_asked(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        approve_mine(&s.global).await;
        let ticket = mine(&s.regional).await.remove(0);
        let path = format!("/api/v1/approvals/inbox/{}/reject", ticket["ticket_id"]);
        let revision = ticket["revision"].as_i64().unwrap();
        s.regional.post(&path, json!({})).if_match(revision).await.refused(422, "invalid");
        s.regional.post(&path, json!({ "comment": "No evidence for the UK." })).if_match(revision).await.ok();

        let request = s.validator.get(&format!("/api/v1/validations/{id}")).await.ok().json();
        assert_eq!((request["state"].as_str(), request["state_reason"].as_str()), (Some("REVISION"), Some("No evidence for the UK.")));
        assert_eq!(t.number("SELECT COUNT(*) FROM approval_inbox_items WHERE state = 'pending'").await, 0);
        step(&s.validator, id, "PENDING_APPROVAL", Value::Null).await;
        assert_eq!((mine(&s.global).await.len(), mine(&s.regional).await.len()), (1, 1));
    }

    async fn hold_keeps_what_was_given_and_asks_for_the_rest_again(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        approve_mine(&s.global).await;
        step(&s.validator, id, "ON_HOLD", Value::Null).await;
        assert_eq!(mine(&s.regional).await.len(), 0);
        step(&s.validator, id, "PENDING_APPROVAL", Value::Null).await;
        assert_eq!((mine(&s.global).await.len(), mine(&s.regional).await.len()), (0, 1));
    }

    async fn a_changed_artifact_is_approved_anew(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        approve_mine(&s.global).await;
        let old = mine(&s.regional).await.remove(0);
        change_artifact(&t, &s.version).await;

        let path = format!("/api/v1/approvals/inbox/{}/approve", old["ticket_id"]);
        let answer = s.regional.post(&path, json!({})).if_match(old["revision"].as_i64().unwrap()).await;
        let ended = answer.refused(409, "ticket_not_open").json();
        assert_eq!(ended["ticket"]["superseded_by_id"], mine(&s.regional).await[0]["ticket_id"]);
        assert_eq!(mine(&s.global).await.len(), 1, "the approval that was given lapsed and is asked again");
        approve_mine(&s.global).await;
        approve_mine(&s.regional).await;
        assert_eq!(s.validator.get(&format!("/api/v1/validations/{id}")).await.json()["state"], "APPROVED");

        t.advance(1);
        restore_artifact(&t, &s.version).await;
        let request = s.validator.get(&format!("/api/v1/validations/{id}")).await.json();
        assert_eq!((request["state"].as_str(), request["completion_date"].is_null()), (Some("REVISION"), true));
        let ready = s.owner.get("/api/v1/deployment-tasks/ready-to-deploy").await.ok().json();
        assert_eq!(ready["total_count"], 0);
        t.everything_holds().await;
    }
}

async fn change_artifact(t: &T, version: &Version) {
    let digest = "b".repeat(64);
    let mut act = t.act().await;
    countersign::db::Query::new(
        "INSERT INTO artifacts (digest, file_name, stored, recorded_by_id, recorded_at)
         SELECT $1, 'other.bin', FALSE, submitted_by_id, created_at FROM versions WHERE version_id = $2",
    )
    .bind(&digest)
    .bind(version.id)
    .run(&mut act.tx)
    .await
    .unwrap();
    act.commit().await.unwrap();
    give_artifact(t, version, &digest).await;
}

async fn restore_artifact(t: &T, version: &Version) {
    give_artifact(t, version, &"a".repeat(64)).await;
}

async fn give_artifact(t: &T, version: &Version, digest: &str) {
    let mut act = t.act().await;
    countersign::db::Query::new("UPDATE versions SET artifact_digest = $2 WHERE version_id = $1")
        .bind(version.id)
        .bind(digest)
        .run(&mut act.tx)
        .await
        .unwrap();
    countersign::validation::artifact_changed(&mut act, version.id).await.unwrap();
    act.commit().await.unwrap();
}
