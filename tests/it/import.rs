//! Importing an inventory: the real federal file, files made up to be difficult, and the three doors.

use axum::http::Method;
use countersign::app::App;
use countersign::db::Query;
use countersign::error::Error;
use countersign::identity::{Actor, Role};
use countersign::inventory::import::{ImportReport, import_file, shipped};
use serde_json::Value;

use crate::both;
use crate::builder::Person;
use crate::client::{Answer, Page};
use crate::harness::T;

const FEDERAL: &[u8] = include_bytes!("../data/federal-ai-use-cases-2024.csv");
const FEDERAL_MAPPING: &str = "federal-ai-use-cases-2024";

/// The mapping of a desk's file.
pub const MAPPING: &str = r#"
source = "desk"
[key]
column = "Id"
[model]
name = { column = "Model" }
description = { column = "Purpose" }
owner = { email = { column = "Owner" } }
team = { constant = "Retail" }
project = { column = "Desk" }
risk_tier = { column = "Tier", values = { "1" = "TIER_1", "2" = "TIER_2" } }
status = { constant = "ACTIVE" }
regions = { column = "Markets" }
actual_production_date = { column = "Live" }
[[region]]
code = "UK"
name = "United Kingdom"
time_zone = "Europe/London"
"#;

/// A file of the desk: `Id,Model,Purpose,Owner,Desk,Tier,Markets,Live,Remark`.
fn desk(rows: &[&str]) -> String {
    format!("Id,Model,Purpose,Owner,Desk,Tier,Markets,Live,Remark\n{}\n", rows.join("\n"))
}

const ANNA: &str = "1,PD Mortgage,scores,Anna@example.com,Credit,1,UK,2024-06-11,kept";
const BEN: &str = "2,PD Cards,scores,ben@example.com,Credit,2,UK,,kept";

async fn import(app: &App, file: impl Into<Vec<u8>>, commit: bool, skip: bool) -> Result<ImportReport, Error> {
    import_file(app, &Actor::console(), file.into().into(), MAPPING.to_owned(), commit, skip).await
}

/// How many rows every table of the inventory has, and the ledger.
async fn counts(t: &T) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "SELECT COUNT(*) FROM models",
        "SELECT COUNT(*) FROM model_notes",
        "SELECT COUNT(*) FROM model_regions",
        "SELECT COUNT(*) FROM users",
        "SELECT COUNT(*) FROM teams",
        "SELECT COUNT(*) FROM projects",
        "SELECT COUNT(*) FROM regions",
        "SELECT COUNT(*) FROM ledger_entries",
    ] {
        counts.push(t.number(sql).await);
    }
    counts
}

fn sums(report: &ImportReport) -> (usize, usize, usize, usize) {
    (report.created, report.updated, report.unchanged, report.skipped)
}

/// A form with files: each part is a field's name, a file name (none for a plain field), and bytes.
pub fn multipart(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        body.extend(format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"").bytes());
        if let Some(file) = file {
            body.extend(format!("; filename=\"{file}\"").bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    body
}

/// Its type.
pub const FORM: &str = "multipart/form-data; boundary=edge";

impl Person {
    async fn imports(&self, query: &str, file_name: &str, file: &str) -> Answer {
        let body = multipart(&[("file", Some(file_name), file.as_bytes()), ("mapping", None, MAPPING.as_bytes())]);
        self.request(Method::POST, &format!("/api/v1/inventory/import{query}")).body(FORM, body).await
    }

    async fn uploads(&self, file: &str) -> Page {
        let parts: [(&str, Option<&str>, &[u8]); 3] = [
            ("_csrf", None, self.csrf.as_bytes()),
            ("file", Some("desk.csv"), file.as_bytes()),
            ("mapping", Some("desk.toml"), MAPPING.as_bytes()),
        ];
        let answer = self.browse(Method::POST, "/import").body(FORM, multipart(&parts)).await;
        Page {
            address: "/import".to_owned(),
            status: answer.status(),
            html: answer.text(),
            headers: Default::default(),
            statements: 0,
        }
    }
}

both! {
    async fn the_whole_federal_inventory_comes_in_and_a_second_time_changes_nothing(t: T) {
        let mapping = || shipped::text(FEDERAL_MAPPING).unwrap();
        let console = Actor::console();
        let run = || import_file(t.app(), &console, FEDERAL.into(), mapping(), true, false);
        let before = t.app().db.statements();
        let report = run().await.unwrap();
        let statements = t.app().db.statements() - before;
        assert!(statements < 60, "{statements} statements");
        assert_eq!(sums(&report), (2_133, 0, 0, 0));
        assert_eq!((report.new_teams, report.new_projects, report.new_regions), (1, 41, 1));
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 2_133);
        assert!(t.number("SELECT COUNT(*) FROM model_notes").await > 30_000);
        assert_eq!(t.number("SELECT COUNT(*) FROM versions").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'model.imported'").await, 2_133);
        t.the_ledger_verifies().await;
        let rows = counts(&t).await;
        let again = run().await.unwrap();
        assert_eq!(sums(&again), (0, 0, 2_133, 0));
        let mut after = counts(&t).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'inventory.imported'").await, 2);
        *after.last_mut().unwrap() -= 1;
        assert_eq!(after, rows);
    }

    async fn a_row_that_changed_changes_its_model_and_the_preview_says_what(t: T) {
        import(t.app(), desk(&[ANNA, BEN]), true, false).await.unwrap();
        let file = desk(&[&ANNA.replace("Anna@", "clara@").replace("kept", "new words"), BEN]);
        let preview = import(t.app(), file.clone(), false, false).await.unwrap();
        let done = import(t.app(), file, true, false).await.unwrap();
        for report in [&preview, &done] {
            assert_eq!((sums(report), report.new_people), ((0, 1, 1, 0), 1));
            let changes: Vec<_> = report.updated_models[0].changes.iter().map(|change| {
                (change.field.as_str(), change.before.as_deref().unwrap(), change.after.as_deref().unwrap())
            }).collect();
            assert_eq!(changes, [("Note: Remark", "kept", "new words"), ("owner", "anna@example.com", "clara@example.com")]);
        }
        assert!(done.committed && !preview.committed);
        t.everything_holds().await;
    }

    async fn what_people_changed_by_hand_stays_until_the_file_says_something_new(t: T) {
        import(t.app(), desk(&[ANNA, BEN]), true, false).await.unwrap();
        Query::new("UPDATE models SET name = 'Mortgages' WHERE name = 'PD Mortgage'").run(&t.app().db).await.unwrap();
        let same = import(t.app(), desk(&[ANNA, BEN]), true, false).await.unwrap();
        assert_eq!(sums(&same), (0, 0, 2, 0));
        let other = ANNA.replace(",scores,", ",prices,");
        import(t.app(), desk(&[&other, BEN]), true, false).await.unwrap();
        assert_eq!(t.number("SELECT COUNT(*) FROM models WHERE name = 'Mortgages' AND description = 'prices'").await, 1);
        let renamed = other.replace("PD Mortgage", "PD Homes");
        import(t.app(), desk(&[&renamed, BEN]), true, false).await.unwrap();
        assert_eq!(t.number("SELECT COUNT(*) FROM models WHERE name = 'PD Homes'").await, 1);
    }

    async fn two_models_can_change_names_with_each_other(t: T) {
        import(t.app(), desk(&[ANNA, BEN]), true, false).await.unwrap();
        let (one, two) = (ANNA.replace("PD Mortgage", "PD Cards"), BEN.replace("PD Cards", "PD Mortgage"));
        let report = import(t.app(), desk(&[&one, &two]), true, false).await.unwrap();
        assert_eq!(sums(&report), (0, 2, 0, 0));
        assert_eq!(t.number("SELECT COUNT(*) FROM models WHERE name = 'PD Cards' AND external_key = 'desk:1'").await, 1);
    }

    async fn a_new_owner_gets_the_open_tasks_and_what_is_ready(t: T) {
        let (anna, clara) = (t.person("Anna").await, t.person("Clara").await);
        let uk = t.region("UK").await;
        let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await;
        model.version("2.0").approved().await.scheduled_in(&[&uk], "2026-04-30").await;
        Query::new("UPDATE models SET external_key = 'desk:1'").run(&t.app().db).await.unwrap();
        let report = import(t.app(), desk(&[&ANNA.replace("Anna@", "clara@")]), true, false).await.unwrap();
        assert_eq!((sums(&report), report.new_people), ((0, 1, 0, 0), 0));
        assert_eq!(t.number("SELECT assigned_to_id FROM deployment_tasks").await, clara.id.0);
        assert_eq!(t.number("SELECT owner_id FROM ready_pairs").await, clara.id.0);
        t.everything_holds().await;
    }

    async fn a_bad_row_refuses_the_file_and_leaves_nothing_behind(t: T) {
        let admin = t.admin().await;
        let before = counts(&t).await;
        let file = desk(&[ANNA, "2,PD Cards,,nobody,Credit,9,UK,,"]);
        let refused = admin.imports("", "desk.csv", &file).await.refused(422, "import_refused");
        let problem = refused.json();
        assert_eq!(problem["total"], 2);
        assert_eq!((&problem["errors"][0]["line"], &problem["errors"][0]["column"]), (&Value::from(3), &Value::from("Owner")));
        assert_eq!(counts(&t).await, before);
        let report = admin.imports("?skip_bad_rows=true", "desk.csv", &file).await.ok().json();
        assert_eq!((&report["created"], &report["skipped"], &report["total_errors"]), (&1.into(), &1.into(), &2.into()));
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 1);
    }

    async fn rows_that_do_not_fit_what_is_there_are_errors_with_their_line(t: T) {
        let anna = t.person("Anna").await;
        let us = t.region("US").await;
        t.model("PD Cards").owned_by(&anna).in_regions([&us]).await;
        let file = desk(&[ANNA, BEN, "3,LGD,,anna@example.com,Credit,1,Mars,,"]);
        let report = import(t.app(), file, true, true).await.unwrap();
        let errors: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].starts_with("line 3: Another model bears the name \"PD Cards\""), "{errors:?}");
        assert!(errors[1].starts_with("line 4: There is no region \"Mars\""), "{errors:?}");
        assert_eq!(sums(&report), (1, 0, 0, 2));
        t.everything_holds().await;
    }

    async fn a_dry_run_writes_nothing(t: T) {
        let admin = t.admin().await;
        let before = counts(&t).await;
        let report = admin.imports("?dry_run=true", "desk.csv", &desk(&[ANNA, BEN])).await.ok().json();
        assert_eq!((&report["created"], &report["committed"]), (&2.into(), &false.into()));
        assert_eq!(counts(&t).await, before);
    }

    async fn dates_of_the_file_are_notes_and_nothing_goes_live(t: T) {
        import(t.app(), desk(&[ANNA]), true, false).await.unwrap();
        let (label, text): (String, String) =
            Query::new("SELECT label, text FROM model_notes ORDER BY position").one(&t.app().db).await.unwrap();
        assert_eq!((label.as_str(), text.as_str()), ("Production date", "2024-06-11"));
        assert_eq!(t.number("SELECT COUNT(*) FROM versions").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments").await, 0);
    }

    async fn a_member_may_not_import(t: T) {
        let member = t.person("Anna").role(Role::Member).await;
        member.imports("", "desk.csv", &desk(&[ANNA])).await.refused(403, "forbidden");
        member.page("/import").await.expect(403);
        member.uploads(&desk(&[ANNA])).await.expect(403);
        assert!(!t.folder().join("imports").exists());
    }

    async fn what_is_missing_or_unreadable_names_the_field(t: T) {
        let admin = t.admin().await;
        let send = |parts: Vec<u8>| admin.request(Method::POST, "/api/v1/inventory/import").body(FORM, parts);
        let bare = send(multipart(&[("mapping", None, MAPPING.as_bytes())])).await.refused(422, "invalid");
        assert_eq!(bare.problem_fields(), ["file"]);
        let bare = send(multipart(&[("file", Some("x"), b"Id\n1\n")])).await.refused(422, "invalid");
        assert_eq!(bare.problem_fields(), ["mapping"]);
        let unknown = [("file", Some("x"), &b"Id\n1\n"[..]), ("mapping_name", None, b"../../etc/passwd")];
        assert_eq!(send(multipart(&unknown)).await.refused(422, "invalid").problem_fields(), ["mapping_name"]);
        let wrong = [("file", Some("x"), &b"Id\n1\n"[..]), ("mapping", None, b"source = 3")];
        assert_eq!(send(multipart(&wrong)).await.refused(422, "invalid").problem_fields(), ["mapping"]);
        admin.post("/api/v1/inventory/import", serde_json::json!({})).await.refused(415, "unsupported_media_type");
    }

    async fn the_page_shows_what_would_change_and_does_exactly_that(t: T) {
        let admin = t.admin().await;
        assert!(admin.page("/import").await.ok().has(&format!("option[value={FEDERAL_MAPPING}]")));
        let preview = admin.uploads(&desk(&[ANNA, BEN])).await.ok();
        assert_eq!(preview.texts(".cards .value"), ["2", "0", "0", "0"]);
        assert_eq!(preview.count("#created tbody tr"), 2);
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 0);
        let models = admin.submit(&preview, "form[action='/import/confirm']", &[]).await.ok();
        assert!(models.text(".toast").contains("2 models added"), "{}", models.text(".toast"));
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 2);
        assert_eq!(std::fs::read_dir(t.folder().join("imports")).unwrap().count(), 0);
        let again = admin.submit(&preview, "form[action='/import/confirm']", &[]).await.expect(422);
        assert!(again.text("#file-error").contains("no longer kept"));
    }

    async fn the_page_leaves_bad_rows_out_only_when_told(t: T) {
        let admin = t.admin().await;
        let preview = admin.uploads(&desk(&[ANNA, "2,PD Cards,,nobody,Credit,2,UK,,"])).await.ok();
        assert_eq!(preview.texts(".cards .value"), ["1", "0", "0", "1"]);
        assert!(preview.text("#errors tbody tr").contains("4 Owner"), "{}", preview.text("#errors"));
        admin.submit(&preview, "form[action='/import/confirm']", &[]).await.expect(422);
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 0);
        admin.submit(&preview, "form[action='/import/confirm']", &[("skip_bad_rows", "true")]).await.ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 1);
    }

    async fn names_of_files_and_digests_lead_nowhere(t: T) {
        let admin = t.admin().await;
        std::fs::write(t.folder().join("secret"), "Id\n1\n").unwrap();
        admin.imports("", "../../../secret", &desk(&[ANNA])).await.ok();
        let preview = admin.uploads(&desk(&[ANNA, BEN])).await.ok();
        for trick in ["../secret", "..%2fsecret", "/etc/passwd", ""] {
            let page = admin.submit(&preview, "form[action='/import/confirm']", &[("file", trick)]).await;
            page.expect(422);
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM models").await, 1);
    }
}
