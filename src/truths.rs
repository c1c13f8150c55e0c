//! The three truths in SQL: fragments for the areas that show what is approved, ratified and running side by side.
//!
//! Each is one expression over the rows that its documentation names; none decides anything.

/// The number of the version that runs in production, of the model of version `v` in region `r`; none if nothing does.
pub const RUNNING: &str =
    "(SELECT rv.number FROM deployments rd JOIN environments re ON re.environment_id = rd.environment_id
      JOIN versions rv ON rv.version_id = rd.version_id
      WHERE rd.model_id = v.model_id AND re.region_id = r.region_id AND re.stage = 'production'
        AND rd.ended_at IS NULL AND rd.state IN ('active', 'paused')
      ORDER BY rd.deployment_id DESC LIMIT 1) AS running ";
