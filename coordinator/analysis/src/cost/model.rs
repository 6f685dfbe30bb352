//! The model of training time. For each class of device it has nonnegative coefficients of a trial's amounts of work, a
//! fixed part for each attempt, and the spread that these do not explain.
//!
//! A regression of log seconds on features would not do: the times of parts add up, so a network that differs from all
//! earlier ones (twice as deep, four times the batch) is predicted by the same sum. A single FLOP rate would not do
//! either, because steps and images limit small networks, not FLOPs.

use std::collections::{BTreeMap, VecDeque};

use super::fit::{Coefficients, fit, median, student_90};
use super::work::Work;

/// The most measurements of one class that are kept: machines change, so old ones are less useful.
const KEPT: usize = 512;
/// Up to this many measurements, the spread is computed from predictions without the measurement itself.
const LEFT_OUT: usize = 16;
/// The prior: this spread of log seconds, with the weight of one measurement.
const BELIEF: (f64, f64) = (0.3, 1.0);
/// The prior for a class of device without measurements: nearly a factor of three in both directions.
const OTHER_DEVICE: f64 = 0.6;
/// How much of the logarithm of a distance outside of everything measured is doubt.
const OUTSIDE: f64 = 0.25;
/// The doubt that more measurements do not take away: the machine may be busier tomorrow.
const DRIFT: f64 = 0.04;

/// A class of devices: trials on two of one class take about the same time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// As its maker calls it.
    pub device_name: String,
    /// Of a processor; empty for other devices.
    pub instruction_set: String,
    /// Threads of one trial.
    pub threads: u32,
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.threads == 1 { "" } else { "s" };
        match (self.instruction_set.as_str(), self.threads) {
            (_, 0) => write!(f, "{}", self.device_name),
            ("", threads) => write!(f, "{}, {threads} thread{plural}", self.device_name),
            (set, threads) => write!(f, "{} ({set}), {threads} thread{plural}", self.device_name),
        }
    }
}

/// The time of a trial that ran in one piece and converged.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub class: Class,
    pub work: Work,
    /// Seconds in its epochs.
    pub seconds: f64,
    /// Seconds of its slot besides: start, data, the last evaluation.
    pub overhead: f64,
    /// The most memory that its process had.
    pub peak_memory_bytes: u64,
}

/// A prediction and its uncertainty. Spreads are of log seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Seconds of a slot.
    pub seconds: f64,
    /// The variance of the trial itself.
    pub own: f64,
    /// Variance that all trials share, because the model may be off.
    pub shared: f64,
    /// Degrees of freedom of the variances.
    pub freedom: f64,
    /// The most memory that it will need.
    pub memory_bytes: u64,
}

/// A number with the ends of its 90 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The median.
    pub expected: f64,
    /// The 5 % quantile.
    pub low: f64,
    /// The 95 % quantile.
    pub high: f64,
}

impl Prediction {
    /// Around `expected`, with this variance of its logarithm.
    pub fn around(expected: f64, variance: f64, freedom: f64) -> Self {
        let factor = (student_90(freedom) * variance.max(0.0).sqrt()).exp();
        Self { expected, low: expected / factor, high: expected * factor }
    }

    /// The same in another unit.
    pub fn scaled(self, by: f64) -> Self {
        Self { expected: self.expected * by, low: self.low * by, high: self.high * by }
    }
}

impl Estimate {
    /// The prediction for one trial.
    pub fn prediction(&self) -> Prediction {
        Prediction::around(self.seconds, self.own + self.shared, self.freedom)
    }
}

/// The measurements, and the coefficients fitted to them.
#[derive(Debug, Clone, Default)]
pub struct Model {
    classes: BTreeMap<Class, Measured>,
}

#[derive(Debug, Clone, Default)]
struct Measured {
    kept: VecDeque<Observation>,
    /// Measurements since the last fit.
    news: usize,
    fitted: Option<Fitted>,
}

#[derive(Debug, Clone, PartialEq)]
struct Fitted {
    coefficients: Coefficients,
    overhead: f64,
    /// Of log seconds.
    variance: f64,
    count: f64,
    /// The least and the most nominal seconds that were measured.
    range: (f64, f64),
    /// Measured peak over the formula's: the middle.
    memory: f64,
}

impl Model {
    /// Adds a measurement. A time that is zero, negative or not finite is ignored.
    pub fn observe(&mut self, observation: Observation) {
        let nominal = observation.work.nominal_seconds();
        let sound = |number: f64| number.is_finite() && number > 0.0;
        if !sound(observation.seconds) || !sound(nominal) || !observation.overhead.is_finite() {
            return;
        }
        let measured = self.classes.entry(observation.class.clone()).or_default();
        measured.kept.push_back(observation);
        if measured.kept.len() > KEPT {
            measured.kept.pop_front();
        }
        measured.news += 1;
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The classes that were measured and how often, the most often first.
    pub fn classes(&self) -> Vec<(&Class, usize)> {
        let mut classes: Vec<_> = self.classes.iter().map(|(class, measured)| (class, measured.kept.len())).collect();
        classes.sort_by_key(|(class, count)| (std::cmp::Reverse(*count), (*class).clone()));
        classes
    }

    /// Fits the coefficients again once the measurements have grown by a sixteenth, so that a call is usually cheap.
    pub fn refresh(&mut self) {
        for measured in self.classes.values_mut() {
            let due = measured.news > measured.kept.len() / 16;
            if measured.fitted.is_none() || due {
                measured.fitted = Fitted::of(measured.kept.make_contiguous());
                measured.news = 0;
            }
        }
    }

    /// The time of a trial on a device of this class, or of a class without measurements. `None` without any
    /// measurement. It uses the last `refresh`.
    pub fn predict(&self, class: Option<&Class>, work: &Work) -> Option<Estimate> {
        let own = class.and_then(|class| self.classes.get(class)).and_then(|measured| measured.fitted.as_ref());
        if let Some(fitted) = own {
            return Some(fitted.predict(work, 0.0));
        }
        let fitted = self.classes.values().filter_map(|measured| measured.fitted.as_ref());
        let most = fitted.max_by(|a, b| a.count.total_cmp(&b.count))?;
        let estimate = most.predict(work, OTHER_DEVICE.powi(2));
        Some(Estimate { freedom: estimate.freedom.min(3.0), ..estimate })
    }

    /// The class that was measured most often on devices of this name.
    pub fn class_named(&self, device_name: &str) -> Option<&Class> {
        let classes = self.classes.iter().filter(|(class, _)| class.device_name == device_name);
        classes.max_by_key(|(_, measured)| measured.kept.len()).map(|(class, _)| class)
    }
}

impl Fitted {
    fn of(kept: &[Observation]) -> Option<Self> {
        let rows: Vec<_> = kept.iter().map(|one| (one.work.parts(), one.seconds)).collect();
        let coefficients = fit(&rows)?;
        let residual = |by: &Coefficients, (parts, seconds): &([f64; 5], f64)| {
            (seconds / by.seconds(parts).max(f64::MIN_POSITIVE)).ln().powi(2)
        };
        let squares: f64 = match rows.len() {
            1 => 0.0,
            few @ 2..=LEFT_OUT => (0..few)
                .filter_map(|index| {
                    let mut others = rows.clone();
                    let left_out = others.remove(index);
                    Some(residual(&fit(&others)?, &left_out))
                })
                .sum(),
            many => {
                rows.iter().map(|row| residual(&coefficients, row)).sum::<f64>() * many as f64 / (many as f64 - 5.0)
            }
        };
        let count = rows.len() as f64;
        // A single measurement has no spread.
        let informed = if rows.len() == 1 { 0.0 } else { count };
        let variance = (BELIEF.0.powi(2) * BELIEF.1 + squares) / (BELIEF.1 + informed);
        let nominal: Vec<f64> = kept.iter().map(|one| one.work.nominal_seconds()).collect();
        let range = nominal.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), one| (low.min(*one), high.max(*one)));
        let memory = |one: &Observation| one.peak_memory_bytes as f64 / one.work.memory_bytes.max(1) as f64;
        Some(Self {
            coefficients,
            overhead: median(kept.iter().map(|one| one.overhead.max(0.0)).collect()),
            variance,
            count,
            range,
            memory: median(kept.iter().filter(|one| one.peak_memory_bytes > 0).map(memory).collect()),
        })
    }

    fn predict(&self, work: &Work, doubt: f64) -> Estimate {
        let nominal = work.nominal_seconds();
        let outside =
            if nominal > 0.0 { (nominal / self.range.1).ln().max((self.range.0 / nominal).ln()) } else { 0.0 };
        let seconds = self.coefficients.seconds(&work.parts()) + self.overhead;
        let memory = if self.memory > 0.0 { work.memory_bytes as f64 * self.memory } else { work.memory_bytes as f64 };
        Estimate {
            seconds,
            own: self.variance,
            shared: self.variance * (3.0 / self.count).min(1.0)
                + (OUTSIDE * outside.max(0.0)).powi(2)
                + DRIFT.powi(2)
                + doubt,
            freedom: BELIEF.1 + self.count,
            memory_bytes: memory as u64,
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
