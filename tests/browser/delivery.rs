//! A version's way to its customers, as the people of the demo walk it: previewed, approved, served, measured, ratified;
//! then a worse one, which stops itself as a canary, goes in all at once, and is rolled back.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use countersign::identity::rules::DEMO_PASSWORD;

use crate::chrome::{Browser, Chromedriver, Kind};
use crate::credit::{Traffic, application, score};
use crate::harness::T;
use crate::server::Server;

/// The demo's environment in the US, which needs no approval of its own.
const PLACE: &str = "us-production";
/// How long what happens on machines may take.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How many customers ask before the figures are compared.
const CUSTOMERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_goes_to_its_customers_and_a_worse_one_comes_back_on_sqlite() {
    walk(T::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_goes_to_its_customers_and_a_worse_one_comes_back_on_postgres() {
    walk(T::postgres().await).await;
}

/// Ends the model servers, however the walk ended.
pub struct Stopped(pub T);

impl Drop for Stopped {
    fn drop(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["stop", "--data"]).arg(self.0.folder());
        if let Some(database) = self.0.database_address() {
            command.args(["--database", &database]);
        }
        let _ = command.output();
    }
}

async fn walk(t: T) {
    t.at_machine_time();
    let _stopped = Stopped(t.clone());
    let server = Server::start(&t.folder(), t.database_address().as_deref(), &["--demo"]);
    let chromedriver = Chromedriver::start();
    let engine = format!("{:?}", t.app().db.engine()).to_lowercase();
    let desk =
        Desk(Browser::open(&chromedriver, &server.address, &format!("delivery-{engine}"), Kind::default()).await);

    move_the_environment(&desk).await;
    let first = release(&desk, "Credit Scorecard 1.0", "Rolling: all at once", "10").await;
    desk.comes_to(&first, "Applied").await;
    let endpoint = customers_are_counted(&desk, &first).await;
    ratify(&desk).await;

    let traffic = Traffic::on(&endpoint);
    let canary = release(&desk, "Credit Scorecard 1.1", "Canary: 10 %, 50 %, all", "60").await;
    desk.comes_to(&canary, "Failed").await;
    assert!(desk.0.text("#release").await.contains("canary_failed"));
    traffic.stop().await;
    desk.0.goto("/drift").await;
    assert!(!desk.0.text("main").await.contains("Credit Scorecard"), "the first version serves as it was ratified");

    let worse = release(&desk, "Credit Scorecard 1.1", "Rolling: all at once", "10").await;
    desk.comes_to(&worse, "Applied").await;
    let (long_loan, _) = application(0, Some(48));
    assert_eq!(score(&endpoint, &long_loan).await, None, "the worse version cannot score a long loan");
    roll_back(&desk, &worse).await;
    assert!(score(&endpoint, &long_loan).await.is_some(), "the first version scores again");

    look_back(&desk, &canary, &worse).await;
    desk.0.close().await;
    drop(server);
    t.everything_holds().await;
}

/// The desk at which one person after the other works.
pub struct Desk(pub Browser);

impl Desk {
    pub async fn seat(&self, name: &str) -> &Browser {
        if self.0.count(".sidebar").await > 0 {
            self.0.press("Sign out").await;
            self.0.wait_for("#email").await;
        }
        self.0.sign_in(&format!("{name}@demo.example"), DEMO_PASSWORD).await;
        &self.0
    }

    /// Waits until a release stands where it should.
    pub async fn comes_to(&self, release: &str, state: &str) {
        let started = Instant::now();
        loop {
            self.0.goto(release).await;
            let head = self.0.text("#release .page-head .status").await;
            if head.contains(state) {
                return;
            }
            let text = self.0.text("#release").await;
            assert!(
                started.elapsed() < PATIENCE && !head.contains("Failed"),
                "{release} is {head}, not {state}:\n{text}"
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Omar, the operator, gives the environment an address that is free on this machine.
async fn move_the_environment(desk: &Desk) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let omar = desk.seat("operator").await;
    omar.goto("/environments").await;
    omar.press(PLACE).await;
    omar.press("Change").await;
    omar.fill("#endpoint", &format!("127.0.0.1:{port}")).await;
    omar.press("Save").await;
    omar.wait_text("main", &format!("127.0.0.1:{port}")).await;
}

/// Omar previews a version, reads what would change, and asks; Grace reads the same and approves. The address of the
/// release.
async fn release(desk: &Desk, version: &str, strategy: &str, window: &str) -> String {
    let omar = desk.seat("operator").await;
    omar.goto("/releases").await;
    omar.press("New release").await;
    omar.choose("#f-version_id", version).await;
    omar.choose("#f-environment_id", &format!("{PLACE} (production)")).await;
    omar.choose("#f-strategy", strategy).await;
    omar.fill("#window", window).await;
    omar.press("Preview").await;
    let number = version.rsplit(' ').next().unwrap();
    omar.wait_text("pre.diff", &format!("version: {number}")).await;
    omar.tick("Apply on approval").await;
    omar.press("Ask for approval by Global approver").await;
    omar.wait_text("#release", "Pending approval").await;
    let release = omar.path().await.split('?').next().unwrap_or_default().to_owned();

    let grace = desk.seat("global").await;
    grace.goto("/inbox").await;
    grace.press(&format!("Release {version} into {PLACE}")).await;
    grace.wait_text("pre.diff", &format!("version: {number}")).await;
    grace.fill("#comment", "Read and understood").await;
    grace.press("Approve").await;
    grace.wait_text(".toasts", "pproved").await;
    release
}

/// Customers get the scores that the reference gives, and the page counts as many as they were. The endpoint they asked.
async fn customers_are_counted(desk: &Desk, release: &str) -> String {
    desk.0.goto(release).await;
    desk.0.click("#release a[href^='/deployments/']").await;
    desk.0.wait_for("#statistics").await;
    let endpoint = desk.0.text("#deployment .copyable code").await;
    for customer in 0..CUSTOMERS {
        let (body, expected) = application(customer % 8, None);
        let score = score(&endpoint, &body).await.expect("it answers with scores");
        assert!((score - expected).abs() < 1e-5, "{score} instead of {expected}");
    }
    let started = Instant::now();
    while desk.0.count("#statistics .card").await == 0
        || desk.0.text("#statistics .card .value").await != CUSTOMERS.to_string()
    {
        assert!(started.elapsed() < PATIENCE, "the page shows {}", desk.0.text("#statistics").await);
        tokio::time::sleep(Duration::from_secs(1)).await;
        desk.0.script("location.reload()").await;
        desk.0.wait_for("#statistics").await;
    }
    assert!(desk.0.text("#statistics").await.contains("100.00 % succeeded"));
    endpoint
}

/// Anna, the owner, ratifies what serves, with one click.
async fn ratify(desk: &Desk) {
    let anna = desk.seat("anna").await;
    anna.goto("/my-deployment-tasks").await;
    anna.press("Ratify").await;
    anna.wait_text(".toasts", "Credit Scorecard 1.0 in US confirmed").await;
    assert_eq!(anna.count("button[form=ratify]").await, 0);
}

/// Anna wants the first version back; Omar agrees.
async fn roll_back(desk: &Desk, worse: &str) {
    let anna = desk.seat("anna").await;
    anna.goto(worse).await;
    anna.choose("#version_id", "1.0").await;
    anna.fill("#reason", "Long loans get no score").await;
    anna.press("Preview the rollback").await;
    anna.wait_text("pre.diff", "version: 1.0").await;
    anna.tick("Apply on approval").await;
    anna.press("Ask for approval by Operator").await;
    anna.wait_text("#release", "Pending approval").await;
    let back = anna.path().await.split('?').next().unwrap_or_default().to_owned();
    let omar = desk.seat("operator").await;
    omar.goto("/inbox").await;
    omar.press(&format!("Roll back to Credit Scorecard 1.0 into {PLACE}")).await;
    omar.press("Approve").await;
    omar.wait_text(".toasts", "pproved").await;
    desk.comes_to(&back, "Applied").await;
    desk.comes_to(worse, "Rollback").await;
}

/// Anders, the auditor, finds every step in the timelines and the ledger, which verifies.
async fn look_back(desk: &Desk, canary: &str, worse: &str) {
    let anders = desk.seat("auditor").await;
    anders.goto(canary).await;
    let timeline = anders.text("#release .timeline").await;
    let happened =
        ["previewed a release", "asked for a release", "approved a release", "Observe", "could not apply a release"];
    for step in happened {
        assert!(timeline.contains(step), "“{step}” is not in the timeline:\n{timeline}");
    }
    anders.goto(worse).await;
    assert!(anders.text("#release .timeline").await.contains("rolled a release back"));
    anders.goto("/ledger").await;
    anders.press("Verify now").await;
    anders.wait_text("#verification", "The ledger verifies").await;
}
