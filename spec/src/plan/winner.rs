//! The rule by which `keep: best` chooses. The choice does not depend on the order of the candidates.

use crate::spec::Goal;

/// A configuration that may win its stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its place in the plan; the lower one wins where all else is equal.
    pub ordinal: u64,
    /// If the objective is equal, the configuration with the fewest wins.
    pub params: u64,
    /// The objective of each replicate: absent where the replicate failed, was cancelled, diverged or has no such metric.
    pub values: Vec<Option<f64>>,
}

/// No candidate qualified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none of {candidates} configurations ended with a finite objective in every replicate")]
pub struct NoWinner {
    /// The number of candidates.
    pub candidates: usize,
}

impl Candidate {
    /// The mean objective, if every replicate has a finite one. Independent of the replicates' order.
    pub fn mean(&self) -> Option<f64> {
        let mut values = self.values.iter().copied().collect::<Option<Vec<f64>>>()?;
        if values.is_empty() {
            return None;
        }
        // Sums of floats depend on their order in the last bit, and that bit would decide what should be a tie.
        values.sort_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        mean.is_finite().then_some(mean)
    }
}

/// The index of the winner: the best mean among candidates whose every replicate ended with a finite objective; on a
/// tie the one with fewer parameters, then the first in the plan.
///
/// # Errors
/// No candidate qualifies.
pub fn best(candidates: &[Candidate], goal: Goal) -> Result<usize, NoWinner> {
    let qualified = candidates.iter().enumerate().filter_map(|(index, candidate)| Some((index, candidate.mean()?)));
    let winner = qualified.min_by(|(a, mean_a), (b, mean_b)| {
        let by_mean = match goal {
            Goal::Maximize => mean_b.partial_cmp(mean_a),
            Goal::Minimize => mean_a.partial_cmp(mean_b),
        };
        let tie = |index: &usize| (candidates[*index].params, candidates[*index].ordinal);
        by_mean.unwrap_or(std::cmp::Ordering::Equal).then_with(|| tie(a).cmp(&tie(b)))
    });
    winner.map(|(index, _)| index).ok_or(NoWinner { candidates: candidates.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ordinal: u64, params: u64, values: &[f64]) -> Candidate {
        Candidate { ordinal, params, values: values.iter().copied().map(Some).collect() }
    }

    #[test]
    fn the_best_mean_wins_and_ties_go_to_the_smaller_then_the_first() {
        let low = candidate(0, 1, &[0.5, 0.5]);
        let high = candidate(1, 9, &[0.9, 0.7, 0.8]);
        let tied = candidate(2, 5, &[0.8, 0.9, 0.7]);
        let tied_later = candidate(3, 5, &[0.7, 0.8, 0.9]);
        assert_eq!(best(&[low.clone(), high.clone()], Goal::Maximize), Ok(1));
        assert_eq!(best(&[low.clone(), high.clone()], Goal::Minimize), Ok(0));
        assert_eq!(best(&[low.clone(), high, tied.clone(), tied_later.clone()], Goal::Maximize), Ok(2));
        assert_eq!(best(&[tied_later, low, tied], Goal::Maximize), Ok(2));
    }

    #[test]
    fn a_candidate_with_a_missing_or_infinite_replicate_cannot_win() {
        let mut missing = candidate(0, 1, &[1.0, 1.0]);
        missing.values[1] = None;
        let infinite = candidate(1, 1, &[f64::INFINITY, 1.0]);
        let not_a_number = candidate(2, 1, &[f64::NAN]);
        let nothing = candidate(3, 1, &[]);
        let well = candidate(4, 1, &[0.1, 0.1]);
        let unfit = [missing, infinite, not_a_number, nothing];
        assert_eq!(best(&unfit, Goal::Maximize), Err(NoWinner { candidates: 4 }));
        let all: Vec<_> = unfit.into_iter().chain([well]).collect();
        assert_eq!(best(&all, Goal::Minimize), Ok(4));
    }
}
