//! Two servers on one PostgreSQL and one machine: they share the work, and one goes on where the other died.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::harness::T;
use crate::live::{CREDIT, Live, ask, eventually, is_ready, rolling};

const STRANGE_STEPS: &str = "SELECT COUNT(*) FROM operation_steps WHERE attempts <> 1 AND NOT is_undo";

/// How often something happened to deployments.
async fn events(t: &T, action: &'static str) -> i64 {
    t.rows::<(String,)>("SELECT action FROM ledger_entries").await.into_iter().filter(|row| row.0 == action).count()
        as i64
}

/// The number of the process that serves the model.
fn model_server(live: &Live) -> Option<String> {
    let folder = live.t.folder().display().to_string();
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.ok()?;
        let line = String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).ok()?).into_owned();
        let is_one = line.split('\0').any(|word| word == "serve-model") && line.contains(&folder);
        is_one.then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_the_work_and_look_after_the_same_model_servers() {
    let t = T::postgres().await;
    let live = Live::new(&t).await;
    let (one, other) = (live.start(), live.start());
    let place = live.place(&one, "uk-development", "development").await;
    let versions = [live.version("1.0", CREDIT).await, live.version("2.0", CREDIT).await];
    for round in 0..6 {
        let (asked, seen) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        live.release(asked, place, &versions[round % 2], &rolling()).await.unwrap();
        assert_eq!(live.newest_ended(seen).await["lifecycle_state"], "applied");
        assert_eq!((live.processes("serve-model"), live.processes("gateway")), (1, 1));
    }
    assert_eq!(t.number(STRANGE_STEPS).await, 0, "no step was taken twice");
    assert_eq!(t.number("SELECT COUNT(*) FROM operations WHERE fence <> 1").await, 0, "no release changed hands");

    let victim = model_server(&live).expect("something serves");
    assert!(Command::new("kill").args(["-9", &victim]).status().unwrap().success());
    let path = "/deployments?state=active";
    eventually("the model server is back", async || {
        let active = ask(&one, &live.olga, Method::GET, path, None).await;
        let endpoint = active["items"][0]["endpoint"].as_str().unwrap_or_default().to_owned();
        model_server(&live).is_some_and(|now| now != victim) && is_ready(&endpoint).await
    })
    .await;
    // Both have looked again by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(live.processes("serve-model"), 1, "it was started once");
    for action in ["deployment.died", "deployment.restarted"] {
        assert_eq!(events(&t, action).await, 1, "{action}");
    }
    assert!(events(&t, "deployment.observed").await <= 2, "it failed and it came back, each written down once");
    drop((one, other));
    live.stop();
    t.everything_holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_over_from_one_that_died_in_the_middle_of_a_release() {
    let t = T::postgres().await;
    let live = Live::new(&t).await;
    let (mut dying, staying) = (live.start_to_die_at("begun:verify"), live.start());
    let place = live.place(&staying, "uk-development", "development").await;
    let versions = [live.version("1.0", CREDIT).await, live.version("2.0", CREDIT).await];
    // Whoever is asked hears of the work first; the other may be faster all the same.
    let mut newest = Value::Null;
    for round in 0..20 {
        live.release(&dying, place, &versions[round % 2], &rolling()).await;
        newest = live.newest_ended(&staying).await;
        assert_eq!(newest["lifecycle_state"], "applied", "{newest:#}");
        if dying.has_ended() {
            break;
        }
    }
    assert!(dying.has_ended(), "it never had a release in its hands");
    assert_eq!(newest["steps"][2]["attempts"], 2, "the other took the step again: {newest:#}");
    assert_eq!(t.number("SELECT MAX(fence) FROM operations").await, 2);
    assert_eq!((live.processes("serve-model"), live.processes("gateway")), (1, 1));
    drop(staying);
    live.stop();
    t.everything_holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stopped_is_started_again_without_an_alarm() {
    let t = T::sqlite().await;
    let live = Live::new(&t).await;
    let server = live.start();
    let place = live.place(&server, "uk-development", "development").await;
    live.released(&server, place, &live.version("1.0", CREDIT).await, &rolling()).await;
    drop(server);
    live.stop();
    let server = live.start();
    let endpoint = format!("http://127.0.0.1:{}/v2/models/credit-1", place.port);
    eventually("the model serves again", async || is_ready(&endpoint).await).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((events(&t, "deployment.died").await, events(&t, "deployment.observed").await), (0, 0));
    assert_eq!(events(&t, "deployment.restarted").await, 1);
    let shown = ask(&server, &live.olga, Method::GET, "/deployments/1", None).await;
    assert_eq!(shown["state"], "active");
}
