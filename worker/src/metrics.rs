//! The worker's Prometheus metrics: one struct, built from one table that a test compares with the documentation.

mod slots;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};
use prometheus::{Registry, TextEncoder};

use slots::SlotClock;
pub(crate) use slots::SlotState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// With its unit.
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

macro_rules! definitions {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(const $constant: Definition =
            Definition { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };)*

        /// Every metric of a worker, in order.
        pub const DEFINITIONS: &[Definition] = &[$($constant),*];
    };
}

definitions! {
    CONNECTED = "sweep_worker_connected", Gauge, [], "1 while the worker has a session and its last poll was answered.";
    SLOTS = "sweep_worker_slots", Gauge, ["state"], "Slots by state: idle, starting, running, ending.";
    SLOT_SECONDS = "sweep_worker_slot_seconds_total", Counter, ["slot", "state"], "Time that a slot spent in each state: idle, starting, running, ending.";
    GAP_SECONDS = "sweep_worker_gap_seconds", Histogram, [], "Idle time of a slot between two trials.";
    ATTEMPTS = "sweep_worker_attempts_total", Counter, ["outcome"],
        "Attempts that ended on this worker: converged, diverged, stopped, or the failure class.";
    POINTS_SENT = "sweep_worker_points_sent_total", Counter, [], "Metric points that the coordinator acknowledged.";
    POINTS_WAITING = "sweep_worker_points_waiting", Gauge, [], "Metric points that the coordinator has not acknowledged yet.";
    REPORT_SECONDS = "sweep_worker_report_seconds", Histogram, [], "Time from sending a batch of points to its acknowledgement.";
    CALLS_FAILED = "sweep_worker_calls_failed_total", Counter, ["method"], "Failed calls to the coordinator, by method.";
    SESSIONS = "sweep_worker_sessions_total", Counter, [], "Registrations that the coordinator accepted.";
    RECONNECTS = "sweep_worker_reconnects_total", Counter, [], "Reconnections to the coordinator after a failed call or a lost session.";
    TRAINER_STARTS = "sweep_worker_trainer_starts_total", Counter, [], "Trainer processes that the worker started.";
    IMAGES_PER_SECOND = "sweep_worker_images_per_second", Gauge, ["slot"],
        "Training images per second in the last epoch of the trial on the slot.";
    DISK_FREE = "sweep_worker_disk_free_bytes", Gauge, ["place"], "Free space on the disk of the worker's folders: state, cache.";
    DISK = "sweep_worker_disk_bytes", Gauge, ["place"], "Size of the disk of the worker's folders: state, cache.";
    OUTBOX_BYTES = "sweep_worker_outbox_bytes", Gauge, [], "Size of results and points on disk that the coordinator has not accepted yet.";
    OUTBOX_UNWRITTEN = "sweep_worker_outbox_unwritten", Gauge, [],
        "Attempts with data that is only in memory because the disk does not accept writes.";
    RECOVERED = "sweep_worker_attempts_recovered_total", Counter, ["state"],
        "Attempts of an earlier process that the worker found on disk: ended, stopped, lost, or damaged.";
    CHECKPOINTS_COPIED = "sweep_worker_checkpoints_copied_total", Counter, [], "Checkpoints that the worker copied to the checkpoint store.";
    CHECKPOINT_FAILURES = "sweep_worker_checkpoint_failures_total", Counter, ["operation"],
        "Failed operations of the checkpoint store: copy, fetch, remove.";
    OUT_OF_SERVICE = "sweep_worker_out_of_service", Gauge, [], "1 while the coordinator assigns no trials to this worker; its log gives the reason.";
    GPU_UTILIZATION = "sweep_worker_gpu_utilization_ratio", Gauge, ["gpu"],
        "Share of time in which the GPU was busy, by its index in nvidia-smi.";
    GPU_MEMORY_USED = "sweep_worker_gpu_memory_used_bytes", Gauge, ["gpu"], "Memory in use on the GPU.";
    GPU_MEMORY_TOTAL = "sweep_worker_gpu_memory_bytes", Gauge, ["gpu"], "Total memory of the GPU.";
}

/// The label of every metric: the worker's name, as in the coordinator's metrics.
const WORKER: &str = "worker";

/// From a hundredth of a second to an hour.
fn gap_buckets() -> Vec<f64> {
    vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0]
}

/// The metrics of one worker.
pub struct Metrics {
    registry: Registry,
    pub(crate) connected: IntGauge,
    slots: IntGaugeVec,
    slot_seconds: CounterVec,
    gap_seconds: Histogram,
    clocks: Mutex<Vec<SlotClock>>,
    pub(crate) attempts: IntCounterVec,
    pub(crate) points_sent: IntCounter,
    pub(crate) points_waiting: IntGauge,
    pub(crate) report_seconds: Histogram,
    pub(crate) calls_failed: IntCounterVec,
    pub(crate) sessions: IntCounter,
    pub(crate) reconnects: IntCounter,
    pub(crate) trainer_starts: IntCounter,
    pub(crate) outbox_bytes: IntGauge,
    pub(crate) outbox_unwritten: IntGauge,
    pub(crate) recovered: IntCounterVec,
    pub(crate) checkpoints_copied: IntCounter,
    pub(crate) checkpoint_failures: IntCounterVec,
    pub(crate) out_of_service: IntGauge,
    images_per_second: GaugeVec,
    disk_free: GaugeVec,
    disk: GaugeVec,
    gpu_utilization: GaugeVec,
    gpu_memory_used: GaugeVec,
    gpu_memory_total: GaugeVec,
}

impl Metrics {
    /// Creates the metrics of the worker with this name, in their own registry.
    ///
    /// # Errors
    /// The table has an invalid or repeated name; a test excludes it.
    pub fn new(worker: &str) -> Result<Self, prometheus::Error> {
        let name = HashMap::from([(WORKER.to_owned(), worker.to_owned())]);
        let registry = Registry::new_custom(None, Some(name))?;
        let buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let report = HistogramOpts { common_opts: options(&REPORT_SECONDS), buckets };
        let gap = HistogramOpts { common_opts: options(&GAP_SECONDS), buckets: gap_buckets() };
        let metrics = Self {
            connected: added(&registry, IntGauge::with_opts(options(&CONNECTED)))?,
            slots: added(&registry, IntGaugeVec::new(options(&SLOTS), SLOTS.labels))?,
            slot_seconds: added(&registry, CounterVec::new(options(&SLOT_SECONDS), SLOT_SECONDS.labels))?,
            gap_seconds: added(&registry, Histogram::with_opts(gap))?,
            clocks: Mutex::default(),
            attempts: added(&registry, IntCounterVec::new(options(&ATTEMPTS), ATTEMPTS.labels))?,
            points_sent: added(&registry, IntCounter::with_opts(options(&POINTS_SENT)))?,
            points_waiting: added(&registry, IntGauge::with_opts(options(&POINTS_WAITING)))?,
            report_seconds: added(&registry, Histogram::with_opts(report))?,
            calls_failed: added(&registry, IntCounterVec::new(options(&CALLS_FAILED), CALLS_FAILED.labels))?,
            sessions: added(&registry, IntCounter::with_opts(options(&SESSIONS)))?,
            reconnects: added(&registry, IntCounter::with_opts(options(&RECONNECTS)))?,
            trainer_starts: added(&registry, IntCounter::with_opts(options(&TRAINER_STARTS)))?,
            images_per_second: added(&registry, GaugeVec::new(options(&IMAGES_PER_SECOND), IMAGES_PER_SECOND.labels))?,
            disk_free: added(&registry, GaugeVec::new(options(&DISK_FREE), DISK_FREE.labels))?,
            disk: added(&registry, GaugeVec::new(options(&DISK), DISK.labels))?,
            outbox_bytes: added(&registry, IntGauge::with_opts(options(&OUTBOX_BYTES)))?,
            outbox_unwritten: added(&registry, IntGauge::with_opts(options(&OUTBOX_UNWRITTEN)))?,
            recovered: added(&registry, IntCounterVec::new(options(&RECOVERED), RECOVERED.labels))?,
            checkpoints_copied: added(&registry, IntCounter::with_opts(options(&CHECKPOINTS_COPIED)))?,
            checkpoint_failures: added(
                &registry,
                IntCounterVec::new(options(&CHECKPOINT_FAILURES), CHECKPOINT_FAILURES.labels),
            )?,
            out_of_service: added(&registry, IntGauge::with_opts(options(&OUT_OF_SERVICE)))?,
            gpu_utilization: added(&registry, GaugeVec::new(options(&GPU_UTILIZATION), GPU_UTILIZATION.labels))?,
            gpu_memory_used: added(&registry, GaugeVec::new(options(&GPU_MEMORY_USED), GPU_MEMORY_USED.labels))?,
            gpu_memory_total: added(&registry, GaugeVec::new(options(&GPU_MEMORY_TOTAL), GPU_MEMORY_TOTAL.labels))?,
            registry,
        };
        for state in SlotState::ALL {
            metrics.slots.with_label_values(&[state.name()]).set(0);
        }
        Ok(metrics)
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// A metric cannot be encoded.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        self.count_time(Instant::now());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Sets the free disk space of these folders; a folder that cannot be read has no value. May block.
    pub(crate) fn set_disk_space(&self, folders: &[(&'static str, PathBuf)]) {
        for (place, folder) in folders {
            match rustix::fs::statvfs(folder) {
                Ok(found) => {
                    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize) as f64;
                    self.disk_free.with_label_values(&[place]).set(bytes(found.f_bavail));
                    self.disk.with_label_values(&[place]).set(bytes(found.f_blocks));
                }
                Err(error) => {
                    tracing::debug!(place, folder = %folder.display(), %error, "cannot read the free disk space");
                    // The previous value may be outdated.
                    drop(self.disk_free.remove_label_values(&[place]));
                    drop(self.disk.remove_label_values(&[place]));
                }
            }
        }
    }

    pub(crate) fn speed(&self, slot: u32, images_per_second: f64) {
        self.images_per_second.with_label_values(&[slot.to_string()]).set(images_per_second);
    }

    pub(crate) fn speed_ends(&self, slot: u32) {
        // The value does not exist before the first epoch.
        drop(self.images_per_second.remove_label_values(&[slot.to_string()]));
    }

    pub(crate) fn gpu(&self, index: u32, utilization: f64, memory_used: u64, memory_total: u64) {
        let label = [index.to_string()];
        self.gpu_utilization.with_label_values(&label).set(utilization);
        self.gpu_memory_used.with_label_values(&label).set(memory_used as f64);
        self.gpu_memory_total.with_label_values(&label).set(memory_total as f64);
    }
}

fn options(definition: &Definition) -> Opts {
    Opts::new(definition.name, definition.help)
}

fn added<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_what_is_served() {
        let metrics = Metrics::new("w1").unwrap();
        metrics.attempts.with_label_values(&["converged"]).inc();
        metrics.calls_failed.with_label_values(&["poll"]).inc();
        metrics.recovered.with_label_values(&["lost"]).inc();
        metrics.checkpoint_failures.with_label_values(&["copy"]).inc();
        metrics.speed(0, 1.0);
        metrics.slot_appears(0);
        metrics.set_disk_space(&[("state", std::env::temp_dir())]);
        metrics.gpu(0, 0.5, 1, 2);
        let families = metrics.registry.gather();
        let served: BTreeSet<_> = families.iter().map(|family| family.name().to_owned()).collect();
        let table: BTreeSet<_> = DEFINITIONS.iter().map(|definition| definition.name.to_owned()).collect();
        assert_eq!(served, table);
        for family in &families {
            let definition = DEFINITIONS.iter().find(|definition| definition.name == family.name()).unwrap();
            assert_eq!(family.help(), definition.help);
            let text = metrics.render().unwrap();
            assert!(text.contains(&format!("# TYPE {} {}", definition.name, definition.kind)), "{text}");
            let labels: Vec<_> =
                family.get_metric()[0].get_label().iter().map(|label| label.name().to_owned()).collect();
            let mut expected = definition.labels.to_vec();
            expected.push(WORKER);
            expected.sort_unstable();
            assert_eq!(labels, expected, "{}", definition.name);
        }
    }

    #[test]
    fn the_documentation_has_these_rows_and_no_others() {
        let documented = include_str!("../../docs/metrics.md");
        let row = |definition: &Definition| {
            let labels: Vec<_> = definition.labels.iter().map(|label| format!("`{label}`")).collect();
            let Definition { name, kind, help, .. } = definition;
            format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
        };
        let rows: Vec<String> = DEFINITIONS.iter().map(row).collect();
        let found: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `sweep_worker_")).collect();
        assert_eq!(found, rows);
    }

    #[test]
    fn a_folder_that_is_gone_has_no_room() {
        let metrics = Metrics::new("w1").unwrap();
        let folder = std::env::temp_dir();
        metrics.set_disk_space(&[("cache", folder.clone())]);
        assert!(metrics.render().unwrap().contains("sweep_worker_disk_free_bytes{place=\"cache\""));
        metrics.set_disk_space(&[("cache", folder.join("no such folder"))]);
        assert!(!metrics.render().unwrap().contains("place=\"cache\""));
    }

    #[test]
    fn a_speed_goes_with_its_trial() {
        let metrics = Metrics::new("w1").unwrap();
        metrics.speed(3, 100.0);
        assert!(metrics.render().unwrap().contains("sweep_worker_images_per_second{slot=\"3\",worker=\"w1\"} 100"));
        metrics.speed_ends(3);
        metrics.speed_ends(3);
        assert!(!metrics.render().unwrap().contains("slot=\"3\""));
    }
}
