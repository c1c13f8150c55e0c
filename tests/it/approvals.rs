//! The approval inbox over HTTP: who decides what, once, and on what they saw.

use countersign::identity::Role;
use futures_util::future::join_all;
use serde_json::json;

use crate::both;
use crate::validation::{approve_mine, mine, pending, scene};

both! {
    async fn neither_the_developer_nor_the_requester_nor_an_administrator_decides(t: T) {
        let s = scene(&t).await;
        let asker = t.person("Asker").role(Role::Validator).role(Role::GlobalApprover).await;
        let admin = t.admin().await;
        pending(&asker, &s.version).await;
        let ticket = mine(&s.global).await.remove(0);
        let path = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
        for person in [&s.developer, &asker, &s.regional, &admin] {
            person.post(&path, json!({})).if_match(1).await.refused(403, "not_eligible");
        }
        s.owner.post(&path, json!({})).if_match(1).await.refused(403, "forbidden");
        t.person("Stranger").await.post(&path, json!({})).if_match(1).await.refused(404, "not_found");
        s.developer.page(&format!("/inbox/{}", ticket["ticket_id"])).await.ok();
    }

    async fn one_person_satisfies_one_role(t: T) {
        let s = scene(&t).await;
        let both = t.person("Both").role(Role::GlobalApprover).approver_of([&s.uk]).await;
        pending(&s.validator, &s.version).await;
        assert_eq!(mine(&both).await.len(), 2);
        approve_mine(&both).await;
        assert_eq!(mine(&both).await.len(), 0);
    }

    async fn a_stale_decision_is_refused(t: T) {
        let s = scene(&t).await;
        pending(&s.validator, &s.version).await;
        let ticket = mine(&s.global).await.remove(0);
        let path = format!("/api/v1/approvals/inbox/{}", ticket["ticket_id"]);
        s.validator.post(&format!("{path}/comment"), json!({ "comment": "Mind the backtest." })).await.ok();
        s.global.post(&format!("{path}/approve"), json!({})).if_match(1).await.refused(412, "stale");
        approve_mine(&s.global).await;
    }

    async fn of_two_approvers_at_once_one_wins(t: T) {
        let s = scene(&t).await;
        let other = t.person("Gus").role(Role::GlobalApprover).await;
        pending(&s.validator, &s.version).await;
        let ticket = mine(&other).await.remove(0);
        let path = format!("/api/v1/approvals/inbox/{}/approve", ticket["ticket_id"]);
        let sent = [&s.global, &other].map(|person| tokio::spawn(person.post(&path, json!({})).if_match(1).into_future()));
        let answers: Vec<_> = join_all(sent).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|one| one.status() == 200).count(), 1);
        let loser = answers.into_iter().find(|one| one.status() != 200).unwrap();
        assert_eq!(loser.refused(409, "ticket_not_open").json()["ticket"]["state"], "approved");
    }

    async fn a_rule_that_needs_two_needs_two_different_people(t: T) {
        let s = scene(&t).await;
        let admin = t.admin().await;
        let other = t.person("Gus").role(Role::GlobalApprover).await;
        let rule = json!({ "kind": "validation_approval", "role": "GLOBAL_APPROVER", "risk_tier": "TIER_1", "needed": 2 });
        s.global.post("/api/v1/approval-rules", rule.clone()).await.refused(403, "forbidden");
        admin.post("/api/v1/approval-rules", rule).await.ok();
        admin.page("/approval-rules").await.ok();
        let model = t.model("Tier one").owned_by(&s.owner).tier("TIER_1").in_regions([&s.uk]).await;
        let version = model.version("1.0").await;
        pending(&s.validator, &version).await;

        let first = approve_mine(&s.global).await;
        assert_eq!((first["state"].as_str(), first["given"].as_i64()), (Some("pending"), Some(1)));
        assert_eq!(mine(&s.global).await.len(), 0);
        let second = approve_mine(&other).await;
        assert_eq!(second["state"], "approved");
    }

    async fn a_ticket_is_given_only_to_somebody_who_could_decide_it(t: T) {
        let s = scene(&t).await;
        pending(&s.validator, &s.version).await;
        let ticket = mine(&s.global).await.remove(0);
        let path = format!("/api/v1/approvals/inbox/{}/assign", ticket["ticket_id"]);
        s.validator.post(&path, json!({ "user_id": s.developer.id })).await.refused(422, "invalid");
        let given = s.validator.post(&path, json!({ "user_id": s.global.id })).await.ok().json();
        assert_eq!(given["assigned_to"], "Glenda");
        s.validator.page(&format!("/inbox/{}?assign=1", ticket["ticket_id"])).await.ok();
    }

    async fn the_inbox_filters_and_pages_and_counts(t: T) {
        let s = scene(&t).await;
        pending(&s.validator, &s.version).await;
        let page = s.global.get("/api/v1/approvals/inbox?view=pending&limit=1").await.ok().assert_statements_at_most(5).json();
        assert_eq!(page["counts"]["pending"], 2);
        let next = format!("/api/v1/approvals/inbox?view=pending&limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
        let rest = s.global.get(&next).await.ok().json();
        assert_eq!((rest["items"].as_array().unwrap().len(), rest["next_cursor"].is_null()), (1, true));
        let uk = format!("/api/v1/approvals/inbox?view=all&kind=validation_approval&risk=medium&status=pending&region_id={}&q=mortgage&sort=-due", s.uk.id);
        assert_eq!(s.global.get(&uk).await.ok().json()["counts"]["shown"], 1);
        s.global.page("/inbox").await.ok().assert_statements_at_most(5);
        s.owner.page("/inbox?view=all").await.ok();
        assert_eq!(t.person("Stranger").await.get("/api/v1/approvals/inbox?view=all").await.ok().json()["counts"]["all"], 0);
    }

    async fn like_tickets_are_approved_together_each_on_its_own(t: T) {
        let s = scene(&t).await;
        let other = t.model("Other").owned_by(&s.owner).in_regions([&s.uk]).await;
        pending(&s.validator, &s.version).await;
        pending(&s.validator, &other.version("1.0").await).await;
        let tickets = mine(&s.global).await;
        let ids: Vec<i64> = tickets.iter().map(|one| one["ticket_id"].as_i64().unwrap()).collect();
        s.validator.post(&format!("/api/v1/approvals/inbox/{}/comment", ids[1]), json!({ "comment": "Wait." })).await.ok();

        let seen: Vec<_> = ids.iter().map(|id| json!({ "ticket_id": id, "revision": 1 })).collect();
        let path = "/api/v1/approvals/inbox/bulk/approve";
        let answer = s.global.post(path, json!({ "tickets": seen, "comment": "Both read." })).await.ok().json();
        assert_eq!(answer["approved"][0]["ticket_id"], ids[0]);
        assert_eq!(answer["approved"][0]["comment"], "Both read.");
        assert_eq!((&answer["failed"][0]["ticket_id"], &answer["failed"][0]["problem"]["code"]), (&json!(ids[1]), &json!("stale")));
        assert_eq!(mine(&s.global).await.len(), 1);

        s.owner.post(path, json!({ "tickets": seen })).await.refused(403, "forbidden");
        s.global.post(path, json!({ "tickets": [] })).await.refused(422, "invalid");
        let nothing = json!({ "tickets": [{ "ticket_id": 0, "revision": 1 }] });
        s.global.post(path, nothing).await.refused(422, "invalid");
    }

    async fn tickets_of_several_kinds_are_not_approved_together(t: T) {
        let s = scene(&t).await;
        let both = t.person("Both").role(Role::GlobalApprover).role(Role::Compliance).await;
        pending(&s.validator, &s.version).await;
        let task = s.version.scheduled_in(&[&s.uk], &t.today().to_string()).await[0];
        let body = json!({ "actual_production_date": t.today(), "validation_override_reason": "It had to go live before its validation." });
        s.owner.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body).await.ok();
        let tickets = mine(&both).await;
        assert_eq!(tickets.len(), 2, "{tickets:?}");
        let seen: Vec<_> = tickets.iter().map(|one| json!({ "ticket_id": one["ticket_id"], "revision": 1 })).collect();
        both.post("/api/v1/approvals/inbox/bulk/approve", json!({ "tickets": seen })).await.refused(422, "invalid");
        assert_eq!(mine(&both).await.len(), 2);
    }

    async fn several_tickets_are_approved_from_the_list_without_a_script(t: T) {
        let s = scene(&t).await;
        pending(&s.validator, &s.version).await;
        let ticket = mine(&s.global).await.remove(0);
        let id = ticket["ticket_id"].as_i64().unwrap();
        let back = "/inbox?kind=validation_approval";
        let address = format!("/inbox/approve?back={}&ticket_id={id}", back.replace('=', "%3D").replace('?', "%3F"));
        let dialog = s.global.page(&address).await.ok();
        assert_eq!(dialog.text("#modal h2"), "Approve 1 ticket");
        s.validator.post(&format!("/api/v1/approvals/inbox/{id}/comment"), json!({ "comment": "Wait." })).await.ok();
        let again = s.global.submit(&dialog, "#modal form", &[("comment", "Read.")]).await.expect(422);
        assert!(again.text("#modal .notice-bad").contains("revision 2"));
        let done = s.global.submit(&again, "#modal form", &[]).await.ok();
        assert!(done.text(".toast").contains("1 ticket approved."));
        assert_eq!(mine(&s.global).await.len(), 0);
        assert_eq!(s.global.page("/inbox/approve").await.ok().text("#modal h2"), "Nothing to approve here");
    }

    async fn decisions_work_as_plain_forms(t: T) {
        let s = scene(&t).await;
        pending(&s.validator, &s.version).await;
        let ticket = mine(&s.global).await.remove(0)["ticket_id"].clone();
        let page = s.global.page(&format!("/inbox/{ticket}")).await.ok();
        let form = "form[action$='/decide']";
        let refused = s.global.submit(&page, form, &[("verdict", "reject")]).await.expect(422);
        assert!(refused.has("#comment-error"));
        let done = s.global.submit(&page, form, &[("verdict", "approve"), ("comment", "Good.")]).await.ok();
        assert!(done.text(".toast").contains("Approved CS-"));
    }

    async fn what_nobody_decides_in_time_expires_and_is_asked_again(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        let old = mine(&s.global).await.remove(0);
        // The model is of tier 2: due in a week, expired a month after.
        assert_eq!((old["due_at"].as_str(), old["expires_at"].as_str()), (Some("2026-04-07T12:00:00Z"), Some("2026-05-07T12:00:00Z")));
        let path = format!("/api/v1/approvals/inbox/{}", old["ticket_id"]);
        s.validator.post(&format!("{path}/ask-again"), json!({})).await.refused(409, "conflict");
        t.advance(37);
        s.global.post(&format!("{path}/approve"), json!({})).if_match(1).await.refused(409, "ticket_not_open");

        assert_eq!(countersign::approvals::expire_due(t.app()).await.unwrap(), 2);
        assert_eq!(countersign::approvals::expire_due(t.app()).await.unwrap(), 0);
        assert_eq!(s.global.get(&path).await.ok().json()["state"], "expired");
        assert_eq!(mine(&s.global).await.len(), 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'ticket.expired'").await, 2);
        s.global.post(&format!("{path}/approve"), json!({})).if_match(2).await.refused(409, "ticket_not_open");

        let request = s.validator.page(&format!("/validations/{id}")).await.ok();
        assert_eq!(request.count("form[action$='/ask-again']"), 2);
        s.developer.post(&format!("{path}/ask-again"), json!({})).await.ok();
        s.owner.post(&format!("{path}/ask-again"), json!({})).await.refused(409, "conflict");
        let new = mine(&s.global).await.remove(0);
        assert_eq!((new["due_at"].as_str(), new["requested_by"].as_str()), (Some("2026-05-14T12:00:00Z"), Some("Dev")));
        let ended = s.global.get(&path).await.ok().json();
        assert_eq!((ended["state"].as_str(), &ended["superseded_by_id"]), (Some("expired"), &new["ticket_id"]));
        let page = s.validator.page(&format!("/validations/{id}")).await.ok();
        let asked = s.validator.submit(&page, "form[action$='/ask-again']", &[]).await.ok();
        assert!(asked.address.starts_with("/inbox/"), "{}", asked.address);
        approve_mine(&s.global).await;
        approve_mine(&s.regional).await;
        assert_eq!(s.validator.get(&format!("/api/v1/validations/{id}")).await.json()["state"], "APPROVED");
        t.everything_holds().await;
    }

    async fn whoever_asks_again_does_not_decide(t: T) {
        let s = scene(&t).await;
        let both = t.person("Both").role(Role::Validator).role(Role::GlobalApprover).await;
        pending(&s.validator, &s.version).await;
        let old = mine(&both).await.remove(0);
        t.advance(37);
        let path = format!("/api/v1/approvals/inbox/{}", old["ticket_id"]);
        t.person("Olga").role(Role::Auditor).await.post(&format!("{path}/ask-again"), json!({})).await.refused(403, "forbidden");
        s.regional.post(&format!("{path}/ask-again"), json!({})).await.refused(403, "forbidden");
        // Nobody has to wait until the server has noticed.
        both.post(&format!("{path}/ask-again"), json!({})).await.expect(201);
        assert_eq!(mine(&both).await.len(), 0);
        assert_eq!(mine(&s.global).await.len(), 1);
    }

    async fn what_expired_is_withdrawn_with_what_it_asked_about(t: T) {
        let s = scene(&t).await;
        let id = pending(&s.validator, &s.version).await;
        let old = mine(&s.global).await.remove(0);
        t.advance(37);
        countersign::approvals::expire_due(t.app()).await.unwrap();
        crate::validation::step(&s.validator, id, "CANCELLED", json!("Not needed any more")).await;
        let path = format!("/api/v1/approvals/inbox/{}", old["ticket_id"]);
        s.validator.post(&format!("{path}/ask-again"), json!({})).await.refused(409, "conflict");
        assert_eq!(s.global.get(&path).await.ok().json()["state"], "cancelled");
        t.everything_holds().await;
    }
}
