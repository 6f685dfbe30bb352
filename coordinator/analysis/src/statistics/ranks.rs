//! Ranks that claim only shown differences.

use super::correction::holm;
use super::sign_flip::sign_flip;

/// The rank of each configuration: one more than the number of configurations that were shown to be better than it.
///
/// Rank 1 means that no configuration was shown to be better, and rank r that exactly r - 1 configurations were. Clear
/// groups share the rank of their best place, as in sport (1, 1, 1, 4, 4). If `shown_better(i, j)` comes from tests
/// whose family-wise error is alpha, all ranks together contain a wrong claim with a chance of at most alpha. A shared
/// rank is no evidence of equality. The relation "no difference shown" is not transitive: of three in a row, the outer
/// two may differ while the middle one shares a rank with the first. A configuration with few or widely spread
/// replicates may have a better rank than one with a better mean, because no difference was shown.
pub fn shared_ranks(count: usize, shown_better: impl Fn(usize, usize) -> bool) -> Vec<u32> {
    let better = |than: usize| (0..count).filter(|other| *other != than && shown_better(*other, than)).count();
    (0..count).map(|index| u32::try_from(1 + better(index)).unwrap_or(u32::MAX)).collect()
}

/// The pairs of configurations that the sign-flip test separates at `alpha` under Holm over all pairs: `[i][j]` is the
/// mean difference of i over j, over the seeds that both have, if it was shown, otherwise `None`. `values` are by seed,
/// each seed once.
///
/// Takes the time of count² / 2 tests: with up to 20 seeds some microseconds each, with 30 half a millisecond, with 40
/// some ten milliseconds.
pub fn significant_differences(values: &[Vec<(u64, f64)>], alpha: f64) -> Vec<Vec<Option<f64>>> {
    let count = values.len();
    let mut pairs = Vec::new();
    let mut family = Vec::new();
    for one in 0..count {
        for other in one + 1..count {
            let differences = common(&values[one], &values[other]);
            pairs.push((one, other, super::mean(&differences)));
            family.push(sign_flip(&differences).map(|test| test.p));
        }
    }
    let mut apart = vec![vec![None; count]; count];
    for ((one, other, difference), adjusted) in pairs.into_iter().zip(holm(&family)) {
        if adjusted.is_some_and(|p| p <= alpha) {
            apart[one][other] = difference;
            apart[other][one] = difference.map(|difference| -difference);
        }
    }
    apart
}

/// Differences over the seeds that both sides have.
fn common(one: &[(u64, f64)], other: &[(u64, f64)]) -> Vec<f64> {
    one.iter()
        .filter_map(|(seed, value)| {
            let (_, reference) = other.iter().find(|(with, _)| with == seed)?;
            Some(value - reference)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(middle: f64, wobble: &[f64]) -> Vec<(u64, f64)> {
        wobble.iter().enumerate().map(|(seed, wobble)| (seed as u64, middle + wobble)).collect()
    }

    #[test]
    fn clear_groups_share_the_rank_of_their_best_place() {
        let group = [0, 0, 0, 1, 1];
        assert_eq!(shared_ranks(5, |one, other| group[one] < group[other]), [1, 1, 1, 4, 4]);
        assert_eq!(shared_ranks(3, |_, _| false), [1, 1, 1]);
        assert_eq!(shared_ranks(3, |one, other| one < other), [1, 2, 3]);
        assert!(shared_ranks(0, |_, _| true).is_empty());
    }

    #[test]
    fn a_rank_counts_what_was_shown_to_be_better_and_nothing_else() {
        for seed in 0..50 {
            let mut random = super::super::Random::simulation(seed);
            let count = 2 + random.below(8);
            let shown: Vec<Vec<bool>> =
                (0..count).map(|i| (0..count).map(|j| i < j && random.below(2) == 0).collect()).collect();
            let ranks = shared_ranks(count, |one, other| shown[one][other]);
            for (index, rank) in ranks.iter().enumerate() {
                assert_eq!(*rank as usize, 1 + (0..count).filter(|other| shown[*other][index]).count());
            }
            assert_eq!(ranks[0], 1, "nothing is better than the best");
        }
    }

    #[test]
    fn outer_ones_may_differ_while_the_middle_one_shares() {
        assert_eq!(shared_ranks(3, |one, other| (one, other) == (0, 2)), [1, 1, 2]);
    }

    #[test]
    fn tests_tell_apart_what_differs_under_every_seed() {
        let wobble = [0.0, 0.1, -0.1, 0.05, -0.05, 0.02, 0.03, -0.04];
        let other = [0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.01, -0.01];
        let near: Vec<f64> = wobble.iter().zip(other).map(|(one, other)| one + other).collect();
        let values = [around(0.9, &wobble), around(0.9, &near), around(0.5, &wobble), around(0.9, &wobble[..3])];
        let apart = significant_differences(&values, 0.05);
        assert!(apart[0][1].is_none() && apart[0][3].is_none());
        assert!((apart[0][2].unwrap() - 0.4).abs() < 1e-12 && (apart[2][1].unwrap() + 0.4).abs() < 1e-12);
        let better = |one: usize, other: usize| apart[one][other].is_some_and(|difference| difference > 0.0);
        assert_eq!(shared_ranks(4, better), [1, 1, 3, 1]);
    }
}
