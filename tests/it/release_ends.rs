//! How releases wait and end: too late, superseded, through a freeze, in another's way, and under older names.

use countersign::approvals::expire_due;
use countersign::db::Query;
use countersign::identity::Role;
use countersign::releases;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Person;
use crate::releases::{Scene, approved, asked, preview, released, scene, state, version, work};

/// Asks for a release that somebody will apply.
async fn asked_to_apply(scene: &Scene, preview: &Value) -> Value {
    scene.olga.post("/api/v1/releases", json!({ "preview_ref": preview["preview_ref"] })).await.expect(201).json()
}

async fn ticket(who: &Person, number: i64) -> Value {
    who.get(&format!("/api/v1/approvals/inbox/{number}")).await.ok().json()
}

async fn approve(who: &Person, number: i64) {
    let revision = ticket(who, number).await["revision"].as_i64().unwrap();
    who.post(&format!("/api/v1/approvals/inbox/{number}/approve"), json!({})).if_match(revision).await.ok();
}

/// What happened to a release, by name.
async fn events(scene: &Scene, release: &Value) -> Vec<String> {
    let path = format!("/api/v1/releases/{}/timeline", release["release_id"]);
    let events = scene.olga.get(&path).await.ok().json();
    events["items"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap().to_owned()).collect()
}

async fn freeze(scene: &Scene) {
    let window =
        json!({ "starts_at": "2026-03-31T00:00:00Z", "ends_at": "2026-04-03T00:00:00Z", "reason": "Quarter end" });
    scene.olga.post("/api/v1/environments/1/freeze-windows", window).await.expect(201);
}

const WHY: &str = "The model in use is wrong for everybody";

both! {
    async fn a_release_that_nobody_decides_on_expires_and_is_asked_for_anew(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let release = asked(&scene, &two).await;
        t.advance(13);
        assert_eq!(expire_due(t.app()).await.unwrap(), 0, "it was due after seven days, and waits seven more");
        t.advance(2);
        assert_eq!(expire_due(t.app()).await.unwrap(), 1);
        assert_eq!(state(&scene, &release).await, "expired");
        assert_eq!(events(&scene, &release).await[0], "release.expired");
        scene.olga.post("/api/v1/approvals/inbox/1/ask-again", json!({})).await.refused(409, "conflict");
        assert!(!scene.olga.page("/inbox/1").await.ok().has("form[action$='/ask-again']"));
        scene.greta.post("/api/v1/approvals/inbox/1/approve", json!({})).if_match(2).await.refused(409, "ticket_not_open");
        let body = json!({ "preview_ref": release["preview_ref"] });
        scene.olga.post("/api/v1/releases/1/apply", body.clone()).await.refused(409, "wrong_transition");
        scene.olga.post("/api/v1/releases", body).await.refused(409, "preview_used");
        released(&t, &scene, &two).await;
        t.everything_holds().await;
    }

    async fn an_approval_that_nobody_makes_use_of_runs_out(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let release = asked_to_apply(&scene, &preview).await;
        approved(&scene).await;
        assert_eq!(state(&scene, &release).await, "approved");
        t.advance(6);
        assert_eq!(releases::expire_due(t.app()).await.unwrap(), 0);
        t.advance(1);
        let body = json!({ "preview_ref": preview["preview_ref"] });
        let refused = scene.olga.post("/api/v1/releases/1/apply", body).await.refused(409, "wrong_transition").json();
        assert_eq!(refused["lifecycle_state"], "expired");
        assert_eq!(releases::expire_due(t.app()).await.unwrap(), 1);
        assert_eq!(state(&scene, &release).await, "expired");
        assert!(scene.olga.page("/releases/1").await.ok().html.contains("nobody applied it in time"));
        t.everything_holds().await;
    }

    async fn a_release_asked_for_again_takes_the_place_of_the_one_that_waits(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let other = asked(&scene, &version(&scene, "3.0").await).await;
        let first = asked(&scene, &two).await;
        let second = asked(&scene, &two).await;
        assert_eq!((state(&scene, &first).await, state(&scene, &second).await), ("cancelled".to_owned(), "pending_approval".to_owned()));
        assert_eq!(state(&scene, &other).await, "pending_approval", "another version waits on");
        let old = ticket(&scene.greta, 2).await;
        assert_eq!((&old["state"], &old["superseded_by_id"]), (&json!("cancelled"), &json!(3)));
        scene.greta.post("/api/v1/approvals/inbox/2/approve", json!({})).if_match(old["revision"].as_i64().unwrap()).await.refused(409, "ticket_not_open");
        assert!(scene.olga.page("/releases/2").await.ok().html.contains("Release 3 was asked for in its place."));
        approve(&scene.greta, 3).await;
        work(&t).await;
        assert_eq!(state(&scene, &second).await, "applied");
        t.everything_holds().await;
    }

    async fn an_approved_release_gives_way_to_a_newer_one_too(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let first = asked_to_apply(&scene, &preview).await;
        approved(&scene).await;
        let second = asked(&scene, &two).await;
        assert_eq!((state(&scene, &first).await, state(&scene, &second).await), ("cancelled".to_owned(), "pending_approval".to_owned()));
        let body = json!({ "preview_ref": preview["preview_ref"] });
        scene.olga.post("/api/v1/releases/1/apply", body).await.refused(409, "wrong_transition");
        t.everything_holds().await;
    }

    async fn a_release_goes_into_a_freeze_once_a_second_person_agrees(t: T) {
        let scene = scene(&t, "production").await;
        let both = t.person("Bo").role(Role::Operator).role(Role::GlobalApprover).await;
        freeze(&scene).await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let ask = async |why: &str| both.post("/api/v1/releases", json!({ "preview_ref": preview["preview_ref"], "freeze_reason": why, "apply_on_approval": true })).await;
        ask("").await.refused(409, "freeze_window");
        assert_eq!(ask("urgent").await.refused(422, "invalid").problem_fields(), ["freeze_reason"]);
        let release = ask(WHY).await.expect(201).json();
        let kinds: Vec<_> = release["tickets"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["release_approval", "freeze_override"]);
        both.post("/api/v1/approvals/inbox/2/approve", json!({})).if_match(1).await.refused(403, "not_eligible");
        approve(&scene.greta, 1).await;
        assert_eq!(state(&scene, &release).await, "pending_approval", "the freeze still stands in its way");
        approve(&scene.greta, 2).await;
        work(&t).await;
        assert_eq!(state(&scene, &release).await, "applied");
        t.everything_holds().await;
    }

    async fn who_agrees_to_one_freeze_has_not_agreed_to_the_next(t: T) {
        let scene = scene(&t, "development").await;
        freeze(&scene).await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let body = json!({ "preview_ref": preview["preview_ref"], "freeze_reason": WHY });
        let release = scene.olga.post("/api/v1/releases", body).await.expect(201).json();
        approved(&scene).await;
        assert_eq!(state(&scene, &release).await, "approved");
        t.advance(3);
        let next = json!({ "starts_at": t.now(), "ends_at": t.now() + chrono::TimeDelta::days(1), "reason": "An audit" });
        scene.olga.post("/api/v1/environments/1/freeze-windows", next).await.expect(201);
        let apply = json!({ "preview_ref": preview["preview_ref"] });
        scene.olga.post("/api/v1/releases/1/apply", apply.clone()).await.refused(409, "freeze_window");
        t.advance(1);
        scene.olga.post("/api/v1/releases/1/apply", apply).await.ok();
        work(&t).await;
        assert_eq!(state(&scene, &release).await, "applied");
    }

    async fn a_freeze_that_a_second_person_does_not_lift_keeps_the_release_out(t: T) {
        let scene = scene(&t, "development").await;
        freeze(&scene).await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let body = json!({ "preview_ref": preview["preview_ref"], "freeze_reason": WHY });
        let release = scene.olga.post("/api/v1/releases", body).await.expect(201).json();
        scene.greta.post("/api/v1/approvals/inbox/1/reject", json!({ "comment": "It can wait until Friday" })).if_match(1).await.ok();
        assert_eq!(state(&scene, &release).await, "rejected");
        work(&t).await;
        assert!(t.machines().running().is_empty());
    }

    async fn a_reason_without_a_freeze_opens_none_that_comes_later(t: T) {
        let scene = scene(&t, "production").await;
        let two = version(&scene, "2.0").await;
        let preview = preview(&scene, &two).await;
        let body = json!({ "preview_ref": preview["preview_ref"], "freeze_reason": WHY });
        let release = scene.olga.post("/api/v1/releases", body).await.expect(201).json();
        assert_eq!(release["freeze_reason"], Value::Null);
        freeze(&scene).await;
        approved(&scene).await;
        let body = json!({ "preview_ref": preview["preview_ref"] });
        scene.olga.post("/api/v1/releases/1/apply", body).await.refused(409, "freeze_window");
    }

    async fn of_two_who_apply_approved_releases_at_once_one_finds_the_environment_busy(t: T) {
        let scene = scene(&t, "production").await;
        let mut previews = Vec::new();
        for number in ["2.0", "3.0"] {
            let preview = preview(&scene, &version(&scene, number).await).await;
            asked_to_apply(&scene, &preview).await;
            previews.push(preview);
        }
        approved(&scene).await;
        let both = previews.into_iter().zip(1..).map(|(preview, release)| {
            let olga = scene.olga.clone();
            let body = json!({ "preview_ref": preview["preview_ref"] });
            tokio::spawn(async move { olga.post(&format!("/api/v1/releases/{release}/apply"), body).await })
        });
        let answers: Vec<_> = join_all(both).await.into_iter().map(Result::unwrap).collect();
        let mut statuses: Vec<_> = answers.iter().map(crate::client::Answer::status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let refused = answers.iter().find(|one| one.status() == 409).unwrap();
        assert_eq!(refused.problem_code(), "environment_busy");
        work(&t).await;
        assert_eq!(t.machines().running().len(), 1);
        t.everything_holds().await;
    }

    async fn rows_of_older_systems_read_filter_and_roll_back_as_todays(t: T) {
        let scene = scene(&t, "production").await;
        let (one, two) = (version(&scene, "1.0").await, version(&scene, "2.0").await);
        // As an import writes them: releases of long ago, under the names of then.
        let mut act = t.act().await;
        for (name, version, state) in [("old-1", &one, "rolled_back"), ("old-2", &two, "succeeded")] {
            Query::new(
                "INSERT INTO release_previews (preview_ref, environment_id, version_id, model_id, kind, covers, digest, plan,
                     checks, warnings, requested_by_id, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, 'release', '{}', '', $5, '[]', '[]', $6, $7, $7)",
            )
            .bind(name).bind(scene.environment).bind(version.id).bind(scene.model.id)
            .bind(json!({ "live": { "gateway": null, "models": {} }, "steps": [], "undo": [], "rendered": "", "diff": "", "warnings": [] }).to_string())
            .bind(scene.olga.id).bind(t.now()).run(&mut act.tx).await.unwrap();
            Query::new(
                "INSERT INTO releases (environment_id, model_id, version_id, kind, lifecycle_state, preview_ref, requested_by_id,
                     created_at, ended_at) VALUES ($1, $2, $3, 'release', $4, $5, $6, $7, $7)",
            )
            .bind(scene.environment).bind(scene.model.id).bind(version.id).bind(state).bind(name).bind(scene.olga.id).bind(t.now())
            .run(&mut act.tx).await.unwrap();
        }
        act.commit().await.unwrap();
        assert_eq!(state(&scene, &json!({ "release_id": 1 })).await, "rollback");
        for (filter, number) in [("applied", "2.0"), ("rollback", "1.0")] {
            let listed = scene.olga.get(&format!("/api/v1/releases?lifecycle_state={filter}")).await.ok().json();
            let numbers: Vec<_> = listed["items"].as_array().unwrap().iter().map(|one| one["version_number"].as_str().unwrap()).collect();
            assert_eq!(numbers, [number]);
        }
        scene.olga.post("/api/v1/releases/2/cancel", json!({})).await.refused(409, "wrong_transition");
        let page = scene.olga.page("/releases/2").await.ok();
        assert_eq!(page.texts("form[action$='/rollback'] option"), ["1.0"]);
        let back = scene.olga.post("/api/v1/releases/2/rollback", json!({ "version_id": one.id, "reason": "Worse" })).await.expect(201).json();
        asked_to_apply(&scene, &back).await;
        let otto = t.person("Otto").role(Role::Operator).await;
        approve(&otto, 1).await;
        scene.olga.post("/api/v1/releases/3/apply", json!({ "preview_ref": back["preview_ref"] })).await.ok();
        work(&t).await;
        assert_eq!(state(&scene, &json!({ "release_id": 3 })).await, "applied");
        assert_eq!(state(&scene, &json!({ "release_id": 2 })).await, "rollback");
    }
}
