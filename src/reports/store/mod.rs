//! Every SQL statement of this area, a file for each thing shown.

pub mod badges;
pub mod dashboard;
pub mod history;
pub mod matrix;
pub mod overrides;
pub mod search;

/// What stands behind `FROM user_roles r JOIN approval_inbox_items i` to leave the pending tickets
/// that person `$1` can decide: `approvals::rules::ineligible` in SQL.
pub const DECIDABLE: &str = " ON i.required_role = r.role AND (r.region_id IS NULL OR i.region_id = r.region_id)
    WHERE r.user_id = $1 AND i.state = 'pending' AND i.requested_by_id <> $1
      AND NOT EXISTS (SELECT 1 FROM json_each(i.excluded) x WHERE CAST(x.value AS BIGINT) = $1)";
