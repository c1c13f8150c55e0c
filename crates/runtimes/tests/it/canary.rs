//! A canary is watched for its window, over crashes, and stopped when it breaks a limit.

use std::time::Duration;

use countersign_runtimes::canary::Limits;
use countersign_runtimes::diagnostics::code;
use countersign_runtimes::{Runtime as _, Step};

use crate::harness::{Bench, MODEL, kill};

const LIMITS: Limits = Limits { max_error_rate: 0.1, max_p95: 30.0, min_samples: 10 };

fn observe(window: u64) -> Step {
    Step::Observe { model: MODEL.into(), key: "v2".into(), window, limits: LIMITS }
}

/// An old version and a canary with half of the traffic.
async fn canary(options: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    bench.start(&bench.spec("v2", options)).await.unwrap();
    bench.verify("v2").await.unwrap();
    bench.shift(&[("v1", 50), ("v2", 50)]).await;
    bench
}

/// Waits until the window has begun.
async fn begun(bench: &Bench) {
    while !bench.state().join("deployments/v2/window.json").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_good_canary_passes_at_the_end_of_its_window() {
    let bench = canary(&[]).await;
    let traffic = async {
        begun(&bench).await;
        for _ in 0..40 {
            bench.infer().await;
        }
        bench.pass(Duration::from_secs(3600));
    };
    let step = observe(3600);
    let (done, ()) = tokio::join!(bench.take(&step), traffic);
    assert_eq!(done.unwrap().facts["samples"], 20);
}

#[tokio::test]
async fn a_bad_canary_is_stopped_before_its_window_is_over() {
    let bench = canary(&[("bad-every", "2")]).await;
    let traffic = async {
        begun(&bench).await;
        for _ in 0..40 {
            bench.infer().await;
        }
    };
    let step = observe(3600);
    let (done, ()) = tokio::join!(bench.take(&step), traffic);
    let failure = done.unwrap_err();
    assert_eq!(failure.code, code::CANARY_FAILED);
    assert!(failure.message.contains("requests failed; the limit is 10.0 %"), "{failure:?}");
    // Whoever asks again gets the same verdict.
    assert_eq!(bench.take(&step).await.unwrap_err().code, code::CANARY_FAILED);
}

#[tokio::test]
async fn a_canary_that_dies_has_failed() {
    let bench = canary(&[]).await;
    let death = async {
        begun(&bench).await;
        kill(bench.servers().into_iter().find(|(_, line)| line.contains("--version=v2")).unwrap().0);
    };
    let step = observe(3600);
    let (done, ()) = tokio::join!(bench.take(&step), death);
    assert_eq!(done.unwrap_err().code, code::CANARY_FAILED);
}

#[tokio::test]
async fn a_canary_without_traffic_is_not_judged() {
    let bench = canary(&[]).await;
    assert_eq!(bench.take(&observe(0)).await.unwrap_err().code, code::CANARY_NOT_JUDGED);
}

#[tokio::test]
async fn a_later_control_plane_goes_on_with_the_window() {
    let mut bench = canary(&[]).await;
    let step = observe(3600);
    tokio::select! {
        _ = bench.take(&step) => panic!("it cannot be over"),
        () = begun(&bench) => (),
    }
    for _ in 0..40 {
        bench.infer().await;
    }
    bench.replace_control_plane();
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.local.execute(&bench.target, &step).await.unwrap().facts["samples"], 20);
}
