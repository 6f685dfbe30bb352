//! Mean, spread, Student's interval and effect size of values, in particular of paired differences.

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};

use super::CONFIDENCE;
use crate::result::{Estimate, Interval, Pair};

/// A standard deviation under this share of the largest value is rounding, and counts as none: differences of equal
/// accuracies differ by about 1e-16 for each unit of accuracy.
const NO_SPREAD: f64 = 1e-12;

/// Value minus reference of each pair.
pub fn differences(pairs: &[Pair]) -> Vec<f64> {
    pairs.iter().map(|pair| pair.value - pair.reference).collect()
}

/// Mean and standard deviation of the sample. `None` without values, or if one is not finite. The order of the values
/// does not matter, to the last bit, and negated values give the negated mean.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let mean = mean(values)?;
    let standard_deviation = (values.len() > 1).then(|| {
        let squares: Vec<f64> = values.iter().map(|value| (value - mean) * (value - mean)).collect();
        (exact_sum(&squares) / (values.len() - 1) as f64).sqrt()
    });
    Some(Estimate { mean, standard_deviation, count: u32::try_from(values.len()).ok()? })
}

/// The mean alone, under the same conditions. Equal values have that value as their mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let count = values.len() as f64;
    let rough = exact_sum(values) / count;
    let rest: Vec<f64> = values.iter().map(|value| value - rough).collect();
    let mean = rough + exact_sum(&rest) / count;
    mean.is_finite().then_some(mean)
}

/// The interval of the mean by Student's t with n - 1 degrees of freedom (Student 1908): exact for normal values.
/// `None` with fewer than two values, and for values without spread, where t is undefined.
pub fn t_interval(values: &[f64]) -> Option<Interval> {
    let (mean, deviation) = mean_and_spread(values)?;
    let half = t_quantile(0.5 + CONFIDENCE / 2.0, values.len() - 1)? * deviation / (values.len() as f64).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// Mean divided by standard deviation: Cohen's d_z (Cohen 1988, 2.3.5) when the values are paired differences. `None`
/// with fewer than two values and for values without spread; zeros alone have the effect size 0.
pub fn effect_size(values: &[f64]) -> Option<f64> {
    if values.len() > 1 && values.iter().all(|value| *value == 0.0) {
        return Some(0.0);
    }
    let (mean, deviation) = mean_and_spread(values)?;
    Some(mean / deviation)
}

/// Quantile of Student's t distribution. The quantile of `statrs` has ten correct digits, and for many degrees of
/// freedom none. From it, or from the normal quantile, Newton's steps on the distribution function give all digits.
pub(crate) fn t_quantile(probability: f64, degrees: usize) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, degrees as f64).ok()?;
    let normal = Normal::standard().inverse_cdf(probability);
    let mut quantile = match degrees {
        0..=30 => distribution.inverse_cdf(probability),
        _ => normal + (normal.powi(3) + normal) / (4.0 * degrees as f64),
    };
    for _ in 0..4 {
        quantile -= (distribution.cdf(quantile) - probability) / distribution.pdf(quantile);
    }
    quantile.is_finite().then_some(quantile)
}

/// Mean and a standard deviation that is more than rounding.
pub(crate) fn mean_and_spread(values: &[f64]) -> Option<(f64, f64)> {
    let estimate = estimate(values)?;
    let deviation = estimate.standard_deviation?;
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    (deviation.is_finite() && deviation > NO_SPREAD * largest).then_some((estimate.mean, deviation))
}

/// The sum, rounded once (Shewchuk 1997, "Adaptive precision floating-point arithmetic"): partial sums that do not
/// overlap keep the rounding errors. So neither the order of the values nor their common sign matters. Finite values
/// only.
pub(crate) fn exact_sum(values: &[f64]) -> f64 {
    let mut partials: Vec<f64> = Vec::new();
    for &value in values {
        let mut carried = value;
        let mut kept = 0;
        for index in 0..partials.len() {
            let (large, small) = if carried.abs() < partials[index].abs() {
                (partials[index], carried)
            } else {
                (carried, partials[index])
            };
            let sum = large + small;
            let lost = small - (sum - large);
            if lost != 0.0 {
                partials[kept] = lost;
                kept += 1;
            }
            carried = sum;
        }
        partials.truncate(kept);
        partials.push(carried);
    }
    rounded(&partials)
}

/// Adds partial sums, the largest last, with one rounding to even.
fn rounded(partials: &[f64]) -> f64 {
    let mut rest = partials.iter().rev().copied();
    let Some(mut sum) = rest.next() else { return 0.0 };
    while let Some(partial) = rest.next() {
        let before = sum;
        sum = before + partial;
        let lost = partial - (sum - before);
        if lost == 0.0 {
            continue;
        }
        // Exactly half-way: the lower parts decide the direction.
        if let Some(next) = rest.next()
            && (lost < 0.0) == (next < 0.0)
        {
            let corrected = sum + lost * 2.0;
            if corrected - sum == lost * 2.0 {
                sum = corrected;
            }
        }
        break;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn sums_are_rounded_once() {
        assert_eq!(exact_sum(&[0.1; 10]), 1.0);
        assert_eq!(exact_sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(exact_sum(&[1.0, 1e-16, 1e-16]), 1.0000000000000002);
        assert_eq!(exact_sum(&[1e16, 1.0, 1e-16]), 10000000000000002.0);
        assert_eq!(exact_sum(&[]), 0.0);
    }

    #[test]
    fn order_does_not_matter_and_sides_mirror() {
        for seed in 0..100 {
            let mut random = Random::simulation(seed);
            let mut values: Vec<f64> =
                (0..2 + random.below(30)).map(|_| random.normal() * 10f64.powi(random.below(9) as i32)).collect();
            let before = estimate(&values).unwrap();
            for index in (1..values.len()).rev() {
                values.swap(index, random.below(index + 1));
            }
            assert_eq!(estimate(&values), Some(before), "seed {seed}");
            let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
            assert_eq!(estimate(&mirrored).unwrap().mean, -before.mean, "seed {seed}");
            assert_eq!(estimate(&mirrored).unwrap().standard_deviation, before.standard_deviation, "seed {seed}");
        }
    }

    #[test]
    fn equal_values_have_themselves_as_mean_and_no_spread() {
        for count in 2..30 {
            let found = estimate(&vec![0.1; count]).unwrap();
            assert_eq!((found.mean, found.standard_deviation), (0.1, Some(0.0)));
        }
        assert_eq!(t_interval(&[0.1; 5]), None);
        assert_eq!(effect_size(&[0.1; 5]), None);
        assert_eq!(effect_size(&[0.0; 5]), Some(0.0));
        assert_eq!(effect_size(&[0.83 - 0.80, 0.53 - 0.50]), None, "the same but for rounding");
    }

    #[test]
    fn too_few_or_broken_values_give_nothing() {
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[1.0, f64::NAN]), None);
        assert_eq!(estimate(&[2.0]), Some(Estimate { mean: 2.0, standard_deviation: None, count: 1 }));
        assert_eq!(t_interval(&[2.0]), None);
        assert_eq!(effect_size(&[2.0]), None);
        assert_eq!(estimate(&[f64::MAX, f64::MAX]), None, "too large for a mean");
    }

    #[test]
    fn students_interval_worked_by_hand() {
        let interval = t_interval(&[1.0, 2.0, 3.0]).unwrap();
        let half = 4.302652729749464 / 3f64.sqrt();
        assert!((interval.low - (2.0 - half)).abs() < 1e-12 && (interval.high - (2.0 + half)).abs() < 1e-12);
        assert_eq!(effect_size(&[1.0, 2.0, 3.0]), Some(2.0));
    }

    #[test]
    fn differences_are_value_minus_reference() {
        let pairs = [Pair { seed: 1, value: 3.0, reference: 1.0 }, Pair { seed: 2, value: 1.0, reference: 2.0 }];
        assert_eq!(differences(&pairs), [2.0, -1.0]);
    }
}
