//! One way through the whole product, as the people of a firm walk it: from the import of a real
//! inventory to a ratified deployment, in two browsers, and on to the reports and the ledger.

use std::path::Path;
use std::time::Duration;

use chrono::Days;
use countersign::identity::people::NewUser;
use countersign::identity::{Actor, Role, add_user};
use countersign::ids::RegionId;

use crate::chrome::{Browser, Chromedriver, Kind};
use crate::harness::T;
use crate::server::Server;

/// One of the 2,133 that come in, of the Veterans Benefits Administration.
const MODEL: &str = "Automated Decision Support (VA)";

const PASSWORD: &str = "correct horse battery";

/// How soon another person's open page must show what happened; on an idle machine it is at once.
const LIVE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_from_its_submission_to_the_ledger_on_sqlite() {
    walk(T::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_from_its_submission_to_the_ledger_on_postgres() {
    walk(T::postgres().await).await;
}

/// Adds somebody who can sign in, as the command line does.
async fn person(t: &T, name: &str, roles: &[Role], approves_for: &[RegionId]) {
    let new = NewUser {
        email: address_of(name),
        name: name.to_owned(),
        password: Some(PASSWORD.to_owned()),
        roles: roles.to_vec(),
        approves_for: approves_for.to_vec(),
    };
    add_user(t.app(), &Actor::console(), new).await.unwrap();
}

fn address_of(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase())
}

/// The desk at which one person after the other works.
struct Desk {
    browser: Browser,
}

impl Desk {
    async fn seat(&self, name: &str) -> &Browser {
        if self.browser.count(".sidebar").await > 0 {
            self.browser.press("Sign out").await;
            self.browser.wait_for("#email").await;
        }
        self.browser.sign_in(&address_of(name), PASSWORD).await;
        &self.browser
    }
}

async fn walk(t: T) {
    t.at_machine_time();
    let uk = t.region("UK").requires_approval().await;
    let eu = t.region("EU").requires_approval().await;
    person(&t, "Ada", &[Role::Admin], &[]).await;
    person(&t, "Anna", &[], &[]).await;
    person(&t, "Vera", &[Role::Validator], &[]).await;
    person(&t, "Gus", &[Role::GlobalApprover], &[]).await;
    person(&t, "Rita", &[Role::RegionalApprover], &[uk.id, eu.id]).await;
    person(&t, "Carl", &[Role::Compliance], &[]).await;

    let server = Server::start(&t.folder(), t.database_address().as_deref(), &[]);
    let chromedriver = Chromedriver::start();
    let engine = format!("{:?}", t.app().db.engine()).to_lowercase();
    let desk = Desk {
        browser: Browser::open(&chromedriver, &server.address, &format!("desk-{engine}"), Kind::default()).await,
    };
    let anna = Browser::open(&chromedriver, &server.address, &format!("anna-{engine}"), Kind::default()).await;

    import_the_inventory(&desk).await;
    hand_over_a_model(&desk).await;
    anna.sign_in(&address_of("Anna"), PASSWORD).await;
    submit(&anna, "MAJOR", &["US", "UK", "EU"]).await;
    ask_for_validation(&anna, "UK").await;

    // Anna leaves her tasks open; the others work.
    anna.goto("/my-deployment-tasks").await;
    assert!(nothing_is_ready(&anna).await);
    validate_and_approve(&desk).await;
    let seen = anna.wait_text("#ready", MODEL).await;
    assert!(seen < LIVE, "the ready version was seen after {seen:?}");
    anna.wait_text("#ready-count", "3").await;
    anna.wait_text("#badge-tasks", "3").await;

    deploy_in_three_regions(&t, &anna).await;
    approve_the_locked_region(&desk).await;
    confirm_the_locked_region(&anna).await;
    override_another(&anna).await;
    look_at_the_reports(&t, &desk).await;
    t.everything_holds().await;
    desk.browser.close().await;
    anna.close().await;
}

/// Ada, the administrator, brings in the inventory of the federal agencies, all of it.
async fn import_the_inventory(desk: &Desk) {
    let ada = desk.seat("Ada").await;
    ada.goto("/models").await;
    ada.press("Import").await;
    ada.choose_file("#file", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/federal-ai-use-cases-2024.csv"))
        .await;
    ada.choose("#mapping_name", "federal-ai-use-cases-2024").await;
    ada.press("Preview").await;
    ada.wait_text("h1", "Preview of the import").await;
    ada.wait_text(".cards", "2,133").await;
    ada.click("form[action='/import/confirm'] button").await;
    ada.wait_text(".toasts", "2,133").await;
}

/// She gives one of its models to Anna, who uses it in three regions.
async fn hand_over_a_model(desk: &Desk) {
    let ada = &desk.browser;
    ada.goto("/models").await;
    ada.fill("#q", MODEL).await;
    ada.press(MODEL).await;
    ada.press("Change model").await;
    ada.choose("#owner_id", "Anna").await;
    for region in ["UK", "EU"] {
        ada.tick(region).await;
    }
    ada.press("Save").await;
    ada.wait_text(".toasts", MODEL).await;
    ada.wait_text("main", "Anna").await;
}

/// Anna, the owner, submits a change for these regions.
async fn submit(anna: &Browser, kind: &str, regions: &[&str]) {
    anna.goto("/models").await;
    anna.press(MODEL).await;
    anna.press("Submit a change").await;
    anna.click(&format!("dialog input[name=change_type][value={kind}]")).await;
    anna.fill("dialog #description", "Recalibrated on the last three years").await;
    anna.click("dialog input[name=scope][value=REGIONAL]").await;
    for region in regions {
        anna.tick(region).await;
    }
    anna.press("Submit change").await;
    anna.wait_for("#version").await;
}

/// Anna asks for the validation of the version she looks at, without one of its regions.
async fn ask_for_validation(anna: &Browser, left_out: &str) {
    anna.press("Ask for validation").await;
    anna.wait_text("h1", "Ask for validation").await;
    anna.tick(left_out).await;
    anna.press("Ask for validation").await;
    anna.wait_for("#validation").await;
}

/// Vera validates, then both approvers agree: one for all, one for the EU.
async fn validate_and_approve(desk: &Desk) {
    let vera = desk.seat("Vera").await;
    vera.goto("/validations").await;
    vera.click("main table th a[href^='/validations/']").await;
    for (step, state) in [
        ("Start planning", "Planning"),
        ("Start work", "In progress"),
        ("Hand in for review", "Review"),
        ("Ask for approval", "Pending approval"),
    ] {
        vera.press(step).await;
        vera.wait_text("#validation-head", state).await;
    }
    decide(desk, "Gus", "Approve").await;
    decide(desk, "Rita", "Approve").await;
}

/// Whether *Ready to Deploy* is closed, and says that everything has been deployed.
async fn nothing_is_ready(browser: &Browser) -> bool {
    browser.wait_for("#ready:not([open])").await;
    let said = browser.script("return document.querySelector('#ready').textContent").await;
    said.as_str().is_some_and(|text| text.contains("All approved versions have been deployed"))
}

/// Somebody decides the first ticket that waits for them.
async fn decide(desk: &Desk, name: &str, verdict: &str) {
    let approver = desk.seat(name).await;
    approver.goto("/inbox").await;
    approver.click("#tickets tbody th a").await;
    approver.fill("#comment", "Read and understood").await;
    approver.press(verdict).await;
    approver.wait_text(".toasts", "pproved").await;
}

/// Anna deploys from the ready row: two regions now, the locked one is scheduled.
async fn deploy_in_three_regions(t: &T, anna: &Browser) {
    anna.press("Deploy").await;
    anna.wait_for("dialog[open] form[data-deploy]").await;
    for row in 1..=3 {
        anna.set_ticked(&format!("dialog tbody tr:nth-child({row}) input[type=checkbox]")).await;
    }
    let next_week = (t.today() + Days::new(7)).to_string();
    anna.fill("dialog tbody tr:has([data-locked]) input[type=date]", &next_week).await;
    anna.press("Deploy to 2 regions, schedule 1").await;
    anna.wait_text(".toasts", "eploy").await;
    anna.goto("/my-deployment-tasks").await;
    anna.wait_text("#tasks-table", "UK").await;
    assert_eq!(anna.count("#tasks-table tbody tr").await, 1);
    assert!(anna.text("#tasks-table tbody tr").await.contains("regional approval missing"));
}

/// Rita agrees for the UK.
async fn approve_the_locked_region(desk: &Desk) {
    decide(desk, "Rita", "Approve").await;
}

/// On Anna's open page the lock goes by itself; she confirms.
async fn confirm_the_locked_region(anna: &Browser) {
    anna.wait_gone("#tasks-table tbody .visually-hidden").await;
    anna.press("Confirm").await;
    anna.press("Confirm deployment").await;
    anna.wait_text("#scheduled", "Nothing is scheduled").await;
    assert!(nothing_is_ready(anna).await);
}

/// Anna deploys a second change before its approval, and says why.
async fn override_another(anna: &Browser) {
    submit(anna, "MINOR", &["US"]).await;
    anna.press("Deploy").await;
    anna.wait_for("dialog[open] form[data-deploy]").await;
    anna.set_ticked("dialog tbody tr:nth-child(1) input[type=checkbox]").await;
    anna.fill("#reason", "The old version misprices since the rate change").await;
    anna.press("Deploy to 1 region with override").await;
    anna.wait_text(".toasts", "eploy").await;
}

/// Carl, of compliance, finds all of it in the reports of today, and nothing in those of last month.
async fn look_at_the_reports(t: &T, desk: &Desk) {
    let carl = desk.seat("Carl").await;
    let last_month = t.today() - Days::new(31);
    carl.goto("/reports/overrides").await;
    carl.wait_text("#overrides", "misprices").await;
    carl.goto(&format!("/reports/overrides?as_of={last_month}")).await;
    carl.wait_text("main", "No override matches").await;

    let only = MODEL.replace(' ', "+");
    carl.goto(&format!("/reports/regional-matrix?q={only}")).await;
    let row = carl.text("#matrix tbody tr").await;
    assert!(row.contains(MODEL) && row.matches("1.0").count() >= 2 && row.contains("1.1 override"), "{row}");
    carl.goto(&format!("/reports/regional-matrix?q={only}&as_of={last_month}")).await;
    carl.wait_text("main", "No model matches").await;

    carl.goto("/ledger").await;
    carl.press("Verify now").await;
    carl.wait_text("#verification", "The ledger verifies").await;
}
