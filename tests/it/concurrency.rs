//! Several people at once: exactly one wins, the others are told what happened, nothing is halved.

use futures_util::future::join_all;
use serde_json::json;

use crate::both;
use crate::client::{Answer, Sending};

/// Sends all requests at once, each from a task of its own.
async fn at_once(requests: impl IntoIterator<Item = Sending>) -> Vec<Answer> {
    let sent = requests.into_iter().map(|request| tokio::spawn(request.into_future()));
    join_all(sent).await.into_iter().map(Result::unwrap).collect()
}

/// How many answers have this status.
fn having(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status() == status).count()
}

both! {
    async fn of_fifty_confirmations_one_wins_and_the_others_see_its_result(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);

        let body = json!({ "actual_production_date": "2026-03-31", "confirmation_notes": "Live since noon" });
        let answers = at_once((0..50).map(|_| anna.patch(&format!("/api/v1/deployment-tasks/{task}/confirm"), body.clone()))).await;

        assert_eq!(having(&answers, 200), 1);
        for loser in answers.iter().filter(|answer| answer.status() != 200) {
            let problem = loser.clone().refused(409, "task_not_open").json();
            assert_eq!(problem["task"]["status"], "CONFIRMED");
            assert_eq!(problem["task"]["confirmation_notes"], "Live since noon");
            assert_eq!(problem["task"]["confirmed_by_name"], "Anna");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments").await, 1);
        t.everything_holds().await;
    }

    async fn of_two_deploys_of_one_pair_one_makes_the_task(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await
            .version("2.0").regional([&uk]).approved().await;

        let body = json!({ "mode": "schedule", "regions": [{ "region_id": uk.id, "planned_production_date": "2026-04-30" }] });
        let deploy = || anna.post(&format!("/api/v1/versions/{}/deploy", version.id), body.clone());
        let answers = at_once((0..8).map(|_| deploy())).await;

        let winner = answers.iter().find(|answer| answer.status() == 200).expect("one deploys").json();
        assert_eq!(having(&answers, 200), 1);
        for loser in answers.iter().filter(|answer| answer.status() != 200) {
            let problem = loser.clone().refused(409, "task_exists").json();
            assert_eq!(problem["task_id"], winner["tasks"][0]["task_id"]);
        }
        t.everything_holds().await;
    }

    async fn one_key_from_several_clients_is_one_act(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);
        let address = format!("/api/v1/deployment-tasks/{task}/adjust");
        let body = json!({ "planned_production_date": "2026-05-31", "adjustment_reason": "The vendor is late" });
        let adjust = || anna.patch(&address, body.clone()).idempotency_key("adjust-once");

        let answers = at_once((0..12).map(|_| adjust())).await;

        // Adjusting twice is allowed, so that only the key keeps the act from being repeated.
        assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'task.adjusted'").await, 1);
        assert!(having(&answers, 200) >= 1);
        let first = answers.iter().find(|answer| answer.status() == 200).expect("one adjusts").json();
        for answer in &answers {
            match answer.status() {
                200 => assert_eq!(answer.json(), first),
                _ => drop(answer.clone().refused(409, "idempotency_under_way")),
            }
        }
        let again = adjust().await.ok();
        assert_eq!(again.json(), first);
        assert_eq!(again.header("idempotency-replayed"), "true");
        let other = json!({ "planned_production_date": "2026-06-30", "adjustment_reason": "The vendor is late" });
        anna.patch(&address, other).idempotency_key("adjust-once").await.refused(422, "idempotency_mismatch");
        t.everything_holds().await;
    }

    async fn confirming_adjusting_and_cancelling_at_once_ends_in_one_state(t: T) {
        let anna = t.person("Anna").await;
        let uk = t.region("UK").await;
        let version = t.model("PD Mortgage").owned_by(&anna).in_regions([&uk]).await.version("2.0").approved().await;
        let task = version.scheduled_in(&[&uk], "2026-04-30").await.remove(0);
        let address = |verb| format!("/api/v1/deployment-tasks/{task}/{verb}");

        let answers = at_once((0..10).flat_map(|_| [
            anna.patch(&address("confirm"), json!({ "actual_production_date": "2026-03-31" })),
            anna.patch(&address("cancel"), json!({ "cancellation_reason": "Rolled back" })),
            anna.patch(&address("adjust"), json!({ "planned_production_date": "2026-06-30", "adjustment_reason": "Late" })),
        ])).await;

        let ended = answers.iter().filter(|answer| answer.status() == 200)
            .filter(|answer| matches!(answer.json()["status"].as_str(), Some("CONFIRMED" | "CANCELLED"))).count();
        assert_eq!(ended, 1);
        assert_eq!(having(&answers, 200) + having(&answers, 409), answers.len());
        t.everything_holds().await;
    }
}
