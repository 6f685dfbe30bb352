//! The rule of `keep: best_if_significant`: it chooses the winner of `keep: best` if that is significantly better than
//! the starting point of its stage. The choice does not depend on the order of the values.

use sweep_spec::plan::{Candidate, NoWinner, best};
use sweep_spec::spec::Goal;

use crate::statistics::{ALPHA, holm, mean, sign_flip};

/// The result of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The candidate that is handed on.
    pub index: usize,
    /// The best one and how it was tested; absent where the starting point itself is the best.
    pub tested: Option<Tested>,
}

/// The comparison of the best candidate with its starting point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// The best candidate.
    pub index: usize,
    /// Its mean minus the mean of the starting point.
    pub delta: f64,
    /// The p-value of the sign-flip test, corrected over the family.
    pub p: f64,
    /// Seeds that both have.
    pub pairs: usize,
    /// Comparisons with the starting point in this stage.
    pub family: usize,
}

impl Tested {
    /// Whether the best one is handed on.
    pub fn is_significant(&self) -> bool {
        self.p <= ALPHA
    }
}

/// Why no configuration was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// No candidate qualifies.
    #[error(transparent)]
    NoWinner(#[from] NoWinner),
    /// The starting point has no value to compare with.
    #[error(
        "the starting point did not end with a finite objective in every replicate, so nothing can be compared with it"
    )]
    NoStart,
}

/// Chooses among candidates whose values have the order of the same seeds. `start` is the starting point's index.
///
/// The family is the comparisons of all other candidates with the starting point. A candidate that lacks a value counts
/// in it and cannot win.
///
/// # Errors
/// No candidate qualifies, or the starting point does not.
pub fn best_if_significant(candidates: &[Candidate], start: Option<usize>, goal: Goal) -> Result<Choice, NoChoice> {
    let winner = best(candidates, goal)?;
    let start = start.ok_or(NoChoice::NoStart)?;
    let reference = candidates.get(start).and_then(complete).ok_or(NoChoice::NoStart)?;
    if winner == start {
        return Ok(Choice { index: start, tested: None });
    }
    let differences = |candidate: &Candidate| -> Option<Vec<f64>> {
        let values = complete(candidate).filter(|values| values.len() == reference.len())?;
        Some(values.iter().zip(&reference).map(|(value, reference)| value - reference).collect())
    };
    let others: Vec<usize> = (0..candidates.len()).filter(|index| *index != start).collect();
    let p_values: Vec<Option<f64>> = others
        .iter()
        .map(|index| candidates.get(*index).and_then(differences).and_then(|values| sign_flip(&values)))
        .map(|test| test.map(|test| test.p))
        .collect();
    let place = others.iter().position(|index| *index == winner);
    let p = place.and_then(|place| holm(&p_values).get(place).copied().flatten());
    let deltas = candidates.get(winner).and_then(differences);
    let delta = deltas.as_deref().and_then(mean);
    let (Some(p), Some(delta)) = (p, delta) else { return Err(NoChoice::NoStart) };
    let tested = Tested { index: winner, delta, p, pairs: reference.len(), family: others.len() };
    let better = match goal {
        Goal::Maximize => delta > 0.0,
        Goal::Minimize => delta < 0.0,
    };
    let index = if better && tested.is_significant() { winner } else { start };
    Ok(Choice { index, tested: Some(tested) })
}

/// The values of a candidate, if every replicate has a finite one.
fn complete(candidate: &Candidate) -> Option<Vec<f64>> {
    let values: Option<Vec<f64>> =
        candidate.values.iter().map(|value| value.filter(|value| value.is_finite())).collect();
    values.filter(|values| !values.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ordinal: u64, values: &[f64]) -> Candidate {
        Candidate { ordinal, params: 1, values: values.iter().copied().map(Some).collect() }
    }

    /// Values around `mean`: noise that all candidates share, and a little noise of each candidate.
    fn around(ordinal: u64, mean: f64, seeds: usize) -> Candidate {
        let own = |seed: usize| ((seed * 7 + ordinal as usize * 3) % 5) as f64 * 1e-4;
        let values: Vec<f64> = (0..seeds).map(|seed| mean + 0.01 * seed as f64 + own(seed)).collect();
        candidate(ordinal, &values)
    }

    #[test]
    fn the_best_is_chosen_when_enough_seeds_agree() {
        for (seeds, chosen) in [(5, 0), (6, 1), (9, 1)] {
            let candidates = [around(0, 0.5, seeds), around(1, 0.6, seeds)];
            let choice = best_if_significant(&candidates, Some(0), Goal::Maximize).unwrap();
            let tested = choice.tested.unwrap();
            assert_eq!((choice.index, tested.index, tested.pairs, tested.family), (chosen, 1, seeds, 1), "{seeds}");
            assert_eq!(tested.p, 2f64.powi(1 - seeds as i32));
            assert!((tested.delta - 0.1).abs() < 0.01);
        }
    }

    #[test]
    fn a_larger_family_needs_more_seeds() {
        let stage = |seeds| -> Vec<Candidate> {
            (0..5).map(|place| around(place, if place == 3 { 0.7 } else { 0.5 }, seeds)).collect()
        };
        // 4 × 2^(1 - 7) = 0.0625, 4 × 2^(1 - 8) = 0.031.
        for (seeds, chosen) in [(7, 1), (8, 3)] {
            let choice = best_if_significant(&stage(seeds), Some(1), Goal::Maximize).unwrap();
            assert_eq!(choice.index, chosen, "{seeds}");
        }
    }

    #[test]
    fn less_is_better_for_a_minimised_goal() {
        let candidates = [around(0, 0.5, 6), around(1, 0.4, 6), around(2, 0.6, 6)];
        // Two comparisons: 2 × 2^-5 is above 5 %, so seven seeds are needed.
        assert_eq!(best_if_significant(&candidates, Some(0), Goal::Minimize).unwrap().index, 0);
        let candidates = [around(0, 0.5, 7), around(1, 0.4, 7), around(2, 0.6, 7)];
        assert_eq!(best_if_significant(&candidates, Some(0), Goal::Minimize).unwrap().index, 1);
        assert_eq!(best_if_significant(&candidates, Some(0), Goal::Maximize).unwrap().index, 2);
    }

    #[test]
    fn a_starting_point_that_is_the_best_needs_no_test() {
        let candidates = [around(0, 0.5, 3), around(1, 0.6, 3)];
        let choice = best_if_significant(&candidates, Some(1), Goal::Maximize).unwrap();
        assert_eq!(choice, Choice { index: 1, tested: None });
    }

    #[test]
    fn who_lacks_a_value_cannot_win_and_still_counts() {
        let mut lost = around(2, 0.9, 6);
        lost.values[2] = None;
        let candidates = [around(0, 0.5, 6), around(1, 0.6, 6), lost];
        let choice = best_if_significant(&candidates, Some(0), Goal::Maximize).unwrap();
        assert_eq!((choice.index, choice.tested.unwrap().family), (0, 2));
        assert_eq!(choice.tested.unwrap().p, 2.0 * 2f64.powi(-5));
    }

    #[test]
    fn without_a_starting_point_nothing_is_chosen() {
        let mut diverged = around(0, 0.5, 6);
        diverged.values[0] = None;
        let candidates = [diverged.clone(), around(1, 0.6, 6)];
        assert_eq!(best_if_significant(&candidates, Some(0), Goal::Maximize), Err(NoChoice::NoStart));
        assert_eq!(best_if_significant(&candidates, None, Goal::Maximize), Err(NoChoice::NoStart));
        let nobody = best_if_significant(&[diverged], Some(0), Goal::Maximize);
        assert_eq!(nobody, Err(NoChoice::NoWinner(NoWinner { candidates: 1 })));
    }
}
