//! Which step comes next, for every way an operation can go.

use super::Step;
use super::rules::{Next, StepState, next};

/// Steps from a word: `.` waiting, `r` running, `d` done, `f` failed; behind `|` the way back.
fn steps(picture: &str) -> Vec<Step> {
    let mut is_undo = false;
    let mut steps = Vec::new();
    for letter in picture.chars() {
        let state = match letter {
            '|' => {
                is_undo = true;
                continue;
            }
            'r' => StepState::Running,
            'd' => StepState::Done,
            'f' => StepState::Failed,
            _ => StepState::Waiting,
        };
        steps.push(Step {
            position: i64::try_from(steps.len()).unwrap(),
            name: "start".to_owned(),
            sentence: String::new(),
            step: String::new(),
            is_undo,
            state,
            detail: None,
            attempts: 0,
            started_at: None,
            ended_at: None,
        });
    }
    steps
}

fn says(picture: &str, cancel: bool) -> String {
    match next(&steps(picture), cancel) {
        Next::Take(step) => step.position.to_string(),
        Next::Done => "done".to_owned(),
        Next::GaveUp(step) => format!("gave up at {}", step.position),
        Next::Cancelled => "cancelled".to_owned(),
    }
}

#[test]
fn the_next_step_is_the_first_that_is_not_done_until_one_fails() {
    for (picture, cancel, wanted) in [
        ("...|..", false, "0"),
        ("dr.|..", false, "1"),
        ("ddd|..", false, "done"),
        ("|", false, "done"),
        ("df.|..", false, "3"),
        ("df.|r.", false, "3"),
        ("df.|d.", false, "4"),
        ("df.|fd", false, "gave up at 1"),
        ("df.|", false, "gave up at 1"),
        ("...|..", true, "cancelled"),
        ("dr.|..", true, "3"),
        ("dr.|dd", true, "cancelled"),
        ("dr.|d.", false, "4"),
        ("ddd|..", true, "done"),
    ] {
        assert_eq!(says(picture, cancel), wanted, "{picture} {cancel}");
    }
}
