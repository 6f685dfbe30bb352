//! The differences that a number of seeds can show, before or after they are trained.
//!
//! All numbers are for the strictest step of Holm's correction, alpha divided by the family's size: a difference that
//! is detected there is detected whatever the other comparisons show. Differences are assumed to be normal.

use super::ALPHA;
use super::estimate::{mean, mean_and_spread, t_quantile};
use super::random::{Purpose, Random};
use super::sign_flip::{EXACT_UP_TO, MONTE_CARLO_FLIPS};

/// The chance with which a detectable difference is detected.
pub const POWER: f64 = 0.8;
/// While not more assignments than this may reach the sum that was seen, the test itself is simulated; above, it is
/// fine enough to be taken for a t test.
const COARSE_UP_TO: u64 = 64;
/// How many sets of differences are drawn for it. The result then scatters by about 2 %.
const SIMULATIONS: usize = 2_000;
/// A difference that would need more seeds than this gets no answer.
const MOST_SEEDS: u32 = 100_000;

/// The smallest p-value that the sign-flip test can give with this many pairs: 2^(1-n) while it is exact, and one over
/// the number of assignments above that.
pub fn smallest_p(seeds: u32) -> f64 {
    match seeds {
        0 => 1.0,
        _ if seeds as usize <= EXACT_UP_TO => 2f64.powi(1 - seeds as i32),
        _ => 1.0 / (MONTE_CARLO_FLIPS + 1) as f64,
    }
}

/// The least number of seeds with which the test can reject at `alpha`, under Holm over this many comparisons: 6 for
/// one, 9 for ten and 19 for 10,000 at 5 %. `None` for families so large (27 billion at 5 %) that no number is enough.
pub fn seeds_to_reach(alpha: f64, family: usize) -> Option<u32> {
    (1..=EXACT_UP_TO as u32 + 1).find(|seeds| can_reject(*seeds, alpha, family))
}

/// The most comparisons over which any number of seeds can reject at `alpha` under Holm.
pub fn largest_family(alpha: f64) -> u64 {
    let smallest = (1..=EXACT_UP_TO as u32 + 1).map(smallest_p).fold(1.0, f64::min);
    (alpha / smallest) as u64
}

fn can_reject(seeds: u32, alpha: f64, family: usize) -> bool {
    smallest_p(seeds) * family.max(1) as f64 <= alpha
}

/// The mean difference that this many seeds show with a chance of 80 % at 5 %, if differences vary with this standard
/// deviation. For several questions about one family, use `Power`.
pub fn detectable(standard_deviation: f64, seeds: u32, family: usize) -> Option<f64> {
    Power::new(ALPHA, family).detectable(standard_deviation, seeds)
}

/// About how many more seeds would show a difference like that of these values at 5 %. For more than one question about
/// a family, ask `Power`.
pub fn more_seeds(differences: &[f64], family: usize) -> Option<u32> {
    Power::new(ALPHA, family).more_seeds(differences)
}

/// The power of a number of seeds in one family.
#[derive(Debug, Clone)]
pub struct Power {
    alpha: f64,
    family: usize,
    /// For each number of seeds from 0 on the detectable difference in standard deviations, while the test is exact.
    exact: Vec<Option<f64>>,
}

impl Power {
    /// Takes about ten milliseconds.
    pub fn new(alpha: f64, family: usize) -> Self {
        let in_deviations = |seeds: u32| {
            let allowed = allowed(seeds, alpha, family);
            match allowed {
                0 => None,
                1..=COARSE_UP_TO => Some(simulated(seeds, allowed)),
                _ => by_t(seeds, alpha, family),
            }
        };
        Self { alpha, family, exact: (0..=EXACT_UP_TO as u32).map(in_deviations).collect() }
    }

    /// The mean difference that is detected with a chance of `POWER`. `None` if this many seeds can never reject.
    ///
    /// If few assignments of signs decide (up to 64, which is up to 11 seeds for one comparison and up to 15 for ten),
    /// it is found by simulation of the test itself: 2,000 sets of normal differences from a fixed seed, for each the
    /// shift from which on the test rejects, and of these the one that suffices for 80 %. So an unattainable number is
    /// not promised. Otherwise it is (t(1 - alpha/2) + t(0.8)) / sqrt(n) with n - 1 degrees of freedom, because the
    /// test approaches Student's.
    pub fn detectable(&self, standard_deviation: f64, seeds: u32) -> Option<f64> {
        if !standard_deviation.is_finite() || standard_deviation < 0.0 {
            return None;
        }
        Some(self.in_deviations(seeds)? * standard_deviation)
    }

    /// The approximate number of further seeds that would show a difference like that of these values: the least total
    /// with which a true difference of the mean's size would be detected with a chance of `POWER`, minus the seeds that
    /// exist. `None` without a difference, with fewer than two values, and above 100,000.
    pub fn more_seeds(&self, differences: &[f64]) -> Option<u32> {
        let there = u32::try_from(differences.len()).ok()?;
        let size = mean(differences)?.abs();
        if size == 0.0 || there < 2 {
            return None;
        }
        let Some((_, deviation)) = mean_and_spread(differences) else {
            // Without spread every further pair would be equal.
            return seeds_to_reach(self.alpha, self.family)?.checked_sub(there).map(|more| more.max(1));
        };
        let shows = |seeds: u32| self.in_deviations(seeds).is_some_and(|least| least * deviation <= size);
        let small = (there + 1..=EXACT_UP_TO as u32).find(|seeds| shows(*seeds));
        let needed = small.or_else(|| first((there + 1).max(EXACT_UP_TO as u32 + 1), MOST_SEEDS, shows))?;
        Some(needed - there)
    }

    fn in_deviations(&self, seeds: u32) -> Option<f64> {
        match self.exact.get(seeds as usize) {
            Some(known) => *known,
            None if can_reject(seeds, self.alpha, self.family) => by_t(seeds, self.alpha, self.family),
            None => None,
        }
    }
}

/// The detectable difference, in standard deviations, were the test Student's.
fn by_t(seeds: u32, alpha: f64, family: usize) -> Option<f64> {
    let degrees = seeds as usize - 1;
    let each = alpha / family.max(1) as f64;
    Some((t_quantile(1.0 - each / 2.0, degrees)? + t_quantile(POWER, degrees)?) / f64::from(seeds).sqrt())
}

/// How many assignments of signs on one side may reach the sum that was seen for the test to reject, that one included;
/// 0 if it cannot. While the test is exact.
fn allowed(seeds: u32, alpha: f64, family: usize) -> u64 {
    if !can_reject(seeds, alpha, family) {
        return 0;
    }
    // Slightly more than the share, so that rounding does not lose a product that is whole in decimals.
    let share = alpha / family.max(1) as f64 * (1.0 + 1e-12);
    ((share * 2f64.powi(seeds as i32 - 1)) as u64).max(1)
}

/// The shift, in standard deviations, with which 80 % of sets of this many normal differences are rejected, if at most
/// `allowed` assignments on one side may reach the observed sum.
fn simulated(seeds: u32, allowed: u64) -> f64 {
    let mut random = Random::new(Purpose::Power);
    let mut shifts: Vec<f64> = (0..SIMULATIONS)
        .map(|_| {
            let mut values: Vec<f64> = (0..seeds).map(|_| random.normal()).collect();
            values.sort_by(f64::total_cmp);
            let (mut low, mut high) = (-8.0, 8.0);
            for _ in 0..18 {
                let middle = (low + high) / 2.0;
                let mut room = allowed;
                if fits(&values, middle, 0.0, &mut room) {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            high
        })
        .collect();
    shifts.sort_by(f64::total_cmp);
    shifts[(POWER * SIMULATIONS as f64) as usize]
}

/// Whether there is room for all assignments of signs that reach the sum that was seen. Those are the ones that flip a
/// set of values whose sum is not positive, the empty one among them. Values are sorted, and in their order the sums of
/// such a set's beginnings fall and then rise, so none of them is positive: each step of the search below finds one
/// more, or ends.
fn fits(values: &[f64], shift: f64, sum: f64, room: &mut u64) -> bool {
    if *room == 0 {
        return false;
    }
    *room -= 1;
    for (index, value) in values.iter().enumerate() {
        let next = sum + value + shift;
        if next > 0.0 {
            break;
        }
        if !fits(&values[index + 1..], shift, next, room) {
            return false;
        }
    }
    true
}

/// The first number in a range from which on `holds` is true.
fn first(low: u32, high: u32, holds: impl Fn(u32) -> bool) -> Option<u32> {
    let (mut low, mut high) = (low, high);
    if low > high || !holds(high) {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::super::sign_flip;
    use super::*;

    /// The share of simulated sets in which a shift is detected.
    fn detected(shift: f64, seeds: u32, alpha: f64, rounds: u64) -> f64 {
        let found = (0..rounds)
            .filter(|round| {
                let mut random = Random::simulation(1_000_000 + round);
                let values: Vec<f64> = (0..seeds).map(|_| shift + random.normal()).collect();
                sign_flip(&values).unwrap().p <= alpha
            })
            .count();
        found as f64 / rounds as f64
    }

    #[test]
    fn six_seeds_for_one_comparison_and_nine_for_ten() {
        assert_eq!(seeds_to_reach(0.05, 1), Some(6));
        assert_eq!(seeds_to_reach(0.05, 10), Some(9));
        assert_eq!(seeds_to_reach(0.05, 0), Some(6));
        assert_eq!(seeds_to_reach(0.05, 1_000), Some(16));
        assert_eq!(seeds_to_reach(0.05, 10_000), Some(19));
        assert_eq!(seeds_to_reach(0.05, 1_000_000), Some(26));
        let most = largest_family(0.05) as usize;
        assert_eq!(most, 27_487_790_694);
        assert_eq!((seeds_to_reach(0.05, most), seeds_to_reach(0.05, most + 1)), (Some(40), None));
        assert_eq!(smallest_p(3), 0.25);
        assert_eq!(smallest_p(0), 1.0);
        assert_eq!(smallest_p(21), 2f64.powi(-20));
        assert_eq!(smallest_p(40), 2f64.powi(-39));
        assert_eq!(smallest_p(41), 1e-5);
    }

    #[test]
    fn in_a_large_family_more_seeds_never_take_away_what_fewer_could_show() {
        let power = Power::new(ALPHA, 10_000);
        let shown: Vec<u32> =
            (0..=EXACT_UP_TO as u32).filter(|seeds| power.detectable(1.0, *seeds).is_some()).collect();
        assert_eq!(shown, (19..=40).collect::<Vec<u32>>());
        for seeds in 19..=40 {
            let differences: Vec<f64> = (0..seeds).map(|seed| 0.1 + 0.001 * f64::from(seed)).collect();
            assert!(sign_flip(&differences).unwrap().p * 10_000.0 <= ALPHA, "{seeds} seeds");
        }
    }

    #[test]
    fn a_detectable_difference_is_detected_four_times_of_five() {
        for (seeds, family) in [
            (6, 1),
            (8, 1),
            (10, 1),
            (9, 10),
            (10, 5),
            (11, 1),
            (12, 30),
            (14, 10),
            (14, 100),
            (20, 1),
            (20, 10),
            (24, 10_000),
        ] {
            let least = detectable(1.0, seeds, family).unwrap();
            let share = detected(least, seeds, ALPHA / family as f64, 1_500);
            println!("{seeds} seeds, family {family}: {least:.3} -> {share:.3}");
            assert!((0.74..=0.88).contains(&share), "{seeds} seeds, family {family}: {least} is detected with {share}");
        }
    }

    #[test]
    fn too_few_seeds_detect_nothing_and_more_detect_less() {
        let power = Power::new(0.05, 10);
        assert_eq!(power.detectable(0.01, 8), None);
        assert_eq!(power.detectable(f64::NAN, 12), None);
        assert_eq!(power.detectable(0.0, 12), Some(0.0));
        let mut before = f64::INFINITY;
        for seeds in 9..20 {
            let least = power.detectable(0.01, seeds).unwrap();
            assert!(least < before, "{seeds} seeds: {least} after {before}");
            before = least;
        }
    }

    #[test]
    fn more_seeds_show_what_the_present_ones_do_not() {
        let power = Power::new(0.05, 1);
        let values = [0.02, -0.01, 0.03, 0.00, 0.01];
        let more = power.more_seeds(&values).unwrap();
        let (mean, deviation) = mean_and_spread(&values).unwrap();
        assert!(power.detectable(deviation, 5 + more).unwrap() <= mean);
        assert!(power.detectable(deviation, 5 + more - 1).unwrap() > mean);
        assert_eq!(power.more_seeds(&[0.1, 0.1, 0.1]), Some(3));
        assert_eq!(power.more_seeds(&[0.0, 0.0, 0.0]), None);
        assert_eq!(power.more_seeds(&[0.1, -0.1]), None);
        assert_eq!(power.more_seeds(&[0.1]), None);
        assert_eq!(power.more_seeds(&[]), None);
        let hardly = [1.0, -1.0, 1.0, -1.0, 1.0 + 1e-6, -1.0];
        assert_eq!(power.more_seeds(&hardly), None, "a million seeds and more");
        assert!(Power::new(0.05, 10).more_seeds(&values).unwrap() > more);
    }
}
