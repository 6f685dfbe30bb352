//! Checksums of rows, the same on every backend: what a row says of itself, so that a changed byte is noticed.
//!
//! A row that is written in several steps has a checksum for each step. Each covers the key of the row and the columns
//! of its step in the order that stands here; SQL binds and reads them in this order too. Content that is addressed by
//! its hash (questions, artifacts' files) needs none.

use sweep_spec::trainer::{EpochMetrics, Origin};
use sweep_spec::{Digest, TrialId};

use super::codes::{AttemptState, RoundState, outcome_code};
use super::record::{AttemptKey, ResultRecord, TestScore};

/// Columns and the checksum over them.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The column of the checksum.
    pub sum: &'static str,
    /// What it covers after the key.
    pub columns: &'static [&'static str],
}

/// A table whose rows have checksums.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What identifies a row.
    pub key: &'static [&'static str],
    /// Its checksums.
    pub groups: &'static [Group],
}

const fn whole(columns: &'static [&'static str]) -> Group {
    Group { sum: "sum", columns }
}

const fn named(sum: &'static str, columns: &'static [&'static str]) -> Group {
    Group { sum, columns }
}

const RESULT: &[&str] = &[
    "outcome",
    "last_epoch",
    "last_train_loss",
    "last_train_accuracy",
    "last_val_loss",
    "last_val_accuracy",
    "last_learning_rate",
    "last_seconds",
    "last_images_per_second",
    "best_epoch",
    "best_train_loss",
    "best_train_accuracy",
    "best_val_loss",
    "best_val_accuracy",
    "best_learning_rate",
    "best_seconds",
    "best_images_per_second",
    "params",
    "images_per_second",
    "seconds",
    "peak_memory_bytes",
    "data_digest",
    "split_digest",
    "device",
    "device_name",
    "instruction_set",
    "trainer",
    "threads",
];

const POINT: &[&str] = &[
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "images_per_second",
];

/// The tables, those first that others refer to.
pub const TABLES: &[Table] = &[
    Table {
        name: "sweeps",
        key: &["id"],
        groups: &[
            whole(&[
                "name",
                "spec",
                "overrides",
                "spec_digest",
                "submitter",
                "weight",
                "trial_limit",
                "dataset_key",
                "submitted_ms",
            ]),
            named("state_sum", &["priority", "paused", "pin", "state", "reason", "ended_ms"]),
        ],
    },
    Table {
        name: "stages",
        key: &["sweep", "position"],
        groups: &[
            whole(&["name", "trials_at_most", "keep_best"]),
            named("state_sum", &["state", "choice", "winner", "decided"]),
        ],
    },
    Table {
        name: "configurations",
        key: &["sweep", "position"],
        groups: &[whole(&["name", "label", "body", "params", "flops", "cost", "memory_bytes", "baseline"])],
    },
    Table { name: "stage_configurations", key: &["sweep", "stage", "configuration"], groups: &[whole(&[])] },
    Table { name: "trials", key: &["id"], groups: &[whole(&["question", "configuration", "seed"])] },
    Table {
        name: "sweep_trials",
        key: &["sweep", "configuration", "seed"],
        groups: &[whole(&["trial", "round", "reused"])],
    },
    Table {
        name: "rounds",
        key: &["trial", "round"],
        groups: &[
            named("start_sum", &["opened_ms"]),
            named("end_sum", &["state", "attempt", "outcome", "class", "reason", "ended_ms"]),
        ],
    },
    Table {
        name: "attempts",
        key: &["key"],
        groups: &[
            named(
                "start_sum",
                &["trial", "round", "attempt", "worker", "slot", "device", "slot_memory_bytes", "assigned_ms"],
            ),
            named("end_sum", &["state", "class", "reason", "ended_ms", "start_seconds", "run_seconds"]),
            named("log_sum", &["log_tail"]),
        ],
    },
    Table { name: "predictions", key: &["attempt"], groups: &[whole(&["seconds", "low", "high", "memory_bytes"])] },
    Table { name: "points", key: &["attempt", "sequence"], groups: &[whole(POINT)] },
    Table {
        name: "results",
        key: &["attempt"],
        groups: &[named("answer_sum", &["data_digest", "seconds"]), whole(RESULT)],
    },
    Table { name: "validations", key: &["attempt"], groups: &[whole(&["body"])] },
    Table {
        name: "workers",
        key: &["name"],
        groups: &[whole(&["host", "version", "session", "slots", "labels", "seen_ms"])],
    },
    Table { name: "holds", key: &["sweep"], groups: &[whole(&["failed", "class", "reason", "canaries", "at_ms"])] },
    Table { name: "services", key: &["worker"], groups: &[whole(&["state", "reason", "actor", "at_ms"])] },
    Table {
        name: "names",
        key: &["worker"],
        groups: &[whole(&["folder", "process", "held", "host", "address", "since_ms"])],
    },
    Table {
        name: "descriptions",
        key: &["dataset_key", "digest"],
        groups: &[whole(&["classes", "channels", "train_images", "test_images"])],
    },
    Table { name: "artifacts", key: &["digest", "kind", "owner"], groups: &[whole(&["data_digest", "size_bytes"])] },
    Table { name: "counters", key: &["name"], groups: &[whole(&["value"])] },
    Table {
        name: "audit",
        key: &["id"],
        groups: &[whole(&["at_ms", "actor", "action", "sweep", "trial", "attempt", "worker", "detail"])],
    },
    Table { name: "submissions", key: &["sweep"], groups: &[whole(&["fresh", "reproduces", "revision"])] },
    Table {
        name: "origins",
        key: &["attempt"],
        groups: &[whole(&[
            "driver",
            "kernel_cache",
            "worker",
            "worker_version",
            "host",
            "coordinator_version",
            "sweep",
            "spec_digest",
            "revision",
            "protocol_digest",
        ])],
    },
    Table {
        name: "tests",
        key: &["attempt"],
        groups: &[whole(&["epoch", "loss", "accuracy"]), named("body_sum", &["body"])],
    },
    Table {
        name: "tokens",
        key: &["id"],
        groups: &[
            whole(&["name", "role", "digest", "created_ms", "created_by", "expires_ms"]),
            named("state_sum", &["revoked_ms"]),
        ],
    },
    Table { name: "keys", key: &["name"], groups: &[whole(&["content", "made_ms"])] },
    Table { name: "weight_choices", key: &["sweep"], groups: &[whole(&["ended_ms", "settled"])] },
    Table { name: "weights_kept", key: &["sweep", "configuration"], groups: &[whole(&[])] },
    Table { name: "specs", key: &["sweep"], groups: &[whole(&["body"])] },
    Table { name: "summaries", key: &["sweep"], groups: &[whole(&["ended_ms", "body"])] },
    Table {
        name: "deletions",
        key: &["sweep"],
        groups: &[
            whole(&["name", "submitter", "pin", "actor", "asked_ms"]),
            named("state_sum", &["finished_ms", "trials", "kept", "artifacts", "artifact_bytes", "store_bytes"]),
        ],
    },
    Table { name: "pauses", key: &["attempt"], groups: &[whole(&["ms"])] },
    Table { name: "removals", key: &["digest"], groups: &[whole(&[])] },
];

/// The layout that a table is in from on; of an earlier file it is not asked.
pub fn since(table: &str) -> i64 {
    match table {
        "submissions" | "origins" | "tests" => 3,
        "predictions" => 4,
        "tokens" => 5,
        "weight_choices" | "weights_kept" | "removals" => 6,
        "pauses" => 7,
        "names" => 8,
        "holds" => 9,
        "specs" | "summaries" => 10,
        "deletions" => 12,
        "keys" => 16,
        _ => 1,
    }
}

/// A checksum in the making. Values are told apart by their kind and length; a zero has no sign, because SQLite keeps
/// none.
#[derive(Debug, Clone, Default)]
pub struct Seal(Vec<u8>);

impl Seal {
    /// Over nothing yet.
    pub fn new() -> Self {
        Self(Vec::with_capacity(192))
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.0.push(0);
    }

    /// A whole number.
    pub fn int(&mut self, value: i64) {
        self.0.push(1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number with a fraction.
    pub fn real(&mut self, value: f64) {
        self.0.push(2);
        self.0.extend_from_slice(&(value + 0.0).to_bits().to_le_bytes());
    }

    /// Text.
    pub fn text(&mut self, value: &[u8]) {
        self.long(3, value);
    }

    /// Bytes.
    pub fn blob(&mut self, value: &[u8]) {
        self.long(4, value);
    }

    fn long(&mut self, kind: u8, value: &[u8]) {
        self.0.push(kind);
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The checksum: XXH3 with 64 bits, as the tables have it.
    pub fn sum(&self) -> i64 {
        xxhash_rust::xxh3::xxh3_64(&self.0) as i64
    }

    fn digest(&mut self, digest: Option<Digest>) {
        match digest {
            Some(digest) => self.blob(digest.as_bytes()),
            None => self.null(),
        }
    }

    fn metrics(&mut self, metrics: Option<&EpochMetrics>) {
        let Some(metrics) = metrics else {
            self.int(0);
            return (0..7).for_each(|_| self.real(0.0));
        };
        self.int(i64::from(metrics.epoch));
        for value in numbers(metrics) {
            self.real(value);
        }
    }
}

/// The seven numbers of an epoch, in the order of their columns.
pub fn numbers(metrics: &EpochMetrics) -> [f64; 7] {
    [
        metrics.train_loss,
        metrics.train_accuracy,
        metrics.val_loss,
        metrics.val_accuracy,
        metrics.learning_rate,
        metrics.seconds,
        metrics.images_per_second,
    ]
}

/// Of a point.
pub fn point(attempt: AttemptKey, sequence: u64, metrics: &EpochMetrics) -> i64 {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    seal.int(sequence as i64);
    seal.metrics(Some(metrics));
    seal.sum()
}

/// Of what a restart needs of a result.
pub fn answer(attempt: AttemptKey, data_digest: &[u8], seconds: f64) -> i64 {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    seal.blob(data_digest);
    seal.real(seconds);
    seal.sum()
}

/// Of a result.
pub fn result(attempt: AttemptKey, result: &ResultRecord) -> i64 {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    seal.int(outcome_code(result.outcome));
    seal.metrics(result.last.as_ref());
    seal.metrics(result.best.as_ref());
    let made = &result.provenance;
    seal.int(made.params as i64);
    seal.real(made.images_per_second);
    seal.real(made.seconds);
    seal.int(made.peak_memory_bytes as i64);
    seal.blob(made.data_digest.as_bytes());
    seal.blob(made.split_digest.as_bytes());
    for text in [&made.device, &made.device_name, &made.instruction_set, &made.trainer] {
        seal.text(text.as_bytes());
    }
    seal.int(i64::from(made.threads));
    seal.sum()
}

/// Of where a result comes from.
pub fn origin(attempt: AttemptKey, origin: &Origin) -> i64 {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    for text in [
        &origin.driver,
        &origin.kernel_cache,
        &origin.worker,
        &origin.worker_version,
        &origin.host,
        &origin.coordinator_version,
    ] {
        seal.text(text.as_bytes());
    }
    match origin.sweep {
        Some(sweep) => seal.int(sweep as i64),
        None => seal.null(),
    }
    seal.digest(origin.spec_digest);
    seal.text(origin.revision.as_bytes());
    seal.digest(origin.protocol_digest);
    seal.sum()
}

/// Of what a network made of a test part.
pub fn test(attempt: AttemptKey, test: &TestScore) -> i64 {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    seal.int(i64::from(test.epoch));
    seal.real(test.loss);
    seal.real(test.accuracy);
    seal.sum()
}

/// Of what a network said of every validation image.
pub fn validation(attempt: AttemptKey, body: &[u8]) -> i64 {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    seal.blob(body);
    seal.sum()
}

/// Of the end of a round that is open.
pub fn open_round(trial: TrialId, round: u32) -> i64 {
    let mut seal = Seal::new();
    seal.blob(trial.as_bytes());
    seal.int(i64::from(round));
    seal.int(RoundState::Open.code());
    (0..3).for_each(|_| seal.null());
    seal.text(b"");
    seal.int(0);
    seal.sum()
}

/// Of the end and of the log of an attempt that is live.
pub fn live_attempt(attempt: AttemptKey) -> (i64, i64) {
    let mut seal = Seal::new();
    seal.int(attempt.0);
    seal.int(AttemptState::Live.code());
    seal.null();
    seal.text(b"");
    seal.int(0);
    (0..2).for_each(|_| seal.real(0.0));
    let end = seal.sum();
    seal.clear();
    seal.int(attempt.0);
    seal.text(b"");
    (end, seal.sum())
}

/// Of a counter.
pub fn counter(name: &str, value: i64) -> i64 {
    let mut seal = Seal::new();
    seal.text(name.as_bytes());
    seal.int(value);
    seal.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart() {
        let sum = |fill: &dyn Fn(&mut Seal)| {
            let mut seal = Seal::new();
            fill(&mut seal);
            seal.sum()
        };
        let sums = [
            sum(&|_| {}),
            sum(&|seal| seal.null()),
            sum(&|seal| seal.int(0)),
            sum(&|seal| seal.real(0.0)),
            sum(&|seal| seal.text(b"ab")),
            sum(&|seal| seal.blob(b"ab")),
            sum(&|seal| (seal.text(b"a"), seal.text(b"b")).0),
        ];
        for (index, one) in sums.iter().enumerate() {
            assert!(sums[index + 1..].iter().all(|other| one != other), "{index}");
        }
        assert_eq!(sum(&|seal| seal.real(-0.0)), sum(&|seal| seal.real(0.0)));
    }

    #[test]
    fn checksums_stay_what_they_are() {
        // In every store that was ever written: another number here is another format.
        assert_eq!(counter("session", 7), 1_258_894_405_564_571_232);
    }
}
