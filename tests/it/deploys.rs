//! From a training job to a deployment: straight into development, elsewhere as far as the gates let it.

use axum::http::Method;
use countersign::db::Query;
use countersign::training::run::run_one;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Person;
use crate::client::Answer;
use crate::harness::T;
use crate::releases::work;
use crate::training::{job, scene};

/// An environment of a stage, and its number.
async fn environment(t: &T, stage: &str) -> i64 {
    let ada = t.admin().await;
    let body = json!({ "name": format!("us-{stage}"), "region_id": 1, "stage": stage });
    ada.post("/api/v1/environments", body).await.expect(201).json()["environment_id"].as_i64().unwrap()
}

async fn deploy(person: &Person, job: &Value, environment: i64) -> Answer {
    let address = format!("/api/v1/training/jobs/{}/deploy", job["job_id"]);
    person.post(&address, json!({ "environment_id": environment })).await
}

both! {
    async fn what_a_job_made_goes_into_development_at_once_and_only_once(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let development = environment(&t, "development").await;
        let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        let page = format!("/training/jobs/{}", queued["job_id"]);
        let problem = deploy(&anna, &queued, development).await.refused(409, "job_not_complete").json();
        assert_eq!(problem["detail"], "Only completed training jobs can be deployed; this one is queued.");
        assert_eq!(anna.page(&page).await.ok().count("form[action$='/deploy']"), 0, "nothing to deploy before its end");
        assert!(run_one(t.app(), "worker").await.unwrap());
        assert_eq!(anna.page(&page).await.ok().texts("#f-environment_id option"), ["us-development, development"]);

        let made = deploy(&anna, &queued, development).await.ok().json();
        assert_eq!((&made["version_number"], &made["missing"]), (&json!("1.0.0"), &json!([])));
        assert!(made["release_id"].is_i64(), "{made:#}");
        let again = deploy(&anna, &queued, development).await.refused(409, "already_deployed").json();
        assert_eq!(again["detail"], "This job already has an active deployment: version 1.0.0 in us-development.");
        work(&t).await;
        deploy(&anna, &queued, development).await.refused(409, "already_deployed");
        assert_eq!(anna.page(&page).await.ok().count("form[action$='/deploy']"), 0);

        let version = anna.get(&format!("/api/v1/versions/{}", made["version_id"])).await.ok().json();
        let shown = anna.get(&format!("/api/v1/training/jobs/{}", queued["job_id"])).await.ok().json();
        assert_eq!((&version["artifact_digest"], &shown["version_id"]), (&shown["artifact_digest"], &made["version_id"]));
        let served = anna.get("/api/v1/deployments").await.ok().json();
        assert_eq!((&served["items"][0]["state"], &served["items"][0]["version_number"]), (&json!("active"), &json!("1.0.0")));
        let says = version["description"].as_str().unwrap();
        assert!(says.starts_with("Made by training job 1, First run, with countersign ") && says.contains(" auc 0."), "{says}");
        let submitted = Query::new("SELECT after FROM ledger_entries WHERE action = 'version.submitted'");
        let (said,): (String,) = submitted.one(&t.app().db).await.unwrap();
        let lineage = &serde_json::from_str::<Value>(&said).unwrap()["lineage"];
        assert_eq!((&lineage["dataset"], &lineage["parameters"]["epochs"]), (&json!("German credit"), &json!("20")));
        assert!(lineage["metrics"]["auc"].as_f64().unwrap() > 0.7);

        let address = format!("/api/v1/training/jobs/{}", queued["job_id"]);
        anna.request(Method::DELETE, &address).await.refused(409, "job_deployed");
        anna.post("/api/v1/deployments/1/retire", json!({})).await.ok();
        work(&t).await;
        let third = deploy(&anna, &queued, development).await.ok().json();
        assert_eq!(third["version_id"], made["version_id"], "the same bytes are the same version");
        assert_ne!(third["release_id"], made["release_id"]);
        t.everything_holds().await;
    }

    async fn into_production_it_waits_for_what_production_asks(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let production = environment(&t, "production").await;
        let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        assert!(run_one(t.app(), "worker").await.unwrap());
        let made = deploy(&anna, &queued, production).await.ok().json();
        assert_eq!(made["release_id"], Value::Null);
        let gates: Vec<_> = made["missing"].as_array().unwrap().iter().map(|one| one["gate"].as_str().unwrap()).collect();
        assert!(gates.contains(&"validation"), "{gates:?}");
        assert_eq!(t.number("SELECT COUNT(*) FROM releases").await, 0, "nothing goes round a gate");
        let preview = anna.page(&format!("/releases/previews/{}", made["preview_ref"].as_str().unwrap())).await.ok();
        assert_eq!(preview.count("a[href^='/validations/new']"), 1, "the way to what is missing");
        t.everything_holds().await;
    }

    async fn two_deploys_at_once_make_one(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let development = environment(&t, "development").await;
        let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        assert!(run_one(t.app(), "worker").await.unwrap());
        let both = tokio::join!(deploy(&anna, &queued, development), deploy(&anna, &queued, development));
        let mut statuses = [both.0.status(), both.1.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", both.0.text(), both.1.text());
        let refused = if both.0.status() == 409 { both.0 } else { both.1 };
        refused.refused(409, "already_deployed");
        assert_eq!(t.number("SELECT COUNT(*) FROM releases").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM versions").await, 1);
        t.everything_holds().await;
    }

    async fn a_job_is_deployed_or_deleted_and_never_both(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let development = environment(&t, "development").await;
        for _ in 0..4 {
            let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
            assert!(run_one(t.app(), "worker").await.unwrap());
            let delete = anna.delete(&format!("/api/v1/training/jobs/{}", queued["job_id"]));
            let (deployed, deleted) = tokio::join!(deploy(&anna, &queued, development), delete);
            match deployed.status() {
                200 => drop(deleted.refused(409, "job_deployed")),
                _ => drop((deployed.refused(404, "not_found"), deleted.ok())),
            }
            work(&t).await;
        }
        let both = "SELECT COUNT(*) FROM job_deploys d JOIN training_jobs j ON j.job_id = d.job_id WHERE j.deleted_at IS NOT NULL";
        assert_eq!(t.number(both).await, 0);
    }

    async fn the_page_deploys_in_one_click_and_says_what_is_wrong(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let development = environment(&t, "development").await;
        let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        assert!(run_one(t.app(), "worker").await.unwrap());
        let here = format!("/training/jobs/{}", queued["job_id"]);
        let list = anna.page("/training/jobs").await.ok();
        assert_eq!(list.attributes("#jobs tbody td .btn", "href"), [format!("{here}#deployment")]);
        let page = anna.page(&here).await.ok();
        let form = "form[action$='/deploy']";
        let wrong = anna.submit(&page, form, &[("environment_id", "99")]).await.expect(422);
        assert_eq!(wrong.texts("#environment_id-error"), ["There is no such environment."]);
        let went = anna.submit(&page, form, &[("environment_id", &development.to_string())]).await.ok();
        assert_eq!(went.texts("[aria-labelledby=deployment] tbody th"), ["us-development"]);
        let again = anna.submit(&page, form, &[("environment_id", &development.to_string())]).await.expect(409);
        assert!(again.text("[role=alert]").contains("already has an active deployment"));
        let list = anna.page("/training/jobs").await.ok();
        assert_eq!((list.texts("#jobs tbody td a.mono"), list.has("#jobs tbody td .btn")), (vec!["1.0.0".to_owned()], false));
    }

    async fn a_stranger_deploys_nothing(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        let development = environment(&t, "development").await;
        let queued = anna.post("/api/v1/training/jobs", job(&model, dataset)).await.expect(201).json();
        assert!(run_one(t.app(), "worker").await.unwrap());
        let sam = t.person("Sam").await;
        deploy(&sam, &queued, development).await.refused(404, "not_found");
        let vera = t.person("Vera").role(countersign::identity::Role::Validator).await;
        deploy(&vera, &queued, development).await.refused(403, "forbidden");
        deploy(&anna, &json!({ "job_id": 99 }), development).await.refused(404, "not_found");
        assert_eq!(t.number("SELECT COUNT(*) FROM versions").await, 0);
    }
}
