//! Everything that Prometheus can ask of a coordinator: one struct, built and passed. Each metric's name, type, unit,
//! labels and help stand beside each other in one definition; `docs/metrics.md` is held to the table that they make.

mod definition;
mod fill;
mod places;

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry, TextEncoder};
use sweep_store::codes::AttemptState;
use sweep_store::summary::Placed;

pub use definition::{Definition, Kind, TABLE};
pub use places::{Places, Room};
use sweep_analysis::cost::Prediction;
use sweep_spec::FailureClass;
use sweep_spec::spec::Metric;

use crate::engine::{Gauges, PaceGauges};
use definition as d;

/// How a failure is labelled whose worker was not heard of.
pub(crate) const LOST: &str = "lost";

/// The counters and histograms of one coordinator. Gauges are made anew for every scrape, so nothing that has ended stays.
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

/// The best of a sweep and where it stands, for the gauges.
#[derive(Debug, Clone)]
pub struct SweepGauges {
    /// Its number.
    pub sweep: u64,
    /// Its name.
    pub name: String,
    /// Trials by state.
    pub trials: Vec<(&'static str, u64)>,
    /// Share of its trials that have ended.
    pub progress: f64,
    /// The metric that it is judged by; absent while it has not been counted.
    pub objective: Option<Metric>,
    /// Its best configurations.
    pub best: Vec<Placed>,
}

/// What a scrape shows beside the counters.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// Whether this coordinator leads.
    pub leads: bool,
    /// By the owner task's word.
    pub gauges: Gauges,
    /// How live sweeps come on.
    pub paces: Vec<PaceGauges>,
    /// By the store's.
    pub sweeps: Vec<SweepGauges>,
    /// Of file systems.
    pub rooms: Vec<Room>,
    /// What the store takes.
    pub store_bytes: Option<u64>,
    /// Deleted sweeps of which something is left.
    pub deletions: Option<usize>,
}

impl Metrics {
    /// New ones, all at zero.
    ///
    /// # Errors
    /// A definition is wrong.
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
        // A rate needs a zero to rise from.
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

    /// An attempt ended; with the class of its failure, if it failed.
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

    /// A call to a service ended.
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

    /// What was predicted of a trial, and the seconds that it took.
    pub(crate) fn predicted(&self, said: &Prediction, actual: f64) {
        self.prediction_errors.observe((said.expected / actual - 1.0).abs());
        let outcome = match actual {
            actual if actual < said.low => "below",
            actual if actual > said.high => "above",
            _ => "inside",
        };
        self.predictions.with_label_values(&[outcome]).inc();
    }

    /// The text of a scrape.
    ///
    /// # Errors
    /// A definition is wrong.
    pub fn render(&self, scrape: &Scrape) -> Result<String, prometheus::Error> {
        let gauges = Registry::new();
        fill::fill(&gauges, scrape)?;
        let mut families = self.registry.gather();
        families.extend(gauges.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}
