//! Every SQL statement of this area, a file for each thing shown.

pub mod badges;
pub mod choices;
pub mod dashboard;
pub mod history;
pub mod lineage;
pub mod matrix;
pub mod overrides;
pub mod search;
pub mod start;
