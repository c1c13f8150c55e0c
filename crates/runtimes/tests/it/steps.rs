//! Each step, its repetition, and its failures.

use countersign_runtimes::diagnostics::code;
use countersign_runtimes::live::Status;
use countersign_runtimes::{DesiredState, Runtime as _, Step, Strategy};
use hyper::StatusCode;

use crate::harness::{Bench, MODEL, kill, shift};

fn is(failure: &countersign_runtimes::Diagnostics, code: &str) {
    assert_eq!(failure.code, code, "{failure:?}");
}

#[tokio::test]
async fn a_version_is_started_verified_and_answers_at_the_endpoint() {
    let bench = Bench::new();
    let spec = bench.spec("v1", &[]);
    bench.serve(&spec).await;
    let answer = bench.infer().await;
    assert_eq!((answer.status, answer.deployment()), (StatusCode::OK, "v1"));
    assert_eq!(answer.body["version"], "v1");

    let live = bench.local.observe(&bench.target).await.unwrap();
    let deployment = live.deployment("v1").unwrap();
    assert_eq!((deployment.status, deployment.weight), (Status::Ready, 100));
    assert_eq!(deployment.running_digest.as_ref(), Some(&spec.digest));
    assert!(live.gateway.unwrap().current);
}

#[tokio::test]
async fn every_step_taken_again_changes_nothing() {
    let bench = Bench::new();
    let spec = bench.spec("v1", &[]);
    bench.serve(&spec).await;
    let (before, live) = (bench.processes(), bench.local.observe(&bench.target).await.unwrap());
    bench.serve(&spec).await;
    assert_eq!(bench.processes(), before);
    assert_eq!(bench.local.observe(&bench.target).await.unwrap(), live);
    let stop = Step::Stop { key: "v1".into() };
    bench.take(&stop).await.unwrap();
    assert_eq!(bench.servers(), []);
    bench.take(&stop).await.unwrap();
}

#[tokio::test]
async fn two_starts_at_once_make_one_server() {
    let bench = Bench::new();
    let spec = bench.spec("v1", &[]);
    let starts = (0..8).map(|_| bench.start(&spec));
    for started in futures_util::future::join_all(starts).await {
        started.unwrap();
    }
    assert_eq!(bench.servers().len(), 1);
}

#[tokio::test]
async fn what_serves_other_bytes_or_another_model_is_refused() {
    let bench = Bench::new();
    bench.start(&bench.spec("a", &[("fault", "other-bytes")])).await.unwrap();
    is(&bench.verify("a").await.unwrap_err(), code::DIGEST_MISMATCH);
    bench.start(&bench.spec("b", &[("fault", "other-name")])).await.unwrap();
    is(&bench.verify("b").await.unwrap_err(), code::MODEL_MISMATCH);
    let live = bench.local.observe(&bench.target).await.unwrap();
    assert_eq!(live.deployment("a").unwrap().status, Status::Mismatch);
    assert_ne!(live.deployment("a").unwrap().running_digest.as_deref(), Some(bench.spec("a", &[]).digest.as_str()));
}

#[tokio::test]
async fn a_server_that_ends_at_once_tells_why() {
    let bench = Bench::new();
    bench.start(&bench.spec("v1", &[("fault", "exits")])).await.unwrap();
    let failure = bench.verify("v1").await.unwrap_err();
    is(&failure, code::PROCESS_EXITED);
    assert!(failure.tail.contains("the artifact cannot be loaded"), "{failure:?}");
    assert!(failure.message.contains("exit status: 3"), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_refuses_its_artifact_is_quoted() {
    let bench = Bench::new();
    bench.start(&bench.spec("v1", &[("fault", "refuses")])).await.unwrap();
    let failure = bench.verify("v1").await.unwrap_err();
    is(&failure, code::DIGEST_MISMATCH);
    assert!(failure.message.ends_with("These are other bytes."), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_does_not_become_ready_fails_with_its_log() {
    for (key, fault) in [("a", "silent"), ("b", "never-ready")] {
        let bench = Bench::new();
        let mut spec = bench.spec(key, &[("fault", fault)]);
        (spec.ready_within, spec.drain_within) = (1, 0);
        bench.start(&spec).await.unwrap();
        let failure = bench.verify(key).await.unwrap_err();
        is(&failure, code::NOT_READY);
        assert_eq!(failure.tail.contains("thinking"), fault == "silent");
    }
}

#[tokio::test]
async fn an_artifact_that_is_not_there_and_a_program_that_is_not_there_are_told() {
    let bench = Bench::new();
    let mut spec = bench.spec("v1", &[]);
    spec.artifact = "/nowhere/model.onnx".into();
    is(&bench.start(&spec).await.unwrap_err(), code::ARTIFACT_MISSING);
    is(&bench.verify("v1").await.unwrap_err(), code::NOT_RUNNING);
    bench.start(&bench.spec("v2", &[])).await.unwrap();
    let mut other = bench.spec("v2", &[]);
    other.model = "lgd".into();
    is(&bench.start(&other).await.unwrap_err(), code::SPEC_INVALID);
    assert_eq!(bench.servers().len(), 1);
    spec.key = "../v1".into();
    is(&bench.start(&spec).await.unwrap_err(), code::SPEC_INVALID);
}

#[tokio::test]
async fn a_server_that_ignores_the_signal_is_killed() {
    let bench = Bench::new();
    let mut spec = bench.spec("v1", &[("fault", "deaf")]);
    spec.drain_within = 1;
    bench.serve(&spec).await;
    let done = bench.take(&Step::Stop { key: "v1".into() }).await.unwrap();
    assert_eq!(done.facts["in_time"], false);
    assert_eq!(bench.servers(), []);
}

#[tokio::test]
async fn a_stop_lets_the_requests_under_way_end() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[("delay", "300")])).await;
    let asked = bench.infer();
    let stopped = async {
        bench.under_way("v1").await;
        bench.take(&Step::Stop { key: "v1".into() }).await.unwrap()
    };
    let (answer, done) = tokio::join!(asked, stopped);
    assert_eq!((answer.status, &done.facts["in_time"]), (StatusCode::OK, &true.into()));
}

#[tokio::test]
async fn stopping_everything_lets_the_requests_under_way_end() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[("delay", "300")])).await;
    let stopped = async {
        bench.under_way("v1").await;
        bench.local.stop_all(&bench.target).await.unwrap();
    };
    let (answer, ()) = tokio::join!(bench.infer(), stopped);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(bench.processes(), []);
}

#[tokio::test]
async fn an_endpoint_that_is_taken_is_told() {
    let bench = Bench::new();
    let _taken = std::net::TcpListener::bind(bench.target.endpoint).unwrap();
    bench.start(&bench.spec("v1", &[])).await.unwrap();
    let failure = bench.take(&shift(&[("v1", 100)], false)).await.unwrap_err();
    is(&failure, code::PROCESS_EXITED);
    assert!(failure.tail.contains("in use"), "{failure:?}");
}

#[tokio::test]
async fn an_endpoint_can_move() {
    let mut bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    bench.target.endpoint = crate::harness::free_address();
    bench.shift(&[("v1", 100)]).await;
    assert_eq!(bench.infer().await.status, StatusCode::OK);
    let gateways = bench.processes().into_iter().filter(|(_, line)| line.contains(" gateway "));
    assert_eq!(gateways.count(), 1);
}

#[tokio::test]
async fn a_changed_specification_replaces_the_server() {
    let bench = Bench::new();
    bench.serve(&bench.spec("v1", &[])).await;
    let before = bench.servers();
    bench.serve(&bench.spec("v1", &[("delay", "1")])).await;
    let after = bench.servers();
    assert_eq!(after.len(), 1);
    assert_ne!(before[0].0, after[0].0);
    assert_eq!(bench.infer().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_plan_leads_to_what_is_wanted_and_its_undo_leads_back() {
    let bench = Bench::new();
    let first = bench.spec("v1", &[]);
    let plan = bench.local.plan(&bench.target, &DesiredState::one(first.clone()), &Strategy::Rolling).await.unwrap();
    for step in &plan.steps {
        bench.take(step).await.unwrap();
    }
    let live = bench.local.observe(&bench.target).await.unwrap();
    let second = DesiredState::one(bench.spec("v2", &[]));
    let plan = bench.local.plan(&bench.target, &second, &Strategy::Rolling).await.unwrap();
    assert_eq!(plan.live.digest(), live.digest());
    assert!(plan.diff.contains("-deployment: v1") && plan.diff.contains("+deployment: v2"), "{}", plan.diff);
    for step in &plan.steps {
        bench.take(step).await.unwrap();
    }
    assert_eq!(bench.infer().await.deployment(), "v2");
    assert_eq!(bench.servers().len(), 1);
    let again = bench.local.plan(&bench.target, &second, &Strategy::Rolling).await.unwrap();
    assert_eq!((again.steps, again.diff), (vec![], String::new()));
    for step in &plan.undo {
        bench.take(step).await.unwrap();
    }
    assert_eq!(bench.infer().await.deployment(), "v1");
    assert_eq!(bench.local.observe(&bench.target).await.unwrap().digest(), live.digest());
    let retire = bench.local.plan(&bench.target, &DesiredState::none(MODEL), &Strategy::Rolling).await.unwrap();
    for step in &retire.steps {
        bench.take(step).await.unwrap();
    }
    assert_eq!(bench.servers(), []);
    assert_eq!(bench.infer().await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dead_process_whose_number_is_used_again_is_not_taken_for_it() {
    let bench = Bench::new();
    let spec = bench.spec("v1", &[]);
    bench.serve(&spec).await;
    kill(bench.servers()[0].0);
    // As if the number had been given to this very test.
    let file = bench.state().join("deployments/v1/process.json");
    let mut life: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    life["process"]["pid"] = std::process::id().into();
    std::fs::write(&file, life.to_string()).unwrap();
    bench.take(&Step::Stop { key: "v1".into() }).await.unwrap();
    bench.serve(&spec).await;
    assert_eq!(bench.servers().len(), 1);
}
