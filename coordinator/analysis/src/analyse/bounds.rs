//! How much is computed at most. A sweep of 100,000 configurations is answered in seconds; what it then lacks is told.

use crate::statistics::EXACT_UP_TO;

/// Bootstrap intervals, each about a millisecond.
pub(super) const INTERVALS: usize = 2_000;
/// Comparisons for which it is said how many more seeds would help.
pub(super) const MORE_SEEDS: usize = 5_000;
/// Comparisons of more pairs than the test counts exactly. In a larger family no drawn test can pass the correction.
pub(super) const DRAWN_TESTS: usize = 5_000;
/// Tests of single classes.
pub(super) const CLASS_TESTS: usize = 50_000;
/// Configurations of which it is drawn how often they stay on the front.
pub(super) const FRONT: usize = 500;
/// Steps that holding each configuration against each may take.
pub(super) const RANK_STEPS: u64 = 2_000_000_000;
/// Steps that fitting one factorial design may take.
pub(super) const FACTORIAL_STEPS: u64 = 2_000_000_000;

/// About how many steps a test of so many pairs takes.
pub(super) fn test_steps(pairs: usize) -> u64 {
    match pairs {
        0..=EXACT_UP_TO => 100 + (pairs as u64 + 5) * (1 << pairs.div_ceil(2)),
        _ => 100_000 * pairs as u64,
    }
}
