//! What an observation makes of a deployment.

use super::rules::{DeploymentState, observed};

#[test]
fn a_deployment_that_is_not_there_has_failed_with_a_reason() {
    let (state, reason) = observed(None, false);
    assert_eq!(state, DeploymentState::Failed);
    assert!(reason.is_some_and(|reason| reason.ends_with('.')));
}
