//! How well margins (log odds of the positive class) fit the answers.

use serde::Serialize;

/// What is measured on one part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// The mean of −log of the probability given to the right answer.
    pub loss: f64,
    /// The share of rows whose more probable class is the right one.
    pub accuracy: f64,
    /// How often a positive row has a higher probability than a negative one; ties count half.
    pub auc: f64,
}

impl Measures {
    /// Measures margins against answers. Neither list may be empty.
    pub(crate) fn of(margins: &[f64], answers: &[bool]) -> Self {
        let count = answers.len() as f64;
        let pairs = || margins.iter().zip(answers);
        let loss = pairs().map(|(margin, answer)| loss(*margin, *answer)).sum::<f64>() / count;
        let right = pairs().filter(|(margin, answer)| (**margin > 0.0) == **answer).count();
        Self { loss, accuracy: right as f64 / count, auc: auc(margins, answers) }
    }
}

/// The probability of the positive class.
pub(crate) fn probability(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// −log of the probability given to the right answer, without overflow.
pub(crate) fn loss(margin: f64, answer: bool) -> f64 {
    let against = if answer { -margin } else { margin };
    against.max(0.0) + (-against.abs()).exp().ln_1p()
}

/// By ranks (Mann and Whitney); equal margins share the mean of their ranks. A half where a class is missing.
pub(crate) fn auc(margins: &[f64], answers: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..margins.len()).collect();
    order.sort_unstable_by(|a, b| margins[*a].total_cmp(&margins[*b]));
    let positives = answers.iter().filter(|answer| **answer).count();
    let negatives = answers.len() - positives;
    if positives == 0 || negatives == 0 {
        return 0.5;
    }
    let mut ranks = 0.0;
    let mut below = 0;
    for tied in order.chunk_by(|a, b| margins[*a] == margins[*b]) {
        let mean = below as f64 + (tied.len() + 1) as f64 / 2.0;
        ranks += mean * tied.iter().filter(|at| answers[**at]).count() as f64;
        below += tied.len();
    }
    (ranks - (positives * (positives + 1)) as f64 / 2.0) / (positives as f64 * negatives as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn brute_force(margins: &[f64], answers: &[bool]) -> f64 {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (one, _) in margins.iter().zip(answers).filter(|(_, answer)| **answer) {
            for (other, _) in margins.iter().zip(answers).filter(|(_, answer)| !**answer) {
                pairs += 1.0;
                won += if one > other {
                    1.0
                } else if one == other {
                    0.5
                } else {
                    0.0
                };
            }
        }
        if pairs == 0.0 { 0.5 } else { won / pairs }
    }

    proptest! {
        #[test]
        fn the_auc_is_the_share_of_pairs_in_order(rows in proptest::collection::vec((-3i8..4, any::<bool>()), 1..60)) {
            let margins: Vec<f64> = rows.iter().map(|(margin, _)| f64::from(*margin) / 3.0).collect();
            let answers: Vec<bool> = rows.iter().map(|(_, answer)| *answer).collect();
            prop_assert!((auc(&margins, &answers) - brute_force(&margins, &answers)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_loss_is_that_of_the_probability_and_never_overflows() {
        assert!((loss(0.7, true) + probability(0.7).ln()).abs() < 1e-12);
        assert!((loss(0.7, false) + (1.0 - probability(0.7)).ln()).abs() < 1e-12);
        assert_eq!(loss(-1e6, true), 1e6);
        assert_eq!(loss(1e6, true), 0.0);
    }

    #[test]
    fn accuracy_counts_the_more_probable_class() {
        let measures = Measures::of(&[1.0, -1.0, 2.0, -3.0], &[true, true, true, false]);
        assert_eq!(measures.accuracy, 0.75);
    }
}
