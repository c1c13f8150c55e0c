//! Dashboard, badges, reports and search: the numbers are those of the lists, on any past day.

use axum::http::Method;
use countersign::db::Query;
use countersign::identity::Role;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person, Region, Version};
use crate::client::Page;
use crate::harness::T;

/// A spreadsheet would take it for a formula.
const REASON: &str = "=HYPERLINK(\"http://example.com\",\"Emergency fix\")";

/// Schedules `version` in `region` for `planned` and confirms it today.
async fn deploy(person: &Person, version: &Version, region: &Region, planned: &str) {
    let task = version.scheduled_in(&[region], planned).await[0];
    let mut body = json!({ "actual_production_date": person.t.today() });
    if version.request.is_none() {
        body["validation_override_reason"] = json!(REASON);
    }
    person.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body).await.ok();
}

/// The rows of a CSV file, the head not counted, as text.
async fn csv(person: &Person, address: &str) -> Vec<String> {
    let file = person.get(address).header("accept", "text/csv").await.ok();
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    file.text().lines().skip(1).map(str::to_owned).collect()
}

/// What a report holds, after page, JSON and CSV were found to hold as many rows.
async fn report(person: &Person, name: &str, query: &str, rows: &str) -> Value {
    let answer = person.get(&format!("/api/v1/reports/{name}?{query}")).await.ok().assert_statements_at_most(5).json();
    let page = person.page(&format!("/reports/{name}?{query}")).await.ok().assert_statements_at_most(6);
    let items = answer["items"].as_array().unwrap();
    assert_eq!(page.count(rows), items.len(), "{name}?{query}: rows of the page and of JSON");
    if name != "regional-matrix" {
        let lines = csv(person, &format!("/api/v1/reports/{name}?{query}")).await;
        assert_eq!(lines.len(), items.len(), "{name}?{query}: lines of CSV and items of JSON");
    }
    answer
}

struct Scene {
    anna: Person,
    auditor: Person,
    us: Region,
    uk: Region,
    model: Model,
}

async fn scene(t: &T) -> Scene {
    let (anna, auditor) = (t.person("Anna").await, t.person("Olga").role(Role::Auditor).await);
    let (us, uk) = (t.region("US").await, t.region("UK").requires_approval().await);
    let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).await;
    Scene { anna, auditor, us, uk, model }
}

fn badge(page: &Page, id: &str) -> usize {
    page.texts(id).first().map_or(0, |text| text.parse().unwrap())
}

/// Every number of the dashboard's cards is the number of rows of the list it leads to.
async fn the_dashboard_tells_the_truth(person: &Person) {
    // The first page after a while also notes that the session is in use.
    person.page("/reports").await;
    let board = person.page("/").await.ok().assert_statements_at_most(5);
    let (links, values) = (board.attributes("a.card", "href"), board.texts("a.card .value"));
    assert_eq!(links.len(), values.len());
    for (link, value) in links.iter().zip(&values) {
        let rows = match link.as_str() {
            "/my-deployment-tasks" => "#ready-table tbody tr",
            link if link.contains("bucket=overdue") => "tr[id^=task-]",
            _ => "main table tbody tr",
        };
        let list = person.page(link).await.ok();
        assert_eq!(list.count(rows).to_string(), *value, "{} at {link}", person.name);
    }
}

both! {
    async fn an_override_is_reported_as_it_stood_on_the_day(t: T) {
        let Scene { anna, auditor, us, model, .. } = scene(&t).await;
        let version = model.version("2.1").regional([&us]).await;
        deploy(&anna, &version, &us, "2026-04-30").await;
        t.advance(40);
        let (glob, rita) = (t.person("Glob").role(Role::GlobalApprover).await, t.person("Rita").approver_of([&us]).await);
        t.approve(&version, &anna, &[&glob, &rita]).await;

        let rows = "#overrides tbody tr";
        let before = report(&auditor, "overrides", "as_of=2026-03-30", rows).await;
        assert_eq!(before["total_count"], 0);
        let then = report(&auditor, "overrides", "as_of=2026-04-10", rows).await;
        assert_eq!((&then["total_count"], &then["open_count"]), (&json!(1), &json!(1)));
        assert_eq!(then["items"][0]["review_state"], "OPEN");
        assert_eq!((&then["items"][0]["days_until_approved"], &then["items"][0]["days_unapproved"]), (&Value::Null, &json!(10)));
        let now = report(&auditor, "overrides", "", rows).await;
        assert_eq!(now["items"][0]["review_state"], "NOW_APPROVED");
        assert_eq!((&now["items"][0]["days_until_approved"], &now["items"][0]["days_unapproved"]), (&json!(40), &Value::Null));
        assert_eq!(now["open_count"], 0);
        auditor.get("/api/v1/reports/overrides?as_of=2027-01-01").await.refused(422, "invalid");
    }

    async fn overrides_are_filtered_and_their_formulas_defused(t: T) {
        let Scene { anna, auditor, us, uk, model } = scene(&t).await;
        deploy(&anna, &model.version("2.1").regional([&us]).await, &us, "2026-04-30").await;
        let lines = csv(&auditor, "/api/v1/reports/overrides").await;
        assert!(lines[0].contains("\"'=HYPERLINK("), "{}", lines[0]);
        assert!(lines[0].contains("PD Mortgage"));
        for (query, found) in [
            (format!("region_id={}", us.id), 1),
            (format!("region_id={}", uk.id), 0),
            ("state=OPEN".into(), 1),
            ("state=ACCEPTED".into(), 0),
            ("q=hyperlink".into(), 1),
            ("q=nothing".into(), 0),
            (format!("model_id={}", model.id), 1),
        ] {
            assert_eq!(report(&auditor, "overrides", &query, "#overrides tbody tr").await["total_count"], found, "{query}");
        }
        let page = auditor.page(&format!("/reports/overrides?region_id={}", uk.id)).await.ok();
        assert_eq!(page.text("#region_id option[selected]"), "UK");
        assert!(page.has("#project_id option[value='1']"));
    }

    async fn the_matrix_shows_what_was_live_on_the_day(t: T) {
        let Scene { anna, auditor, us, uk, model } = scene(&t).await;
        deploy(&anna, &model.version("2.1").approved().await, &us, "2026-03-31").await;
        t.advance(31);
        deploy(&anna, &model.version("2.2").regional([&us]).await, &us, "2026-05-01").await;
        model.version("2.3").approved().await.scheduled_in(&[&uk], "2026-05-02").await;
        t.advance(5);

        let rows = "#matrix tbody tr";
        let cell = |report: &Value, column: usize| report["items"][0]["cells"][column].clone();
        let now = report(&auditor, "regional-matrix", "", rows).await;
        let codes: Vec<_> = now["columns"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect();
        assert_eq!(codes, ["UK", "US"]);
        let (uk_now, us_now) = (cell(&now, 0), cell(&now, 1));
        assert_eq!((&us_now["version_number"], &us_now["live_since"], &us_now["overridden"]), (&json!("2.2"), &json!("2026-05-01"), &json!(true)));
        assert_eq!((&uk_now["version_number"], &uk_now["overdue_tasks"]), (&Value::Null, &json!(1)));
        let then = report(&auditor, "regional-matrix", "as_of=2026-04-15", rows).await;
        let us_then = cell(&then, 1);
        assert_eq!((&us_then["version_number"], &us_then["validation_approved_on"], &us_then["overridden"]), (&json!("2.1"), &json!("2026-03-31"), &json!(false)));
        assert_eq!(cell(&then, 0)["overdue_tasks"], 0);
        assert_eq!(report(&auditor, "regional-matrix", "as_of=2026-03-30", rows).await["total_count"], 0);

        let lines = csv(&auditor, "/api/v1/reports/regional-matrix").await;
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains(",US,2.2,2026-05-01,"), "{lines:?}");
    }

    async fn the_history_of_a_model_shows_what_had_begun_by_the_day(t: T) {
        let Scene { anna, us, model, .. } = scene(&t).await;
        deploy(&anna, &model.version("2.1").approved().await, &us, "2026-04-02").await;
        t.advance(31);
        deploy(&anna, &model.version("2.2").approved().await, &us, "2026-05-01").await;

        let rows = "#history tbody tr";
        let query = |as_of: &str| format!("model_id={}&as_of={as_of}", model.id);
        let now = report(&anna, "deployment-history", &query("2026-05-01"), rows).await;
        let intervals: Vec<_> = now["items"].as_array().unwrap().iter().map(|one| (one["version_number"].clone(), one["live_from"].clone(), one["live_to"].clone())).collect();
        assert_eq!(intervals, [(json!("2.2"), json!("2026-05-01"), Value::Null), (json!("2.1"), json!("2026-03-31"), json!("2026-05-01"))]);
        let then = report(&anna, "deployment-history", &query("2026-04-15"), rows).await;
        assert_eq!(then["items"].as_array().unwrap().len(), 1);
        assert_eq!(then["items"][0]["live_to"], Value::Null);
        assert_eq!(report(&anna, "deployment-history", &query("2026-03-30"), rows).await["items"], json!([]));
    }

    async fn reports_over_all_models_are_for_roles_and_a_history_for_who_sees_the_model(t: T) {
        let Scene { anna, auditor, model, .. } = scene(&t).await;
        let stranger = t.person("Sam").await;
        for name in ["overrides", "regional-matrix"] {
            anna.get(&format!("/api/v1/reports/{name}")).await.expect(403);
            anna.page(&format!("/reports/{name}")).await.expect(403);
            anna.get(&format!("/api/v1/reports/{name}?format=csv")).await.expect(403);
            auditor.get(&format!("/api/v1/reports/{name}")).await.ok();
        }
        let history = format!("/api/v1/reports/deployment-history?model_id={}", model.id);
        anna.get(&history).await.ok();
        stranger.get(&history).await.expect(404);
        stranger.get(&format!("{history}&format=csv")).await.expect(404);
    }

    async fn a_lineage_says_what_each_version_came_from_and_where_it_went(t: T) {
        let Scene { anna, model, .. } = scene(&t).await;
        model.version("1.0").approved().await;
        let address = format!("/api/v1/models/{}/lineage", model.id);
        let before = anna.get(&address).await.ok().json();
        let newest = &before["items"][0];
        assert_eq!((&newest["job_id"], &newest["releases"]), (&Value::Null, &json!([])));
        Query::new(
            "INSERT INTO training_jobs (run_uuid, experiment_id, model_id, name, executor, configuration, state, requested_by_id, created_at)
             VALUES ('0123456789abcdef0123456789abcdef', 0, $1, 'Spring', 'builtin', '{}', 'complete', $2, $3)",
        )
        .bind(model.id)
        .bind(anna.id)
        .bind(t.app().now())
        .run(&t.app().db)
        .await
        .unwrap();
        Query::new("UPDATE versions SET job_id = (SELECT MAX(job_id) FROM training_jobs) WHERE version_id = $1")
            .bind(newest["version_id"].as_i64().unwrap())
            .run(&t.app().db)
            .await
            .unwrap();
        let after = anna.get(&address).await.ok().json();
        assert_eq!((&after["items"][0]["job_name"], &after["items"][0]["job_state"]), (&json!("Spring"), &json!("complete")));
        let page = anna.page(&format!("/models/{}?tab=lineage", model.id)).await.ok();
        assert!(page.text(".lineage li").contains("Spring"));
        assert_eq!(page.count(".lineage > li"), after["items"].as_array().unwrap().len());
        t.person("Stray").await.get(&address).await.refused(404, "not_found");
    }

    async fn badges_and_the_dashboard_say_how_many_rows_their_lists_have(t: T) {
        let (anna, rolf, dora) = (t.person("Anna").await, t.person("Rolf").await, t.person("Dora").await);
        let us = t.region("US").in_zone("Asia/Tokyo").await;
        let uk = t.region("UK").requires_approval().await;
        let (glob, rita) = (t.person("Glob").role(Role::GlobalApprover).await, t.person("Rita").approver_of([&uk]).await);
        let (cora, olga, omar) = (t.person("Cora").role(Role::Compliance).await, t.person("Olga").role(Role::Auditor).await, t.person("Omar").role(Role::Operator).await);
        let ada = t.admin().await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us, &uk]).regional_owner(&uk, &rolf).await;
        let other = t.model("LGD").owned_by(&ada).in_regions([&us, &uk]).await;
        let lend = json!({ "user_id": dora.id, "can_deploy": true });
        anna.post(&format!("/api/v1/models/{}/delegations", model.id), lend).await.expect(201);
        // Ready: two pairs of hers and two of the administrator's; scheduled, of which one is overdue only in Tokyo.
        let ready = model.version("1.0").approved().await;
        other.version("1.0").approved().await;
        ready.scheduled_in(&[&us, &uk], "2026-04-01").await;
        deploy(&anna, &model.version("1.1").regional([&us]).await, &us, "2026-04-02").await;
        t.approve(&model.version("1.2").await, &anna, &[]).await;
        t.at("2026-04-01T16:00:00Z");

        for person in [&anna, &dora, &rolf, &glob, &rita, &cora, &olga, &omar, &ada] {
            the_dashboard_tells_the_truth(person).await;
        }
        for person in [&anna, &dora, &rolf, &glob, &rita, &ada] {
            let page = person.page("/my-deployment-tasks").await.ok();
            let rows = page.count("tr[id^=task-]") + if person.id == ada.id || person.id == glob.id || person.id == rita.id { page.count("#ready-table a.btn") } else { page.count("#ready-table tbody tr") };
            assert_eq!(badge(&page, "#badge-tasks"), rows, "tasks of {}", person.name);
        }
        for (person, tickets) in [(&glob, 1), (&rita, 1), (&cora, 1), (&ada, 0)] {
            let page = person.page("/inbox").await.ok();
            assert_eq!((badge(&page, "#badge-inbox"), page.count("#tickets tbody tr")), (tickets, tickets), "inbox of {}", person.name);
        }
        let overdue = |page: &Page| page.texts("a.card[href*=overdue] .value").remove(0);
        assert_eq!(overdue(&anna.page("/").await), "1");
        assert_eq!(overdue(&olga.page("/").await), "1");
    }

    async fn a_ticket_ceases_to_wait_for_whoever_gave_their_approval(t: T) {
        let (anna, uk) = (t.person("Anna").await, t.region("UK").requires_approval().await);
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await;
        let both = t.person("Bo").role(Role::GlobalApprover).approver_of([&uk]).await;
        t.approve(&model.version("1.0").await, &anna, &[]).await;
        let page = both.page("/inbox").await.ok();
        assert_eq!((badge(&page, "#badge-inbox"), page.count("#tickets tbody tr")), (2, 2));

        let ticket = both.get("/api/v1/approvals/inbox").await.ok().json()["items"][0].clone();
        let approve = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
        both.post(&approve, json!({})).if_match(ticket["revision"].as_i64().unwrap()).await.ok();
        let page = both.page("/inbox").await.ok();
        assert_eq!((badge(&page, "#badge-inbox"), page.count("#tickets tbody tr")), (0, 0));
        assert!(both.page("/").await.ok().text("#board-tickets").contains("Nothing waits"));
    }

    async fn search_finds_only_what_one_may_see(t: T) {
        let Scene { anna, auditor, model, .. } = scene(&t).await;
        let stranger = t.person("Sam").await;
        t.approve(&model.version("2.1").await, &anna, &[]).await;
        let find = async |person: &Person, text: &str| -> Vec<(String, String)> {
            let found = person.browse(Method::GET, &format!("/search?q={text}")).await.ok().assert_statements_at_most(3).json();
            let item = |one: &Value| (one["kind"].as_str().unwrap().to_owned(), one["label"].as_str().unwrap().to_owned());
            found.as_array().unwrap().iter().map(item).collect()
        };
        for person in [&anna, &auditor] {
            let kinds: Vec<_> = find(person, "mortgage").await.into_iter().map(|one| one.0).collect();
            assert!(kinds.contains(&"Model".to_owned()), "{kinds:?}");
            let found = find(person, "mortgage+2.1").await;
            assert!(found.contains(&("Version".to_owned(), "PD Mortgage 2.1".to_owned())), "{found:?}");
            let tickets = find(person, "cs-1001").await;
            assert!(tickets[0].1.starts_with("CS-1001 "), "{tickets:?}");
        }
        assert_eq!(find(&stranger, "mortgage").await, []);
        assert_eq!(find(&stranger, "2.1").await, []);
        assert_eq!(find(&stranger, "cs-1001").await, []);
        assert_eq!(find(&stranger, "anna").await, [("Person".to_owned(), "Anna".to_owned())]);
        assert_eq!(find(&anna, "%25").await, []);
    }
}
