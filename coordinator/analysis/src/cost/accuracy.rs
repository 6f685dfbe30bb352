//! The errors of predicted training times.

use serde::Serialize;

use super::fit::median;

/// How far predictions were off on one class of device. Shares: 0.08 is 8 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    pub device: String,
    /// Trials that had a prediction before they ran.
    pub trials: u32,
    /// The middle of the errors.
    pub median: f64,
    /// The largest error.
    pub worst: f64,
    /// The share of trials whose time was within the predicted interval.
    pub within: f64,
}

/// A prediction that was made before a trial ran, and the time that the trial took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    pub expected: f64,
    pub low: f64,
    pub high: f64,
    pub actual: f64,
}

/// Of some predictions on one device; nothing of none. An error is the share of the actual time by which it was missed.
pub fn accuracy(device: &str, kept: &[Kept]) -> Option<Accuracy> {
    let sound = |one: &&Kept| one.actual > 0.0 && one.expected > 0.0 && one.expected.is_finite();
    let kept: Vec<&Kept> = kept.iter().filter(sound).collect();
    let errors: Vec<f64> = kept.iter().map(|one| (one.expected / one.actual - 1.0).abs()).collect();
    let worst = errors.iter().copied().max_by(f64::total_cmp)?;
    let within = kept.iter().filter(|one| (one.low..=one.high).contains(&one.actual)).count() as f64;
    let trials = u32::try_from(errors.len()).unwrap_or(u32::MAX);
    let share = within / errors.len() as f64;
    Some(Accuracy { device: device.to_owned(), trials, median: median(errors), worst, within: share })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shares_of_what_came() {
        let one = |expected: f64, actual: f64| Kept { expected, low: expected * 0.5, high: expected * 1.5, actual };
        let found = accuracy("cpu", &[one(11.0, 10.0), one(10.0, 10.0), one(2.0, 4.0), one(0.0, 3.0)]).unwrap();
        assert_eq!((found.trials, found.worst), (3, 0.5));
        assert!((found.median - 0.1).abs() < 1e-12 && (found.within - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(accuracy("cpu", &[]), None);
    }
}
