//! Where the demo's models run: three stages in two regions, and a model whose bytes can really be served.

use axum::body::Bytes;
use futures_util::stream;

use super::Scene;
use crate::environments::rules::RuntimeKind;
use crate::environments::{self, EnvironmentBody};
use crate::ids::{ProjectId, VersionId};
use crate::inventory::versions;
use crate::words::ChangeType::{Major, Minor};
use crate::words::RiskTier::Tier2;
use crate::words::Stage;

/// A logistic regression on real credit applications.
const CREDIT: &[u8] = include_bytes!("credit.onnx");
/// The same, until somebody asks for a loan of more than three years.
const WORSE: &[u8] = include_bytes!("credit-fragile.onnx");

impl Scene {
    /// Development, staging and production in two regions.
    pub(super) async fn build(&self) -> anyhow::Result<()> {
        for code in ["UK", "US"] {
            for stage in Stage::ALL {
                let body = EnvironmentBody {
                    name: format!("{}-{stage}", code.to_lowercase()),
                    project_id: None,
                    region_id: self.region(code)?,
                    stage: *stage,
                    runtime: RuntimeKind::Local,
                    endpoint: None,
                    approval_required: None,
                    preview_minutes: 30,
                };
                environments::create(&self.app, self.who("operator")?, body).await?;
            }
        }
        Ok(())
    }

    /// A scorecard with an approved version, and a later one that nobody should want.
    pub(super) async fn scorecard(&self, project: ProjectId) -> anyhow::Result<()> {
        let text = "Scores applications for consumer loans.";
        let model = self.model("Credit Scorecard", text, "anna", project, Tier2, &["US", "UK"]).await?;
        // Both are submitted before the first is approved: what is approved and not ratified blocks the next.
        let first = self.version("anna", model, Major, "First release: logistic regression.", &[], None).await?;
        let worse =
            self.version("anna", model, Minor, "Looks the term up in a table, to answer faster.", &[], None).await?;
        self.give(first, "credit.onnx", CREDIT).await?;
        self.give(worse, "credit-fragile.onnx", WORSE).await?;
        self.validated("anna", first, None).await
    }

    /// A model that nothing was made for yet: a newcomer's first training begins with it.
    pub(super) async fn untouched(&self, project: ProjectId) -> anyhow::Result<()> {
        let text = "Learns from real applications for credit who will repay. Nothing was trained yet.";
        self.model("Consumer Credit Risk", text, "anna", project, Tier2, &["US"]).await?;
        Ok(())
    }

    /// Gives a version its bytes.
    async fn give(&self, version: VersionId, name: &str, bytes: &'static [u8]) -> anyhow::Result<()> {
        let bytes = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(bytes))]);
        versions::upload(&self.app, self.who("anna")?, version, name, None, bytes).await?;
        Ok(())
    }
}
