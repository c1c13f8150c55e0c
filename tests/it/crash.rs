//! The server killed with SIGKILL in the middle of work: after a restart each task is wholly done or
//! not at all, and what was answered is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use countersign::app::{Clock as _, SystemClock};
use countersign::db::Engine;
use countersign::ids::TaskId;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::both;
use crate::builder::Person;
use crate::harness::T;

#[path = "../support/server.rs"]
pub mod server;
use server::Server;

const MODELS: usize = 25;
const REGIONS: usize = 20;

/// 500 open tasks of one owner, all of which may be confirmed.
async fn five_hundred_tasks(t: &T) -> (Person, Vec<TaskId>) {
    let anna = t.person("Anna").await;
    let mut regions = Vec::new();
    for number in 1..=REGIONS {
        regions.push(t.region(&format!("R{number}")).await);
    }
    let all: Vec<_> = regions.iter().collect();
    let mut tasks = Vec::new();
    for number in 1..=MODELS {
        let model = t.model(&format!("Model {number}")).owned_by(&anna).in_regions(&regions).await;
        let version = model.version("2.0").regional(&regions).approved().await;
        tasks.extend(version.scheduled_in(&all, "2026-04-30").await);
    }
    assert_eq!(tasks.len(), 500);
    (anna, tasks)
}

fn start(t: &T) -> Server {
    Server::start(&t.folder(), t.database_address().as_deref(), &[])
}

/// Sends a confirmation over the network; `None` if the server died before it answered.
async fn confirm(server: String, token: String, address: String, mut body: Value) -> Option<Value> {
    let today = SystemClock.now().date_naive();
    let with = json!({ "actual_production_date": today });
    body = if body.is_null() { with } else { json!({ "task_ids": body, "with": with }) };
    let sent =
        reqwest::Client::new().patch(format!("{server}{address}")).bearer_auth(token).json(&body).send().await.ok()?;
    let status = sent.status();
    let answer: Value = sent.json().await.ok()?;
    assert!(status == 200 || answer["code"] == "task_not_open", "{status}: {answer}");
    Some(answer)
}

async fn confirmed(t: &T) -> i64 {
    t.number("SELECT COUNT(*) FROM deployment_tasks WHERE status = 'CONFIRMED'").await
}

/// Waits until PostgreSQL has noticed that the server is gone: a statement that it was sent may still run.
async fn quiet(t: &T) {
    let busy = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
    while t.app().db.engine() == Engine::Postgres && t.number(busy).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A number below `most`, by the operating system.
fn random_below(t: &T, most: u64) -> u64 {
    u64::from_le_bytes(t.app().random()) % most
}

both! {
    async fn a_bulk_confirmation_that_is_killed_is_done_wholly_or_not(t: T) {
        let (anna, tasks) = five_hundred_tasks(&t).await;
        for round in 0..8 {
            let mut server = start(&t);
            let bulk = confirm(server.address.clone(), anna.token.clone(), "/api/v1/deployment-tasks/bulk/confirm".to_owned(), json!(tasks));
            let sent = tokio::spawn(bulk);
            tokio::time::sleep(Duration::from_millis(round * 40 + random_below(&t, 40 + round * 20))).await;
            server.kill();
            let answered = sent.await.unwrap();
            let server = start(&t);
            quiet(&t).await;
            t.everything_holds().await;
            if answered.is_some() {
                assert_eq!(confirmed(&t).await, 500);
                break;
            }
            drop(server);
        }
        let server = start(&t);
        let bulk = confirm(server.address.clone(), anna.token, "/api/v1/deployment-tasks/bulk/confirm".to_owned(), json!(tasks));
        bulk.await.expect("the server lives");
        assert_eq!(confirmed(&t).await, 500);
        assert_eq!(t.number("SELECT COUNT(*) FROM region_deployments").await, 500);
        assert_eq!(t.number("SELECT COUNT(*) FROM ready_pairs").await, 0);
        t.everything_holds().await;
    }

    async fn confirmations_that_were_answered_outlive_the_server(t: T) {
        let (anna, tasks) = five_hundred_tasks(&t).await;
        let answered = Arc::new(AtomicI64::new(0));
        for lot in tasks.chunks(125) {
            let mut server = start(&t);
            let clients = lot.chunks(25).map(|mine| {
                let (mine, anna, server) = (mine.to_vec(), anna.token.clone(), server.address.clone());
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    for task in mine {
                        let address = format!("/api/v1/deployment-tasks/{task}/confirm");
                        if confirm(server.clone(), anna.clone(), address, Value::Null).await.is_none() {
                            break;
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            }).collect::<Vec<_>>();
            let enough = answered.load(Ordering::SeqCst) + 1 + random_below(&t, 60).cast_signed();
            while answered.load(Ordering::SeqCst) < enough && !clients.iter().all(|one| one.is_finished()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.kill();
            join_all(clients).await.into_iter().for_each(Result::unwrap);
            quiet(&t).await;
            let (promised, kept) = (answered.load(Ordering::SeqCst), confirmed(&t).await);
            assert!(kept >= promised, "{promised} confirmations were answered, {kept} are there");
            t.everything_holds().await;
        }
    }
}
