//! How a training goes, and how it ends that does not complete.

use std::ops::ControlFlow;

use countersign_training::{Algorithm, Config, ErrorCode, Metric, Outcome, train};

use crate::harness::{boosted, config, credit_text, followed, logistic, table};

#[test]
fn the_loss_falls_and_every_epoch_is_told() {
    let table = table(&credit_text());
    for algorithm in [logistic(), boosted()] {
        let (model, told) = followed(&table, &config(&table, algorithm.clone())).unwrap();
        let of = |metric| told.iter().filter(move |progress| progress.metric == metric).collect::<Vec<_>>();
        for metric in [Metric::Loss, Metric::ValidationLoss, Metric::Accuracy, Metric::Auc] {
            let epochs: Vec<u32> = of(metric).iter().map(|progress| progress.epoch).collect();
            assert_eq!(epochs, (1..=algorithm.epochs()).collect::<Vec<_>>(), "{metric:?}");
        }
        let losses = of(Metric::Loss);
        assert!(losses[losses.len() - 1].value < losses[0].value - 0.05);
        let last = told[told.len() - 1];
        assert_eq!(last.step, last.steps);
        assert!((last.value - model.summary.validation.auc).abs() < 1e-6);
    }
}

#[test]
fn a_step_takes_a_batch() {
    let table = table(&credit_text());
    let algorithm = Algorithm::LogisticRegression { epochs: 2, learning_rate: 0.1, batch_size: 64, penalty: 0.0 };
    let (_, told) = followed(&table, &config(&table, algorithm)).unwrap();
    let batches = told.iter().filter(|progress| progress.metric == Metric::BatchLoss);
    assert_eq!(batches.map(|progress| progress.step).collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
}

#[test]
fn a_training_that_is_stopped_ends_at_once_and_has_not_failed() {
    let table = table(&credit_text());
    for algorithm in [logistic(), boosted()] {
        let mut told = 0;
        let outcome = train(&table, &config(&table, algorithm), &mut |_| {
            told += 1;
            if told == 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(outcome, Ok(Outcome::Cancelled)));
        assert_eq!(told, 30);
    }
}

fn fails(text: &str, algorithm: Algorithm) -> (ErrorCode, String) {
    let table = table(text);
    let config = Config { target: "y".to_owned(), features: vec!["x".to_owned()], ..config(&table, algorithm) };
    let error = followed(&table, &config).unwrap_err();
    (error.code, error.sentence)
}

#[test]
fn a_table_that_nothing_can_be_learned_from_is_refused() {
    let cases = [
        ("x,z\n1,2\n", ErrorCode::TargetMissing),
        ("x,y\n1,\n2,NA\n", ErrorCode::NoRows),
        ("x,y\n", ErrorCode::NoRows),
        ("x,y\n1,a\n2,a\n", ErrorCode::TargetOneClass),
        ("x,y\n1,a\n2,a\n3,b\n", ErrorCode::TargetOneClass),
        ("x,y\n1,a\n2,b\n3,c\n", ErrorCode::TargetManyClasses),
        ("z,y\n1,a\n2,b\n", ErrorCode::FeatureMissing),
        ("x,y\n1e300,a\n2,b\n1,a\n2,b\n", ErrorCode::NotANumber),
    ];
    for (text, code) in cases {
        let (found, sentence) = fails(text, boosted());
        assert_eq!(found, code, "{text}: {sentence}");
        assert!(sentence.ends_with('.'));
    }
}

#[test]
fn a_text_column_that_is_different_in_each_row_is_refused() {
    let rows: String = (0..400).map(|at| format!("name{at},{}\n", at % 2)).collect();
    assert_eq!(fails(&format!("x,y\n{rows}"), logistic()).0, ErrorCode::FeatureTooVaried);
}

#[test]
fn a_loss_that_is_no_number_any_more_ends_the_training() {
    let rows: String = (0..8).map(|at| format!("{at},{}\n", at % 2)).collect();
    let wild = Algorithm::LogisticRegression { epochs: 100, learning_rate: 1.0, batch_size: 1, penalty: 1000.0 };
    let (code, sentence) = fails(&format!("x,y\n{rows}"), wild);
    assert_eq!(code, ErrorCode::LossDiverged, "{sentence}");
}

#[test]
fn rows_without_an_answer_are_left_out() {
    let rows: String = (0..40).map(|at| format!("{at},{}\n", ["no", "yes", ""][at % 3])).collect();
    let table = table(&format!("x,y\n{rows}"));
    let config = Config { target: "y".to_owned(), features: vec!["x".to_owned()], ..config(&table, boosted()) };
    let summary = followed(&table, &config).unwrap().0.summary;
    assert_eq!((summary.left_out_rows, summary.training_rows + summary.validation_rows), (13, 27));
    assert_eq!(summary.classes, ["no", "yes"]);
}

#[test]
fn the_positive_class_can_be_chosen() {
    let table = table(&credit_text());
    let config = config(&table, logistic());
    let model = |positive: Option<&str>| {
        followed(&table, &Config { positive: positive.map(str::to_owned), ..config.clone() }).map(|(model, _)| model)
    };
    assert_eq!(model(None).unwrap().summary.classes, ["bad", "good"]);
    let bad = model(Some("bad")).unwrap();
    assert_eq!(bad.summary.classes, ["good", "bad"]);
    assert!((bad.summary.validation.auc - 0.75).abs() < 0.1);
    assert_eq!(model(Some("ugly")).unwrap_err().code, ErrorCode::ConfigInvalid);
}

#[test]
fn columns_without_a_value_and_constant_columns_do_no_harm() {
    let rows: String = (0..40).map(|at| format!("{at},,7,{}\n", at % 2)).collect();
    let table = table(&format!("x,none,same,y\n{rows}"));
    for algorithm in [logistic(), boosted()] {
        let features = ["x", "none", "same"].map(str::to_owned).to_vec();
        let config = Config { target: "y".to_owned(), features, ..config(&table, algorithm) };
        assert!(followed(&table, &config).is_ok());
    }
}
