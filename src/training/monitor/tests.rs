//! Charts and pace, without a database.

use super::draw::{Drawn, charts, number, overlay, steps};
use crate::ids::JobId;
use crate::training::points::{Series, Span};

fn series(name: &str, values: &[f64]) -> Series {
    let rows = values.iter().enumerate().map(|(step, value)| Span {
        low: Some(*value),
        low_step: Some(step as i64),
        high: Some(*value),
        high_step: Some(step as i64),
    });
    Series { job_id: JobId(1), name: name.to_owned(), points: values.len() as i64, rows: rows.collect() }
}

#[test]
fn the_losses_of_training_and_validation_share_the_first_chart() {
    let all = ["accuracy", "batch_loss", "loss", "validation_accuracy", "validation_loss"];
    let all: Vec<_> = all.iter().map(|name| series(name, &[0.5, 0.4])).collect();
    let drawn = charts(&all);
    let lines = |at: usize| drawn[at].lines.iter().map(|line| line.name.to_string()).collect::<Vec<_>>();
    assert_eq!(lines(0), ["loss", "validation_loss"]);
    assert_eq!(lines(1), ["accuracy", "validation_accuracy"]);
}

#[test]
fn what_was_measured_at_one_step_is_no_curve() {
    // Clients write the same point twice: for the run, and for the model that it logged.
    let mut twice = series("score", &[0.7]);
    twice.rows.extend_from_within(..);
    let all = [series("auc", &[0.8]), series("loss", &[0.5, 0.4]), twice, series("val_loss", &[0.6])];
    let titles: Vec<_> = charts(&all).into_iter().map(|chart| chart.title.to_string()).collect();
    assert_eq!(titles, ["loss"]);
}

#[test]
fn a_metric_that_never_changes_is_a_line_and_not_a_hole() {
    let drawn = overlay("auc", vec![Drawn::of("auc".to_owned(), &series("auc", &[0.5, 0.5, 0.5]).rows)]);
    assert!(drawn.lines[0].path.starts_with('M') && !drawn.lines[0].path.contains("NaN"), "{}", drawn.lines[0].path);
}

#[test]
fn a_long_run_is_told_in_few_steps_from_its_first_to_its_last() {
    let values: Vec<f64> = (0..200).map(f64::from).collect();
    let chosen = steps(&[Drawn::of("loss".to_owned(), &series("loss", &values).rows)], 40);
    assert_eq!((chosen.len(), chosen[0], chosen[39]), (40, 0, 199));
}

#[test]
fn the_value_axis_has_few_round_marks_around_all_values() {
    let told = |values: &[f64]| {
        let chart = overlay("x", vec![Drawn::of("x".to_owned(), &series("x", values).rows)]);
        chart.values.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told(&[0.2495, 0.8297]), "0.2 0.4 0.6 0.8 1.0");
    assert_eq!(told(&[0.15, 109.6]), "0 50 100 150");
    assert_eq!(told(&[-3.0, 4.0]), "-4 -2 0 2 4");
    assert_eq!(told(&[0.0, 0.00004]), "0 1.000e-5 2.000e-5 3.000e-5 4.000e-5");
    assert_eq!(told(&[2.0e9, 6.0e9]), "2.000e9 3.000e9 4.000e9 5.000e9 6.000e9");
    assert_eq!(told(&[1.0, 1.0]).split(' ').count(), 2);
}

#[test]
fn numbers_keep_the_digits_that_count() {
    for (value, told) in [(0.412_345, "0.4123"), (0.0, "0"), (1e-7, "1.000e-7"), (12.34567, "12.346"), (5e9, "5.000e9")]
    {
        assert_eq!(number(value), told);
    }
}
