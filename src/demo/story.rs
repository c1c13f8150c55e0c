//! What happened in the demo's four months, in the order of time.

use super::Scene;
use crate::words::ChangeType::{Major, Minor};
use crate::words::RiskTier::{Tier1, Tier2, Tier3};
use crate::words::ValidationState;

impl Scene {
    /// Plays the story from beginning to end.
    pub(super) async fn play(mut self) -> anyhow::Result<()> {
        self.days_ago(120);
        self.settle().await?;
        self.build().await?;
        let retail = self.project("Retail Banking", "Retail credit").await?;
        let fraud = self.project("Financial Crime", "Fraud and AML").await?;
        let treasury = self.project("Treasury and Markets", "Treasury risk").await?;

        let pd = "Probability of default of residential mortgages, through the cycle; feeds capital and pricing.";
        let pd = self.model("PD Mortgage", pd, "anna", retail, Tier1, &["US", "UK", "EU", "APAC"]).await?;
        let lgd = "Loss given default of unsecured loans.";
        let lgd = self.model("LGD Unsecured", lgd, "anna", retail, Tier2, &["UK", "EU"]).await?;
        let collections = "Orders the calls of the collections desk.";
        let collections =
            self.model("Collections Prioritiser", collections, "ben", retail, Tier3, &["US", "UK"]).await?;
        let card = "Scores card authorisations within 40 ms.";
        let card = self.model("Credit Card Fraud", card, "ben", fraud, Tier1, &["US", "UK", "EU"]).await?;
        let aml = "Ranks transaction-monitoring alerts for the investigators.";
        let aml = self.model("AML Alert Scoring", aml, "ben", fraud, Tier2, &["US", "EU", "APAC"]).await?;
        let alm = "Behavioural maturities of deposits for the banking book's interest rate risk.";
        let alm = self.model("ALM Interest Rate", alm, "anna", treasury, Tier1, &["US", "EU"]).await?;
        let var = "Ten-day value at risk of the trading book, historical simulation.";
        let var = self.model("Market Risk VaR", var, "ben", treasury, Tier1, &["US", "UK", "APAC"]).await?;
        let stress = "Projects losses and revenue under the supervisor's scenarios.";
        let stress = self.model("Stress Test CCAR", stress, "anna", treasury, Tier1, &["US"]).await?;
        self.lend("anna", pd, "dana").await?;

        self.days_ago(110);
        let mut first = Vec::new();
        for (owner, model, regions) in [
            ("anna", pd, &["US", "UK", "EU", "APAC"][..]),
            ("anna", lgd, &["UK", "EU"]),
            ("ben", card, &["US", "UK", "EU"]),
            ("ben", aml, &["US", "EU", "APAC"]),
            ("ben", var, &["US", "UK", "APAC"]),
        ] {
            first.push((
                owner,
                self.version(owner, model, Major, "First production release.", &[], None).await?,
                regions,
            ));
        }
        self.days_ago(100);
        for (owner, version, _) in &first {
            self.validated(owner, *version, None).await?;
        }
        self.days_ago(95);
        for (owner, version, regions) in &first {
            self.deploy(owner, *version, regions).await?;
        }

        self.days_ago(70);
        let text = "Recalibrated on data up to the last quarter; downturn add-on revised.";
        let lgd_second = self.version("anna", lgd, Major, text, &[], None).await?;
        self.days_ago(55);
        self.validated("anna", lgd_second, None).await?;
        self.days_ago(50);
        self.deploy("anna", lgd_second, &["UK", "EU"]).await?;

        self.days_ago(40);
        let text = "New macro-economic drivers and a longer default history.";
        let pd_second = self.version("anna", pd, Major, text, &[], None).await?;
        let text = "Full revaluation for options; scenario window extended to two years.";
        let var_second = self.version("ben", var, Major, text, &["US", "UK", "APAC"], Some(-5)).await?;

        self.days_ago(30);
        self.validated("ben", var_second, None).await?;
        self.days_ago(15);
        // Only two of its four regions are in scope: the other two must still approve.
        self.validated("anna", pd_second, Some(&["US", "EU"])).await?;
        self.days_ago(12);
        let text = "First release: deposit run-off by customer segment.";
        let alm_first = self.version("anna", alm, Major, text, &["US", "EU"], None).await?;
        self.days_ago(8);
        self.validated("anna", alm_first, None).await?;
        self.schedule("anna", alm_first, &["US"], 10).await?;
        self.days_ago(6);
        self.confirm("ben", var, "US").await?;
        self.adjust("ben", var, "APAC", 3, "Waiting for the exchange's new holiday calendar.").await?;

        self.days_ago(5);
        let text = "Adds merchant-category velocity features.";
        let card_minor = self.version("ben", card, Minor, text, &[], None).await?;
        self.validation("ben", card_minor, None, ValidationState::PendingApproval).await?;
        let text = "Typologies of the new guidance; thresholds retuned.";
        let aml_second = self.version("ben", aml, Major, text, &[], None).await?;
        self.validation("ben", aml_second, None, ValidationState::InProgress).await?;
        self.days_ago(3);
        let text = "Scenario set of this year; new revenue satellite models.";
        let stress_first = self.version("anna", stress, Major, text, &[], Some(30)).await?;
        self.validation("anna", stress_first, None, ValidationState::Intake).await?;
        let text = "First release: gradient-boosted ordering instead of days past due.";
        let calls = self.version("ben", collections, Major, text, &["US", "UK"], None).await?;
        self.validation("ben", calls, None, ValidationState::Review).await?;
        let text = "Rounds the floor of the downturn add-on; no change of method.";
        self.version("anna", lgd, Minor, text, &[], None).await?;
        self.days_ago(2);
        let reason =
            "The old dialler is switched off today and its ordering ends with it. Agreed with the head of collections.";
        self.override_in("ben", calls, &["US"], reason).await?;
        self.data_sets().await?;
        self.scorecard(retail).await?;
        self.untouched(retail).await
    }
}
