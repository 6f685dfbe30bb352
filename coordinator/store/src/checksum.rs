//! Checksums of rows, so that a changed byte is noticed. Both databases have the same ones.
//!
//! A row that is written in several steps has a checksum for each step. Each covers the key of the row and the columns of
//! its step, in the order of `TABLES`; SQL binds and reads the columns in the same order. Content that is addressed by its
//! hash (questions, files of artifacts) needs no checksum.

use sweep_spec::trainer::{EpochMetrics, Origin};
use sweep_spec::{Digest, TrialId};

use super::codes::{AttemptState, RoundState, outcome_code};
use super::record::{AttemptKey, ResultRecord, TestScore};

/// Columns and the checksum over them.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The column of the checksum.
    pub sum: &'static str,
    /// The columns that the checksum covers after the key, in order.
    pub columns: &'static [&'static str],
}

/// A table whose rows have checksums.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    /// The columns of the primary key.
    pub key: &'static [&'static str],
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

/// The first layout of the store that has this table.
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

/// Computes a checksum. The kind and length of each value enter it, so that `ab` differs from `a`, `b`. Negative zero counts as
/// zero, because SQLite does not store the sign.
#[derive(Debug, Clone, Default)]
pub struct Checksum(Vec<u8>);

impl Checksum {
    pub fn new() -> Self {
        Self(Vec::with_capacity(192))
    }

    pub fn null(&mut self) {
        self.0.push(0);
    }

    pub fn int(&mut self, value: i64) {
        self.0.push(1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn real(&mut self, value: f64) {
        self.0.push(2);
        self.0.extend_from_slice(&(value + 0.0).to_bits().to_le_bytes());
    }

    pub fn text(&mut self, value: &[u8]) {
        self.long(3, value);
    }

    pub fn blob(&mut self, value: &[u8]) {
        self.long(4, value);
    }

    fn long(&mut self, kind: u8, value: &[u8]) {
        self.0.push(kind);
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
    }

    /// Starts again without any value.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The 64-bit XXH3 of the values so far, in the signed form that a column stores.
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
        for value in metrics.numbers() {
            self.real(value);
        }
    }
}

pub fn point(attempt: AttemptKey, sequence: u64, metrics: &EpochMetrics) -> i64 {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    checksum.int(sequence as i64);
    checksum.metrics(Some(metrics));
    checksum.sum()
}

/// The checksum `answer_sum` of a result: the columns that a restart reads.
pub fn answer(attempt: AttemptKey, data_digest: &[u8], seconds: f64) -> i64 {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    checksum.blob(data_digest);
    checksum.real(seconds);
    checksum.sum()
}

pub fn result(attempt: AttemptKey, result: &ResultRecord) -> i64 {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    checksum.int(outcome_code(result.outcome));
    checksum.metrics(result.last.as_ref());
    checksum.metrics(result.best.as_ref());
    let made = &result.provenance;
    checksum.int(made.params as i64);
    checksum.real(made.images_per_second);
    checksum.real(made.seconds);
    checksum.int(made.peak_memory_bytes as i64);
    checksum.blob(made.data_digest.as_bytes());
    checksum.blob(made.split_digest.as_bytes());
    for text in [&made.device, &made.device_name, &made.instruction_set, &made.trainer] {
        checksum.text(text.as_bytes());
    }
    checksum.int(i64::from(made.threads));
    checksum.sum()
}

pub fn origin(attempt: AttemptKey, origin: &Origin) -> i64 {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    for text in [
        &origin.driver,
        &origin.kernel_cache,
        &origin.worker,
        &origin.worker_version,
        &origin.host,
        &origin.coordinator_version,
    ] {
        checksum.text(text.as_bytes());
    }
    match origin.sweep {
        Some(sweep) => checksum.int(sweep as i64),
        None => checksum.null(),
    }
    checksum.digest(origin.spec_digest);
    checksum.text(origin.revision.as_bytes());
    checksum.digest(origin.protocol_digest);
    checksum.sum()
}

/// The checksum of the scores on the test part.
pub fn test(attempt: AttemptKey, test: &TestScore) -> i64 {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    checksum.int(i64::from(test.epoch));
    checksum.real(test.loss);
    checksum.real(test.accuracy);
    checksum.sum()
}

/// The checksum of the predictions for the validation images.
pub fn validation(attempt: AttemptKey, body: &[u8]) -> i64 {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    checksum.blob(body);
    checksum.sum()
}

/// The checksum `end_sum` of an open round.
pub fn open_round(trial: TrialId, round: u32) -> i64 {
    let mut checksum = Checksum::new();
    checksum.blob(trial.as_bytes());
    checksum.int(i64::from(round));
    checksum.int(RoundState::Open.code());
    (0..3).for_each(|_| checksum.null());
    checksum.text(b"");
    checksum.int(0);
    checksum.sum()
}

/// The checksums `end_sum` and `log_sum` of a live attempt.
pub fn live_attempt(attempt: AttemptKey) -> (i64, i64) {
    let mut checksum = Checksum::new();
    checksum.int(attempt.0);
    checksum.int(AttemptState::Live.code());
    checksum.null();
    checksum.text(b"");
    checksum.int(0);
    (0..2).for_each(|_| checksum.real(0.0));
    let end = checksum.sum();
    checksum.clear();
    checksum.int(attempt.0);
    checksum.text(b"");
    (end, checksum.sum())
}

pub fn counter(name: &str, value: i64) -> i64 {
    let mut checksum = Checksum::new();
    checksum.text(name.as_bytes());
    checksum.int(value);
    checksum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_lengths_of_values_enter_a_checksum() {
        let sum = |fill: &dyn Fn(&mut Checksum)| {
            let mut checksum = Checksum::new();
            fill(&mut checksum);
            checksum.sum()
        };
        let sums = [
            sum(&|_| {}),
            sum(&|checksum| checksum.null()),
            sum(&|checksum| checksum.int(0)),
            sum(&|checksum| checksum.real(0.0)),
            sum(&|checksum| checksum.text(b"ab")),
            sum(&|checksum| checksum.blob(b"ab")),
            sum(&|checksum| (checksum.text(b"a"), checksum.text(b"b")).0),
        ];
        for (index, one) in sums.iter().enumerate() {
            assert!(sums[index + 1..].iter().all(|other| one != other), "{index}");
        }
        assert_eq!(sum(&|checksum| checksum.real(-0.0)), sum(&|checksum| checksum.real(0.0)));
    }

    #[test]
    fn checksums_stay_what_they_are() {
        // In every store that was ever written: another number here is another format.
        assert_eq!(counter("session", 7), 1_258_894_405_564_571_232);
    }
}
