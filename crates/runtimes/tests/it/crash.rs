//! The control plane is killed at every point of every step; the next one takes the step again.

use std::process::Stdio;
use std::time::{Duration, Instant};

use countersign_runtimes::canary::Limits;
use countersign_runtimes::{Local, Runtime as _, Step};
use hyper::StatusCode;
use tokio::process::Command;

use crate::harness::{Bench, FAKE, MODEL, shift};

/// A process of its own that takes the step, and dies at the point.
fn drive(bench: &Bench, step: &Step, point: &str) -> Command {
    let mut command = Command::new(FAKE);
    command
        .arg("drive")
        .arg(format!("--target={}", serde_json::to_string(&bench.target).unwrap()))
        .arg(format!("--step={}", serde_json::to_string(step).unwrap()))
        .arg(format!("--die-at={point}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Takes the step in such a process. Returns whether it came to the point.
async fn dies_at(bench: &Bench, step: &Step, point: &str) -> bool {
    let status = drive(bench, step, point).status().await.unwrap();
    assert!(status.success() || status.code().is_none(), "the step failed: {status}");
    status.code().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_leaves_at_most_one_server_and_the_step_can_be_taken_again() {
    for point in Local::POINTS {
        let bench = Bench::new();
        let spec = bench.spec("v1", &[]);
        let limits = Limits { min_samples: 0, ..Limits::default() };
        let steps = [
            Step::Start { deployment: spec.clone() },
            Step::Verify { key: "v1".into() },
            shift(&[("v1", 100)], false),
            Step::Observe { model: MODEL.into(), key: "v1".into(), window: 0, limits },
        ];
        let mut died = false;
        for step in &steps {
            // Twice: a crash may be followed by another at the same place.
            died |= dies_at(&bench, step, point).await;
            dies_at(&bench, step, point).await;
            assert!(bench.servers().len() <= 1, "{point}: {:?}", bench.servers());
            bench.take(step).await.unwrap_or_else(|failure| panic!("{point}: {failure:?}"));
            assert_eq!(bench.servers().len(), 1, "{point}");
        }
        assert_eq!(bench.infer().await.status, StatusCode::OK, "{point}");
        let stop = Step::Stop { key: "v1".into() };
        died |= dies_at(&bench, &stop, point).await;
        bench.local.supervise(&bench.target).await.unwrap();
        bench.take(&stop).await.unwrap_or_else(|failure| panic!("{point}: {failure:?}"));
        assert_eq!(bench.servers(), [], "{point}");
        assert!(died, "nothing came by {point}");
    }
}

#[tokio::test]
async fn a_kill_at_any_instant_of_a_start_leaves_at_most_one_server() {
    let bench = Bench::new();
    let spec = bench.spec("v1", &[]);
    let (start, stop) = (Step::Start { deployment: spec }, Step::Stop { key: "v1".into() });
    let begun = Instant::now();
    assert!(!dies_at(&bench, &start, "never").await);
    let whole = begun.elapsed();
    bench.take(&stop).await.unwrap();
    for round in 0..40 {
        let mut driver = drive(&bench, &start, "never").spawn().unwrap();
        // Spread evenly over the time that a start takes.
        tokio::time::sleep(whole * round / 40 + Duration::from_micros(1)).await;
        driver.kill().await.unwrap();
        bench.take(&start).await.unwrap();
        assert_eq!(bench.servers().len(), 1, "round {round}");
        bench.take(&stop).await.unwrap();
        assert_eq!(bench.servers(), [], "round {round}");
    }
}

#[tokio::test]
async fn servers_outlive_their_control_plane_and_are_adopted() {
    let mut bench = Bench::new();
    let spec = bench.spec("v1", &[]);
    for step in
        [Step::Start { deployment: spec.clone() }, Step::Verify { key: "v1".into() }, shift(&[("v1", 100)], false)]
    {
        assert!(!dies_at(&bench, &step, "never").await);
    }
    let before = bench.processes();
    assert_eq!(bench.infer().await.status, StatusCode::OK);
    bench.replace_control_plane();
    assert_eq!(bench.local.supervise(&bench.target).await.unwrap(), []);
    bench.serve(&spec).await;
    assert_eq!(bench.processes(), before);
    assert!(bench.local.observe(&bench.target).await.unwrap().deployment("v1").unwrap().pid.is_some());
}
