//! Deployment tasks: made, confirmed, adjusted, cancelled, overridden (requirements/2).

use countersign::identity::Role;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person, Region, Version};
use crate::harness::T;

const REASON: &str = "Emergency fix, approved by the CRO by telephone";

/// An owner with a model in two regions, of which the UK requires its own approval.
struct Scene {
    anna: Person,
    us: Region,
    uk: Region,
    model: Model,
}

async fn scene(t: &T) -> Scene {
    let anna = t.person("Anna").await;
    let (us, uk) = (t.region("US").await, t.region("UK").requires_approval().await);
    let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
    Scene { anna, us, uk, model }
}

/// Schedules `version` in `region` and gives the task's number.
async fn schedule(person: &Person, version: &Version, region: &Region, date: &str) -> i64 {
    let body = json!({ "mode": "schedule", "regions": [{ "region_id": region.id, "planned_production_date": date }] });
    let answer = person.post(&format!("/api/v1/versions/{}/deploy", version.id), body).await.ok().json();
    answer["tasks"][0]["task_id"].as_i64().unwrap()
}

fn task(id: i64) -> String {
    format!("/api/v1/deployment-tasks/{id}")
}

fn confirm(id: i64) -> String {
    format!("{}/confirm", task(id))
}

fn on(date: &str) -> Value {
    json!({ "actual_production_date": date })
}

both! {
    async fn confirming_an_approved_version_makes_it_live(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;

        let done = anna.patch(&confirm(id), json!({ "actual_production_date": "2026-03-31", "confirmation_notes": "at 08:00" })).await.ok().json();

        assert_eq!(done["status"], "CONFIRMED");
        assert_eq!(done["actual_production_date"], "2026-03-31");
        assert_eq!(done["confirmed_by_name"], "Anna");
        assert_eq!(done["confirmation_notes"], "at 08:00");
        assert_eq!(done["deployed_before_validation_approved"], false);
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments WHERE live_to IS NULL").await, 1);
        let modal = anna.get(&format!("/api/v1/versions/{}/deploy-modal", version.id)).await.ok().json();
        let live: Vec<_> = modal["regions"].as_array().unwrap().iter().map(|one| one["live_version"].clone()).collect();
        assert_eq!(live, [json!(null), json!("2.1")], "UK, US");
    }

    async fn confirming_the_next_version_ends_what_was_live(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        for number in ["2.1", "2.2"] {
            let version = model.version(number).approved().await;
            let id = schedule(&anna, &version, &us, "2026-12-31").await;
            let today = t.today().to_string();
            anna.patch(&confirm(id), on(&today)).await.ok();
            t.advance(10);
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments WHERE live_to = '2026-04-10'").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments WHERE live_to IS NULL").await, 1);
    }

    async fn a_version_whose_validation_is_open_needs_an_override_with_a_reason(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").in_validation().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;

        let refused = anna.patch(&confirm(id), on("2026-03-31")).await.expect(400);
        assert_eq!(refused.problem_code(), "validation_not_approved");
        assert_eq!(refused.json()["requires_override"], true);
        assert_eq!(refused.json()["validation_status"], "IN_PROGRESS");
        assert!(refused.json()["policy"].as_str().unwrap().contains("override"));

        let short = anna.patch(&confirm(id), json!({ "actual_production_date": "2026-03-31", "validation_override_reason": "because" })).await.expect(422);
        assert_eq!(short.json()["fields"][0]["field"], "validation_override_reason");

        let done = anna.patch(&confirm(id), json!({ "actual_production_date": "2026-03-31", "validation_override_reason": REASON })).await.ok().json();
        assert_eq!(done["deployed_before_validation_approved"], true);
        assert_eq!(done["validation_override_reason"], REASON);
        assert_eq!(t.number("SELECT COUNT(*) FROM override_reviews WHERE state = 'OPEN'").await, 1);
    }

    async fn a_major_change_without_any_validation_needs_an_override_and_a_minor_one_does_not(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let major = model.version("2.0").await;
        let minor = model.version("1.1").minor().await;
        let (a, b) = (schedule(&anna, &major, &us, "2026-04-30").await, schedule(&anna, &minor, &us, "2026-04-30").await);
        let refused = anna.patch(&confirm(a), on("2026-03-31")).await.expect(400);
        assert_eq!(refused.json()["validation_status"], "NONE");
        anna.patch(&confirm(b), on("2026-03-31")).await.ok();
    }

    async fn a_reason_where_none_is_needed_is_refused_and_not_kept(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        let body = json!({ "actual_production_date": "2026-03-31", "validation_override_reason": REASON });
        assert_eq!(anna.patch(&confirm(id), body).await.expect(400).problem_code(), "override_not_needed");
        let now = anna.get(&task(id)).await.ok().json();
        assert_eq!((&now["status"], &now["validation_override_reason"]), (&json!("PENDING"), &json!(null)));
    }

    async fn a_second_confirmation_is_told_how_the_first_one_ended(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        anna.patch(&confirm(id), on("2026-03-31")).await.ok();
        let second = anna.patch(&confirm(id), on("2026-03-30")).await.expect(409);
        assert_eq!(second.problem_code(), "task_not_open");
        assert_eq!(second.json()["task"]["status"], "CONFIRMED");
        assert_eq!(second.json()["task"]["actual_production_date"], "2026-03-31");
    }

    async fn an_adjusted_task_is_as_open_as_a_pending_one(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        for date in ["2026-05-15", "2026-05-20"] {
            let body = json!({ "planned_production_date": date, "adjustment_reason": "Waiting for data" });
            let adjusted = anna.patch(&format!("{}/adjust", task(id)), body).await.ok().json();
            assert_eq!((&adjusted["status"], &adjusted["planned_production_date"]), (&json!("ADJUSTED"), &json!(date)));
        }
        let missing = anna.patch(&format!("{}/adjust", task(id)), json!({ "planned_production_date": "2026-05-15", "adjustment_reason": " " })).await.expect(422);
        assert_eq!(missing.json()["fields"][0]["field"], "adjustment_reason");
        let cancelled = anna.patch(&format!("{}/cancel", task(id)), json!({ "cancellation_reason": "Rolled back" })).await.ok().json();
        assert_eq!(cancelled["status"], "CANCELLED");
        assert_eq!(anna.patch(&confirm(id), on("2026-03-31")).await.expect(409).json()["task"]["status"], "CANCELLED");
    }

    async fn a_global_task_makes_the_version_live_in_every_target_region(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        let version = model.version("2.1").planned("2026-04-15").await;
        let approver = t.person("Glob").role(Role::GlobalApprover).await;
        t.approve(&version, &anna, &[&approver]).await;

        let tasks = anna.get("/api/v1/deployment-tasks/my-tasks").await.ok().json();
        assert_eq!(tasks["items"].as_array().unwrap().len(), 1);
        assert_eq!(tasks["items"][0]["region_id"], json!(null));
        let id = tasks["items"][0]["task_id"].as_i64().unwrap();
        anna.patch(&confirm(id), on("2026-03-31")).await.ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments WHERE live_to IS NULL").await, 2);
        assert_eq!(anna.get("/api/v1/deployment-tasks/ready-to-deploy").await.ok().json()["total_count"], 0);
    }

    async fn dates_in_the_future_or_before_the_version_are_refused(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        for date in ["2026-04-01", "2026-03-30"] {
            let refused = anna.patch(&confirm(id), on(date)).await.expect(422);
            assert_eq!(refused.json()["fields"][0]["field"], "actual_production_date", "{date}");
        }
        let broken = anna.patch(&confirm(id), json!({ "actual_production_date": "31/03/2026" })).await.expect(422);
        assert_eq!(broken.json()["fields"][0]["field"], "actual_production_date");
    }

    async fn the_future_begins_where_the_region_is(t: T) {
        let anna = t.person("Anna").await;
        let (tokyo, hawaii) = (t.region("JP").in_zone("Asia/Tokyo").await, t.region("HI").in_zone("Pacific/Honolulu").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&tokyo, &hawaii]).await;
        t.at("2026-03-31T16:00:00Z");
        let version = model.version("2.1").approved().await;
        let (a, b) = (schedule(&anna, &version, &tokyo, "2026-04-30").await, schedule(&anna, &version, &hawaii, "2026-04-30").await);
        anna.patch(&confirm(a), on("2026-04-01")).await.ok();
        anna.patch(&confirm(b), on("2026-04-01")).await.expect(422);
    }

    async fn a_locked_region_is_asked_and_confirmed_only_once_it_has_approved(t: T) {
        let Scene { anna, us, uk, model } = scene(&t).await;
        let approver = t.person("Rita").approver_of([&uk]).await;
        let version = model.version("2.1").validated_for([&us]).approved().await;
        let body = json!({ "mode": "now", "regions": [{ "region_id": us.id }, { "region_id": uk.id, "planned_production_date": "2026-04-02" }] });
        let answer = anna.post(&format!("/api/v1/versions/{}/deploy", version.id), body).await.ok().json();
        assert_eq!((&answer["confirmed"], &answer["scheduled"], &answer["approvals_asked"]), (&json!(1), &json!(1), &json!(1)));
        let id = answer["tasks"].as_array().unwrap().iter().find(|one| one["region_code"] == "UK").unwrap()["task_id"].as_i64().unwrap();

        let refused = anna.patch(&confirm(id), on("2026-03-31")).await.expect(409);
        assert_eq!(refused.problem_code(), "regional_approval_required");

        let inbox = approver.get("/api/v1/approvals/inbox?view=mine").await.ok().json();
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1);
        let ticket = inbox["items"][0]["ticket_id"].as_i64().unwrap();
        let revision = inbox["items"][0]["revision"].as_i64().unwrap();
        approver.post(&format!("/api/v1/approvals/inbox/{ticket}/approve"), json!({ "comment": "Fine" })).if_match(revision).await.ok();

        let done = anna.patch(&confirm(id), on("2026-03-31")).await.ok().json();
        assert_eq!(done["deployed_before_regional_approval"], false);
    }

    async fn a_locked_region_can_be_overridden_with_a_reason(t: T) {
        let Scene { anna, us, uk, model } = scene(&t).await;
        let version = model.version("2.1").validated_for([&us]).approved().await;
        let id = schedule(&anna, &version, &uk, "2026-04-30").await;
        let done = anna.patch(&confirm(id), json!({ "actual_production_date": "2026-03-31", "validation_override_reason": REASON })).await.ok().json();
        assert_eq!((&done["deployed_before_regional_approval"], &done["deployed_before_validation_approved"]), (&json!(true), &json!(false)));
    }

    async fn the_approval_that_comes_after_an_override_closes_its_review(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let (glob, rita) = (t.person("Glob").role(Role::GlobalApprover).await, t.person("Rita").approver_of([&t.region("EU").await]).await);
        let version = model.version("2.1").regional([&us]).await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        anna.patch(&confirm(id), json!({ "actual_production_date": "2026-03-31", "validation_override_reason": REASON })).await.ok();
        t.approve(&version, &anna, &[&glob, &rita]).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM override_reviews WHERE state = 'NOW_APPROVED'").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM approval_inbox_items WHERE kind = 'override_review' AND state = 'pending'").await, 0);
    }

    async fn compliance_reviews_an_override_and_never_the_person_who_did_it(t: T) {
        let us = t.region("US").await;
        let (cora, carl) = (t.person("Cora").role(Role::Compliance).await, t.person("Carl").role(Role::Compliance).await);
        let model = t.model("PD Mortgage").owned_by(&cora).in_regions([&us]).await;
        let version = model.version("2.1").await;
        let id = schedule(&cora, &version, &us, "2026-04-30").await;
        cora.patch(&confirm(id), json!({ "actual_production_date": "2026-03-31", "validation_override_reason": REASON })).await.ok();
        let inbox = carl.get("/api/v1/approvals/inbox?view=mine").await.ok().json();
        let ticket = inbox["items"][0]["ticket_id"].as_i64().unwrap();
        let (address, seen) = (format!("/api/v1/approvals/inbox/{ticket}/approve"), inbox["items"][0]["revision"].as_i64().unwrap());
        let body = json!({ "comment": "Plausible" });
        assert_eq!(cora.post(&address, body.clone()).if_match(seen).await.expect(403).problem_code(), "not_eligible");
        carl.post(&address, body).if_match(seen).await.ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM override_reviews WHERE state = 'ACCEPTED'").await, 1);
    }

    async fn strangers_get_404_and_lookers_on_403(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let (stranger, validator) = (t.person("Sam").await, t.person("Vera").role(Role::Validator).await);
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        stranger.get(&task(id)).await.expect(404);
        stranger.patch(&confirm(id), on("2026-03-31")).await.expect(404);
        validator.get(&task(id)).await.ok();
        let refused = validator.patch(&confirm(id), on("2026-03-31")).await.expect(403);
        assert!(refused.json()["detail"].as_str().unwrap().contains("the assignee, the model's owner"));
        stranger.get("/api/v1/deployment-tasks/my-tasks?scope=all").await.expect(403);
        anna.get(&task(999_999)).await.expect(404);
    }

    async fn asking_twice_for_one_pair_answers_with_the_open_task(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        let body = json!({ "mode": "schedule", "regions": [{ "region_id": us.id, "planned_production_date": "2026-05-30" }] });
        let refused = anna.post(&format!("/api/v1/versions/{}/deploy", version.id), body).await.expect(409);
        assert_eq!((refused.problem_code().as_str(), &refused.json()["task_id"]), ("task_exists", &json!(id)));
    }

    async fn bulk_confirms_what_it_can_and_says_why_of_the_rest(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let other = t.model("LGD Mortgage").owned_by(&anna).in_regions([&us]).await;
        let good = schedule(&anna, &model.version("2.1").approved().await, &us, "2026-04-30").await;
        let bad = schedule(&anna, &other.version("1.0").in_validation().await, &us, "2026-04-30").await;
        let body = json!({ "task_ids": [good, bad, 424_242], "with": on("2026-03-31") });
        let answer = anna.patch("/api/v1/deployment-tasks/bulk/confirm", body).await.ok().json();
        assert_eq!(answer["succeeded"][0]["task_id"], good);
        let failed: Vec<_> = answer["failed"].as_array().unwrap().iter().map(|one| (one["task_id"].as_i64().unwrap(), one["problem"]["code"].as_str().unwrap())).collect();
        assert_eq!(failed, [(bad, "validation_not_approved"), (424_242, "not_found")]);
    }

    async fn bulk_confirms_two_versions_of_one_region_one_after_the_other(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let first = schedule(&anna, &model.version("2.1").approved().await, &us, "2026-04-30").await;
        let second = schedule(&anna, &model.version("2.2").approved().await, &us, "2026-04-30").await;
        let body = json!({ "task_ids": [first, second], "with": on("2026-03-31") });
        let answer = anna.patch("/api/v1/deployment-tasks/bulk/confirm", body).await.ok().json();
        assert_eq!(answer["succeeded"].as_array().unwrap().len(), 2);
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments WHERE live_to IS NULL").await, 1);
    }

    async fn the_cost_of_a_bulk_confirmation_does_not_grow_with_its_tasks(t: T) {
        let anna = t.person("Anna").await;
        let us = t.region("US").await;
        let mut ids = Vec::new();
        for number in 0..40 {
            let model = t.model(&format!("Model {number}")).owned_by(&anna).in_regions([&us]).await;
            ids.push(schedule(&anna, &model.version("1.0").approved().await, &us, "2026-04-30").await);
        }
        let few = anna.patch("/api/v1/deployment-tasks/bulk/confirm", json!({ "task_ids": ids[..2], "with": on("2026-03-31") })).await.ok().statements();
        let many = anna.patch("/api/v1/deployment-tasks/bulk/confirm", json!({ "task_ids": ids[2..], "with": on("2026-03-31") })).await.ok().statements();
        assert_eq!(few, many);
    }

    async fn tasks_fall_into_buckets_by_the_regions_own_today(t: T) {
        let anna = t.person("Anna").await;
        t.at("2026-03-31T16:00:00Z");
        let (tokyo, utc) = (t.region("JP").in_zone("Asia/Tokyo").await, t.region("UTC").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&tokyo, &utc]).await;
        let dates = ["2026-03-31", "2026-04-01", "2026-04-08", "2026-04-09"];
        for (number, date) in dates.iter().enumerate() {
            let version = model.version(&format!("1.{number}")).approved().await;
            for region in [&tokyo, &utc] {
                // Its own today is the first of April already, so the last of March cannot be planned there.
                if *date != "2026-03-31" || region.code == "UTC" {
                    schedule(&anna, &version, region, date).await;
                }
            }
        }
        let counts = anna.get("/api/v1/deployment-tasks/my-tasks").await.ok().assert_statements_at_most(5).json()["counts"].clone();
        assert_eq!(counts, json!({ "all": 7, "overdue": 0, "due_today": 2, "due_soon": 2, "upcoming": 3 }));
        for (bucket, rows) in [("overdue", 0), ("due_today", 2), ("due_soon", 2), ("upcoming", 3)] {
            let list = anna.get(&format!("/api/v1/deployment-tasks/my-tasks?bucket={bucket}")).await.ok().json();
            assert_eq!(list["items"].as_array().unwrap().len(), rows, "{bucket}");
            assert!(list["items"].as_array().unwrap().iter().all(|one| one["bucket"] == bucket));
        }
        t.advance(1);
        let later = anna.get("/api/v1/deployment-tasks/my-tasks").await.ok().json();
        assert_eq!(later["counts"]["overdue"], 2);
        assert_eq!(later["items"][0]["days_until_due"], -1);
    }

    async fn the_list_is_searched_filtered_and_paged(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let other = t.model("Fraud_50%").owned_by(&anna).in_regions([&us]).await;
        for number in ["1.0", "1.1", "1.2"] {
            schedule(&anna, &model.version(number).approved().await, &us, "2026-04-30").await;
        }
        schedule(&anna, &other.version("9.9").approved().await, &us, "2026-05-30").await;
        let count = async |query: &str| anna.get(&format!("/api/v1/deployment-tasks/my-tasks?{query}")).await.ok().json()["items"].as_array().unwrap().len();
        assert_eq!(count("q=mortgage").await, 3);
        assert_eq!(count("q=0%25").await, 1);
        assert_eq!(count("q=9.9").await, 1);
        assert_eq!(count("from=2026-05-01").await, 1);
        assert_eq!(count("to=2026-04-30").await, 3);
        assert_eq!(count(&format!("region_id={}", us.id)).await, 4);
        assert_eq!(count("status=CONFIRMED").await, 0);
        let page = anna.get("/api/v1/deployment-tasks/my-tasks?limit=3").await.ok().json();
        let next = page["next_cursor"].as_str().unwrap();
        assert_eq!(count(&format!("limit=3&cursor={next}")).await, 1);
        assert_eq!(anna.get("/api/v1/deployment-tasks/my-tasks?status=NOPE").await.expect(422).json()["fields"][0]["field"], "status");
    }

    async fn a_person_confirms_on_the_page_and_errors_keep_what_was_typed(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").in_validation().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        let dialog = anna.page(&format!("/my-deployment-tasks?do=confirm&task_id={id}")).await.ok();
        assert!(dialog.text("#modal .notice-warn").contains("not approved"));
        assert_eq!(dialog.text("#modal .btn-warning"), "Confirm with override");

        let again = anna.submit(&dialog, "#modal form", &[("reason", "too short"), ("text", "My notes")]).await.expect(422);
        assert!(again.text("#modal .field-error").contains("20 characters"));
        assert_eq!(again.text("#modal textarea[name=text]"), "My notes");

        let done = anna.submit(&again, "#modal form", &[("reason", REASON)]).await.ok();
        assert!(done.text(".toast").contains("PD Mortgage 2.1 in US confirmed"));
        assert_eq!(t.number("SELECT COUNT(*) FROM deployment_tasks WHERE status = 'CONFIRMED'").await, 1);

        let late = anna.page(&format!("/my-deployment-tasks?do=confirm&task_id={id}")).await.ok();
        assert!(late.text("#modal .notice").contains("Anna has confirmed it"), "{}", late.text("#modal"));
        assert_eq!(late.count("#modal button"), 0, "there is nothing left to confirm");
    }

    async fn a_person_deploys_from_the_modal(t: T) {
        let Scene { anna, us, uk, model } = scene(&t).await;
        let version = model.version("2.1").validated_for([&us]).approved().await;
        let modal = anna.page(&format!("/versions/{}/deploy?region_id={}", version.id, us.id)).await.ok();
        assert!(modal.text(&format!("#target-{}", uk.id)).contains("regional approval missing"));
        let planned = format!("planned-{}", uk.id);
        let (us_id, uk_id) = (us.id.to_string(), uk.id.to_string());
        let missing = anna.submit(&modal, "#modal form", &[("region_id", &us_id), ("region_id", &uk_id)]).await.expect(422);
        assert!(missing.text("#modal .field-error").contains("UK needs a planned date"));
        let done = anna.submit(&missing, "#modal form", &[("region_id", &us_id), ("region_id", &uk_id), (&planned, "2026-04-05")]).await.ok();
        assert!(done.text(".toast").contains("deployed to 1 region, scheduled in 1 region, asked for 1 regional approval"));
    }

    async fn a_repeated_write_with_the_same_key_answers_the_same_and_is_done_once(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").approved().await;
        let id = schedule(&anna, &version, &us, "2026-04-30").await;
        let first = anna.patch(&confirm(id), on("2026-03-31")).idempotency_key("k1").await.ok();
        let again = anna.patch(&confirm(id), on("2026-03-31")).idempotency_key("k1").await.ok();
        assert_eq!(first.json(), again.json());
        let other = anna.patch(&confirm(id), on("2026-03-30")).idempotency_key("k1").await.expect(422);
        assert_eq!(other.problem_code(), "idempotency_mismatch");
    }
}
