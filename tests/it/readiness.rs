//! Ready to deploy: what appears, when it goes, who sees it (requirements/1, 5.8).

use countersign::identity::Role;
use serde_json::json;

use crate::both;

const READY: &str = "/api/v1/deployment-tasks/ready-to-deploy";

both! {
    async fn every_approved_version_waits_in_each_target_region_planned_or_not(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        model.version("2.1").approved().await;
        t.advance(15);

        let list = anna.get(READY).await.ok().assert_statements_at_most(5).json();

        assert_eq!(list["total_count"], 2);
        assert_eq!(list["models_affected"], 1);
        assert_eq!(list["regions_affected"], 2);
        assert_eq!(list["items"][0]["version_number"], "2.1");
        assert_eq!(list["items"][0]["days_since_approval"], 15);
        assert_eq!(list["items"][0]["validation_approved_date"], "2026-03-31");
        assert_eq!(list["items"][0]["current_deployed_version"], json!(null));
    }

    async fn a_regional_change_waits_in_its_own_regions_only(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        model.version("2.1").regional([&uk]).approved().await;
        let list = anna.get(READY).await.ok().json();
        assert_eq!(list["total_count"], 1);
        assert_eq!(list["items"][0]["region_code"], "UK");
    }

    async fn a_version_without_an_approved_validation_does_not_wait(t: T) {
        let anna = t.person("Anna").await;
        let us = t.region("US").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await;
        model.version("2.1").in_validation().await;
        model.version("2.2").await;
        assert_eq!(anna.get(READY).await.ok().json()["total_count"], 0);
    }

    async fn the_lock_shows_where_the_validation_did_not_cover_a_region_that_requires_its_approval(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").requires_approval().await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        model.version("2.1").validated_for([&us]).approved().await;
        model.version("2.2").validated_for([&us, &uk]).approved().await;

        let list = anna.get(READY).await.ok().json();

        let locks: Vec<_> = list["items"].as_array().unwrap().iter()
            .map(|item| (item["version_number"].as_str().unwrap(), item["region_code"].as_str().unwrap(), item["requires_regional_approval"].as_bool().unwrap()))
            .collect();
        assert_eq!(locks, [("2.1", "US", false), ("2.1", "UK", true), ("2.2", "US", false), ("2.2", "UK", false)]);
    }

    async fn a_pair_goes_the_moment_its_deployment_is_recorded(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        let version = model.version("2.1").approved().await;

        anna.post(&format!("/api/v1/versions/{}/deploy", version.id), json!({ "mode": "now", "regions": [{ "region_id": us.id }] })).await.ok();

        let list = anna.get(READY).await.ok().json();
        assert_eq!(list["total_count"], 1);
        assert_eq!(list["items"][0]["region_code"], "UK");
    }

    async fn an_older_version_is_left_out_where_a_later_approved_one_is_live(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        model.version("2.0").approved().await;
        t.advance(1);
        let newer = model.version("2.1").approved().await;
        anna.post(&format!("/api/v1/versions/{}/deploy", newer.id), json!({ "mode": "now", "regions": [{ "region_id": us.id }] })).await.ok();

        let list = anna.get(READY).await.ok().json();
        assert_eq!(list["total_count"], 2, "2.0 and 2.1 in the UK");
        let all = anna.get(&format!("{READY}?include_superseded=true")).await.ok().json();
        assert_eq!(all["total_count"], 3);
        assert_eq!(all["items"][0]["superseded"], true);
        assert_eq!(all["items"][0]["current_deployed_version"], "2.1");
    }

    async fn a_pair_with_an_open_task_stays_marked_with_it(t: T) {
        let anna = t.person("Anna").await;
        let us = t.region("US").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await;
        let version = model.version("2.1").approved().await;
        let answer = anna.post(&format!("/api/v1/versions/{}/deploy", version.id),
            json!({ "mode": "schedule", "regions": [{ "region_id": us.id, "planned_production_date": "2026-04-30" }] })).await.ok().json();

        let list = anna.get(READY).await.ok().json();
        assert_eq!(list["items"][0]["pending_task_id"], answer["tasks"][0]["task_id"]);
    }

    async fn people_see_just_what_they_may_deploy_and_overseers_see_everything_read_only(t: T) {
        let (anna, bert, rosa) = (t.person("Anna").await, t.person("Bert").await, t.person("Rosa").await);
        let auditor = t.person("Audit").role(Role::Auditor).await;
        let admin = t.admin().await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).regional_owner(&uk, &rosa).await;
        model.version("2.1").approved().await;

        assert_eq!(anna.get(READY).await.ok().json()["total_count"], 2);
        assert_eq!(bert.get(READY).await.ok().json()["total_count"], 0);
        let rosas = rosa.get(READY).await.ok().json();
        assert_eq!(rosas["total_count"], 1);
        assert_eq!(rosas["items"][0]["region_code"], "UK");
        assert_eq!(rosas["items"][0]["may_deploy"], true);
        let audited = auditor.get(READY).await.ok().json();
        assert_eq!(audited["total_count"], 2);
        assert_eq!(audited["items"][0]["may_deploy"], false);
        assert_eq!(admin.get(READY).await.ok().json()["items"][0]["may_deploy"], true);
    }

    async fn a_delegate_sees_what_they_may_deploy_until_the_loan_ends(t: T) {
        let (anna, dora) = (t.person("Anna").await, t.person("Dora").await);
        let us = t.region("US").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await;
        model.version("2.1").approved().await;
        anna.post(&format!("/api/v1/models/{}/delegations", model.id),
            json!({ "user_id": dora.id, "can_deploy": true, "can_submit_changes": false, "expires_at": "2026-04-02T00:00:00Z" })).await.ok();
        assert_eq!(dora.get(READY).await.ok().json()["total_count"], 1);
        t.advance(2);
        assert_eq!(dora.get(READY).await.ok().json()["total_count"], 0);
    }

    async fn an_overseer_deploys_what_was_lent_to_them_and_nothing_else(t: T) {
        let (anna, olga) = (t.person("Anna").await, t.person("Olga").role(Role::Operator).await);
        let us = t.region("US").await;
        let lent = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await;
        let other = t.model("LGD Mortgage").owned_by(&anna).in_regions([&us]).await;
        for model in [&lent, &other] {
            model.version("2.1").approved().await;
        }
        anna.post(&format!("/api/v1/models/{}/delegations", lent.id),
            json!({ "user_id": olga.id, "can_deploy": true, "can_submit_changes": false, "expires_at": null })).await.ok();
        let items = olga.get(READY).await.ok().json()["items"].clone();
        for item in items.as_array().unwrap() {
            assert_eq!(item["may_deploy"], item["model_id"] == json!(lent.id), "{item}");
        }
        assert_eq!(items.as_array().unwrap().len(), 2);
    }

    async fn the_list_is_paged_and_filtered_with_counts_of_everything(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let first = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        let second = t.model("LGD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        first.version("1.0").approved().await;
        t.advance(1);
        second.version("1.0").approved().await;

        let page = anna.get(&format!("{READY}?limit=3")).await.ok().json();
        assert_eq!((page["items"].as_array().unwrap().len(), &page["total_count"]), (3, &json!(4)));
        let rest = anna.get(&format!("{READY}?limit=3&cursor={}", page["next_cursor"].as_str().unwrap())).await.ok().json();
        assert_eq!((rest["items"].as_array().unwrap().len(), &rest["total_count"]), (1, &json!(4)));
        assert_eq!(rest["next_cursor"], json!(null));

        let filtered = anna.get(&format!("{READY}?model_id={}&region_id={}", second.id, uk.id)).await.ok().json();
        assert_eq!((&filtered["total_count"], &filtered["items"][0]["model_name"]), (&json!(1), &json!("LGD Mortgage")));
        let newest = anna.get(&format!("{READY}?sort=newest&limit=1")).await.ok().json();
        assert_eq!(newest["items"][0]["model_name"], "LGD Mortgage");
        assert_eq!(anna.get(&format!("{READY}?limit=501")).await.problem_code(), "invalid");
        assert_eq!(anna.get(&format!("{READY}?cursor=zz")).await.problem_code(), "invalid");
    }

    async fn an_administrators_counts_come_from_the_sums_and_agree_with_the_list(t: T) {
        let admin = t.admin().await;
        let (us, uk) = (t.region("US").await, t.region("UK").await);
        let model = t.model("PD Mortgage").in_regions([&us, &uk]).await;
        t.model("LGD Mortgage").in_regions([&us]).await.version("1.0").approved().await;
        let version = model.version("1.0").approved().await;
        for (filter, pairs, models, regions) in [
            (String::new(), 3, 2, 2),
            (format!("region_id={}", us.id), 2, 2, 1),
            (format!("model_id={}", model.id), 2, 1, 2),
            (format!("model_id={}&region_id={}", model.id, uk.id), 1, 1, 1),
        ] {
            let list = admin.get(&format!("{READY}?{filter}")).await.ok().json();
            let counts = (&list["total_count"], &list["models_affected"], &list["regions_affected"]);
            assert_eq!(counts, (&json!(pairs), &json!(models), &json!(regions)), "{filter}");
            assert_eq!(list["items"].as_array().unwrap().len(), pairs, "{filter}");
        }
        admin.post(&format!("/api/v1/versions/{}/deploy", version.id), json!({ "mode": "now", "regions": [{ "region_id": uk.id }] })).await.ok();
        let list = admin.get(READY).await.ok().json();
        assert_eq!((&list["total_count"], &list["regions_affected"]), (&json!(2), &json!(1)));
        let gone = admin.get(&format!("{READY}?region_id={}", uk.id)).await.ok().json();
        assert_eq!((&gone["total_count"], &gone["models_affected"], &gone["regions_affected"]), (&json!(0), &json!(0), &json!(0)));
    }

    async fn the_page_says_when_everything_is_deployed_and_is_closed_then(t: T) {
        let anna = t.person("Anna").await;
        let page = anna.page("/my-deployment-tasks").await.ok();
        assert!(page.text("#ready").contains("All approved versions have been deployed"));
        assert!(!page.has("#ready[open]"));
    }

    async fn the_page_shows_days_lock_and_a_deploy_button_for_the_version_and_region(t: T) {
        let anna = t.person("Anna").await;
        let (us, uk) = (t.region("US").await, t.region("UK").requires_approval().await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
        let version = model.version("2.1").validated_for([&us]).approved().await;
        t.advance(8);
        // The first visit in a while also writes down that the session is in use.
        anna.page("/my-deployment-tasks").await.ok();
        let page = anna.page("/my-deployment-tasks").await.ok().assert_statements_at_most(5);
        assert!(page.has("#ready[open]"));
        assert_eq!(page.count("#ready-table tbody tr"), 2);
        let row = format!("#ready-{}-{}", version.id, uk.id);
        assert!(page.text(&row).contains("8d"));
        assert!(page.text(&row).contains("requires regional approval"));
        let deploy = page.attribute(&format!("{row} a.btn"), "href");
        assert_eq!(deploy, format!("/versions/{}/deploy?region_id={}", version.id, uk.id));
        let modal = anna.page(&deploy).await.ok();
        assert_eq!(modal.attributes("#modal input[name=region_id][checked]", "value"), [uk.id.to_string()]);
        assert_eq!(page.text("#badge-tasks"), "2");
    }
}
