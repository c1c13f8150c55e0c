//! The ledger: who reads it, that it cannot be changed, and that a change would be found.

use countersign::audit::{Act, Who, verify};
use countersign::db::{Engine, Query};
use countersign::identity::Role;
use countersign_ledger::{Fault, Head, Sealed, Verifier};
use serde_json::json;

use crate::both;
use crate::builder::{Model, Person};
use crate::harness::T;

/// Some acts of two people on two days.
async fn some_history(t: &T) -> (Person, Model) {
    let (anna, us) = (t.person("Anna").await, t.region("US").await);
    let model = t.model("PD Mortgage").owned_by(&anna).in_regions([&us]).await;
    let first = model.version("1.0").approved().await.scheduled_in(&[&us], "2026-04-30").await[0];
    let cancel = json!({ "cancellation_reason": "=1+1 is no reason, but it is one for a test" });
    anna.patch(&format!("/api/v1/deployment-tasks/{first}/cancel"), cancel).await.ok();
    t.advance(1);
    let second = model.version("1.1").approved().await.scheduled_in(&[&us], "2026-04-30").await[0];
    let confirm = json!({ "actual_production_date": "2026-04-01" });
    anna.patch(&format!("/api/v1/deployment-tasks/{second}/confirm"), confirm).await.ok();
    (anna, model)
}

/// Runs a statement past the product.
async fn run(t: &T, sql: &'static str) -> Result<u64, sqlx::Error> {
    let mut act = Act::begin(t.app(), &Who::system("intruder")).await.unwrap();
    let rows = Query::new(sql).run(&mut act.tx).await?;
    act.commit().await.unwrap();
    Ok(rows)
}

/// Takes away what refuses changes, as somebody who owns the database could.
async fn disarm(t: &T) {
    let triggers: &[&str] = match t.app().db.engine() {
        Engine::Sqlite => &["DROP TRIGGER ledger_entries_no_update", "DROP TRIGGER ledger_entries_no_delete"],
        Engine::Postgres => &["DROP TRIGGER ledger_entries_append_only ON ledger_entries"],
    };
    for sql in triggers {
        run(t, sql).await.unwrap();
    }
}

/// The fault that is found after statements were run past the product; by API and page as well.
async fn fault_after(t: &T, statements: &[&'static str]) -> Fault {
    let auditor = t.person("Olga").role(Role::Auditor).await;
    assert_eq!(auditor.get("/api/v1/ledger/verify").await.ok().json()["verified"], true);
    disarm(t).await;
    for sql in statements {
        run(t, sql).await.unwrap();
    }
    let (_, fault) = verify(&t.app().db).await.unwrap().unwrap_err();
    let answer = auditor.get("/api/v1/ledger/verify").await.ok().json();
    assert_eq!((&answer["verified"], &answer["fault"]), (&json!(false), &json!(fault.to_string())));
    let page = auditor.page("/ledger").await.ok();
    let page = auditor.submit(&page, "form[action='/ledger/verify']", &[]).await.ok();
    assert!(page.text("#verification").contains(&fault.to_string()));
    fault
}

both! {
    async fn only_auditors_compliance_and_administrators_read_the_ledger(t: T) {
        let (anna, model) = some_history(&t).await;
        for role in [Role::Auditor, Role::Compliance, Role::Admin] {
            let reader = t.person(&format!("Reader {role:?}")).role(role).await;
            reader.get("/api/v1/ledger").await.ok().assert_statements_at_most(5);
            reader.get("/api/v1/ledger/export").await.ok();
            reader.page("/ledger").await.ok().assert_statements_at_most(5);
        }
        let validator = t.person("Vera").role(Role::Validator).await;
        for person in [&anna, &validator] {
            for address in ["/api/v1/ledger", "/api/v1/ledger/verify", "/api/v1/ledger/export"] {
                person.get(address).await.expect(403);
            }
            person.page("/ledger").await.expect(403);
            person.page("/ledger/export").await.expect(403);
        }
        let timeline = anna.page(&format!("/models/{}?tab=timeline", model.id)).await.ok();
        assert!(timeline.text(".timeline").contains("Anna confirmed a deployment"));
        t.person("Sam").await.page(&format!("/models/{}?tab=timeline", model.id)).await.expect(404);
    }

    async fn the_ledger_is_filtered_and_paged(t: T) {
        let (anna, model) = some_history(&t).await;
        let auditor = t.person("Olga").role(Role::Auditor).await;
        let count = async |query: &str| auditor.get(&format!("/api/v1/ledger?{query}")).await.ok().json()["items"].as_array().unwrap().len();
        let all = count("").await;
        assert!(all >= 4);
        for query in [format!("actor_id={}", anna.id), "actor=ann".into(), format!("model_id={}", model.id), "entity=task".into(), "from=2026-03-31".into(), "to=2026-04-01".into()] {
            assert_eq!(count(&query).await, all, "{query}");
        }
        assert_eq!(count("action=task.confirmed").await, 1);
        assert_eq!(count("q=is+no+reason").await, 1);
        assert_eq!(count("from=2026-04-01").await + count("to=2026-03-31").await, all);
        assert_eq!(count("entity=region").await, 0);
        assert_eq!(auditor.page("/ledger?action=task.confirmed").await.ok().count("#ledger tbody tr"), 1);
        let page = auditor.get("/api/v1/ledger?limit=1").await.ok().json();
        assert_eq!(count(&format!("cursor={}", page["next_cursor"].as_str().unwrap())).await, all - 1);
        auditor.get("/api/v1/ledger?nonsense=1").await.expect(422);
    }

    async fn an_export_verifies_without_the_product(t: T) {
        some_history(&t).await;
        let auditor = t.person("Olga").role(Role::Auditor).await;
        let file = auditor.get("/api/v1/ledger/export").await.ok().text();
        let mut verifier = Verifier::new();
        for line in file.lines() {
            verifier.push(&serde_json::from_str::<Sealed>(line).unwrap()).unwrap();
        }
        let ledger = auditor.get("/api/v1/ledger").await.ok().json();
        let recorded = Head { seq: ledger["entries"].as_i64().unwrap(), hash: ledger["head_hash"].as_str().unwrap().to_owned() };
        verifier.finish(&recorded).unwrap();

        let table = auditor.get("/api/v1/ledger/export?format=csv&action=task.cancelled").await.ok().text();
        assert_eq!(table.lines().count(), 2);
        assert!(table.contains("'=1+1 is no reason"), "{table}");
    }

    async fn the_ledger_refuses_to_be_changed(t: T) {
        some_history(&t).await;
        for sql in ["UPDATE ledger_entries SET actor = 'Nobody' WHERE seq = 2", "DELETE FROM ledger_entries WHERE seq = 2", "DELETE FROM ledger_entries"] {
            let refused = run(&t, sql).await.unwrap_err().to_string();
            assert!(refused.contains("the ledger is append-only"), "{refused}");
        }
        t.the_ledger_verifies().await;
    }

    async fn a_changed_entry_is_found(t: T) {
        some_history(&t).await;
        assert_eq!(fault_after(&t, &["UPDATE ledger_entries SET actor = 'Nobody' WHERE seq = 2"]).await, Fault::Changed { seq: 2 });
    }

    async fn a_missing_entry_is_found(t: T) {
        some_history(&t).await;
        assert_eq!(fault_after(&t, &["DELETE FROM ledger_entries WHERE seq = 2"]).await, Fault::Missing { from: 2, to: 2 });
    }

    async fn exchanged_entries_are_found(t: T) {
        some_history(&t).await;
        let exchange = [
            "UPDATE ledger_entries SET seq = -2 WHERE seq = 2",
            "UPDATE ledger_entries SET seq = 2 WHERE seq = 3",
            "UPDATE ledger_entries SET seq = 3 WHERE seq = -2",
        ];
        assert_eq!(fault_after(&t, &exchange).await, Fault::Changed { seq: 2 });
    }

    async fn an_end_that_was_cut_off_is_found(t: T) {
        some_history(&t).await;
        let last = t.number("SELECT MAX(seq) FROM ledger_entries").await;
        let cut = ["DELETE FROM ledger_entries WHERE seq = (SELECT seq FROM ledger_head)"];
        assert_eq!(fault_after(&t, &cut).await, Fault::WrongHead { found: last - 1, recorded: last });
    }
}
