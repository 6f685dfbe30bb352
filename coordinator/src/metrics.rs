//! Everything that Prometheus can ask of a coordinator: one struct, built and passed. Each metric's name, type, unit,
//! labels and help stand beside each other in one definition; `docs/metrics.md` is held to the table that they make.

mod definition;

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, Registry, TextEncoder};

pub use definition::{Definition, Kind, TABLE};
use sweep_analysis::leaderboard::Leaderboard;

use crate::engine::{Gauges, Running};
use crate::store::codes::AttemptState;
use definition as d;

/// Ranks of a leaderboard that are shown.
const RANKS: u32 = 10;

/// The counters and histograms of one coordinator. Gauges are made anew for every scrape, so nothing that has ended stays.
pub struct Metrics {
    registry: Registry,
    attempts: IntCounterVec,
    expired: IntCounter,
    dispatch: Histogram,
    commit: Histogram,
    rows: Histogram,
    commit_failures: IntCounter,
    points: IntCounter,
    reused: IntCounter,
    effects: IntCounterVec,
    prediction_errors: Histogram,
}

/// A sweep's leaderboard and where the sweep stands, for the gauges.
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
    /// Its leaderboard.
    pub board: Leaderboard,
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
            dispatch: d::histogram(&registry, &d::DISPATCH, d::seconds_buckets())?,
            commit: d::histogram(&registry, &d::COMMIT, d::seconds_buckets())?,
            rows: d::histogram(&registry, &d::COMMIT_ROWS, d::row_buckets())?,
            commit_failures: d::counter(&registry, &d::COMMIT_FAILURES)?,
            points: d::counter(&registry, &d::POINTS)?,
            reused: d::counter(&registry, &d::TRIALS_REUSED)?,
            effects: d::counter_vec(&registry, &d::EFFECTS)?,
            prediction_errors: d::histogram(&registry, &d::PREDICTION_ERROR, d::share_buckets())?,
            registry,
        };
        for state in [AttemptState::Succeeded, AttemptState::Failed, AttemptState::Stopped, AttemptState::Expired] {
            metrics.attempts.with_label_values(&[state.name()]);
        }
        Ok(metrics)
    }

    pub(crate) fn attempt(&self, state: AttemptState) {
        self.attempts.with_label_values(&[state.name()]).inc();
        if state == AttemptState::Expired {
            self.expired.inc();
        }
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

    /// By which share of what came a prediction was off.
    pub(crate) fn predicted(&self, error: f64) {
        self.prediction_errors.observe(error);
    }

    /// The text of a scrape.
    ///
    /// # Errors
    /// A definition is wrong.
    pub fn render(&self, gauges: &Gauges, sweeps: &[SweepGauges]) -> Result<String, prometheus::Error> {
        let scrape = Registry::new();
        fill(&scrape, gauges, sweeps)?;
        let mut families = self.registry.gather();
        families.extend(scrape.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}

fn fill(registry: &Registry, gauges: &Gauges, sweeps: &[SweepGauges]) -> Result<(), prometheus::Error> {
    d::gauge_vec(registry, &d::INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    d::gauge(registry, &d::QUEUE_DEPTH)?.set(gauges.queue_depth as f64);
    let workers = d::gauge_vec(registry, &d::WORKERS)?;
    workers.with_label_values(&["connected"]).set(gauges.workers.0 as f64);
    workers.with_label_values(&["draining"]).set(gauges.workers.1 as f64);
    let slots = d::gauge_vec(registry, &d::SLOTS)?;
    slots.with_label_values(&["busy"]).set(gauges.slots.0 as f64);
    slots.with_label_values(&["free"]).set(gauges.slots.1 as f64);
    fill_trials(registry, gauges)?;
    let spent = d::gauge_vec(registry, &d::SPENT)?;
    for (sweep, seconds) in &gauges.spent {
        spent.with_label_values(&[sweep.to_string().as_str()]).set(*seconds);
    }
    fill_sweeps(registry, sweeps)?;
    fill_running(registry, &gauges.running)
}

fn fill_trials(registry: &Registry, gauges: &Gauges) -> Result<(), prometheus::Error> {
    let trials = d::gauge_vec(registry, &d::TRIALS)?;
    let sum = |of: fn(&sweep_scheduler::SweepCounts) -> u64| gauges.sweeps.iter().map(|row| of(&row.2)).sum::<u64>();
    let states: [(&str, u64); 6] = [
        ("queued", sum(|counts| counts.queued)),
        ("running", sum(|counts| counts.running)),
        ("succeeded", sum(|counts| counts.succeeded - counts.diverged.min(counts.succeeded))),
        ("diverged", sum(|counts| counts.diverged)),
        ("failed", sum(|counts| counts.failed)),
        ("cancelled", sum(|counts| counts.cancelled)),
    ];
    for (state, count) in states {
        trials.with_label_values(&[state]).set(count as f64);
    }
    Ok(())
}

fn fill_sweeps(registry: &Registry, sweeps: &[SweepGauges]) -> Result<(), prometheus::Error> {
    let progress = d::gauge_vec(registry, &d::PROGRESS)?;
    let by_state = d::gauge_vec(registry, &d::SWEEP_TRIALS)?;
    let best = d::gauge_vec(registry, &d::BEST)?;
    let values = d::gauge_vec(registry, &d::LEADERBOARD_VALUE)?;
    let params = d::gauge_vec(registry, &d::LEADERBOARD_PARAMS)?;
    for sweep in sweeps {
        let id = sweep.sweep.to_string();
        progress.with_label_values(&[id.as_str(), sweep.name.as_str()]).set(sweep.progress);
        for (state, count) in &sweep.trials {
            by_state.with_label_values(&[id.as_str(), state]).set(*count as f64);
        }
        let metric = sweep.board.metric;
        for row in &sweep.board.rows {
            let Some(rank) = row.rank.filter(|rank| *rank <= RANKS) else { break };
            let label = if row.name.is_empty() { &row.label } else { &row.name };
            let rank_text = rank.to_string();
            let labels = [id.as_str(), rank_text.as_str(), label.as_str()];
            if let Some(value) = row.value(metric) {
                values.with_label_values(&labels).set(value);
                if rank == 1 {
                    best.with_label_values(&[id.as_str(), metric.name()]).set(value);
                }
            }
            params.with_label_values(&labels).set(row.params as f64);
        }
    }
    Ok(())
}

fn fill_running(registry: &Registry, running: &[Running]) -> Result<(), prometheus::Error> {
    let epoch = d::gauge_vec(registry, &d::RUNNING_EPOCH)?;
    let train_loss = d::gauge_vec(registry, &d::RUNNING_TRAIN_LOSS)?;
    let val_loss = d::gauge_vec(registry, &d::RUNNING_VAL_LOSS)?;
    let train_accuracy = d::gauge_vec(registry, &d::RUNNING_TRAIN_ACCURACY)?;
    let val_accuracy = d::gauge_vec(registry, &d::RUNNING_VAL_ACCURACY)?;
    let speed = d::gauge_vec(registry, &d::RUNNING_SPEED)?;
    for row in running {
        let (sweep, trial) = (row.sweep.to_string(), row.lease.trial.short());
        let labels = [sweep.as_str(), trial.as_str(), row.worker.as_str()];
        epoch.with_label_values(&labels).set(row.newest.map_or(0.0, |newest| f64::from(newest.epoch)));
        let Some(newest) = row.newest else { continue };
        train_loss.with_label_values(&labels).set(newest.train_loss);
        val_loss.with_label_values(&labels).set(newest.val_loss);
        train_accuracy.with_label_values(&labels).set(newest.train_accuracy);
        val_accuracy.with_label_values(&labels).set(newest.val_accuracy);
        speed.with_label_values(&labels).set(newest.images_per_second);
    }
    Ok(())
}
