//! What holds for every page: axe finds nothing in light or dark, the first load is small and asks
//! no other host, reads and decisions work without JavaScript.

use countersign::identity::Role;
use serde_json::Value;

use crate::builder::Person;
use crate::chrome::{Browser, Chromedriver, Kind};
use crate::harness::T;
use crate::server::Server;

const AXE: &str = include_str!("vendor/axe.min.js");

/// Somebody who sees everything, and something of every kind to see.
struct Scene {
    t: T,
    ada: Person,
    addresses: Vec<String>,
}

async fn scene() -> Scene {
    let t = T::sqlite().await;
    t.at_machine_time();
    let uk = t.region("UK").requires_approval().await;
    let us = t.region("US").await;
    let ada =
        t.person("Ada").role(Role::Admin).role(Role::GlobalApprover).role(Role::Compliance).approver_of([&uk]).await;
    let anna = t.person("Anna").await;
    let model = t.model("PD Mortgage").owned_by(&ada).developed_by(&anna).in_regions([&uk, &us]).await;
    let ready = model.version("1.0").regional([&uk, &us]).approved().await;
    let due = t
        .model("LGD Cards")
        .owned_by(&ada)
        .in_regions([&uk, &us])
        .await
        .version("1.0")
        .regional([&uk, &us])
        .approved()
        .await;
    let tasks = due.scheduled_in(&[&uk, &us], &t.today().to_string()).await;
    let fresh = t.model("Deposits").owned_by(&ada).in_regions([&uk, &us]).await.version("1.0").await;
    let open = t.model("Fraud").owned_by(&ada).in_regions([&us]).await.version("1.0").in_validation().await;
    // Two tickets for Ada to decide.
    for name in ["Churn", "Collateral"] {
        let model = t.model(name).owned_by(&anna).in_regions([&uk, &us]).await;
        let locked = model.version("1.0").regional([&uk, &us]).validated_for([&us]).approved().await;
        locked.scheduled_in(&[&uk], &t.today().to_string()).await;
    }
    let addresses = vec![
        "/".to_owned(),
        "/my-deployment-tasks".to_owned(),
        format!("/my-deployment-tasks?do=confirm&task_id={}", tasks[0]),
        format!("/deployment-tasks/{}", tasks[0]),
        format!("/versions/{}/deploy", ready.id),
        "/inbox".to_owned(),
        "/inbox/1".to_owned(),
        "/validations".to_owned(),
        "/validations/new".to_owned(),
        format!("/validations/new?version_id={}", fresh.id),
        format!("/validations/{}", open.request.unwrap()),
        "/reports".to_owned(),
        "/reports/overrides".to_owned(),
        "/reports/regional-matrix".to_owned(),
        "/reports/deployment-history".to_owned(),
        "/ledger".to_owned(),
        "/people".to_owned(),
        format!("/people/{}", ada.id),
        "/account".to_owned(),
        "/approval-rules".to_owned(),
        "/docs/api".to_owned(),
        "/docs/errors".to_owned(),
        "/models".to_owned(),
        "/models/new".to_owned(),
        format!("/models/{}", model.id),
        format!("/models/{}?tab=versions", model.id),
        format!("/models/{}/versions/new", model.id),
        format!("/versions/{}", ready.id),
        "/regions".to_owned(),
        "/projects".to_owned(),
        "/import".to_owned(),
        "/start".to_owned(),
        format!("/models/{}?tab=lineage", model.id),
        "/training/jobs".to_owned(),
        "/training/jobs/new".to_owned(),
        "/training/jobs/new?executor=command".to_owned(),
        "/training/datasets".to_owned(),
        "/training/datasets/new".to_owned(),
        "/releases".to_owned(),
        "/releases/new".to_owned(),
        "/deployments".to_owned(),
        "/drift".to_owned(),
        "/environments".to_owned(),
        "/no-such-page".to_owned(),
    ];
    Scene { t, ada, addresses }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_nothing_on_any_page_in_light_or_dark() {
    let scene = scene().await;
    let server = Server::start(&scene.t.folder(), None, &[]);
    let chromedriver = Chromedriver::start();
    let mut found = Vec::new();
    for dark in [false, true] {
        let browser = Browser::open(&chromedriver, &server.address, "axe", Kind { dark, ..Kind::default() }).await;
        let look = if dark { "dark" } else { "light" };
        browser.goto("/sign-in").await;
        assert_eq!(browser.script("return matchMedia('(prefers-color-scheme: dark)').matches").await, dark);
        found.extend(violations(&browser, &format!("/sign-in, {look}")).await);
        browser.resume(&scene.ada.session).await;
        for address in &scene.addresses {
            browser.goto(address).await;
            assert!(!browser.path().await.starts_with("/sign-in"), "{address} asks to sign in");
            found.extend(violations(&browser, &format!("{address}, {look}")).await);
        }
        browser.close().await;
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What axe finds on the page, a sentence a finding.
pub async fn violations(browser: &Browser, page: &str) -> Vec<String> {
    browser.driver.execute(AXE, vec![]).await.unwrap();
    let run = "const done = arguments[0]; axe.run({ resultTypes: ['violations'] }).then(r => done(r.violations), e => done(String(e)))";
    let answer = browser.driver.execute_async(run, vec![]).await.unwrap().json().clone();
    let Value::Array(violations) = answer else { panic!("axe did not run on {page}: {answer}") };
    let sentence = |one: &Value| {
        let nodes: Vec<_> =
            one["nodes"].as_array().unwrap().iter().take(3).map(|node| node["html"].to_string()).collect();
        format!("{page}: {} ({}): {}", one["id"], one["help"], nodes.join(" "))
    };
    violations.iter().map(sentence).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_load_of_the_tasks_page_is_small_and_asks_no_other_host() {
    let scene = scene().await;
    let server = Server::start(&scene.t.folder(), None, &[]);
    let chromedriver = Chromedriver::start();
    let browser = Browser::open(&chromedriver, &server.address, "bytes", Kind::default()).await;
    browser.resume(&scene.ada.session).await;
    browser.goto("/my-deployment-tasks").await;
    browser.wait_for("#ready-table").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let entries = browser
        .script(
            "return performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
                .map(e => ({ name: e.name, bytes: e.transferSize }))",
        )
        .await;
    let entries = entries.as_array().unwrap();
    assert!(entries.len() > 3, "{entries:?}");
    for entry in entries {
        assert!(entry["name"].as_str().unwrap().starts_with(&server.address), "another host is asked: {entry}");
    }
    let bytes: f64 = entries.iter().filter_map(|entry| entry["bytes"].as_f64()).sum();
    assert!(bytes > 1000.0 && bytes < 100_000.0, "the first load takes {bytes} bytes: {entries:?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_matters_works_without_javascript() {
    let scene = scene().await;
    let server = Server::start(&scene.t.folder(), None, &[]);
    let chromedriver = Chromedriver::start();
    let browser =
        Browser::open(&chromedriver, &server.address, "plain", Kind { without_javascript: true, ..Kind::default() })
            .await;
    browser.resume(&scene.ada.session).await;
    for address in &scene.addresses {
        browser.goto(address).await;
        browser.wait_for("main").await;
    }
    browser.goto("/my-deployment-tasks").await;
    let before = browser.count("#tasks-table tbody tr").await;
    browser.click("#tasks-table tbody tr:last-child td.act a:first-child").await;
    browser.wait_for("dialog[open]").await;
    browser.press("Confirm deployment").await;
    browser.wait_text(".toasts", "onfirmed").await;
    assert_eq!(browser.count("#tasks-table tbody tr").await, before - 1);
    for (verdict, said) in [("Approve", "pproved"), ("Reject", "ejected")] {
        browser.goto("/inbox").await;
        browser.click("#tickets tbody th a").await;
        browser.fill("#comment", "Read and understood").await;
        browser.press(verdict).await;
        browser.wait_text(".toasts", said).await;
    }
    browser.close().await;
}
