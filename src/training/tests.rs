use super::rules::JobState;

#[test]
fn a_job_is_open_until_it_has_ended() {
    let open: Vec<_> = JobState::ALL.iter().filter(|state| state.is_open()).collect();
    assert_eq!(open, [&JobState::Queued, &JobState::Running]);
}
