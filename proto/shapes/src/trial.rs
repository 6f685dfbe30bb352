//! A trial: its question, its answer, and the attempts that it took.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::text::hex;
use crate::{Metrics, Settings, settings};

/// The class of a failure, and the reason as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    pub class: String,
    pub reason: String,
}

impl From<v1::Failure> for Failure {
    fn from(failure: v1::Failure) -> Self {
        let class = match failure.class() {
            v1::FailureClass::Unspecified => "unknown",
            v1::FailureClass::Spec => "spec",
            v1::FailureClass::Data => "data",
            v1::FailureClass::OutOfMemory => "out_of_memory",
            v1::FailureClass::DeviceUnavailable => "device_unavailable",
            v1::FailureClass::DeviceLost => "device_lost",
            v1::FailureClass::Trainer => "trainer",
            v1::FailureClass::Machine => "machine",
            v1::FailureClass::Coordinator => "coordinator",
        };
        Self { class: class.to_owned(), reason: failure.reason }
    }
}

/// The provenance of a result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Provenance {
    pub images_per_second: f64,
    pub seconds: f64,
    pub peak_memory_bytes: u64,
    pub data_digest: String,
    pub split_digest: String,
    pub device: String,
    pub device_name: String,
    pub instruction_set: String,
    pub trainer: String,
    pub threads: u32,
    #[serde(flatten)]
    pub origin: Origin,
}

/// The origin of a result. Unknown fields are absent: older programs report fewer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Origin {
    /// Of the device; `none` for a CPU.
    pub driver: Option<String>,
    /// What kernels were tuned with before; `none` for a CPU.
    pub kernel_cache: Option<String>,
    pub worker: Option<String>,
    pub worker_version: Option<String>,
    pub host: Option<String>,
    pub coordinator_version: Option<String>,
    /// The sweep that requested the trial first.
    pub sweep: Option<u64>,
    /// Of that sweep's spec.
    pub spec_digest: Option<String>,
    /// Of the folder that the spec came from, by git.
    pub revision: Option<String>,
    pub protocol_digest: Option<String>,
}

impl From<v1::Origin> for Origin {
    fn from(origin: v1::Origin) -> Self {
        Self {
            driver: some_text(origin.driver),
            kernel_cache: some_text(origin.kernel_cache),
            worker: some_text(origin.worker),
            worker_version: some_text(origin.worker_version),
            host: some_text(origin.host),
            coordinator_version: some_text(origin.coordinator_version),
            sweep: (origin.sweep > 0).then_some(origin.sweep),
            spec_digest: some_text(hex(&origin.spec_digest)),
            revision: some_text(origin.revision),
            protocol_digest: some_text(hex(&origin.protocol_digest)),
        }
    }
}

/// The test results of the chosen epoch's network, if a holdout chooses the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Tested {
    pub epoch: u32,
    pub loss: f64,
    pub accuracy: f64,
}

impl From<v1::Provenance> for Provenance {
    fn from(provenance: v1::Provenance) -> Self {
        Self {
            images_per_second: provenance.images_per_second,
            seconds: provenance.seconds,
            peak_memory_bytes: provenance.peak_memory_bytes,
            data_digest: hex(&provenance.data_digest),
            split_digest: hex(&provenance.split_digest),
            device: provenance.device,
            device_name: provenance.device_name,
            instruction_set: provenance.instruction_set,
            trainer: provenance.trainer,
            threads: provenance.threads,
            origin: provenance.origin.unwrap_or_default().into(),
        }
    }
}

/// A trial of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    pub trial_id: String,
    pub configuration: String,
    pub seed: u64,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`.
    pub state: &'static str,
    /// `converged` or `diverged`, once it has succeeded.
    pub outcome: Option<&'static str>,
    pub failure: Option<Failure>,
    pub attempts: u32,
    pub worker: Option<String>,
    pub stages: Vec<String>,
    pub params: u64,
    /// Of the epoch that the protocol reports.
    pub reported: Option<Metrics>,
    /// On the test part, where a holdout chooses the epoch.
    pub test: Option<Tested>,
    pub provenance: Option<Provenance>,
    #[schema(value_type = Object)]
    pub settings: Settings,
}

impl Summary {
    /// The value of a metric in the epoch that the protocol reports.
    pub fn value(&self, metric: &str) -> Option<f64> {
        let reported = self.reported?;
        match metric {
            "train_accuracy" => Some(reported.train_accuracy),
            "val_accuracy" => Some(reported.val_accuracy),
            "train_loss" => Some(reported.train_loss),
            "val_loss" => Some(reported.val_loss),
            "ratio" => Some(reported.train_accuracy / (10.0 * self.params as f64)),
            _ => None,
        }
    }

    /// The training time of its answer, in seconds.
    pub fn seconds(&self) -> Option<f64> {
        self.provenance.as_ref().map(|made| made.seconds)
    }
}

impl From<v1::TrialSummary> for Summary {
    fn from(trial: v1::TrialSummary) -> Self {
        let state = match trial.state() {
            v1::TrialState::Unspecified => "unknown",
            v1::TrialState::Queued => "queued",
            v1::TrialState::Running => "running",
            v1::TrialState::Succeeded => "succeeded",
            v1::TrialState::Failed => "failed",
            v1::TrialState::Cancelled => "cancelled",
        };
        let outcome = match trial.outcome() {
            v1::Outcome::Unspecified => None,
            v1::Outcome::Converged => Some("converged"),
            v1::Outcome::Diverged => Some("diverged"),
        };
        Self {
            trial_id: hex(&trial.trial_id),
            configuration: trial.configuration,
            seed: trial.seed,
            state,
            outcome,
            failure: trial.failure.map(Failure::from),
            attempts: trial.attempts,
            worker: some_text(trial.worker),
            stages: trial.stages,
            params: trial.params,
            reported: trial.reported.map(Metrics::from),
            test: trial.test.map(|test| Tested { epoch: test.epoch, loss: test.loss, accuracy: test.accuracy }),
            provenance: trial.provenance.map(Provenance::from),
            settings: settings(trial.settings),
        }
    }
}

/// One execution of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Attempt {
    pub round: u32,
    pub attempt: u32,
    pub worker: String,
    pub slot: u32,
    pub device: String,
    pub assigned_unix_ms: i64,
    pub ended_unix_ms: Option<i64>,
    /// `running`, `succeeded`, `failed`, `stopped`, `expired`.
    pub outcome: String,
    pub failure: Option<Failure>,
    /// Time from the assignment to the trainer's first message about the trial.
    pub start_seconds: Option<f64>,
    /// Time from the trainer's first message to the end of the attempt.
    pub run_seconds: Option<f64>,
    pub log_tail: String,
}

impl From<v1::AttemptRecord> for Attempt {
    fn from(attempt: v1::AttemptRecord) -> Self {
        Self {
            round: attempt.round,
            attempt: attempt.attempt,
            worker: attempt.worker,
            slot: attempt.slot,
            device: attempt.device,
            assigned_unix_ms: attempt.assigned_unix_ms,
            ended_unix_ms: (attempt.ended_unix_ms > 0).then_some(attempt.ended_unix_ms),
            outcome: attempt.outcome,
            failure: attempt.failure.map(Failure::from),
            start_seconds: attempt.phases.map(|phases| phases.start_seconds),
            run_seconds: attempt.phases.map(|phases| phases.run_seconds),
            log_tail: attempt.log_tail,
        }
    }
}

/// A network's predictions on the validation data.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Validation {
    pub labels: Vec<u32>,
    pub predicted: Vec<u32>,
    pub confidence: Vec<f32>,
    /// Row by true class, column by predicted class.
    pub confusion: Vec<Vec<u32>>,
}

impl From<v1::Validation> for Validation {
    fn from(validation: v1::Validation) -> Self {
        let classes = validation.confusion.len().isqrt().max(1);
        Self {
            labels: validation.labels,
            predicted: validation.predicted,
            confidence: validation.confidence,
            confusion: validation.confusion.chunks(classes).map(<[u32]>::to_vec).collect(),
        }
    }
}

/// A reproduction of a trial; the trial keeps its first result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReproductionMark {
    /// The sweep that reproduced the trial.
    pub sweep: u64,
    pub round: u32,
    pub same: bool,
    /// Whether the results are equal bit for bit; otherwise within the default tolerance.
    pub exactly: bool,
    /// Whether the result is the same, and what differs.
    pub sentence: String,
}

impl From<v1::ReproductionMark> for ReproductionMark {
    fn from(mark: v1::ReproductionMark) -> Self {
        let v1::ReproductionMark { sweep, round, same, exactly, sentence } = mark;
        Self { sweep, round, same, exactly, sentence }
    }
}

/// All data of one trial.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Detail {
    #[serde(flatten)]
    pub trial: Summary,
    /// Why the trial waits, if it does.
    pub waiting_for: Option<String>,
    pub best: Option<Metrics>,
    pub last: Option<Metrics>,
    pub attempt_records: Vec<Attempt>,
    /// Of the accepted attempt, or of the newest.
    pub points: Vec<Metrics>,
    pub validation: Option<Validation>,
    /// Of the test part, where a holdout chooses the epoch.
    pub test_predictions: Option<Validation>,
    /// The sweeps that need the trial.
    pub sweeps: Vec<u64>,
    /// Reproductions of the trial, oldest first.
    pub reproductions: Vec<ReproductionMark>,
}

impl From<v1::GetTrialResponse> for Detail {
    fn from(answer: v1::GetTrialResponse) -> Self {
        Self {
            trial: answer.trial.unwrap_or_default().into(),
            waiting_for: some_text(answer.waiting_for),
            best: answer.best.map(Metrics::from),
            last: answer.last.map(Metrics::from),
            attempt_records: answer.attempts.into_iter().map(Attempt::from).collect(),
            points: answer.points.into_iter().map(Metrics::from).collect(),
            validation: answer.validation.map(Validation::from),
            test_predictions: answer.test_predictions.map(Validation::from),
            sweeps: answer.sweeps,
            reproductions: answer.reproductions.into_iter().map(ReproductionMark::from).collect(),
        }
    }
}
