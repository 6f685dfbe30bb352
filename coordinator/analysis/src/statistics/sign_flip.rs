//! The sign-flip test of paired differences (Fisher 1935, "The design of experiments", 21). Without a difference, both
//! signs of each pair's difference are equally likely. The p-value is the share of sign assignments whose sum is at
//! least as far from zero as the observed sum. The test assumes nothing else about the values.

use super::estimate::exact_sum;
use super::random::{Purpose, Random};
use crate::result::SignFlip;

/// With as many pairs or fewer, every assignment of signs is counted. At 40 pairs that takes about 12 ms and 20 MB; each
/// two pairs more would double both.
pub const EXACT_UP_TO: usize = 40;
/// The assignments that are sampled with more pairs. Together with the observed one they are 100,000, so the smallest
/// p-value of the Monte Carlo form is 1e-5.
pub const MONTE_CARLO_FLIPS: u64 = 99_999;
/// Sums closer than this share of the sum of magnitudes count as equal. Differences of accuracies are multiples of one
/// image, so true ties abound and rounding must not break them; taking near ties for ties can only make p larger.
const TIE: f64 = 1e-9;

/// Tests whether the mean of paired differences is zero, two-sided. `None` without pairs or with a value that is not
/// finite.
///
/// Exact, p is never under 2^(1-n), which the assignment that was seen and its mirror image have together; differences
/// that are all zero have p = 1. Above `EXACT_UP_TO` pairs p = (b + 1) / (m + 1) for b of m sampled assignments (Phipson
/// and Smyth 2010), which is valid, not approximate, for any m.
pub fn sign_flip(differences: &[f64]) -> Option<SignFlip> {
    if differences.is_empty() || differences.iter().any(|difference| !difference.is_finite()) {
        return None;
    }
    let seen = exact_sum(differences).abs();
    let mut magnitudes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    magnitudes.sort_by(f64::total_cmp);
    let total = exact_sum(&magnitudes);
    if !total.is_finite() {
        return None;
    }
    let bound = seen - TIE * total;
    if magnitudes.len() > EXACT_UP_TO {
        let beyond = sampled_beyond(&magnitudes, bound);
        let p = (beyond + 1) as f64 / (MONTE_CARLO_FLIPS + 1) as f64;
        return Some(SignFlip { p, exact: false, flips: MONTE_CARLO_FLIPS });
    }
    let flips = 1u64 << magnitudes.len();
    let p = counted_beyond(&magnitudes, bound) as f64 / flips as f64;
    Some(SignFlip { p, exact: true, flips })
}

/// How many of all assignments have a sum of at least `bound` in magnitude. Meets in the middle: the sums of either
/// half are sorted, and one walk up the one and down the other counts the pairs that reach the bound.
fn counted_beyond(magnitudes: &[f64], bound: f64) -> u64 {
    let all = 1u64 << magnitudes.len();
    if bound <= 0.0 {
        return all;
    }
    let (left, right) = magnitudes.split_at(magnitudes.len() / 2);
    let (left, right) = (signed_sums(left), signed_sums(right));
    let mut reached = 0;
    let mut partner = right.len();
    for sum in left {
        while partner > 0 && sum + right[partner - 1] >= bound {
            partner -= 1;
        }
        reached += (right.len() - partner) as u64;
    }
    // Flipping all signs of an assignment that reaches the bound gives one that reaches it from below.
    (2 * reached).min(all)
}

/// The sums of all assignments of signs, ascending. One more magnitude merges the sums below with the sums above, both
/// of which are sorted. Sums come in pairs of opposite sign, so the lower half is merged and the upper half mirrors it.
fn signed_sums(magnitudes: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0_f64];
    for magnitude in magnitudes {
        let mut next = vec![0.0; 2 * sums.len()];
        let (lower, upper) = next.split_at_mut(sums.len());
        let (mut below, mut above) = (0, 0);
        // No branch selects the next list, because half of its predictions would be wrong. `below + above` counts
        // the lower half, so neither leaves the list.
        for (low, high) in lower.iter_mut().zip(upper.iter_mut().rev()) {
            let (without, with) = (sums[below] - magnitude, sums[above] + magnitude);
            (*low, *high) = (without.min(with), -without.min(with));
            let taken = usize::from(without <= with);
            below += taken;
            above += 1 - taken;
        }
        sums = next;
    }
    sums
}

/// How many of the sampled assignments have a sum of at least `bound` in magnitude. Magnitudes are sorted, so neither the
/// order of the pairs nor which side is called the reference changes the answer.
fn sampled_beyond(magnitudes: &[f64], bound: f64) -> u64 {
    let mut random = Random::new(Purpose::SignFlip);
    let mut beyond = 0;
    for _ in 0..MONTE_CARLO_FLIPS {
        let mut sum = 0.0;
        for chunk in magnitudes.chunks(64) {
            let mut bits = random.bits();
            for magnitude in chunk {
                // The bit sets the sign without a branch, because half of its predictions would be wrong.
                sum += f64::from_bits(magnitude.to_bits() | (bits << 63));
                bits >>= 1;
            }
        }
        beyond += u64::from(sum.abs() >= bound);
    }
    beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every assignment, one by one.
    fn by_enumeration(differences: &[f64]) -> f64 {
        let seen: f64 = differences.iter().sum::<f64>().abs();
        let total: f64 = differences.iter().map(|difference| difference.abs()).sum();
        let bound = seen - 1e-9 * total;
        let beyond = beyond_from(differences, 0.0, bound);
        beyond as f64 / (1u64 << differences.len()) as f64
    }

    fn beyond_from(rest: &[f64], sum: f64, bound: f64) -> u64 {
        match rest {
            [] => u64::from(sum.abs() >= bound),
            [first, rest @ ..] => beyond_from(rest, sum + first, bound) + beyond_from(rest, sum - first, bound),
        }
    }

    /// Differences of one kind: of no scale, of whole images, of few sizes with zeros, whole numbers, or of many scales.
    fn differences(random: &mut Random, count: usize, kind: u64) -> Vec<f64> {
        let mut one = || match kind % 5 {
            0 => random.normal() + 0.3,
            1 => (random.below(9) as f64 - 3.0) / 807.0,
            2 => [0.0, 0.0, 0.1, -0.1, 0.3][random.below(5)],
            3 => random.below(2_001) as f64 - 900.0,
            _ => random.normal() * 10f64.powi(random.below(12) as i32 - 6),
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn agrees_with_enumeration_at_every_number_of_pairs() {
        for count in 1..=20 {
            for kind in 0..if count > 16 { 5 } else { 20 } {
                let mut random = Random::simulation(100 * count as u64 + kind);
                let values = differences(&mut random, count, kind);
                let test = sign_flip(&values).unwrap();
                assert!(test.exact && test.flips == 1 << count, "{count} pairs, kind {kind}");
                assert_eq!(test.p, by_enumeration(&values), "{count} pairs, kind {kind}: {values:?}");
            }
        }
    }

    /// Merging gives the sums that sorting gives, bit for bit; their order is all that the count rests on.
    #[test]
    fn merged_sums_are_the_sorted_ones() {
        for count in 0..=14 {
            for kind in 0..5 {
                let mut random = Random::simulation(count as u64 + 100 * kind);
                let magnitudes: Vec<f64> =
                    differences(&mut random, count, kind).iter().map(|difference| difference.abs()).collect();
                let mut sorted = vec![0.0];
                for magnitude in &magnitudes {
                    sorted = sorted.iter().flat_map(|sum| [sum - magnitude, sum + magnitude]).collect::<Vec<f64>>();
                }
                sorted.sort_by(f64::total_cmp);
                assert_eq!(signed_sums(&magnitudes), sorted, "{count} magnitudes, kind {kind}");
            }
        }
    }

    /// Whole numbers have exact sums, which a table counts: the only other way to count 2^40 of them.
    #[test]
    fn agrees_with_counting_whole_sums_up_to_the_last_exact_number_of_pairs() {
        for count in [21, 22, 29, 30, 39, EXACT_UP_TO] {
            for kind in 0..4 {
                let mut random = Random::simulation(7_000 + 10 * count as u64 + kind);
                let shift = [3.0, 6.0, 9.0, 0.0][kind as usize];
                let values: Vec<f64> = (0..count).map(|_| random.below(13) as f64 - 6.0 + shift).collect();
                let reach: usize = values.iter().map(|value| value.abs() as usize).sum();
                let mut counts = vec![0u64; 2 * reach + 1];
                counts[reach] = 1;
                for value in values.iter().map(|value| value.abs() as usize) {
                    let at = |sum: Option<usize>| sum.and_then(|sum| counts.get(sum)).copied().unwrap_or(0);
                    counts = (0..counts.len()).map(|sum| at(sum.checked_sub(value)) + at(Some(sum + value))).collect();
                }
                let seen = values.iter().sum::<f64>().abs() as usize;
                let far = |sum: usize| sum.abs_diff(reach) >= seen;
                let beyond: u64 = (0..counts.len()).filter(|sum| far(*sum)).map(|sum| counts[sum]).sum();
                let test = sign_flip(&values).unwrap();
                assert!(test.exact && test.flips == 1 << count, "{count} pairs");
                assert_eq!(test.p, beyond as f64 / (1u64 << count) as f64, "{count} pairs: {values:?}");
            }
        }
    }

    #[test]
    fn the_smallest_p_of_n_pairs_is_reached_and_never_passed() {
        for count in 1..=EXACT_UP_TO {
            let values: Vec<f64> = (0..count).map(|i| 0.1 + 0.01 * i as f64).collect();
            assert_eq!(sign_flip(&values).unwrap().p, 2f64.powi(1 - count as i32), "{count} pairs");
        }
    }

    #[test]
    fn neither_order_nor_side_matters() {
        for count in [5, 13, 20, 21, 40, 41, 60] {
            let mut random = Random::simulation(count as u64);
            let values: Vec<f64> = (0..count).map(|_| (random.below(21) as f64 - 8.0) / 807.0).collect();
            let backwards: Vec<f64> = values.iter().rev().copied().collect();
            let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
            assert_eq!(sign_flip(&values), sign_flip(&backwards));
            assert_eq!(sign_flip(&values), sign_flip(&mirrored));
        }
    }

    #[test]
    fn rounding_does_not_break_ties() {
        // In decimals 0.83 - 0.80 and 0.53 - 0.50 are the same, in binary they are not: 3 of 4 flips keep |sum| of (d,
        // -d).
        let (one, other) = (0.83 - 0.80, 0.53 - 0.50);
        assert!(one != other);
        assert_eq!(sign_flip(&[one, -other]).unwrap().p, 1.0);
        assert_eq!(sign_flip(&[one, one, -other]).unwrap().p, 1.0);
    }

    #[test]
    fn no_difference_at_all_has_p_one() {
        assert_eq!(sign_flip(&[0.0; 6]).unwrap().p, 1.0);
        assert_eq!(sign_flip(&[0.0; 30]).unwrap().p, 1.0);
        assert_eq!(sign_flip(&[0.0; 41]).unwrap().p, 1.0);
        assert_eq!(sign_flip(&[0.3]).unwrap().p, 1.0);
    }

    #[test]
    fn an_impossible_test_is_none() {
        assert_eq!(sign_flip(&[]), None);
        assert_eq!(sign_flip(&[0.1, f64::NAN]), None);
        assert_eq!(sign_flip(&[0.1, f64::INFINITY]), None);
        assert_eq!(sign_flip(&[f64::MAX, f64::MAX]), None);
    }

    #[test]
    fn monte_carlo_is_near_the_exact_answer() {
        let mut random = Random::simulation(1);
        let values: Vec<f64> = (0..20).map(|_| random.normal() + 0.4).collect();
        let exact = sign_flip(&values).unwrap().p;
        let bound = exact_sum(&values).abs();
        let mut magnitudes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
        magnitudes.sort_by(f64::total_cmp);
        let drawn = (sampled_beyond(&magnitudes, bound * (1.0 - 1e-9)) + 1) as f64 / (MONTE_CARLO_FLIPS + 1) as f64;
        let tolerance = 5.0 * (exact * (1.0 - exact) / MONTE_CARLO_FLIPS as f64).sqrt();
        assert!((drawn - exact).abs() < tolerance, "{drawn} for {exact}");
        assert!(!sign_flip(&[1.0; EXACT_UP_TO + 1]).unwrap().exact);
        assert_eq!(sign_flip(&[1.0; 64]).unwrap().p, 1.0 / (MONTE_CARLO_FLIPS + 1) as f64);
    }
}
