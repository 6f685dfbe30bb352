//! Converts between the messages of `sweep.v1` and the types of the spec crate, and validates incoming messages.

use bytes::Bytes;
use sweep_proto::v1;
use sweep_spec::settings::{Scalar, Setting};
use sweep_spec::trainer::{Described, EpochMetrics, Failed, Finished, Provenance, Tested, Validation};
use sweep_spec::{FailureClass, Outcome, TrialId};

/// Identifies one attempt of one round of one trial, with the right to report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lease {
    pub(crate) trial_id: TrialId,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
}

impl Lease {
    pub(crate) fn to_wire(self) -> v1::Lease {
        let trial_id = Bytes::copy_from_slice(self.trial_id.as_bytes());
        v1::Lease { trial_id, round: self.round, attempt: self.attempt }
    }

    /// `None` if the trial's id is not 32 bytes.
    pub(crate) fn from_wire(lease: &v1::Lease) -> Option<Self> {
        let trial_id = TrialId::try_from(&lease.trial_id[..]).ok()?;
        Some(Self { trial_id, round: lease.round, attempt: lease.attempt })
    }

    /// The name of its folder.
    pub(crate) fn folder_name(&self) -> String {
        format!("{}-{}-{}", self.trial_id, self.round, self.attempt)
    }

    /// Parses a `folder_name`.
    pub(crate) fn from_folder_name(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-');
        let trial_id = parts.next()?.parse().ok()?;
        let lease = Self { trial_id, round: parts.next()?.parse().ok()?, attempt: parts.next()?.parse().ok()? };
        // Other spellings of the numbers are not accepted.
        (lease.folder_name() == name).then_some(lease)
    }
}

/// The settings of a message, or the path of one without a value.
pub(crate) fn settings(settings: Vec<v1::Setting>) -> Result<Vec<Setting>, String> {
    use v1::setting::Value;
    let one = |setting: v1::Setting| {
        let value = match setting.value {
            Some(Value::Boolean(value)) => Scalar::Bool(value),
            Some(Value::Integer(value)) => Scalar::Integer(value),
            Some(Value::Number(value)) => Scalar::Float(value),
            Some(Value::Text(value)) => Scalar::Text(value),
            Some(Value::Texts(value)) => Scalar::Texts(value.texts),
            None => return Err(setting.path),
        };
        Ok(Setting { path: setting.path, value })
    };
    settings.into_iter().map(one).collect()
}

pub(crate) fn metrics(metrics: &EpochMetrics) -> v1::EpochMetrics {
    v1::EpochMetrics {
        epoch: metrics.epoch,
        train_loss: metrics.train_loss,
        train_accuracy: metrics.train_accuracy,
        val_loss: metrics.val_loss,
        val_accuracy: metrics.val_accuracy,
        learning_rate: metrics.learning_rate,
        seconds: metrics.seconds,
        images_per_second: metrics.images_per_second,
    }
}

pub(crate) fn metrics_of(message: &v1::EpochMetrics) -> EpochMetrics {
    EpochMetrics {
        epoch: message.epoch,
        train_loss: message.train_loss,
        train_accuracy: message.train_accuracy,
        val_loss: message.val_loss,
        val_accuracy: message.val_accuracy,
        learning_rate: message.learning_rate,
        seconds: message.seconds,
        images_per_second: message.images_per_second,
    }
}

/// The longest text about a driver or a cache, in characters.
const MAX_WORD: usize = 1000;

/// The longest reason of a failure, in characters.
const MAX_REASON: usize = 2000;

pub(crate) fn failure(class: FailureClass, mut reason: String) -> v1::Failure {
    if let Some((end, _)) = reason.char_indices().nth(MAX_REASON) {
        reason.truncate(end);
        reason.push('…');
    }
    let class = match class {
        FailureClass::Spec => v1::FailureClass::Spec,
        FailureClass::Data => v1::FailureClass::Data,
        FailureClass::OutOfMemory => v1::FailureClass::OutOfMemory,
        FailureClass::DeviceUnavailable => v1::FailureClass::DeviceUnavailable,
        FailureClass::DeviceLost => v1::FailureClass::DeviceLost,
        FailureClass::Trainer => v1::FailureClass::Trainer,
        FailureClass::Machine => v1::FailureClass::Machine,
        FailureClass::Coordinator => v1::FailureClass::Coordinator,
    };
    v1::Failure { class: class.into(), reason }
}

/// A result; `agent` identifies the worker that reports it.
pub(crate) fn result(finished: Finished, agent: &v1::RegisterRequest) -> v1::TrialResult {
    let outcome = match finished.outcome {
        Outcome::Converged => v1::Outcome::Converged,
        Outcome::Diverged => v1::Outcome::Diverged,
    };
    let (test, test_predictions) = finished.test.map(|test| (tested(&test), validation(test.predictions))).unzip();
    v1::TrialResult {
        outcome: outcome.into(),
        last: finished.last.as_ref().map(metrics),
        best: finished.best.as_ref().map(metrics),
        validation: finished.validation.map(validation),
        provenance: Some(provenance(finished.provenance, agent)),
        test,
        test_predictions,
    }
}

fn tested(tested: &Tested) -> v1::Tested {
    v1::Tested { epoch: tested.epoch, loss: tested.loss, accuracy: tested.accuracy }
}

fn validation(validation: Validation) -> v1::Validation {
    v1::Validation {
        labels: validation.labels.into_iter().map(u32::from).collect(),
        predicted: validation.predicted.into_iter().map(u32::from).collect(),
        confidence: validation.confidence,
        confusion: validation.confusion,
    }
}

fn provenance(provenance: Provenance, agent: &v1::RegisterRequest) -> v1::Provenance {
    // A trainer describes its device; the worker's identity does not come from it.
    let origin = v1::Origin {
        driver: short(provenance.origin.driver),
        kernel_cache: short(provenance.origin.kernel_cache),
        worker: agent.worker.clone(),
        worker_version: sweep_spec::build::version(&agent.version),
        host: agent.host.clone(),
        ..v1::Origin::default()
    };
    v1::Provenance {
        params: provenance.params,
        images_per_second: provenance.images_per_second,
        seconds: provenance.seconds,
        peak_memory_bytes: provenance.peak_memory_bytes,
        data_digest: Bytes::copy_from_slice(provenance.data_digest.as_bytes()),
        split_digest: Bytes::copy_from_slice(provenance.split_digest.as_bytes()),
        device: provenance.device,
        device_name: provenance.device_name,
        instruction_set: provenance.instruction_set,
        trainer: provenance.trainer,
        threads: provenance.threads,
        origin: Some(origin),
    }
}

/// Truncates a trainer's text about its device to the length that a coordinator accepts, so that it cannot invalidate a
/// result.
fn short(text: String) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MAX_WORD).collect()
}

/// The answer to a describe task.
pub(crate) fn description(answer: Result<Described, Failed>) -> v1::describe_request::Answer {
    match answer {
        Ok(described) => v1::describe_request::Answer::Description(v1::DataDescription {
            digest: Bytes::copy_from_slice(described.digest.as_bytes()),
            classes: described.classes,
            channels: described.channels,
            train_images: described.train_images,
            test_images: described.test_images,
        }),
        Err(failed) => v1::describe_request::Answer::Failure(failure(failed.class, failed.reason)),
    }
}
