//! Releases over HTTP, on machines that exist in memory: every refusal, every end, and a crash at every instant.

use countersign::db::Query;
use countersign::identity::Role;
use countersign::{deployments, operations};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::both;
use crate::builder::{Model, Person, Region, Version};
use crate::harness::T;

/// A model with an owner, an operator, an approver and an environment.
pub struct Scene {
    pub anna: Person,
    pub olga: Person,
    pub greta: Person,
    pub uk: Region,
    pub model: Model,
    pub environment: i64,
}

pub async fn scene(t: &T, stage: &str) -> Scene {
    let anna = t.person("Anna").await;
    let olga = t.person("Olga").role(Role::Operator).await;
    let greta = t.person("Greta").role(Role::GlobalApprover).await;
    let uk = t.region("UK").await;
    let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await;
    let body = json!({ "name": format!("uk-{stage}"), "region_id": uk.id, "stage": stage });
    let made = olga.post("/api/v1/environments", body).await.expect(201).json();
    Scene { environment: made["environment_id"].as_i64().unwrap(), anna, olga, greta, uk, model }
}

/// An approved version whose bytes are kept here.
pub async fn version(scene: &Scene, number: &str) -> Version {
    let bytes = format!("the bytes of {number}");
    let digest = hex::encode(sha2::Sha256::digest(&bytes));
    let made = scene.model.version(number).artifact(&digest).approved().await;
    let t = &scene.model.t;
    let folder = t.folder().join("artifacts").join(&digest[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&digest[2..]), bytes).unwrap();
    let mut act = t.act().await;
    Query::new("UPDATE artifacts SET stored = TRUE WHERE digest = $1").bind(&digest).run(&mut act.tx).await.unwrap();
    act.commit().await.unwrap();
    made
}

pub async fn preview(scene: &Scene, version: &Version) -> Value {
    let body = json!({ "environment_id": scene.environment, "version_id": version.id });
    scene.olga.post("/api/v1/releases/preview", body).await.expect(201).json()
}

pub async fn asked(scene: &Scene, version: &Version) -> Value {
    let preview = preview(scene, version).await;
    let body = json!({ "preview_ref": preview["preview_ref"], "apply_on_approval": true });
    scene.olga.post("/api/v1/releases", body).await.expect(201).json()
}

pub async fn approved(scene: &Scene) {
    let mine = scene.greta.get("/api/v1/approvals/inbox?view=mine&status=pending").await.ok().json();
    for ticket in mine["items"].as_array().unwrap() {
        let address = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
        scene.greta.post(&address, json!({})).if_match(ticket["revision"].as_i64().unwrap()).await.ok();
    }
}

pub async fn work(t: &T) {
    while operations::work(t.app(), "test").await.unwrap() {}
}

pub async fn state(scene: &Scene, release: &Value) -> String {
    let shown = scene.olga.get(&format!("/api/v1/releases/{}", release["release_id"])).await.ok().json();
    shown["lifecycle_state"].as_str().unwrap().to_owned()
}

/// Releases a version through to the end.
pub async fn released(t: &T, scene: &Scene, version: &Version) -> Value {
    let release = asked(scene, version).await;
    approved(scene).await;
    work(t).await;
    assert_eq!(state(scene, &release).await, "applied");
    release
}

both! {
    async fn a_release_into_development_goes_straight_through_and_serves(t: T) {
        let scene = scene(&t, "development").await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        assert!(preview["diff"].as_str().unwrap().contains("+  version: 2.0"), "{}", preview["diff"]);
        assert_eq!(preview["approval_required"], false);
        assert!(t.machines().taken().is_empty(), "a preview changes nothing");
        let body = json!({ "preview_ref": preview["preview_ref"] });
        let release = scene.olga.post("/api/v1/releases", body).await.expect(201).json();
        assert_eq!(release["lifecycle_state"], "applying");
        work(&t).await;
        assert_eq!(state(&scene, &release).await, "applied");
        assert_eq!(t.machines().running().len(), 1);
        assert_eq!(t.machines().taken(), ["start", "verify", "shift"]);
        let listed = scene.olga.get("/api/v1/deployments").await.ok().json();
        assert_eq!((listed["items"][0]["state"].as_str(), listed["items"].as_array().unwrap().len()), (Some("active"), 1));
        let timeline = scene.olga.get("/api/v1/releases/1/timeline").await.ok().json();
        let names: Vec<_> = timeline["items"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
        assert_eq!(names.last(), Some(&"release.previewed"));
        assert_eq!(names.first(), Some(&"release.applied"));
        assert_eq!(names.iter().filter(|name| **name == "release.step_succeeded").count(), 4);
        let form = scene.olga.page("/releases/new?version_id=1").await.ok();
        assert_eq!(form.texts("#f-version_id option[selected]"), ["PD Mortgage 2.0"]);
        for page in ["/releases", "/releases/1", "/releases/new?version_id=1", "/deployments", "/deployments/1", "/environments/1", "/drift"] {
            scene.olga.page(page).await.ok();
        }
        t.everything_holds().await;
    }

    async fn a_production_release_waits_for_its_approval_and_then_for_its_owner(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let release = asked(&scene, &two).await;
        assert_eq!((release["lifecycle_state"].as_str(), release["approval_required"].as_bool()), (Some("pending_approval"), Some(true)));
        assert_eq!(release["approval_ticket"], "CS-1001");
        let ticket = scene.greta.page("/inbox/1").await.ok();
        assert!(ticket.html.contains("<ins>  version: 2.0</ins>"), "the approver sees the stored diff");
        scene.olga.post("/api/v1/approvals/inbox/1/approve", json!({})).if_match(1).await.refused(403, "not_eligible");
        approved(&scene).await;
        assert_eq!(state(&scene, &release).await, "applying");
        work(&t).await;
        assert_eq!(state(&scene, &release).await, "applied");
        let tasks = scene.anna.get("/api/v1/deployment-tasks/my-tasks").await.ok().json();
        let evidence = &tasks["items"][0]["evidence"];
        assert_eq!((evidence["approver"].as_str(), evidence["release_id"].as_i64()), (Some("Greta"), Some(1)));
        assert!(evidence["probe"].is_string() && evidence["digest"].as_str().unwrap().starts_with("sha256:"));
        deployments::observe_all(t.app()).await.unwrap();
        let drift = scene.olga.get("/api/v1/drift").await.ok().json();
        assert_eq!(drift["items"][0]["kind"], "running_not_ratified");
        let confirm = json!({ "actual_production_date": t.today() });
        scene.anna.patch("/api/v1/deployment-tasks/1/confirm", confirm).await.ok();
        deployments::observe_all(t.app()).await.unwrap();
        assert_eq!(scene.olga.get("/api/v1/drift").await.ok().json()["items"].as_array().unwrap().len(), 0);
        t.everything_holds().await;
    }

    async fn a_rejected_release_is_not_applied(t: T) {
        let scene = scene(&t, "production").await;
        let release = asked(&scene, &version(&scene, "2.0").await).await;
        scene.greta.post("/api/v1/approvals/inbox/1/reject", json!({ "comment": "Not in this quarter" })).if_match(1).await.ok();
        assert_eq!(state(&scene, &release).await, "rejected");
        let body = json!({ "preview_ref": release["preview_ref"] });
        scene.olga.post("/api/v1/releases/1/apply", body).await.refused(409, "wrong_transition");
        work(&t).await;
        assert!(t.machines().running().is_empty());
    }

    async fn a_preview_is_required_and_used_once_and_in_time(t: T) {
        let scene = scene(&t, "development").await;
        let two = version(&scene, "2.0").await;
        scene.olga.post("/api/v1/releases", json!({})).await.refused(400, "preview_required");
        scene.olga.post("/api/v1/releases", json!({ "preview_ref": "nothing" })).await.refused(404, "not_found");
        let first = preview(&scene, &two).await;
        let late = preview(&scene, &two).await;
        let body = json!({ "preview_ref": first["preview_ref"] });
        scene.olga.post("/api/v1/releases", body.clone()).await.expect(201);
        scene.olga.post("/api/v1/releases", body).await.refused(409, "preview_used");
        let body = json!({ "preview_ref": late["preview_ref"] });
        scene.olga.post("/api/v1/releases", body.clone()).await.refused(409, "environment_busy");
        work(&t).await;
        let refused = scene.olga.post("/api/v1/releases", body.clone()).await.refused(409, "preview_mismatch").json();
        assert_eq!(refused["moved"][0]["what"], "live_state");
        t.at("2026-03-31T12:31:00Z");
        scene.olga.post("/api/v1/releases", body).await.refused(409, "preview_expired");
        t.everything_holds().await;
    }

    async fn what_moves_between_approval_and_apply_refuses_the_release(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let release = scene.olga.post("/api/v1/releases", json!({ "preview_ref": preview["preview_ref"] })).await.expect(201).json();
        approved(&scene).await;
        assert_eq!(state(&scene, &release).await, "approved");
        let rule = json!({ "kind": "release_approval", "role": "COMPLIANCE", "needed": 1 });
        t.admin().await.post("/api/v1/approval-rules", rule).await.ok();
        scene.olga.post("/api/v1/releases/1/apply", json!({})).await.refused(400, "preview_required");
        let body = json!({ "preview_ref": preview["preview_ref"] });
        let refused = scene.olga.post("/api/v1/releases/1/apply", body).await.refused(409, "preview_mismatch").json();
        assert_eq!(refused["moved"][0]["what"], "policy");
        assert_eq!(state(&scene, &release).await, "approved");
    }

    async fn closed_gates_refuse_with_their_own_codes(t: T) {
        let scene = scene(&t, "staging").await;
        let draft = scene.model.version("3.0").artifact(&"a".repeat(64)).await;
        let elsewhere = preview(&scene, &draft).await;
        let answers: Vec<_> = elsewhere["checks"].as_array().unwrap().iter().filter(|one| one["answer"] == "deny").map(|one| one["gate"].as_str().unwrap()).collect();
        assert_eq!(answers, ["validation", "artifact"]);
        let body = json!({ "preview_ref": elsewhere["preview_ref"] });
        scene.olga.post("/api/v1/releases", body).await.refused(409, "validation_missing");
        let bare = scene.model.version("4.0").approved().await;
        let body = json!({ "environment_id": scene.environment, "version_id": bare.id });
        scene.olga.post("/api/v1/releases/preview", body).await.refused(409, "artifact_unverified");
        let body = json!({ "environment_id": scene.environment, "version_id": draft.id, "strategy": { "kind": "canary", "steps": [], "limits": { "max_error_rate": 0.1, "max_p95": 1.0, "min_samples": 1 } } });
        scene.olga.post("/api/v1/releases/preview", body).await.refused(422, "strategy_unsupported");
        let window = json!({ "starts_at": "2026-03-31T00:00:00Z", "ends_at": "2026-04-03T00:00:00Z", "reason": "Quarter end" });
        scene.olga.post("/api/v1/environments/1/freeze-windows", window).await.expect(201);
        let two = version(&scene, "5.0").await;
        let frozen = preview(&scene, &two).await;
        let body = json!({ "preview_ref": frozen["preview_ref"] });
        scene.olga.post("/api/v1/releases", body).await.refused(409, "freeze_window");
        let body = json!({ "preview_ref": frozen["preview_ref"], "freeze_reason": "The model in use is wrong for everybody" });
        let waits = scene.olga.post("/api/v1/releases", body).await.expect(201).json();
        assert_eq!(waits["tickets"][0]["kind"], "freeze_override", "a second person must agree");
    }

    async fn who_may_not_see_a_model_sees_none_of_its_releases(t: T) {
        let scene = scene(&t, "development").await;
        let two = version(&scene, "2.0").await;
        released(&t, &scene, &two).await;
        let mallory = t.person("Mallory").await;
        let body = json!({ "environment_id": scene.environment, "version_id": two.id });
        mallory.post("/api/v1/releases/preview", body).await.refused(404, "not_found");
        for address in ["/api/v1/releases/1", "/api/v1/releases/1/timeline", "/api/v1/deployments/1"] {
            mallory.get(address).await.refused(404, "not_found");
        }
        mallory.post("/api/v1/deployments/1/retire", json!({})).await.refused(404, "not_found");
        assert_eq!(mallory.get("/api/v1/releases").await.ok().json()["items"].as_array().unwrap().len(), 0);
        assert_eq!(mallory.get("/api/v1/deployments").await.ok().json()["items"].as_array().unwrap().len(), 0);
        let otto = t.person("Otto").role(Role::Auditor).await;
        otto.get("/api/v1/releases/1").await.ok();
        otto.post("/api/v1/releases/1/cancel", json!({})).await.refused(403, "forbidden");
    }

    async fn a_step_that_fails_leads_back_and_says_what_to_do(t: T) {
        let scene = scene(&t, "development").await;
        let one = version(&scene, "1.0").await;
        released(&t, &scene, &one).await;
        let before = t.machines().running();
        t.machines().fail_at("verify");
        let release = asked(&scene, &version(&scene, "2.0").await).await;
        work(&t).await;
        let shown = scene.olga.get(&format!("/api/v1/releases/{}", release["release_id"])).await.ok().json();
        assert_eq!((shown["lifecycle_state"].as_str(), shown["diagnostics"]["code"].as_str()), (Some("failed"), Some("process_exited")));
        assert_eq!(t.machines().running(), before, "the old version serves as before");
        let failed = scene.olga.get("/api/v1/deployments?state=failed").await.ok().json();
        assert_eq!(failed["items"][0]["reason"], "The server exited with status 3.");
        assert!(scene.olga.page("/releases/2").await.ok().html.contains("Read its log."));
        t.everything_holds().await;
    }

    async fn a_cancelled_release_leaves_everything_as_it_was(t: T) {
        let scene = scene(&t, "development").await;
        let release = asked(&scene, &version(&scene, "2.0").await).await;
        t.strike().at("recorded", "start");
        operations::work(t.app(), "test").await.unwrap();
        assert_eq!(t.machines().running().len(), 1);
        scene.olga.post("/api/v1/releases/1/cancel", json!({})).await.ok();
        t.at("2026-03-31T12:01:00Z");
        work(&t).await;
        assert_eq!(state(&scene, &release).await, "cancelled");
        assert!(t.machines().running().is_empty());
        scene.olga.post("/api/v1/releases/1/cancel", json!({})).await.refused(409, "wrong_transition");
        t.everything_holds().await;
    }

    async fn a_rollback_brings_the_earlier_version_back_and_reopens_the_pair(t: T) {
        let scene = scene(&t, "production").await;
        let (one, two) = (version(&scene, "1.0").await, version(&scene, "2.0").await);
        released(&t, &scene, &one).await;
        let release = released(&t, &scene, &two).await;
        let task = t.number("SELECT MAX(task_id) FROM deployment_tasks").await.to_string();
        let page = scene.anna.page("/my-deployment-tasks").await.ok();
        assert_eq!(page.text(&format!("button[form=ratify][value='{task}']")), "Ratify");
        scene.anna.submit(&page, "form#ratify", &[("task_id", &task)]).await.ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM deployment_tasks WHERE status = 'CONFIRMED'").await, 1);
        let never = scene.model.version("3.0").artifact(&"b".repeat(64)).approved().await;
        let address = format!("/api/v1/releases/{}/rollback", release["release_id"]);
        let body = json!({ "version_id": never.id, "reason": "Worse scores" });
        scene.olga.post(&address, body).await.refused(409, "never_applied");
        let body = json!({ "version_id": two.id, "reason": "Worse scores" });
        assert_eq!(scene.olga.post(&address, body).await.refused(422, "invalid").problem_fields(), ["version_id"]);
        let body = json!({ "version_id": one.id, "reason": "Worse scores" });
        let back = scene.olga.post(&address, body).await.expect(201).json();
        assert_eq!(back["kind"], "rollback");
        let body = json!({ "preview_ref": back["preview_ref"], "apply_on_approval": true });
        scene.olga.post("/api/v1/releases", body).await.expect(201);
        let otto = t.person("Otto").role(Role::Operator).await;
        let mine = otto.get("/api/v1/approvals/inbox?view=mine&status=pending").await.ok().json();
        let ticket = &mine["items"][0];
        assert_eq!(ticket["kind"], "rollback_approval");
        let address = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
        otto.post(&address, json!({})).if_match(ticket["revision"].as_i64().unwrap()).await.ok();
        work(&t).await;
        assert_eq!(state(&scene, &release).await, "rollback");
        let ready = scene.anna.get("/api/v1/deployment-tasks/ready-to-deploy").await.ok().json();
        let numbers: Vec<_> = ready["items"].as_array().unwrap().iter().map(|one| one["version_number"].as_str().unwrap()).collect();
        assert!(numbers.contains(&"2.0"), "what was rolled back is ready again: {numbers:?}");
        t.everything_holds().await;
    }

    async fn two_who_apply_at_once_make_one_release(t: T) {
        let scene = scene(&t, "development").await;
        let two = version(&scene, "2.0").await;
        let (first, second) = (preview(&scene, &two).await, preview(&scene, &two).await);
        let ask = |preview: Value| scene.olga.post("/api/v1/releases", json!({ "preview_ref": preview["preview_ref"] }));
        let (one, other) = tokio::join!(async { ask(first).await }, async { ask(second).await });
        let mut statuses = [one.status(), other.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{} {}", one.text(), other.text());
        let (one, other) = tokio::join!(operations::work(t.app(), "one"), operations::work(t.app(), "other"));
        assert!(one.unwrap() != other.unwrap(), "one worker has it, the other finds nothing");
        assert_eq!(t.machines().taken(), ["start", "verify", "shift"]);
        t.everything_holds().await;
    }

    async fn a_crash_at_any_instant_of_any_step_is_made_good(t: T) {
        let scene = scene(&t, "development").await;
        released(&t, &scene, &version(&scene, "1.0").await).await;
        let mut minute = 0;
        let mut number = 2;
        for step in ["check", "start", "verify", "shift", "stop", "end"] {
            for instant in ["before", "begun", "taken", "recorded"] {
                if step == "end" && instant != "before" {
                    continue;
                }
                let next = version(&scene, &format!("{number}.0")).await;
                let release = asked(&scene, &next).await;
                t.strike().at(instant, step);
                operations::work(t.app(), "struck down").await.unwrap();
                assert!(!t.strike().waits(), "it was struck {instant} {step}");
                assert_eq!(state(&scene, &release).await, "applying");
                assert!(!operations::work(t.app(), "other").await.unwrap(), "the lease holds");
                minute += 1;
                t.at(&format!("2026-03-31T12:{minute:02}:00Z"));
                work(&t).await;
                assert_eq!(state(&scene, &release).await, "applied", "{instant} {step}");
                assert_eq!(t.machines().running().len(), 1, "one server after a crash {instant} {step}");
                number += 1;
            }
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM deployments WHERE state = 'active'").await, 1);
        t.everything_holds().await;
    }

    async fn a_crash_on_the_way_back_is_made_good(t: T) {
        let scene = scene(&t, "development").await;
        released(&t, &scene, &version(&scene, "1.0").await).await;
        let before = t.machines().running();
        for (at, instant) in ["before", "begun", "taken", "recorded"].into_iter().enumerate() {
            let release = asked(&scene, &version(&scene, &format!("{}.0", at + 2)).await).await;
            t.machines().fail_at("shift");
            t.strike().at(instant, "stop");
            operations::work(t.app(), "struck down").await.unwrap();
            t.at(&format!("2026-03-31T12:{:02}:00Z", at + 1));
            work(&t).await;
            assert_eq!(state(&scene, &release).await, "failed");
            assert_eq!(t.machines().running(), before, "{instant}");
        }
        t.everything_holds().await;
    }

    async fn a_deployment_is_paused_resumed_and_retired(t: T) {
        let scene = scene(&t, "development").await;
        released(&t, &scene, &version(&scene, "2.0").await).await;
        let act = async |verb: &str, status: u16| {
            scene.anna.post(&format!("/api/v1/deployments/1/{verb}"), json!({})).await.expect(status).json()
        };
        assert_eq!(act("pause", 200).await["state"], "paused");
        assert_eq!(act("pause", 409).await["code"], "wrong_transition");
        deployments::observe_all(t.app()).await.unwrap();
        assert_eq!(scene.anna.get("/api/v1/deployments/1").await.ok().json()["state"], "paused");
        assert_eq!(act("resume", 200).await["state"], "active");
        assert_eq!(act("retire", 200).await["state"], "retired");
        assert!(t.machines().running().is_empty());
        assert_eq!(act("resume", 409).await["code"], "wrong_transition");
        t.everything_holds().await;
    }

    async fn what_dies_and_what_runs_other_bytes_is_seen(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        released(&t, &scene, &two).await;
        let confirm = json!({ "actual_production_date": t.today() });
        scene.anna.patch("/api/v1/deployment-tasks/1/confirm", confirm).await.ok();
        t.machines().swap_bytes();
        deployments::observe_all(t.app()).await.unwrap();
        let drift = scene.olga.get("/api/v1/drift").await.ok().json();
        assert_eq!(drift["items"][0]["kind"], "digest_differs");
        t.machines().kill_all();
        deployments::observe_all(t.app()).await.unwrap();
        let shown = scene.anna.get("/api/v1/deployments/1").await.ok().json();
        assert_eq!((shown["state"].as_str(), shown["reason"].as_str()), (Some("failed"), Some("Its server is down: It was killed.")));
        let kinds: Vec<_> = scene.olga.get("/api/v1/drift").await.ok().json()["items"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
        assert!(kinds.contains(&json!("ratified_not_running")), "{kinds:?}");
        assert_eq!(scene.uk.code, "UK");
        t.everything_holds().await;
    }
}
