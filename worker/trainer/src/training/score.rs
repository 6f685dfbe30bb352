//! Loss and accuracy from a network's logits, on the host in double precision, summed in the order of the samples.

use sweep_spec::trainer::Validation;

/// Sums over samples.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Score {
    pub(super) samples: u64,
    pub(super) right: u64,
    pub(super) loss: f64,
}

/// The prediction for one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    /// The most probable class, the first on a tie.
    pub(super) class: u16,
    /// The probability of that class.
    pub(super) confidence: f32,
    /// Cross-entropy of the true class.
    pub(super) loss: f64,
}

impl Answer {
    /// From one row of logits.
    pub(super) fn new(logits: &[f32], label: u16) -> Self {
        let mut best = 0;
        for (class, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = class;
            }
        }
        let highest = f64::from(logits[best]);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - highest).exp()).sum();
        let loss = sum.ln() + highest - f64::from(logits[usize::from(label)]);
        Self { class: best as u16, confidence: (1.0 / sum) as f32, loss }
    }
}

impl Score {
    pub(super) fn add(&mut self, answer: Answer, label: u16) {
        self.samples += 1;
        self.right += u64::from(answer.class == label);
        self.loss += answer.loss;
    }

    /// Mean cross-entropy; NaN after a logit that was NaN.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.samples as f64
    }

    /// Fraction of correct predictions.
    pub(super) fn accuracy(&self) -> f64 {
        self.right as f64 / self.samples as f64
    }

    pub(super) fn is_finite(&self) -> bool {
        self.loss.is_finite()
    }
}

/// The predictions for all validation images, with their confusion matrix.
pub(super) fn validation(answers: &[Answer], labels: Vec<u16>, classes: usize) -> Validation {
    let mut confusion = vec![0; classes * classes];
    for (answer, label) in answers.iter().zip(&labels) {
        confusion[usize::from(*label) * classes + usize::from(answer.class)] += 1;
    }
    Validation {
        labels,
        predicted: answers.iter().map(|answer| answer.class).collect(),
        confidence: answers.iter().map(|answer| answer.confidence).collect(),
        confusion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_that_of_the_softmax() {
        let answer = Answer::new(&[1.0, 3.0, 2.0], 2);
        let sum = 1.0_f64.exp() + 3.0_f64.exp() + 2.0_f64.exp();
        assert_eq!(answer.class, 1);
        assert!((f64::from(answer.confidence) - 3.0_f64.exp() / sum).abs() < 1e-7);
        assert!((answer.loss - (sum.ln() - 2.0)).abs() < 1e-12);
        let large = Answer::new(&[1000.0, -1000.0], 0);
        assert_eq!((large.class, large.confidence, large.loss), (0, 1.0, 0.0));
    }

    #[test]
    fn what_is_no_number_makes_the_loss_none() {
        for logits in [[f32::NAN, 1.0], [1.0, f32::NAN], [f32::INFINITY, 1.0], [f32::INFINITY, f32::INFINITY]] {
            let mut score = Score::default();
            score.add(Answer::new(&logits, 1), 1);
            assert!(!score.is_finite(), "{logits:?}");
        }
    }

    #[test]
    fn the_matrix_has_a_row_for_each_true_class() {
        let answers = [Answer::new(&[0.0, 1.0], 0), Answer::new(&[0.0, 1.0], 1), Answer::new(&[1.0, 0.0], 1)];
        let validation = validation(&answers, vec![0, 1, 1], 2);
        assert_eq!(validation.confusion, [0, 1, 1, 1]);
        assert_eq!(validation.predicted, [1, 1, 0]);
    }
}
