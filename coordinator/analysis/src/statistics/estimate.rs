//! Mean, spread, Student's interval and effect size of values, in particular of paired differences.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::CONFIDENCE;
use crate::result::{Estimate, Interval, Pair};

/// A standard deviation under this share of the largest value is rounding, and counts as none: differences of equal
/// accuracies differ by about 1e-16 for each unit of accuracy.
const NO_SPREAD: f64 = 1e-12;

/// Value minus reference of each pair.
pub fn differences(pairs: &[Pair]) -> Vec<f64> {
    pairs.iter().map(|pair| pair.value - pair.reference).collect()
}

/// Mean and standard deviation of the sample. `None` without values or with one that is not finite. The order of the values
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

/// The interval of the mean by Student's t with n - 1 degrees of freedom (Student 1908): exact for normal values. `None` with
/// fewer than two values and for values without spread, of which t has nothing to say.
pub fn t_interval(values: &[f64]) -> Option<Interval> {
    let (mean, deviation) = mean_and_spread(values)?;
    let half = t_quantile(0.5 + CONFIDENCE / 2.0, values.len() - 1)? * deviation / (values.len() as f64).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// Mean divided by standard deviation: Cohen's d_z (Cohen 1988, 2.3.5) when the values are paired differences. `None` with
/// fewer than two values and for values without spread; zeros alone have the effect size 0.
pub fn effect_size(values: &[f64]) -> Option<f64> {
    if values.len() > 1 && values.iter().all(|value| *value == 0.0) {
        return Some(0.0);
    }
    let (mean, deviation) = mean_and_spread(values)?;
    Some(mean / deviation)
}

/// Quantile of Student's t distribution.
pub(crate) fn t_quantile(probability: f64, degrees: usize) -> Option<f64> {
    let quantile = StudentsT::new(0.0, 1.0, degrees as f64).ok()?.inverse_cdf(probability);
    quantile.is_finite().then_some(quantile)
}

/// Mean and a standard deviation that is more than rounding.
pub(crate) fn mean_and_spread(values: &[f64]) -> Option<(f64, f64)> {
    let estimate = estimate(values)?;
    let deviation = estimate.standard_deviation?;
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    (deviation.is_finite() && deviation > NO_SPREAD * largest).then_some((estimate.mean, deviation))
}

/// The sum, rounded once (Shewchuk 1997, "Adaptive precision floating-point arithmetic"): partial sums that do not overlap
/// carry what rounding loses. So neither the order of the values nor their common sign matters. Finite values only.
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
        // Exactly half-way: what lies below decides the direction.
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
