//! The definitions, and how a definition becomes a metric.

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It has buckets.
    Histogram,
}

impl Kind {
    /// As Prometheus and the documentation write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name, which ends with its unit where it has one.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it counts or measures.
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

macro_rules! definitions {
    ($($constant:ident: $kind:ident $name:literal in $unit:literal by [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Definition = Definition {
            name: $name, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], help: $help,
        };)+

        /// Every metric of a coordinator.
        pub const TABLE: &[Definition] = &[$($constant),+];
    };
}

definitions! {
    INFO: Gauge "sweep_coordinator_info" in "1" by ["version"] "The coordinator's version, as a label.";
    LEADING: Gauge "sweep_coordinator_leading" in "1" by [] "1 while this coordinator leads; a standby shows no sweep, and zero workers and slots.";
    TRIALS: Gauge "sweep_trials" in "trials" by ["state"] "Trials of the sweeps that run, by state.";
    ATTEMPTS: Counter "sweep_attempts_total" in "attempts" by ["outcome"] "Attempts that have ended, by outcome.";
    FAILURES: Counter "sweep_attempt_failures_total" in "attempts" by ["class"] "Attempts that failed, by the class of the failure; `lost` where the worker was not heard of.";
    RETRIES: Counter "sweep_retries_total" in "attempts" by ["class"] "Failed attempts after which the trial is tried again, by the class of the failure.";
    TRIALS_FAILED: Counter "sweep_trials_failed_total" in "trials" by ["class"] "Trials that failed for good, by the class of their last failure.";
    LEASES_EXPIRED: Counter "sweep_leases_expired_total" in "leases" by [] "Leases that ended because their worker was not heard of.";
    DISPATCH: Histogram "sweep_dispatch_seconds" in "seconds" by [] "Time from a trial's assignment to its worker being told, the commit included.";
    RPC: Histogram "sweep_rpc_seconds" in "seconds" by ["method", "code"] "Time from a call to the end of its answer, by method and gRPC code. A poll waits for work, a watch for its watcher to leave.";
    COMMIT: Histogram "sweep_commit_seconds" in "seconds" by [] "Time that a commit took.";
    COMMIT_ROWS: Histogram "sweep_commit_rows" in "rows" by [] "Rows of a commit.";
    COMMIT_FAILURES: Counter "sweep_commit_failures_total" in "commits" by [] "Commits that failed; each makes the coordinator read everything back.";
    QUEUE_DEPTH: Gauge "sweep_queue_depth" in "trials" by [] "Trials that wait for a slot.";
    WORKERS: Gauge "sweep_workers" in "workers" by ["state"] "Workers that are connected.";
    WORKERS_LOST: Counter "sweep_workers_lost_total" in "workers" by [] "Times that a worker was not heard of for the length of a lease without having said that it leaves.";
    SLOTS: Gauge "sweep_slots" in "slots" by ["state"] "Slots of the connected workers.";
    POOL_QUEUED: Gauge "sweep_pool_queued_slots" in "slots" by ["pool"] "Slots that waiting trials would take in a pool; each trial counts for the first pool of the configuration that fits it and may have more workers.";
    POOL_BUSY: Gauge "sweep_pool_busy_slots" in "slots" by ["pool"] "Slots of a pool's workers that run a trial.";
    POOL_WORKERS: Gauge "sweep_pool_workers" in "workers" by ["pool"] "Workers of a pool that are connected.";
    TRIALS_REUSED: Counter "sweep_trials_reused_total" in "trials" by [] "Trials of sweeps that took a result that was known and were not run.";
    POINTS: Counter "sweep_points_ingested_total" in "points" by [] "Epochs' metrics that were taken.";
    EFFECTS: Counter "sweep_effects_total" in "effects" by ["effect"] "What the scheduler decided, by kind.";
    PREDICTION_ERROR: Histogram "sweep_prediction_error_ratio" in "1" by [] "By which share of the time that it took a trial's predicted time was off.";
    PREDICTIONS: Counter "sweep_predictions_total" in "trials" by ["outcome"] "Answers by where the time that they took lies: inside the predicted 90 % interval, below or above it.";
    STORE_BYTES: Gauge "sweep_store_bytes" in "bytes" by [] "Room that the store takes, its log included.";
    DELETIONS: Gauge "sweep_deletions_unfinished" in "sweeps" by [] "Deleted sweeps of which something is left to remove.";
    DISK_FREE: Gauge "sweep_disk_free_bytes" in "bytes" by ["place"] "Free room on the disk of the store, if that is a file, and of the artifacts.";
    DISK: Gauge "sweep_disk_bytes" in "bytes" by ["place"] "All room on that disk.";
    SPENT: Gauge "sweep_spent_slot_seconds" in "seconds" by ["sweep"] "Seconds of slots that a sweep has spent, failed attempts included.";
    PROGRESS: Gauge "sweep_progress_ratio" in "1" by ["sweep", "name"] "Share of a sweep's known trials that have ended.";
    REMAINING: Gauge "sweep_remaining_seconds" in "seconds" by ["sweep", "bound"] "Seconds until a sweep that runs is expected to end, and the ends of the 90 % interval: low, expected, high.";
    PROGRESS_AT: Gauge "sweep_last_progress_timestamp_seconds" in "seconds" by ["sweep"] "Unix time at which a sweep that runs last took an epoch or the end of a trial, or was taken up.";
    QUEUE_WAIT: Gauge "sweep_queue_wait_seconds" in "seconds" by ["sweep"] "Seconds since a slot last took a trial of a sweep of which trials wait; 0 where none waits.";
    RESTING: Gauge "sweep_resting" in "1" by ["sweep"] "1 while nothing of a sweep may be started: it is paused, its budget is spent, or all that is left is held back.";
    HELD_BACK: Gauge "sweep_held_back_trials" in "trials" by ["sweep"] "Trials of a sweep that are held back because its first trials failed alike.";
    SWEEP_TRIALS: Gauge "sweep_sweep_trials" in "trials" by ["sweep", "state"] "Trials of one sweep, by state.";
    BEST: Gauge "sweep_best_value" in "the metric's" by ["sweep", "metric"] "Mean of the best-ranked configuration, by the sweep's objective.";
    RUNNING_EPOCH: Gauge "sweep_running_epoch" in "epochs" by ["sweep", "trial", "worker", "slot"] "Epochs that a running trial has done.";
    RUNNING_TRAIN_LOSS: Gauge "sweep_running_train_loss" in "nats" by ["sweep", "trial", "worker", "slot"] "Training loss of a running trial's newest epoch.";
    RUNNING_VAL_LOSS: Gauge "sweep_running_val_loss" in "nats" by ["sweep", "trial", "worker", "slot"] "Validation loss of a running trial's newest epoch.";
    RUNNING_TRAIN_ACCURACY: Gauge "sweep_running_train_accuracy_ratio" in "1" by ["sweep", "trial", "worker", "slot"] "Training accuracy of a running trial's newest epoch.";
    RUNNING_VAL_ACCURACY: Gauge "sweep_running_val_accuracy_ratio" in "1" by ["sweep", "trial", "worker", "slot"] "Validation accuracy of a running trial's newest epoch.";
    RUNNING_SPEED: Gauge "sweep_running_images_per_second" in "images/second" by ["sweep", "trial", "worker", "slot"] "Training speed of a running trial's newest epoch.";
    LEADERBOARD_VALUE: Gauge "sweep_leaderboard_value" in "the metric's" by ["sweep", "rank", "configuration"] "Mean of the objective of the ten best configurations.";
    LEADERBOARD_PARAMS: Gauge "sweep_leaderboard_params" in "parameters" by ["sweep", "rank", "configuration"] "Parameters of the ten best configurations.";
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn opts(definition: &Definition) -> Opts {
    Opts::new(definition.name, definition.help)
}

pub(super) fn counter(registry: &Registry, definition: &Definition) -> Result<IntCounter, Error> {
    register(registry, IntCounter::with_opts(opts(definition))?)
}

pub(super) fn counter_vec(registry: &Registry, definition: &Definition) -> Result<IntCounterVec, Error> {
    register(registry, IntCounterVec::new(opts(definition), definition.labels)?)
}

pub(super) fn gauge(registry: &Registry, definition: &Definition) -> Result<Gauge, Error> {
    register(registry, Gauge::with_opts(opts(definition))?)
}

pub(super) fn gauge_vec(registry: &Registry, definition: &Definition) -> Result<GaugeVec, Error> {
    register(registry, GaugeVec::new(opts(definition), definition.labels)?)
}

pub(super) fn histogram(registry: &Registry, definition: &Definition, buckets: Vec<f64>) -> Result<Histogram, Error> {
    let opts = HistogramOpts::new(definition.name, definition.help).buckets(buckets);
    register(registry, Histogram::with_opts(opts)?)
}

pub(super) fn histogram_vec(
    registry: &Registry,
    definition: &Definition,
    buckets: Vec<f64>,
) -> Result<HistogramVec, Error> {
    let opts = HistogramOpts::new(definition.name, definition.help).buckets(buckets);
    register(registry, HistogramVec::new(opts, definition.labels)?)
}

/// From a tenth of a millisecond to ten seconds.
pub(super) fn seconds_buckets() -> Vec<f64> {
    let decades = [0.0001, 0.001, 0.01, 0.1, 1.0];
    decades.iter().flat_map(|decade| [1.0, 2.5, 5.0].map(|step| step * decade)).chain([10.0]).collect()
}

/// From a tenth of a millisecond to five minutes. Fewer than for one histogram: each method and code has them all.
pub(super) fn call_buckets() -> Vec<f64> {
    vec![0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0]
}

/// From a percent to a factor of ten.
pub(super) fn share_buckets() -> Vec<f64> {
    vec![0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 10.0]
}

/// From one row to a hundred thousand.
pub(super) fn row_buckets() -> Vec<f64> {
    vec![1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0]
}
