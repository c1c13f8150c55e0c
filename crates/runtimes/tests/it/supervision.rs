//! What supervision does about what dies.

use std::time::Duration;

use countersign_runtimes::live::Status;
use countersign_runtimes::{EventKind, Runtime as _, Step};
use hyper::StatusCode;

use crate::harness::{Bench, kill};

#[tokio::test]
async fn a_server_that_dies_is_told_once_started_again_and_gets_its_traffic_back() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    let (died, _) = bench.servers()[0].clone();
    kill(died);
    let mut seen = Vec::new();
    while !seen.contains(&EventKind::Recovered) {
        for event in bench.local.supervise(&bench.target).await.unwrap() {
            seen.push(event.kind);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(seen, [EventKind::Died, EventKind::Restarted, EventKind::Recovered]);
    assert_eq!(bench.servers().len(), 1);
    assert_ne!(bench.servers()[0].0, died);
    while bench.infer().await.status != StatusCode::OK {
        bench.local.supervise(&bench.target).await.unwrap();
    }
    let live = bench.local.observe(&bench.target).await.unwrap();
    assert_eq!(live.deployment("v1").unwrap().restarts, 1);
}

#[tokio::test]
async fn the_second_death_waits_for_its_time() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    kill(bench.servers()[0].0);
    bench.supervise_until(|event| event.kind == EventKind::Restarted).await;
    kill(bench.servers()[0].0);
    bench.supervise_until(|event| event.kind == EventKind::Died).await;
    bench.pass(Duration::from_secs(60));
    bench.supervise_until(|event| event.kind == EventKind::Restarted).await;
    assert_eq!(bench.servers().len(), 1);
}

#[tokio::test]
async fn a_server_that_was_never_verified_is_left_to_its_release() {
    let bench = Bench::new();
    bench.start(&bench.spec("v1", &[])).await.unwrap();
    kill(bench.servers()[0].0);
    assert_eq!(bench.local.supervise(&bench.target).await.unwrap(), []);
    assert_eq!(bench.servers(), []);
}

#[tokio::test]
async fn the_gateway_is_started_again_with_its_routes() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    let gateway = bench.processes().into_iter().find(|(_, line)| line.contains(" gateway ")).unwrap();
    kill(gateway.0);
    bench.supervise_until(|event| event.kind == EventKind::Restarted).await;
    loop {
        if bench
            .try_ask("POST", "/v2/models/pd%20mortgage/infer", "{}")
            .await
            .is_ok_and(|answer| answer.status.is_success())
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stop_that_was_interrupted_is_finished() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    let stop = Step::Stop { key: "v1".into() };
    // Dropped at its first await after it was written down.
    let _ = tokio::time::timeout(Duration::ZERO, bench.take(&stop)).await;
    while !bench.servers().is_empty() {
        bench.local.supervise(&bench.target).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn everything_stops_and_comes_back() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    let before = bench.local.observe(&bench.target).await.unwrap();
    bench.local.stop_all(&bench.target).await.unwrap();
    assert_eq!(bench.processes(), []);
    assert_eq!(bench.local.supervise(&bench.target).await.unwrap(), []);
    let halted = bench.local.observe(&bench.target).await.unwrap();
    assert_eq!(halted.deployment("v1").unwrap().status, Status::Down);
    assert_eq!(halted.digest(), before.digest());
    bench.local.resume_all(&bench.target).await.unwrap();
    bench.pass(Duration::from_secs(120));
    bench.supervise_until(|event| event.kind == EventKind::Recovered).await;
    while !bench
        .try_ask("POST", "/v2/models/pd%20mortgage/infer", "{}")
        .await
        .is_ok_and(|answer| answer.status.is_success())
    {
        bench.local.supervise(&bench.target).await.unwrap();
    }
}
