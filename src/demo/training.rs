//! What the demo's models learn from: real applications for credit.

use axum::body::Bytes;

use super::Scene;
use crate::training::datasets::{self, NewDataset};

/// Statlog German Credit, UCI, CC BY 4.0 (H. Hofmann).
const CREDIT: &[u8] = include_bytes!("../../tests/data/german-credit.csv");
const ABOUT: &str = "1,000 real applications for consumer credit with their outcome. Statlog German Credit, UCI, CC BY 4.0 (H. Hofmann).";

impl Scene {
    /// The data set that a newcomer's first training learns from.
    pub(super) async fn data_sets(&self) -> anyhow::Result<()> {
        let new = NewDataset {
            name: "German credit".into(),
            description: ABOUT.into(),
            file: Some(("german-credit.csv".into(), Bytes::from_static(CREDIT))),
            location: None,
        };
        datasets::create(&self.app, self.who("mia")?, new).await?;
        Ok(())
    }
}
