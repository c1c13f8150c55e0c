//! Environments: who manages and who sees them, what they are made of, when nothing is released.

use countersign::identity::Role;
use serde_json::json;

use crate::both;

both! {
    async fn an_operator_adds_an_environment_and_it_gets_an_endpoint_of_its_own(t: T) {
        let uk = t.region("UK").await;
        let olga = t.person("Olga").role(Role::Operator).await;
        let body = json!({ "name": "uk-production", "region_id": uk.id, "stage": "production" });
        let made = olga.post("/api/v1/environments", body.clone()).await.expect(201).json();
        assert_eq!(made["endpoint"], "127.0.0.1:7101");
        assert_eq!(made["approval_required"], true, "in production a release waits for its approval");
        assert_eq!((made["state"].as_str(), made["preview_minutes"].as_i64()), (Some("ready"), Some(30)));
        olga.post("/api/v1/environments", body).await.refused(409, "conflict");
        let second = json!({ "name": "uk-development", "region_id": uk.id, "stage": "development" });
        let second = olga.post("/api/v1/environments", second).await.expect(201).json();
        assert_eq!(second["endpoint"], "127.0.0.1:7102");
        assert_eq!(second["approval_required"], false);
        let page = olga.page("/environments").await.ok();
        assert!(page.html.contains("uk-production") && page.html.contains("uk-development"));
        t.everything_holds().await;
    }

    async fn an_environment_that_cannot_be_is_refused_with_its_fields(t: T) {
        let olga = t.person("Olga").role(Role::Operator).await;
        let body = json!({ "name": " ", "region_id": 9, "stage": "production", "endpoint": "somewhere", "preview_minutes": 0 });
        let refused = olga.post("/api/v1/environments", body).await.refused(422, "invalid");
        assert_eq!(refused.problem_fields(), ["endpoint", "region_id", "preview_minutes", "name"]);
    }

    async fn only_administrators_and_operators_manage_environments(t: T) {
        let uk = t.region("UK").await;
        let us = t.region("US").await;
        let olga = t.person("Olga").role(Role::Operator).await;
        let anna = t.person("Anna").await;
        t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await;
        for (name, region) in [("uk-staging", &uk), ("us-staging", &us)] {
            let body = json!({ "name": name, "region_id": region.id, "stage": "staging" });
            anna.post("/api/v1/environments", body.clone()).await.refused(403, "forbidden");
            olga.post("/api/v1/environments", body).await.expect(201);
        }
        let seen = anna.get("/api/v1/environments").await.ok().json();
        let names: Vec<_> = seen["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["uk-staging"], "a member sees the environments of the regions their models are used in");
        anna.get("/api/v1/environments/2").await.refused(404, "not_found");
        anna.page("/environments/1").await.ok();
        anna.page("/environments/2").await.expect(404);
        anna.page("/environments/new").await.expect(403);
        let otto = t.person("Otto").role(Role::Auditor).await;
        assert_eq!(otto.get("/api/v1/environments").await.ok().json()["items"].as_array().unwrap().len(), 2);
    }

    async fn a_change_decided_on_an_older_state_is_refused(t: T) {
        let uk = t.region("UK").await;
        let olga = t.person("Olga").role(Role::Operator).await;
        let body = json!({ "name": "uk-staging", "region_id": uk.id, "stage": "staging" });
        let made = olga.post("/api/v1/environments", body.clone()).await.expect(201);
        let changed = json!({ "name": "uk-rehearsal", "region_id": uk.id, "stage": "staging", "preview_minutes": 5 });
        let after = olga.put("/api/v1/environments/1", changed.clone()).if_match(made.revision()).await.ok();
        assert_eq!((after.json()["name"].as_str(), after.revision()), (Some("uk-rehearsal"), 2));
        olga.put("/api/v1/environments/1", changed).if_match(made.revision()).await.refused(412, "stale");
    }

    async fn a_freeze_window_shows_while_it_is_open(t: T) {
        let uk = t.region("UK").await;
        let olga = t.person("Olga").role(Role::Operator).await;
        let body = json!({ "name": "uk-production", "region_id": uk.id, "stage": "production" });
        olga.post("/api/v1/environments", body).await.expect(201);
        let window = json!({ "starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-04-03T00:00:00Z", "reason": "Quarter end" });
        let detail = olga.post("/api/v1/environments/1/freeze-windows", window).await.expect(201).json();
        assert_eq!(detail["freeze_windows"].as_array().unwrap().len(), 1);
        assert!(detail["frozen_until"].is_null(), "it is still the day before");
        t.at("2026-04-02T12:00:00Z");
        let open = olga.get("/api/v1/environments/1").await.ok().json();
        assert_eq!(open["frozen_reason"], "Quarter end");
        assert!(olga.page("/environments/1").await.ok().html.contains("Quarter end"));
        let backwards = json!({ "starts_at": "2026-04-05T00:00:00Z", "ends_at": "2026-04-04T00:00:00Z", "reason": "" });
        let refused = olga.post("/api/v1/environments/1/freeze-windows", backwards).await.refused(422, "invalid");
        assert_eq!(refused.problem_fields(), ["reason", "ends_at"]);
        let thawed = olga.delete("/api/v1/environments/1/freeze-windows/1").await.ok().json();
        assert!(thawed["frozen_until"].is_null());
        olga.delete("/api/v1/environments/1/freeze-windows/1").await.refused(404, "not_found");
        t.everything_holds().await;
    }

    async fn the_form_of_an_environment_keeps_what_was_typed(t: T) {
        let uk = t.region("UK").await;
        let olga = t.person("Olga").role(Role::Operator).await;
        let region = uk.id.to_string();
        let form = olga.page("/environments/new").await.ok();
        let fields = [("name", "uk-production"), ("region_id", region.as_str()), ("stage", "production"), ("endpoint", "nowhere")];
        let again = olga.submit(&form, "#modal form", &fields).await.expect(422);
        assert_eq!(again.attribute("#endpoint", "value"), "nowhere");
        assert!(again.has("#endpoint-error"));
        let made = olga.submit(&again, "#modal form", &[("endpoint", "")]).await.ok();
        assert!(made.html.contains("A release waits for its approval"));
    }
}
