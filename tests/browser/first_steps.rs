//! The way of a newcomer, as the page *First steps* leads them: a training on the demo's data whose loss falls live, one
//! click into development, a prediction, and the same version through validation to production and its owner.

use std::net::TcpListener;
use std::time::Instant;

use serde_json::Value;

use crate::chrome::{Browser, Chromedriver, Kind};
use crate::delivery::{Desk, PATIENCE, Stopped};
use crate::harness::T;
use crate::pages::violations;
use crate::server::Server;

/// The losses that the table of the charts' numbers tells.
const LOSSES: &str = "const table = document.querySelector('#monitor details table');
    const at = [...table.tHead.rows[0].cells].findIndex(one => one.textContent === 'loss');
    return [...table.tBodies[0].rows].map(row => parseFloat(row.cells[at].textContent))";

const MODEL: &str = "Consumer Credit Risk";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_trains_deploys_and_takes_a_model_to_production() {
    let t = T::sqlite().await;
    t.at_machine_time();
    let _stopped = Stopped(t.clone());
    let server = Server::start(&t.folder(), None, &["--demo"]);
    let chromedriver = Chromedriver::start();
    let desk = Desk(Browser::open(&chromedriver, &server.address, "first-steps", Kind::default()).await);
    move_environments(&desk).await;

    let job = train(&desk).await;
    let endpoint = deploy(&desk, &job).await;
    ask(&desk, &endpoint).await;
    validate(&desk).await;
    release(&desk).await;
    let anna = desk.seat("anna").await;
    anna.goto("/start").await;
    anna.wait_text("#step-5", "Done").await;
    anna.press("My deployment tasks").await;
    anna.press("Ratify").await;
    anna.wait_text(".toasts", &format!("{MODEL} 1.0.0 in US confirmed")).await;
    let mut faults = Vec::new();
    for address in
        [job.as_str(), "/training/datasets/1", "/training/compare?jobs=1", "/deployments/1", "/releases/1", "/start"]
    {
        anna.goto(address).await;
        faults.extend(violations(anna, address).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // What the endpoint counts is read every few seconds.
    let started = Instant::now();
    while !anna.text("#step-3").await.contains("Done") {
        assert!(started.elapsed() < PATIENCE, "{}", anna.text("#steps").await);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        anna.goto("/start").await;
    }
    anna.wait_text("main", "That is the whole way").await;
    anna.click("p a[href^='/training/jobs/']").await;
    anna.click("dl a[href^='/models/']").await;
    anna.press("Lineage").await;
    let lane = anna.text(".lineage li").await;
    for part in ["German credit", "First run", "1.0.0", "Approved", "us-production", "us-development"] {
        assert!(lane.contains(part), "“{part}” is not in the lineage:\n{lane}");
    }
    desk.0.close().await;
    drop(server);
    t.everything_holds().await;
}

/// Omar gives two environments addresses that are free on this machine.
async fn move_environments(desk: &Desk) {
    let omar = desk.seat("operator").await;
    for place in ["us-development", "us-production"] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        omar.goto("/environments").await;
        omar.press(place).await;
        omar.press("Change").await;
        omar.fill("#endpoint", &format!("127.0.0.1:{port}")).await;
        omar.press("Save").await;
        omar.wait_text("main", &format!("127.0.0.1:{port}")).await;
    }
}

/// Anna trains, long enough to see the loss fall on a page that she never loads again. The job's address.
async fn train(desk: &Desk) -> String {
    let anna = desk.seat("anna").await;
    anna.goto("/start").await;
    anna.press("New training job").await;
    anna.wait_text("#f-model_id", MODEL).await;
    assert_eq!(anna.script("return document.querySelector('#f-model_id').selectedOptions[0].text").await, MODEL);
    anna.fill("#epochs", "100").await;
    anna.fill("#batch_size", "1").await;
    anna.fill("#learning_rate", "0.0001").await;
    anna.press("Train").await;
    anna.wait_for("#monitor figure.chart").await;
    anna.script("window.stayed = true").await;
    anna.wait_text("#job .page-head", "Complete").await;
    anna.wait_for("form[action$='/deploy']").await;
    assert_eq!(anna.script("return window.stayed").await, true, "the page was loaded again");
    let job = anna.path().await.split('?').next().unwrap_or_default().to_owned();
    let run = anna.text("#job dl dd.mono:last-of-type").await;
    // As MLflow's client prints it.
    anna.goto(&format!("/#/experiments/1/runs/{run}")).await;
    anna.wait_text("#job .page-head", "Complete").await;
    assert_eq!(anna.path().await, job);
    let losses = anna.script(LOSSES).await;
    let losses: Vec<f64> = losses.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(losses.last() < losses.first(), "the loss falls: {losses:?}");
    job
}

/// One click, and it serves. The endpoint, as the page shows it.
async fn deploy(desk: &Desk, job: &str) -> String {
    let anna = &desk.0;
    anna.choose("#f-environment_id", "us-development, development").await;
    anna.press("Deploy").await;
    anna.wait_text(".toasts", "Version 1.0.0 is on its way into us-development").await;
    let started = Instant::now();
    while !anna.text("[aria-labelledby=deployment]").await.contains("Active") {
        assert!(started.elapsed() < PATIENCE, "{}", anna.text("#job").await);
        anna.goto(job).await;
    }
    anna.text("[aria-labelledby=deployment] .copyable code").await
}

/// The request that the page offers is answered with a probability.
async fn ask(desk: &Desk, endpoint: &str) {
    let script = "return document.querySelector('[aria-labelledby=deployment] pre').textContent";
    let command = desk.0.script(script).await.as_str().unwrap().to_owned();
    let body = command.split_once("-d '").unwrap().1.trim_end_matches('\'').to_owned();
    let sent = reqwest::Client::new().post(format!("{endpoint}/infer")).body(body).send().await.unwrap();
    let answer: Value = sent.json().await.unwrap();
    let outputs = answer["outputs"].as_array().unwrap();
    let probabilities = &outputs.iter().find(|one| one["name"] == "probabilities").unwrap()["data"];
    assert!((0.0..=1.0).contains(&probabilities[1].as_f64().unwrap()), "{answer}");
}

/// Anna asks, Viktor validates, Grace approves.
async fn validate(desk: &Desk) {
    let anna = &desk.0;
    anna.goto("/start").await;
    anna.press("Ask for validation").await;
    anna.wait_text("h1", "Ask for validation").await;
    anna.press("Ask for validation").await;
    anna.wait_for("#validation").await;
    let validation = anna.path().await.split('?').next().unwrap_or_default().to_owned();
    let viktor = desk.seat("validator").await;
    viktor.goto(&validation).await;
    for (step, state) in [
        ("Start planning", "Planning"),
        ("Start work", "In progress"),
        ("Hand in for review", "Review"),
        ("Ask for approval", "Pending approval"),
    ] {
        viktor.press(step).await;
        viktor.wait_text("#validation-head", state).await;
    }
    approve(desk, &format!("Approve {MODEL} 1.0.0")).await;
}

/// Anna asks for the release into production, Grace approves it, and it is applied.
async fn release(desk: &Desk) {
    let anna = desk.seat("anna").await;
    anna.goto("/start").await;
    anna.wait_text("#step-4", "Done").await;
    anna.press("Preview it").await;
    anna.choose("#f-environment_id", "us-production (production)").await;
    anna.press("Preview").await;
    anna.wait_text("pre.diff", "version: 1.0.0").await;
    anna.tick("Apply on approval").await;
    anna.press("Ask for approval by Global approver").await;
    anna.wait_text("#release", "Pending approval").await;
    let release = anna.path().await.split('?').next().unwrap_or_default().to_owned();
    approve(desk, &format!("Release {MODEL} 1.0.0 into us-production")).await;
    desk.comes_to(&release, "Applied").await;
}

/// Grace approves the ticket whose subject has these words.
async fn approve(desk: &Desk, subject: &str) {
    let grace = desk.seat("global").await;
    grace.goto("/inbox").await;
    grace.press(subject).await;
    grace.fill("#comment", "Read and understood").await;
    grace.press("Approve").await;
    grace.wait_text(".toasts", "pproved").await;
}
