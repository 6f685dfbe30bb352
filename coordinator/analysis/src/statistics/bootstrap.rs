//! The bias-corrected and accelerated bootstrap interval of a mean (Efron 1987, "Better bootstrap confidence
//! intervals"; Efron and Tibshirani 1993, 14.3), by the formulas of SciPy's `scipy.stats.bootstrap(method="BCa")`.

use statrs::distribution::{ContinuousCDF, Normal};

use super::CONFIDENCE;
use super::estimate::mean_and_spread;
use super::random::{Purpose, Random};
use crate::result::Interval;

pub const RESAMPLES: usize = 9_999;
/// A resampled mean closer to the mean than this share of the largest value is equal to it.
const TIE: f64 = 1e-12;

/// The interval of the mean over `RESAMPLES` resamples from a fixed seed. Neither the order of the values matters nor,
/// for paired differences, which side is called the reference: swapping it mirrors the interval.
///
/// `None` with fewer than two values and for values without spread: a point is no interval. With fewer than about ten
/// values it is known to be too narrow (two values give at most their range); it is shown and decides nothing.
pub fn bca_interval(values: &[f64]) -> Option<Interval> {
    mean_and_spread(values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.abs().total_cmp(&other.abs()).then(one.total_cmp(other)));
    let mut random = Random::new(Purpose::Bootstrap);
    let means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..sorted.len()).map(|_| sorted[random.below(sorted.len())]).sum();
            sum / sorted.len() as f64
        })
        .collect();
    bca_from(values, &means)
}

/// The interval of the mean of `values`, from means of resamples that the caller has drawn. `None` also if all of these
/// are on one side of the mean, where the correction for bias is infinite.
pub fn bca_from(values: &[f64], resampled: &[f64]) -> Option<Interval> {
    let (mean, _) = mean_and_spread(values)?;
    if resampled.iter().any(|mean| !mean.is_finite()) {
        return None;
    }
    let mut resampled = resampled.to_vec();
    resampled.sort_by(f64::total_cmp);
    let normal = Normal::standard();
    let below = share_below(&resampled, mean, TIE * values.iter().fold(0.0, |most: f64, value| most.max(value.abs())))?;
    if below <= 0.0 || below >= 1.0 {
        return None;
    }
    let bias = normal.inverse_cdf(below);
    // In the jackknife, the influence of a value on the mean is its distance from the mean.
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let cubes: f64 = values.iter().map(|value| (value - mean).powi(3)).sum();
    let acceleration = cubes / squares.powf(1.5) / 6.0;
    let end = |z: f64| {
        let shifted = bias + z;
        let share = normal.cdf(bias + shifted / (1.0 - acceleration * shifted));
        quantile(&resampled, share)
    };
    let z = normal.inverse_cdf((1.0 - CONFIDENCE) / 2.0);
    Some(Interval { low: end(z)?, high: end(-z)? })
}

/// The share of sorted values below `mean`, plus half of the share of those equal to it.
fn share_below(sorted: &[f64], mean: f64, tie: f64) -> Option<f64> {
    let below = sorted.partition_point(|value| *value < mean - tie);
    let up_to = sorted.partition_point(|value| *value <= mean + tie);
    (!sorted.is_empty()).then(|| (below + up_to) as f64 / (2 * sorted.len()) as f64)
}

/// Quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let place = share * sorted.len().checked_sub(1)? as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrounds_the_mean_and_is_the_same_in_any_order() {
        let values = [0.012, 0.034, -0.006, 0.021, 0.018, 0.002, 0.040];
        let interval = bca_interval(&values).unwrap();
        assert!(interval.low < 0.017 && 0.018 < interval.high, "{interval:?}");
        let mut backwards = values;
        backwards.reverse();
        assert_eq!(bca_interval(&backwards).unwrap(), interval);
    }

    #[test]
    fn swapping_the_sides_mirrors_it() {
        let values = [0.012, 0.034, -0.006, 0.021, 0.018, 0.002, 0.040];
        let interval = bca_interval(&values).unwrap();
        let mirrored = bca_interval(&values.map(|value| -value)).unwrap();
        assert!((interval.low + mirrored.high).abs() < 1e-12 && (interval.high + mirrored.low).abs() < 1e-12);
    }

    #[test]
    fn without_spread_there_is_no_interval() {
        assert_eq!(bca_interval(&[]), None);
        assert_eq!(bca_interval(&[0.3]), None);
        assert_eq!(bca_interval(&[0.3; 5]), None);
        assert_eq!(bca_interval(&[0.83 - 0.80, 0.53 - 0.50]), None);
        assert_eq!(bca_interval(&[0.3, f64::NAN]), None);
        assert_eq!(bca_from(&[1.0, 2.0], &[]), None);
        assert_eq!(bca_from(&[1.0, 2.0], &[1.6, 2.0]), None, "all on one side");
    }

    #[test]
    fn two_values_give_their_range_at_most() {
        let interval = bca_interval(&[1.0, 2.0]).unwrap();
        assert!(interval.low >= 1.0 && interval.high <= 2.0, "{interval:?}");
    }
}
