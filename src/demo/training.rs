//! What the demo's models learn from: real applications for credit.

use std::io::Read as _;

use axum::body::Bytes;

use super::Scene;
use crate::training::datasets::{self, NewDataset};

/// Statlog German Credit, UCI, CC BY 4.0 (H. Hofmann), packed.
const CREDIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/german-credit.csv.gz"));
const ABOUT: &str = "1,000 real applications for consumer credit with their outcome. Statlog German Credit, UCI, CC BY 4.0 (H. Hofmann).";

impl Scene {
    /// The data set that a newcomer's first training learns from.
    pub(super) async fn data_sets(&self) -> anyhow::Result<()> {
        let mut credit = Vec::new();
        flate2::read::GzDecoder::new(CREDIT).read_to_end(&mut credit)?;
        let new = NewDataset {
            name: "German credit".into(),
            description: ABOUT.into(),
            file: Some(("german-credit.csv".into(), Bytes::from(credit))),
            location: None,
        };
        datasets::create(&self.app, self.who("mia")?, new).await?;
        Ok(())
    }
}
