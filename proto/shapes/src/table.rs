//! Shapes as rows of CSV tables: their columns and values.

use crate::cells::{guard, number};
use crate::{
    Artifact, AuditEntry, Comparison, Epoch, Estimate, Interval, Metrics, Origin, Row, Settings, Summary, Sweep, Worker,
};

/// Something that is a row of a table, or several.
pub trait Tabular {
    /// The heads of its columns.
    const COLUMNS: &'static [&'static str];

    /// Its cells, as many as there are columns. Texts are safe for spreadsheets.
    fn cells(&self) -> Vec<String>;

    /// Settings that are appended as columns.
    fn settings(&self) -> Option<&Settings> {
        None
    }
}

fn whole(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn decimal(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

fn text(value: Option<&String>) -> String {
    guard(value.map_or("", String::as_str))
}

fn mean(estimate: Option<Estimate>) -> [String; 2] {
    let spread = estimate.and_then(|estimate| estimate.standard_deviation);
    [decimal(estimate.map(|estimate| estimate.mean)), decimal(spread)]
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    [decimal(interval.map(|interval| interval.low)), decimal(interval.map(|interval| interval.high))]
}

impl Tabular for Summary {
    const COLUMNS: &'static [&'static str] = &[
        "trial_id",
        "configuration",
        "state",
        "outcome",
        "stages",
        "attempts",
        "worker",
        "params",
        "epoch",
        "train_accuracy",
        "val_accuracy",
        "train_loss",
        "val_loss",
        "ratio",
        "seconds",
        "images_per_second",
        "peak_memory_bytes",
        "device",
        "device_name",
        "instruction_set",
        "trainer",
        "data_digest",
        "failure_class",
        "failure_reason",
        "test_accuracy",
        "test_loss",
        "split_digest",
        "protocol_digest",
        "spec_digest",
        "spec_revision",
        "made_by_sweep",
        "made_by_worker",
        "host",
        "coordinator_version",
        "worker_version",
        "driver",
        "kernel_cache",
    ];

    fn cells(&self) -> Vec<String> {
        let trial = self;
        let metric = |read: fn(&Metrics) -> f64| trial.reported.as_ref().map(read).map_or_else(String::new, number);
        let made = trial.provenance.as_ref();
        let origin = |read: fn(&Origin) -> Option<&String>| {
            guard(made.and_then(|made| read(&made.origin)).map_or("", String::as_str))
        };
        let failure = trial.failure.as_ref();
        vec![
            trial.trial_id.clone(),
            guard(&trial.configuration),
            trial.state.to_owned(),
            trial.outcome.unwrap_or_default().to_owned(),
            guard(&trial.stages.join(";")),
            trial.attempts.to_string(),
            guard(trial.worker.as_deref().unwrap_or_default()),
            trial.params.to_string(),
            trial.reported.map_or_else(String::new, |metrics| metrics.epoch.to_string()),
            metric(|metrics| metrics.train_accuracy),
            metric(|metrics| metrics.val_accuracy),
            metric(|metrics| metrics.train_loss),
            metric(|metrics| metrics.val_loss),
            trial.value("ratio").map_or_else(String::new, number),
            made.map_or_else(String::new, |made| number(made.seconds)),
            made.map_or_else(String::new, |made| number(made.images_per_second)),
            made.map_or_else(String::new, |made| made.peak_memory_bytes.to_string()),
            guard(made.map_or("", |made| &made.device)),
            guard(made.map_or("", |made| &made.device_name)),
            guard(made.map_or("", |made| &made.instruction_set)),
            guard(made.map_or("", |made| &made.trainer)),
            made.map_or_else(String::new, |made| made.data_digest.clone()),
            failure.map_or_else(String::new, |failure| failure.class.clone()),
            guard(failure.map_or("", |failure| &failure.reason)),
            trial.test.map_or_else(String::new, |test| number(test.accuracy)),
            trial.test.map_or_else(String::new, |test| number(test.loss)),
            made.map_or_else(String::new, |made| made.split_digest.clone()),
            origin(|origin| origin.protocol_digest.as_ref()),
            origin(|origin| origin.spec_digest.as_ref()),
            origin(|origin| origin.revision.as_ref()),
            made.and_then(|made| made.origin.sweep).map_or_else(String::new, |sweep| sweep.to_string()),
            origin(|origin| origin.worker.as_ref()),
            origin(|origin| origin.host.as_ref()),
            origin(|origin| origin.coordinator_version.as_ref()),
            origin(|origin| origin.worker_version.as_ref()),
            origin(|origin| origin.driver.as_ref()),
            origin(|origin| origin.kernel_cache.as_ref()),
        ]
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
}

impl Tabular for Epoch {
    const COLUMNS: &'static [&'static str] = &[
        "trial_id",
        "configuration",
        "seed",
        "attempt",
        "epoch",
        "train_accuracy",
        "val_accuracy",
        "train_loss",
        "val_loss",
        "learning_rate",
        "seconds",
        "images_per_second",
    ];

    fn cells(&self) -> Vec<String> {
        let metrics = self.metrics;
        vec![
            self.trial_id.clone(),
            guard(&self.configuration),
            self.seed.to_string(),
            self.attempt.to_string(),
            metrics.epoch.to_string(),
            number(metrics.train_accuracy),
            number(metrics.val_accuracy),
            number(metrics.train_loss),
            number(metrics.val_loss),
            number(metrics.learning_rate),
            number(metrics.seconds),
            number(metrics.images_per_second),
        ]
    }
}

impl Tabular for Row {
    const COLUMNS: &'static [&'static str] = &[
        "rank",
        "shared_rank",
        "position",
        "name",
        "configuration",
        "baseline",
        "stages",
        "train_accuracy",
        "train_accuracy_deviation",
        "val_accuracy",
        "val_accuracy_deviation",
        "train_loss",
        "train_loss_deviation",
        "val_loss",
        "val_loss_deviation",
        "test_accuracy",
        "test_accuracy_deviation",
        "test_loss",
        "test_loss_deviation",
        "ratio",
        "ratio_deviation",
        "seconds",
        "seconds_deviation",
        "params",
        "flops",
        "succeeded",
        "diverged",
        "failed",
        "cancelled",
        "queued",
        "running",
        "reused",
        "on_front",
        "front_share",
        "reference",
        "delta",
        "delta_low",
        "delta_high",
        "seeds",
        "p",
        "adjusted_p",
        "verdict",
        "remark",
    ];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
            whole(self.rank),
            whole(self.shared_rank),
            self.position.to_string(),
            text(self.name.as_ref()),
            guard(&self.configuration),
            self.baseline.to_string(),
            guard(&self.stages.join(";")),
        ];
        let estimates = [
            self.train_accuracy,
            self.val_accuracy,
            self.train_loss,
            self.val_loss,
            self.test_accuracy,
            self.test_loss,
            self.ratio,
            self.seconds,
        ];
        cells.extend(estimates.into_iter().flat_map(mean));
        let counts = &self.counts;
        let counted = [
            self.params,
            self.flops,
            counts.succeeded,
            counts.diverged,
            counts.failed,
            counts.cancelled,
            counts.queued,
            counts.running,
            counts.reused,
        ];
        cells.extend(counted.map(|count| count.to_string()));
        cells.extend([self.on_front.to_string(), decimal(self.front_share)]);
        let one = self.comparison.as_ref();
        cells.push(text(one.map(|one| &one.reference)));
        cells.push(decimal(one.and_then(|one| one.delta)));
        cells.extend(ends(one.and_then(|one| one.t_interval)));
        cells.extend([
            whole(one.map(|one| one.seeds)),
            decimal(one.and_then(|one| one.p)),
            decimal(one.and_then(|one| one.adjusted_p)),
            one.map_or("", |one| one.verdict).to_owned(),
            text(self.remark.as_ref()),
        ]);
        cells
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
}

impl Tabular for Comparison {
    const COLUMNS: &'static [&'static str] = &[
        "configuration",
        "reference",
        "stage",
        "verdict",
        "seeds",
        "delta",
        "t_low",
        "t_high",
        "bca_low",
        "bca_high",
        "p",
        "exact",
        "adjusted_p",
        "false_discovery_p",
        "effect_size",
        "after_selection",
        "more_seeds",
        "sentence",
        "reason",
        "remark",
    ];

    fn cells(&self) -> Vec<String> {
        let [t_low, t_high] = ends(self.t_interval);
        let [bca_low, bca_high] = ends(self.bca_interval);
        vec![
            guard(&self.configuration),
            guard(&self.reference),
            text(self.stage.as_ref()),
            self.verdict.to_owned(),
            self.seeds.to_string(),
            decimal(self.delta),
            t_low,
            t_high,
            bca_low,
            bca_high,
            decimal(self.p),
            whole(self.exact),
            decimal(self.adjusted_p),
            decimal(self.false_discovery_p),
            decimal(self.effect_size),
            self.after_selection.to_string(),
            whole(self.more_seeds),
            guard(&self.sentence),
            text(self.reason.as_ref()),
            text(self.remark.as_ref()),
        ]
    }
}

impl Tabular for Sweep {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "state",
        "paused",
        "priority",
        "queued",
        "running",
        "succeeded",
        "diverged",
        "failed",
        "cancelled",
        "reused",
        "to_come_at_most",
        "epochs_done",
        "epochs_total",
        "submitted_unix_ms",
        "ended_unix_ms",
        "eta_seconds",
        "spent_slot_seconds",
        "objective",
        "best_value",
        "best_configuration",
        "reason",
        "spec_digest",
    ];

    fn cells(&self) -> Vec<String> {
        let counts = &self.counts;
        vec![
            self.id.to_string(),
            guard(&self.name),
            self.state.name().to_owned(),
            self.paused.to_string(),
            self.priority.to_string(),
            counts.queued.to_string(),
            counts.running.to_string(),
            counts.succeeded.to_string(),
            counts.diverged.to_string(),
            counts.failed.to_string(),
            counts.cancelled.to_string(),
            counts.reused.to_string(),
            counts.to_come_at_most.to_string(),
            self.epochs_done.to_string(),
            self.epochs_total.to_string(),
            self.submitted_unix_ms.to_string(),
            whole(self.ended_unix_ms),
            decimal(self.eta_seconds),
            decimal(self.cost.as_ref().map(|cost| cost.spent_slot_seconds)),
            guard(&self.objective),
            decimal(self.best.as_ref().map(|best| best.value)),
            text(self.best.as_ref().map(|best| &best.configuration)),
            text(self.reason.as_ref()),
            self.spec_digest.clone(),
        ]
    }
}

impl Tabular for Worker {
    const COLUMNS: &'static [&'static str] =
        &["name", "host", "version", "state", "out_of_service", "last_seen_unix_ms", "slots", "busy", "devices"];

    fn cells(&self) -> Vec<String> {
        let mut devices: Vec<&str> = self.slots.iter().map(|slot| slot.device_name.as_str()).collect();
        devices.dedup();
        vec![
            guard(&self.name),
            guard(&self.host),
            guard(&self.version),
            guard(&self.state),
            text(self.out_of_service.as_ref()),
            self.last_seen_unix_ms.to_string(),
            self.slots.len().to_string(),
            self.slots.iter().filter(|slot| slot.trial_id.is_some()).count().to_string(),
            guard(&devices.join(";")),
        ]
    }
}

impl Tabular for AuditEntry {
    const COLUMNS: &'static [&'static str] =
        &["at_unix_ms", "actor", "action", "sweep", "trial_id", "attempt", "worker", "detail"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.at_unix_ms.to_string(),
            guard(&self.actor),
            guard(&self.action),
            whole(self.sweep),
            whole(self.trial_id.as_ref()),
            whole(self.attempt),
            text(self.worker.as_ref()),
            guard(&self.detail),
        ]
    }
}

impl Tabular for Artifact {
    const COLUMNS: &'static [&'static str] = &["digest", "kind", "size_bytes", "trial_id", "attempt"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.digest.clone(),
            self.kind.to_owned(),
            self.size_bytes.to_string(),
            whole(self.trial_id.as_ref()),
            whole(self.attempt),
        ]
    }
}
