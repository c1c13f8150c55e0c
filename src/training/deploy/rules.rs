//! What a version says of the job that made it. Pure.

use crate::training::jobs::JobView;
use crate::training::points::Latest;

/// How many measurements a description names.
const NAMED: usize = 6;

/// A version's description: the job, its code, its data, and what it measured last.
pub fn description(job: &JobView, latest: &[Latest]) -> String {
    let mut says = format!("Made by training job {}, {}", job.job_id, job.name);
    if let Some(code) = &job.code {
        says.push_str(&format!(", with {code}"));
    }
    if let (Some(name), Some(digest)) = (&job.dataset_name, &job.dataset_digest) {
        says.push_str(&format!(", from {name} (sha256:{digest})"));
    }
    says.push('.');
    let named = latest.iter().filter_map(|one| Some(format!("{} {:.4}", one.name, one.value?)));
    let named: Vec<_> = named.take(NAMED).collect();
    if !named.is_empty() {
        says.push_str(&format!(" At its end: {}.", named.join(", ")));
    }
    says
}
