//! Files that people send: too large ones, and ones that come too late.

use axum::http::Method;
use countersign::db::Query;
use serde_json::json;

use crate::both;
use crate::builder::Person;
use crate::client::Answer;
use crate::harness::{MOST_BYTES, T};
use crate::import::{FORM, MAPPING, multipart};

/// Sends a file with a page's form.
async fn send(person: &Person, address: &str, file: &[u8]) -> Answer {
    let parts: [(&str, Option<&str>, &[u8]); 3] = [
        ("_csrf", None, person.csrf.as_bytes()),
        ("file", Some("file"), file),
        ("mapping", Some("desk.toml"), MAPPING.as_bytes()),
    ];
    person.browse(Method::POST, address).body(FORM, multipart(&parts)).await
}

/// The answer is a page that says what was too much, and what to do.
#[track_caller]
fn page_says_too_large(answer: &Answer) {
    assert_eq!(answer.status(), 413, "{}", answer.text());
    assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.header("content-type"));
    assert!(answer.text().contains("An upload has at most 4 MiB here."), "{}", answer.text());
}

/// How many files there are in the folder of artifacts, at whatever depth.
fn files(t: &T) -> usize {
    let mut folders = vec![t.folder().join("artifacts")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { count += 1 }
        }
    }
    count
}

both! {
    async fn an_artifact_that_is_too_large_leaves_nothing_behind(t: T) {
        let anna = t.person("Anna").await;
        let us = t.region("US").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await.version("2.0").await;
        let path = format!("/api/v1/versions/{}", version.id);
        let large = vec![7_u8; MOST_BYTES + 1];
        let upload = |bytes: &[u8]| anna.request(Method::PUT, &format!("{path}/artifact")).body("application/octet-stream", bytes);

        let problem = upload(&large).await.refused(413, "too_large").json();
        assert!(problem["detail"].as_str().unwrap().contains("An upload has at most 4 MiB here."), "{problem}");
        upload(&large).idempotency_key("once").await.refused(413, "too_large");
        page_says_too_large(&send(&anna, &format!("/versions/{}/artifact", version.id), &large).await);

        assert!(anna.get(&path).await.ok().json()["artifact_digest"].is_null());
        assert_eq!((files(&t), t.number("SELECT COUNT(*) FROM artifacts").await), (0, 0));
        upload(&large[1..]).await.ok();
        assert_eq!(files(&t), 1);
    }

    async fn an_inventory_that_is_too_large_changes_nothing(t: T) {
        let ada = t.admin().await;
        let mut file = b"Id,Model,Purpose,Owner,Desk,Tier,Markets,Live,Remark\n".to_vec();
        while file.len() <= MOST_BYTES {
            file.extend_from_slice(b"1,PD Mortgage,scores,anna@example.com,Credit,1,UK,,a remark that makes the line long\n");
        }
        let before = t.number("SELECT COUNT(*) FROM ledger_entries").await;
        let body = multipart(&[("file", Some("desk.csv"), &file), ("mapping", None, MAPPING.as_bytes())]);
        ada.request(Method::POST, "/api/v1/inventory/import").body(FORM, body).await.refused(413, "too_large");
        page_says_too_large(&send(&ada, "/import", &file).await);
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries").await, before);
        assert_eq!(files(&t), 0);
    }

    async fn any_other_body_is_limited_to_less(t: T) {
        let ada = t.admin().await;
        let body = json!({ "name": "x".repeat(2 << 20) });
        ada.post("/api/v1/teams", body.clone()).await.refused(413, "too_large");
        ada.post("/api/v1/teams", body).idempotency_key("once").await.refused(413, "too_large");
        let form = format!("_csrf={}&name={}", ada.csrf, "x".repeat(2 << 20));
        let page = ada.browse(Method::POST, "/teams").body("application/x-www-form-urlencoded", form).await;
        assert_eq!(page.status(), 413);
        assert!(page.header("content-type").starts_with("text/html"));
    }

    async fn the_artifact_of_a_ratified_version_stays(t: T) {
        let anna = t.person("Anna").await;
        let us = t.region("US").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await;
        let version = model.version("2.0").artifact(&"a".repeat(64)).approved().await;
        let task = version.scheduled_in(&[&us], "2026-04-30").await.remove(0);
        let body = json!({ "actual_production_date": "2026-03-31" });
        anna.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body).await.ok();

        let path = format!("/api/v1/versions/{}", version.id);
        let other = json!({ "digest": "b".repeat(64) });
        let problem = anna.put(&format!("{path}/artifact-reference"), other).await.refused(409, "version_in_use").json();
        assert_eq!(problem["detail"], "Version 2.0 was ratified with its artifact, which can no longer change.");
        assert_eq!(problem["hint"], "Submit a new version for the new bytes.");
        let bytes = anna.request(Method::PUT, &format!("{path}/artifact")).body("application/octet-stream", vec![1; 10]);
        bytes.await.refused(409, "version_in_use");
        let shown = send(&anna, &format!("/versions/{}/artifact", version.id), b"other bytes").await;
        assert_eq!(shown.status(), 409);
        assert!(shown.text().contains("can no longer change"), "{}", shown.text());
        assert_eq!(anna.get(&path).await.ok().json()["artifact_digest"], "a".repeat(64));
        // The same bytes again are no change.
        anna.put(&format!("{path}/artifact-reference"), json!({ "digest": "a".repeat(64) })).await.ok();

        // What was live once keeps its artifact, too, when it no longer is.
        let mut act = t.act().await;
        Query::new("UPDATE region_deployments SET live_to = live_from").run(&mut act.tx).await.unwrap();
        countersign::readiness::rebuild(&mut act).await.unwrap();
        act.commit().await.unwrap();
        anna.put(&format!("{path}/artifact-reference"), json!({ "digest": "b".repeat(64) })).await.refused(409, "version_in_use");
        t.everything_holds().await;
    }
}
