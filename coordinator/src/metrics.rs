//! The metrics of a coordinator, in one struct that is passed by value. `definition` lists the name, type, unit, labels
//! and help of each metric; a test compares `docs/metrics.md` with that list. `gauges` fills the gauges of a scrape.

mod definition;
mod disk_usage;
mod gauges;

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry, TextEncoder};
use sweep_store::codes::AttemptState;
use sweep_store::summary::Placed;

pub use definition::{Definition, Kind, TABLE};
pub use disk_usage::{DiskUsage, Folders};
use sweep_analysis::cost::Prediction;
use sweep_spec::FailureClass;
use sweep_spec::spec::Metric;

use crate::engine::{Gauges, ProgressGauges};
use definition as d;

/// The failure class of an attempt whose worker was silent for a whole lease.
pub(crate) const LOST: &str = "lost";

/// The counters and histograms of one coordinator. Gauges are created for every scrape, so ended trials do not stay in them.
pub struct Metrics {
    registry: Registry,
    attempts: IntCounterVec,
    expired: IntCounter,
    failures: IntCounterVec,
    retries: IntCounterVec,
    trials_failed: IntCounterVec,
    workers_lost: IntCounter,
    dispatch: Histogram,
    commit: Histogram,
    rows: Histogram,
    commit_failures: IntCounter,
    points: IntCounter,
    reused: IntCounter,
    effects: IntCounterVec,
    prediction_errors: Histogram,
    predictions: IntCounterVec,
    calls: HistogramVec,
}

/// The progress and the best configurations of a sweep, for the gauges.
#[derive(Debug, Clone)]
pub struct SweepGauges {
    /// The number of the sweep.
    pub sweep: u64,
    /// The name of the sweep.
    pub name: String,
    /// Trials by state.
    pub trials: Vec<(&'static str, u64)>,
    /// The share of its trials that have ended, from 0 to 1.
    pub progress: f64,
    /// The metric that ranks its configurations; absent until the first summary is computed.
    pub objective: Option<Metric>,
    /// Its best configurations, best first.
    pub best: Vec<Placed>,
}

/// The values of the gauges of one scrape.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// Whether this coordinator leads.
    pub leads: bool,
    /// Counts of the engine's owner task.
    pub gauges: Gauges,
    /// The pace of every running sweep.
    pub paces: Vec<ProgressGauges>,
    /// Running sweeps and the newest ended ones.
    pub sweeps: Vec<SweepGauges>,
    /// The disks of the store and of the artifacts.
    pub disks: Vec<DiskUsage>,
    /// The size of the store.
    pub store_bytes: Option<u64>,
    /// The number of deleted sweeps whose data is not removed yet.
    pub deletions: Option<usize>,
}

impl Metrics {
    /// Registers every counter and histogram.
    ///
    /// # Errors
    /// A definition is invalid, or two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            attempts: d::counter_vec(&registry, &d::ATTEMPTS)?,
            expired: d::counter(&registry, &d::LEASES_EXPIRED)?,
            failures: d::counter_vec(&registry, &d::FAILURES)?,
            retries: d::counter_vec(&registry, &d::RETRIES)?,
            trials_failed: d::counter_vec(&registry, &d::TRIALS_FAILED)?,
            workers_lost: d::counter(&registry, &d::WORKERS_LOST)?,
            dispatch: d::histogram(&registry, &d::DISPATCH, d::seconds_buckets())?,
            commit: d::histogram(&registry, &d::COMMIT, d::seconds_buckets())?,
            rows: d::histogram(&registry, &d::COMMIT_ROWS, d::row_buckets())?,
            commit_failures: d::counter(&registry, &d::COMMIT_FAILURES)?,
            points: d::counter(&registry, &d::POINTS)?,
            reused: d::counter(&registry, &d::TRIALS_REUSED)?,
            effects: d::counter_vec(&registry, &d::EFFECTS)?,
            prediction_errors: d::histogram(&registry, &d::PREDICTION_ERROR, d::share_buckets())?,
            predictions: d::counter_vec(&registry, &d::PREDICTIONS)?,
            calls: d::histogram_vec(&registry, &d::RPC, d::call_buckets())?,
            registry,
        };
        for state in [AttemptState::Succeeded, AttemptState::Failed, AttemptState::Stopped, AttemptState::Expired] {
            metrics.attempts.with_label_values(&[state.name()]);
        }
        // `rate` sees the first increase only if the series exists before it.
        for class in FailureClass::ALL.map(FailureClass::name).into_iter().chain([LOST]) {
            metrics.failures.with_label_values(&[class]);
            metrics.retries.with_label_values(&[class]);
            if class != LOST {
                metrics.trials_failed.with_label_values(&[class]);
            }
        }
        for outcome in ["below", "inside", "above"] {
            metrics.predictions.with_label_values(&[outcome]);
        }
        Ok(metrics)
    }

    /// Counts an ended attempt, and its failure class if it failed.
    pub(crate) fn attempt(&self, state: AttemptState, failure: Option<&'static str>) {
        self.attempts.with_label_values(&[state.name()]).inc();
        if let Some(class) = failure {
            self.failures.with_label_values(&[class]).inc();
        }
        if state == AttemptState::Expired {
            self.expired.inc();
        }
    }

    pub(crate) fn retry(&self, class: &'static str) {
        self.retries.with_label_values(&[class]).inc();
    }

    pub(crate) fn trial_failed(&self, class: &'static str) {
        self.trials_failed.with_label_values(&[class]).inc();
    }

    pub(crate) fn worker_lost(&self) {
        self.workers_lost.inc();
    }

    /// Records the duration of an ended gRPC call.
    pub(crate) fn call(&self, method: &str, code: &'static str, took: Duration) {
        self.calls.with_label_values(&[method, code]).observe(took.as_secs_f64());
    }

    pub(crate) fn dispatched(&self, after: Duration) {
        self.dispatch.observe(after.as_secs_f64());
    }

    pub(crate) fn commit_rows(&self, rows: usize) {
        self.rows.observe(rows as f64);
    }

    pub(crate) fn commit_took(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    pub(crate) fn commit_failed(&self) {
        self.commit_failures.inc();
    }

    pub(crate) fn points(&self, count: u64) {
        self.points.inc_by(count);
    }

    pub(crate) fn trial_reused(&self) {
        self.reused.inc();
    }

    pub(crate) fn effect(&self, name: &'static str) {
        self.effects.with_label_values(&[name]).inc();
    }

    /// Compares the predicted duration of a trial with the actual one, in seconds.
    pub(crate) fn predicted(&self, prediction: &Prediction, actual: f64) {
        self.prediction_errors.observe((prediction.expected / actual - 1.0).abs());
        let outcome = match actual {
            actual if actual < prediction.low => "below",
            actual if actual > prediction.high => "above",
            _ => "inside",
        };
        self.predictions.with_label_values(&[outcome]).inc();
    }

    /// Renders a scrape in the text format of Prometheus.
    ///
    /// # Errors
    /// A definition is invalid.
    pub fn render(&self, scrape: &Scrape) -> Result<String, prometheus::Error> {
        let gauges = Registry::new();
        gauges::fill(&gauges, scrape)?;
        let mut families = self.registry.gather();
        families.extend(gauges.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}
