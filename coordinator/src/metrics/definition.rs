//! The definition of every metric of the coordinator, and the functions that register one.

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

/// The type of a metric, as Prometheus names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only increases.
    Counter,
    /// A number that can decrease.
    Gauge,
    /// Observations counted in buckets.
    Histogram,
}

impl Kind {
    /// The word in an exposition and in `docs/metrics.md`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, as `docs/metrics.md` lists it.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// The name, which ends with the unit if there is one.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The unit, or the noun that it counts.
    pub unit: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// The help text, one sentence.
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
    LEADING: Gauge "sweep_coordinator_leading" in "1" by [] "1 while this coordinator leads; a standby reports no sweeps, and zero workers and slots.";
    TRIALS: Gauge "sweep_trials" in "trials" by ["state"] "Trials of running sweeps, by state.";
    ATTEMPTS: Counter "sweep_attempts_total" in "attempts" by ["outcome"] "Ended attempts, by outcome.";
    FAILURES: Counter "sweep_attempt_failures_total" in "attempts" by ["class"] "Failed attempts, by failure class; `lost` if the worker was silent for a lease.";
    RETRIES: Counter "sweep_retries_total" in "attempts" by ["class"] "Failed attempts after which the coordinator retries the trial, by failure class.";
    TRIALS_FAILED: Counter "sweep_trials_failed_total" in "trials" by ["class"] "Trials that failed permanently, by the class of their last failure.";
    LEASES_EXPIRED: Counter "sweep_leases_expired_total" in "leases" by [] "Leases that expired because their worker was silent.";
    DISPATCH: Histogram "sweep_dispatch_seconds" in "seconds" by [] "Time from the assignment of a trial to sending it to the worker, including the commit.";
    RPC: Histogram "sweep_rpc_seconds" in "seconds" by ["method", "code"] "Duration of a call until the end of its response, by method and gRPC code. A poll includes the wait for work; a watch lasts until its client leaves.";
    COMMIT: Histogram "sweep_commit_seconds" in "seconds" by [] "Duration of a commit.";
    COMMIT_ROWS: Histogram "sweep_commit_rows" in "rows" by [] "Rows of a commit.";
    COMMIT_FAILURES: Counter "sweep_commit_failures_total" in "commits" by [] "Failed commits; after each, the coordinator reloads its state from the store.";
    QUEUE_DEPTH: Gauge "sweep_queue_depth" in "trials" by [] "Trials that wait for a slot.";
    WORKERS: Gauge "sweep_workers" in "workers" by ["state"] "Connected workers, by state.";
    WORKERS_LOST: Counter "sweep_workers_lost_total" in "workers" by [] "Workers that were silent for a lease without announcing that they leave.";
    SLOTS: Gauge "sweep_slots" in "slots" by ["state"] "Slots of the connected workers, by state.";
    POOL_QUEUED: Gauge "sweep_pool_queued_slots" in "slots" by ["pool"] "Slots that waiting trials need in a pool; each trial counts for the first configured pool that fits it and may have more workers.";
    POOL_BUSY: Gauge "sweep_pool_busy_slots" in "slots" by ["pool"] "Slots of a pool's workers that run a trial.";
    POOL_WORKERS: Gauge "sweep_pool_workers" in "workers" by ["pool"] "Connected workers of a pool.";
    TRIALS_REUSED: Counter "sweep_trials_reused_total" in "trials" by [] "Trials that reused a known result instead of running.";
    POINTS: Counter "sweep_points_ingested_total" in "points" by [] "Metric points that the coordinator stored, one per epoch.";
    EFFECTS: Counter "sweep_effects_total" in "effects" by ["effect"] "Decisions of the scheduler, by kind.";
    PREDICTION_ERROR: Histogram "sweep_prediction_error_ratio" in "1" by [] "Error of a trial's predicted duration, as a share of its actual duration.";
    PREDICTIONS: Counter "sweep_predictions_total" in "trials" by ["outcome"] "Finished trials by actual duration: inside, below or above the predicted 90 % interval.";
    STORE_BYTES: Gauge "sweep_store_bytes" in "bytes" by [] "Size of the store, including its log.";
    DELETIONS: Gauge "sweep_deletions_unfinished" in "sweeps" by [] "Deleted sweeps whose data is not completely removed yet.";
    DISK_FREE: Gauge "sweep_disk_free_bytes" in "bytes" by ["place"] "Free space on the disk of the store, if that is a file, and of the artifacts.";
    DISK: Gauge "sweep_disk_bytes" in "bytes" by ["place"] "Size of the disk of the store, if that is a file, and of the artifacts.";
    SPENT: Gauge "sweep_spent_slot_seconds" in "seconds" by ["sweep"] "Slot time that a sweep has used, including failed attempts.";
    PROGRESS: Gauge "sweep_progress_ratio" in "1" by ["sweep", "name"] "Share of a sweep's known trials that have ended.";
    REMAINING: Gauge "sweep_remaining_seconds" in "seconds" by ["sweep", "bound"] "Expected time until a running sweep ends, with the bounds of the 90 % interval: low, expected, high.";
    PROGRESS_AT: Gauge "sweep_last_progress_timestamp_seconds" in "seconds" by ["sweep"] "Unix time of a running sweep's last epoch or ended trial, or of its start or resumption.";
    QUEUE_WAIT: Gauge "sweep_queue_wait_seconds" in "seconds" by ["sweep"] "Time since a slot last took a trial of a sweep with waiting trials; 0 if no trial waits.";
    SCHEDULING_PAUSED: Gauge "sweep_scheduling_paused" in "1" by ["sweep"] "1 while the coordinator starts no trial of a sweep: it is paused, its budget is spent, or all remaining trials are held back.";
    HELD_BACK: Gauge "sweep_held_back_trials" in "trials" by ["sweep"] "Trials of a sweep that are held back because its first trials failed alike.";
    TRIALS_BY_SWEEP: Gauge "sweep_trials_by_sweep" in "trials" by ["sweep", "state"] "Trials of one sweep, by state.";
    BEST: Gauge "sweep_best_value" in "the metric's" by ["sweep", "metric"] "Mean objective of the best-ranked configuration.";
    RUNNING_EPOCH: Gauge "sweep_running_epoch" in "epochs" by ["sweep", "trial", "worker", "slot"] "Completed epochs of a running trial.";
    RUNNING_TRAIN_LOSS: Gauge "sweep_running_train_loss" in "nats" by ["sweep", "trial", "worker", "slot"] "Training loss of a running trial's newest epoch.";
    RUNNING_VAL_LOSS: Gauge "sweep_running_val_loss" in "nats" by ["sweep", "trial", "worker", "slot"] "Validation loss of a running trial's newest epoch.";
    RUNNING_TRAIN_ACCURACY: Gauge "sweep_running_train_accuracy_ratio" in "1" by ["sweep", "trial", "worker", "slot"] "Training accuracy of a running trial's newest epoch.";
    RUNNING_VAL_ACCURACY: Gauge "sweep_running_val_accuracy_ratio" in "1" by ["sweep", "trial", "worker", "slot"] "Validation accuracy of a running trial's newest epoch.";
    RUNNING_SPEED: Gauge "sweep_running_images_per_second" in "images/second" by ["sweep", "trial", "worker", "slot"] "Training speed of a running trial's newest epoch.";
    LEADERBOARD_VALUE: Gauge "sweep_leaderboard_value" in "the metric's" by ["sweep", "rank", "configuration"] "Mean objective of each of the ten best configurations.";
    LEADERBOARD_PARAMS: Gauge "sweep_leaderboard_params" in "parameters" by ["sweep", "rank", "configuration"] "Parameters of each of the ten best configurations.";
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

/// Buckets from 0.1 ms to 10 s.
pub(super) fn seconds_buckets() -> Vec<f64> {
    let decades = [0.0001, 0.001, 0.01, 0.1, 1.0];
    decades.iter().flat_map(|decade| [1.0, 2.5, 5.0].map(|step| step * decade)).chain([10.0]).collect()
}

/// Buckets from 0.1 ms to 5 min. There are fewer of them, because every pair of method and code has its own histogram.
pub(super) fn call_buckets() -> Vec<f64> {
    vec![0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0]
}

/// Buckets from 1 % to a factor of 10.
pub(super) fn share_buckets() -> Vec<f64> {
    vec![0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 10.0]
}

/// Buckets from 1 to 100,000 rows.
pub(super) fn row_buckets() -> Vec<f64> {
    vec![1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0]
}
