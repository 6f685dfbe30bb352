//! Limits of the computation. A sweep of 100,000 configurations is answered in seconds; a note lists the parts that it
//! lacks.

use crate::number::plural;
use crate::statistics::EXACT_UP_TO;

/// Bootstrap intervals, each about a millisecond.
pub(super) const INTERVALS: usize = 2_000;
/// Comparisons for which the number of further seeds is computed.
pub(super) const MORE_SEEDS: usize = 5_000;
/// Comparisons of more pairs than the test counts exactly. In a larger family no sampled test can pass the correction.
const SAMPLED_TESTS: usize = 5_000;
/// Steps that the tests of a family may take: some two minutes; 10,000 comparisons of 40 pairs fit.
const FAMILY_STEPS: u64 = 120_000_000_000;
/// Tests of single classes.
pub(super) const CLASS_TESTS: usize = 50_000;
/// Steps that they may take.
pub(super) const CLASS_STEPS: u64 = 20_000_000_000;
/// Configurations whose share on the front is computed.
pub(super) const FRONT: usize = 500;
/// Steps that holding each configuration against each may take.
pub(super) const RANK_STEPS: u64 = 2_000_000_000;
/// Steps that fitting one factorial design may take.
pub(super) const FACTORIAL_STEPS: u64 = 2_000_000_000;

/// The approximate steps of a test of `pairs` pairs, each about a nanosecond: the test merges and walks through the
/// sums of both halves, or samples assignments.
pub(super) fn test_steps(pairs: usize) -> u64 {
    match pairs {
        0..=EXACT_UP_TO => 100 + (8 << pairs.div_ceil(2)),
        _ => 100_000 * pairs as u64,
    }
}

/// Why a test of `pairs` pairs is skipped in a family of this size; `None` if it is not.
pub(super) fn no_test(pairs: usize, family: usize) -> Option<String> {
    let comparisons = plural(family as u64, "comparison");
    if pairs > EXACT_UP_TO && family > SAMPLED_TESTS {
        return Some(format!(
            "tests of more than {EXACT_UP_TO} seeds are sampled, and no sampled test can be significant over \
             {comparisons}"
        ));
    }
    let takes = |pairs: usize| test_steps(pairs).saturating_mul(family as u64);
    if pairs > EXACT_UP_TO || takes(pairs) <= FAMILY_STEPS {
        return None;
    }
    let most = (0..pairs).rev().find(|fewer| takes(*fewer) <= FAMILY_STEPS).unwrap_or(0);
    Some(format!(
        "exact tests of {} take too long over {comparisons}; the limit is {}",
        plural(pairs as u64, "seed"),
        plural(most as u64, "seed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exact_test_of_ten_thousand_comparisons_is_made() {
        for pairs in 0..=EXACT_UP_TO {
            assert_eq!(no_test(pairs, 10_000), None, "{pairs} pairs");
        }
        assert!(no_test(EXACT_UP_TO + 1, SAMPLED_TESTS).is_none());
        assert!(no_test(EXACT_UP_TO + 1, SAMPLED_TESTS + 1).unwrap().contains("sampled"));
    }

    #[test]
    fn tests_that_would_take_many_minutes_are_left_out_with_a_reason() {
        let reason = no_test(40, 25_000).unwrap();
        assert_eq!(reason, "exact tests of 40 seeds take too long over 25,000 comparisons; the limit is 38 seeds");
        assert_eq!(no_test(38, 25_000), None);
        assert_eq!(no_test(20, 1_000_000), None);
    }
}
