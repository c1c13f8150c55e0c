//! The inventory over HTTP: regions, projects, models, versions and their artifacts.

use axum::http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::both;
use crate::builder::{Model, Person, Region};
use crate::harness::T;

struct Scene {
    admin: Person,
    anna: Person,
    uk: Region,
    us: Region,
    model: Model,
}

async fn scene(t: &T) -> Scene {
    let (uk, us) = (t.region("UK").requires_approval().await, t.region("US").await);
    let (admin, anna) = (t.admin().await, t.person("Anna").await);
    let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk, &us]).await;
    Scene { admin, anna, uk, us, model }
}

fn change(kind: &str) -> Value {
    json!({ "change_type": kind, "scope": "GLOBAL", "description": "Recalibrated." })
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What a model is made of, as `PUT` wants it, from what `GET` showed.
pub fn body_of(view: &Value) -> Value {
    let regions: Vec<Value> = view["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!({ "region_id": one["region_id"], "regional_owner_id": one["regional_owner_id"] }))
        .collect();
    json!({
        "name": view["name"], "description": view["description"], "owner_id": view["owner_id"],
        "developer_id": view["developer_id"], "project_id": view["project_id"], "risk_tier": view["risk_tier"],
        "status": view["status"], "regions": regions,
    })
}

both! {
    async fn an_administrator_builds_an_inventory_from_nothing(t: T) {
        let admin = t.admin().await;
        let region = json!({ "code": "JP", "name": "Japan", "time_zone": "Asia/Tokyo", "requires_regional_approval": true });
        let region = admin.post("/api/v1/regions", region).await.expect(201).json();
        let team = admin.post("/api/v1/teams", json!({ "name": "Risk" })).await.expect(201).json();
        let project = json!({ "name": "Basel", "team_id": team["team_id"] });
        let project = admin.post("/api/v1/projects", project).await.expect(201).json();
        let model = json!({
            "name": "LGD", "owner_id": admin.id, "project_id": project["project_id"], "risk_tier": "TIER_1",
            "regions": [{ "region_id": region["region_id"], "regional_owner_id": admin.id }],
        });
        let answer = admin.post("/api/v1/models", model.clone()).await.expect(201);
        let made = answer.json();
        assert_eq!((made["status"].as_str(), made["team_name"].as_str()), (Some("IN_DEVELOPMENT"), Some("Risk")));
        assert_eq!(made["regions"][0]["regional_owner_name"], "Ada Admin");
        assert_eq!(answer.revision(), 1);
        admin.post("/api/v1/models", model).await.refused(409, "conflict");
        t.everything_holds().await;
    }

    async fn wrong_fields_are_named_all_at_once(t: T) {
        let admin = t.admin().await;
        let region = json!({ "code": " ", "name": "", "time_zone": "Europe/Atlantis" });
        let refused = admin.post("/api/v1/regions", region).await.refused(422, "invalid");
        assert_eq!(refused.problem_fields(), ["code", "name", "time_zone"]);
        let model = json!({ "name": "X", "owner_id": 999, "project_id": 999, "risk_tier": "TIER_1", "regions": [{ "region_id": 999 }] });
        let refused = admin.post("/api/v1/models", model).await.refused(422, "invalid");
        assert_eq!(refused.problem_fields(), ["owner_id", "project_id", "regions"]);
    }

    async fn a_member_sees_only_related_models_and_may_not_add_one(t: T) {
        let Scene { anna, model, .. } = scene(&t).await;
        let bob = t.person("Bob").await;
        t.model("Fraud").owned_by(&bob).await;
        let list = anna.get("/api/v1/models").await.ok().assert_statements_at_most(5).json();
        assert_eq!(list["total_count"], 1);
        assert_eq!(list["items"][0]["name"], "PD Mortgage");
        assert_eq!(list["items"][0]["regions"], json!(["UK", "US"]));
        bob.get(&format!("/api/v1/models/{}", model.id)).await.refused(404, "not_found");
        bob.page(&format!("/models/{}", model.id)).await.expect(404);
        bob.post(&format!("/api/v1/models/{}/versions", model.id), change("MAJOR")).await.refused(404, "not_found");
        anna.post("/api/v1/models", body_of(&anna.get(&format!("/api/v1/models/{}", model.id)).await.json()))
            .await.refused(403, "forbidden");
    }

    async fn the_list_pages_sorts_and_filters(t: T) {
        let Scene { admin, anna, uk, .. } = scene(&t).await;
        for name in ["Alpha", "Beta 100%", "Gamma"] {
            t.model(name).owned_by(&anna).tier("TIER_1").in_regions([&uk]).await;
        }
        let names = |list: &Value| -> Vec<String> {
            list["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        for (sort, expected) in [
            ("name", ["Alpha", "Beta 100%", "Gamma", "PD Mortgage"]),
            ("-name", ["PD Mortgage", "Gamma", "Beta 100%", "Alpha"]),
            ("tier", ["Alpha", "Beta 100%", "Gamma", "PD Mortgage"]),
            ("-status", ["Gamma", "Beta 100%", "Alpha", "PD Mortgage"]),
            ("-created", ["Gamma", "Beta 100%", "Alpha", "PD Mortgage"]),
            ("created", ["PD Mortgage", "Alpha", "Beta 100%", "Gamma"]),
        ] {
            let first = admin.get(&format!("/api/v1/models?limit=3&sort={sort}")).await.ok().json();
            let next = first["next_cursor"].as_str().unwrap();
            let rest = admin.get(&format!("/api/v1/models?limit=3&sort={sort}&cursor={next}")).await.ok().json();
            assert_eq!((first["total_count"].as_i64(), rest["total_count"].as_i64()), (Some(4), Some(4)));
            assert_eq!([names(&first), names(&rest)].concat(), expected, "sorted by {sort}");
        }
        assert_eq!(names(&admin.get("/api/v1/models?q=100%25").await.ok().json()), ["Beta 100%"]);
        assert_eq!(names(&admin.get("/api/v1/models?risk_tier=TIER_2").await.ok().json()), ["PD Mortgage"]);
        assert_eq!(names(&admin.get("/api/v1/models?owner=me").await.ok().json()), Vec::<String>::new());
        admin.get("/api/v1/models?owner=you").await.refused(422, "invalid");
    }

    async fn a_stale_change_of_a_model_is_refused_and_tasks_follow_a_new_owner(t: T) {
        let Scene { admin, anna, us, model, .. } = scene(&t).await;
        let bob = t.person("Bob").await;
        let version = model.version("2.0").approved().await;
        let task = version.scheduled_in(&[&us], "2030-01-01").await[0];
        let path = format!("/api/v1/models/{}", model.id);
        let seen = anna.get(&path).await.ok();
        let mut body = body_of(&seen.json());
        body["owner_id"] = json!(bob.id);
        anna.put(&path, body.clone()).await.refused(428, "precondition_required");
        admin.put(&path, body.clone()).if_match(seen.revision()).await.ok();
        admin.put(&path, body).if_match(seen.revision()).await.refused(412, "stale");
        let task = bob.get(&format!("/api/v1/deployment-tasks/{task}")).await.ok().json();
        assert_eq!(task["assigned_to_id"], json!(bob.id));
        t.everything_holds().await;
    }

    async fn a_region_with_an_open_task_stays(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        model.version("2.0").approved().await.scheduled_in(&[&us], "2030-01-01").await;
        let path = format!("/api/v1/models/{}", model.id);
        let seen = anna.get(&path).await.ok();
        let mut body = body_of(&seen.json());
        body["regions"] = json!([body["regions"][0]]);
        let refused = anna.put(&path, body).if_match(seen.revision()).await.refused(409, "conflict");
        assert_eq!(refused.json()["regions"], json!(["US"]));
        t.everything_holds().await;
    }

    async fn requiring_approval_in_a_region_locks_what_is_ready_there(t: T) {
        let Scene { admin, us, model, .. } = scene(&t).await;
        model.version("2.0").approved().validated_for([]).await;
        let body = json!({ "code": "US", "name": "US", "time_zone": "UTC", "requires_regional_approval": true });
        admin.put(&format!("/api/v1/regions/{}", us.id), body).await.ok();
        t.everything_holds().await;
    }

    async fn numbers_are_suggested_and_never_given_twice(t: T) {
        let Scene { anna, model, .. } = scene(&t).await;
        let versions = format!("/api/v1/models/{}/versions", model.id);
        let first = anna.post(&versions, change("MAJOR")).await.expect(201).json();
        assert_eq!((first["version_number"].as_str(), first["status"].as_str()), (Some("1.0"), Some("DRAFT")));
        assert_eq!(anna.post(&versions, change("MINOR")).await.expect(201).json()["version_number"], "1.1");
        let mut by_hand = change("MINOR");
        by_hand["version_number"] = json!("v1.7.0");
        let third = anna.post(&versions, by_hand.clone()).await.expect(201).json();
        assert_eq!(third["version_number"], "1.7.0");
        by_hand["version_number"] = json!("1.7");
        anna.post(&versions, by_hand.clone()).await.refused(409, "conflict");
        anna.delete(&format!("/api/v1/versions/{}", third["version_id"])).await.ok();
        anna.post(&versions, by_hand.clone()).await.refused(409, "conflict");
        by_hand["version_number"] = json!("seven");
        assert_eq!(anna.post(&versions, by_hand).await.refused(422, "invalid").problem_fields(), ["version_number"]);
        let outlook = anna.get(&format!("/api/v1/models/{}/version-outlook", model.id)).await.ok().json();
        assert_eq!((outlook["next_major"].as_str(), outlook["next_minor"].as_str()), (Some("2.0"), Some("1.8")));
        t.everything_holds().await;
    }

    async fn regions_and_dates_of_a_change_must_fit(t: T) {
        let Scene { anna, uk, model, .. } = scene(&t).await;
        let jp = t.region("JP").await;
        let versions = format!("/api/v1/models/{}/versions", model.id);
        let mut body = change("MAJOR");
        body["scope"] = json!("REGIONAL");
        assert_eq!(anna.post(&versions, body.clone()).await.refused(422, "invalid").problem_fields(), ["affected_region_ids"]);
        body["affected_region_ids"] = json!([jp.id]);
        body["planned_production_date"] = json!("2020-01-01");
        let refused = anna.post(&versions, body.clone()).await.refused(422, "invalid");
        assert_eq!(refused.problem_fields(), ["affected_region_ids", "planned_production_date"]);
        body["affected_region_ids"] = json!([uk.id]);
        body["planned_production_date"] = json!(t.today());
        let made = anna.post(&versions, body).await.expect(201).json();
        assert_eq!(made["affected_region_ids"], json!([uk.id]));
        assert_eq!(made["targets"].as_array().unwrap().len(), 1);
    }

    async fn an_open_validation_blocks_the_next_version_and_the_page_says_so(t: T) {
        let Scene { anna, model, .. } = scene(&t).await;
        let open = model.version("2.0").in_validation().await;
        let versions = format!("/api/v1/models/{}/versions", model.id);
        let refused = anna.post(&versions, change("MINOR")).await.refused(409, "version_creation_blocked").json();
        assert_eq!(refused["blockers"][0]["version_id"], json!(open.id));
        assert_eq!(refused["blockers"][0]["request_id"], json!(open.request));
        let page = anna.page(&format!("/models/{}/versions/new", model.id)).await.ok();
        assert!(page.text("#modal").contains("2.0 is in an open validation"), "{}", page.text("#modal"));
        assert!(!page.has("#modal form"), "there is nothing to type");
        anna.delete(&format!("/api/v1/versions/{}", open.id)).await.refused(409, "version_in_use");
    }

    async fn the_three_truths_stand_side_by_side(t: T) {
        let Scene { anna, uk, model, .. } = scene(&t).await;
        let version = model.version("2.0").approved().validated_for([&uk]).await;
        let path = format!("/api/v1/versions/{}", version.id);
        let view = anna.get(&path).await.ok().assert_statements_at_most(5).json();
        assert_eq!(view["status"], "APPROVED");
        let said: Vec<_> = view["targets"].as_array().unwrap().iter().map(|one| one["agreement"].clone()).collect();
        assert_eq!(said, ["ready_to_deploy", "ready_to_deploy"]);
        let truths = anna.get(&format!("/api/v1/models/{}/truths", model.id)).await.ok().json();
        assert_eq!(truths["items"][0]["approved"]["version_number"], "2.0");
        assert_eq!(truths["items"][0]["ratified"], Value::Null);
        for page in [format!("/versions/{}", version.id), format!("/models/{}?tab=versions", model.id), format!("/models/{}", model.id)] {
            let page = anna.page(&page).await.ok();
            assert!(page.text(".truths").contains("Ready to deploy"), "{}", page.address);
            assert!(page.text(".truths").contains("Nothing observed"), "{}", page.address);
        }
    }

    async fn an_artifact_is_kept_by_its_digest_and_comes_back_as_a_file(t: T) {
        let Scene { anna, model, .. } = scene(&t).await;
        let version = model.version("2.0").await;
        let path = format!("/api/v1/versions/{}/artifact", version.id);
        let bytes = vec![7_u8; 300_000];
        let upload = |query: &str, bytes: &[u8]| {
            anna.request(Method::PUT, &format!("{path}?{query}")).body("application/octet-stream", bytes)
        };
        upload(&format!("digest={}", "0".repeat(64)), &bytes).await.refused(422, "digest_mismatch");
        anna.get(&path).await.refused(404, "not_found");
        let named = format!("file_name=..%2F..%2Fpd%22.onnx&digest={}", digest(&bytes));
        let view = upload(&named, &bytes).await.ok().json();
        assert_eq!(view["artifact_digest"], json!(digest(&bytes)));
        assert_eq!((view["artifact_name"].as_str(), view["artifact_size"].as_i64()), (Some("pd.onnx"), Some(300_000)));
        upload(&named, &bytes).await.ok();
        let file = anna.get(&path).await.ok();
        assert_eq!(file.bytes(), bytes);
        assert!(file.header("content-disposition").starts_with("attachment; filename=\"pd.onnx\""));
        let digest = digest(&bytes);
        let (head, tail) = digest.split_at(2);
        assert!(t.app().settings.data.join("artifacts").join(head).join(tail).exists());
        let left = std::fs::read_dir(t.app().settings.data.join("artifacts/incoming")).unwrap().count();
        assert_eq!(left, 0, "nothing half-written stays");
        anna.put(&format!("{path}-reference"), json!({ "digest": "xyz" })).await.refused(422, "invalid");
        let view = anna.put(&format!("{path}-reference"), json!({ "digest": "ab".repeat(32) })).await.ok().json();
        assert_eq!(view["artifact_stored"], false);
        anna.get(&path).await.refused(404, "not_found");
        t.everything_holds().await;
    }

    async fn a_planned_date_is_changed_on_what_was_read(t: T) {
        let Scene { anna, model, .. } = scene(&t).await;
        let path = format!("/api/v1/versions/{}", model.version("2.0").await.id);
        let seen = anna.get(&path).await.ok().revision();
        let day = json!({ "planned_production_date": "2099-12-31" });
        anna.patch(&path, day.clone()).await.refused(428, "precondition_required");
        let view = anna.patch(&path, day.clone()).if_match(seen).await.ok().json();
        assert_eq!(view["planned_production_date"], "2099-12-31");
        anna.patch(&path, day).if_match(seen).await.refused(412, "stale");
        anna.patch(&path, json!({})).if_match(seen + 1).await.refused(422, "invalid");
    }

    async fn the_pages_make_what_the_api_makes(t: T) {
        let Scene { admin, anna, uk, model, .. } = scene(&t).await;
        let page = admin.page("/regions/new").await.ok();
        let again = admin.submit(&page, "#modal form", &[("code", "DE"), ("name", "Germany"), ("time_zone", "Mars")]).await.expect(422);
        assert!(again.text("#time_zone-error").contains("IANA"));
        assert_eq!(again.attribute("#code", "value"), "DE", "what was typed stays");
        admin.submit(&again, "#modal form", &[("time_zone", "Europe/Berlin")]).await.ok();
        assert!(admin.page("/regions").await.ok().text("#regions").contains("Germany"));

        let page = anna.page(&format!("/models/{}/versions/new", model.id)).await.ok();
        let uk = uk.id.to_string();
        let fields = [("change_type", "MAJOR"), ("scope", "REGIONAL"), ("affected_region_ids", uk.as_str()), ("description", "<b>New</b> data")];
        let made = anna.submit(&page, "#modal form", &fields).await.ok();
        assert!(made.text(".kv").contains("<b>New</b> data"), "text is shown as text");
        assert_eq!(made.count(".truths tbody tr"), 1);

        let page = anna.page(&format!("/models/{}/edit", model.id)).await.ok();
        let renamed = anna.submit(&page, "#modal form", &[("name", "PD Retail")]).await.ok();
        assert_eq!(renamed.text("h1"), "PD Retail");
        assert_eq!(anna.page("/models").await.ok().assert_statements_at_most(5).count("#models tbody tr"), 1);
        anna.page(&format!("/models/{}", model.id)).await.ok();
        t.everything_holds().await;
    }
}
