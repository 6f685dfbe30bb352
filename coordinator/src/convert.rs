//! Converts between messages and domain types. Input from outside is validated here once; the rest of the crate relies on
//! that.

use sweep_proto::v1;
use sweep_scheduler::Lease;
use sweep_spec::settings::{Scalar, Setting};
use sweep_spec::trainer::{Described, EpochMetrics, Origin, Provenance, Validation};
use sweep_spec::{Digest, FailureClass, Outcome, TrialCounts, TrialId};
use sweep_store::codes::ArtifactKind;
use sweep_store::record::{Predictions, ResultRecord, TestScore, TrialState};

/// The longest single text from a worker or a user, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;
/// The longest name of a worker, a host, a device or a label, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// The longest log tail that is kept, in bytes.
pub const MAX_LOG_BYTES: usize = 16 * 1024;
/// The most validation images of one result.
pub const MAX_VALIDATION_IMAGES: usize = 1_000_000;
/// The most classes of a data set.
pub const MAX_CLASSES: usize = 4096;

/// An invalid field of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field.
    pub field: &'static str,
    /// The problem with its value.
    pub problem: String,
}

/// The error of an invalid field.
pub fn invalid<T>(field: &'static str, problem: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid { field, problem: problem.into() })
}

/// A text of at most `limit` bytes without control characters.
pub fn name(field: &'static str, text: String, limit: usize) -> Result<String, Invalid> {
    if text.len() > limit {
        return invalid(field, format!("longer than {limit} bytes"));
    }
    if text.chars().any(char::is_control) {
        return invalid(field, "control characters");
    }
    Ok(text)
}

/// A text for people, cut to at most `limit` bytes.
pub fn sentence(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// The end of a log, at most `MAX_LOG_BYTES` long.
pub fn log_tail(text: &str) -> String {
    let mut start = text.len().saturating_sub(MAX_LOG_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default().to_owned()
}

fn finite(field: &'static str, value: f64) -> Result<f64, Invalid> {
    if value.is_finite() { Ok(value) } else { invalid(field, "not a finite number") }
}

fn seconds(field: &'static str, value: f64) -> Result<f64, Invalid> {
    if finite(field, value)? < 0.0 { invalid(field, "negative") } else { Ok(value) }
}

fn fraction(field: &'static str, value: f64) -> Result<f64, Invalid> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { invalid(field, "not within 0 and 1") }
}

/// A digest of 32 bytes.
pub fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, Invalid> {
    Digest::try_from(bytes).or_else(|_| invalid(field, "not 32 bytes"))
}

/// Validates a lease.
pub fn lease(field: &'static str, lease: Option<v1::Lease>) -> Result<Lease, Invalid> {
    let Some(lease) = lease else { return invalid(field, "absent") };
    let trial = TrialId::try_from(&*lease.trial_id).or_else(|_| invalid(field, "its trial is not 32 bytes"))?;
    Ok(Lease { trial, round: lease.round, attempt: lease.attempt })
}

/// Validates at most `limit` leases.
pub fn leases(field: &'static str, leases: Vec<v1::Lease>, limit: usize) -> Result<Vec<Lease>, Invalid> {
    if leases.len() > limit {
        return invalid(field, format!("more than {limit}"));
    }
    leases.into_iter().map(|one| lease(field, Some(one))).collect()
}

pub fn lease_message(lease: Lease) -> v1::Lease {
    v1::Lease { trial_id: bytes(lease.trial.as_bytes()), round: lease.round, attempt: lease.attempt }
}

/// A hash as a field of a message.
pub fn bytes(hash: &[u8; 32]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(hash)
}

/// Metrics of one epoch, all finite.
pub fn metrics(metrics: Option<v1::EpochMetrics>) -> Result<EpochMetrics, Invalid> {
    let Some(metrics) = metrics else { return invalid("metrics", "absent") };
    if metrics.epoch == 0 {
        return invalid("metrics.epoch", "0");
    }
    Ok(EpochMetrics {
        epoch: metrics.epoch,
        train_loss: finite("metrics.train_loss", metrics.train_loss)?,
        train_accuracy: fraction("metrics.train_accuracy", metrics.train_accuracy)?,
        val_loss: finite("metrics.val_loss", metrics.val_loss)?,
        val_accuracy: fraction("metrics.val_accuracy", metrics.val_accuracy)?,
        learning_rate: finite("metrics.learning_rate", metrics.learning_rate)?,
        seconds: seconds("metrics.seconds", metrics.seconds)?,
        images_per_second: seconds("metrics.images_per_second", metrics.images_per_second)?,
    })
}

pub fn metrics_message(metrics: &EpochMetrics) -> v1::EpochMetrics {
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

/// The class and the reason of a failure.
pub fn failure(failure: v1::Failure) -> Result<(FailureClass, String), Invalid> {
    let class = match v1::FailureClass::try_from(failure.class) {
        Ok(v1::FailureClass::Spec) => FailureClass::Spec,
        Ok(v1::FailureClass::Data) => FailureClass::Data,
        Ok(v1::FailureClass::OutOfMemory) => FailureClass::OutOfMemory,
        Ok(v1::FailureClass::DeviceUnavailable) => FailureClass::DeviceUnavailable,
        Ok(v1::FailureClass::DeviceLost) => FailureClass::DeviceLost,
        Ok(v1::FailureClass::Trainer) => FailureClass::Trainer,
        Ok(v1::FailureClass::Machine) => FailureClass::Machine,
        Ok(v1::FailureClass::Coordinator) => FailureClass::Coordinator,
        Ok(v1::FailureClass::Unspecified) | Err(_) => return invalid("failure.class", "unknown"),
    };
    Ok((class, sentence(&failure.reason, MAX_TEXT_BYTES)))
}

pub fn failure_message(class: FailureClass, reason: &str) -> v1::Failure {
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
    v1::Failure { class: class.into(), reason: reason.to_owned() }
}

pub const fn outcome_message(outcome: Outcome) -> v1::Outcome {
    match outcome {
        Outcome::Converged => v1::Outcome::Converged,
        Outcome::Diverged => v1::Outcome::Diverged,
    }
}

/// The result of a trial, and the predictions of its network for single images.
pub fn result(result: v1::TrialResult) -> Result<(ResultRecord, Predictions), Invalid> {
    let outcome = match v1::Outcome::try_from(result.outcome) {
        Ok(v1::Outcome::Converged) => Outcome::Converged,
        Ok(v1::Outcome::Diverged) => Outcome::Diverged,
        Ok(v1::Outcome::Unspecified) | Err(_) => return invalid("result.outcome", "unknown"),
    };
    let optional = |found: Option<v1::EpochMetrics>| found.map(|found| metrics(Some(found))).transpose();
    let (last, best) = (optional(result.last)?, optional(result.best)?);
    if outcome == Outcome::Converged && (last.is_none() || best.is_none()) {
        return invalid("result", "converged without metrics");
    }
    let Some(made) = result.provenance else { return invalid("result.provenance", "absent") };
    let provenance = provenance(made)?;
    let test = result.test.map(test_score).transpose()?;
    let said = Predictions {
        validation: result.validation.map(validation).transpose()?,
        test: result.test_predictions.filter(|_| test.is_some()).map(validation).transpose()?,
    };
    Ok((ResultRecord { outcome, last, best, provenance, test }, said))
}

fn test_score(test: v1::Tested) -> Result<TestScore, Invalid> {
    if test.epoch == 0 {
        return invalid("test.epoch", "0");
    }
    let (loss, accuracy) = (finite("test.loss", test.loss)?, fraction("test.accuracy", test.accuracy)?);
    Ok(TestScore { epoch: test.epoch, loss, accuracy })
}

pub fn test_message(test: &TestScore) -> v1::Tested {
    v1::Tested { epoch: test.epoch, loss: test.loss, accuracy: test.accuracy }
}

/// The part of a result's origin that the worker and its trainer report. The coordinator fills in the rest itself.
fn origin(made: v1::Origin) -> Result<Origin, Invalid> {
    Ok(Origin {
        driver: name("origin.driver", made.driver, MAX_TEXT_BYTES)?,
        kernel_cache: name("origin.kernel_cache", made.kernel_cache, MAX_TEXT_BYTES)?,
        worker: name("origin.worker", made.worker, MAX_NAME_BYTES)?,
        worker_version: name("origin.worker_version", made.worker_version, MAX_NAME_BYTES)?,
        host: name("origin.host", made.host, MAX_NAME_BYTES)?,
        ..Origin::default()
    })
}

fn origin_message(made: &Origin) -> v1::Origin {
    let digest = |digest: &Option<Digest>| digest.map(|digest| bytes(digest.as_bytes())).unwrap_or_default();
    v1::Origin {
        driver: made.driver.clone(),
        kernel_cache: made.kernel_cache.clone(),
        worker: made.worker.clone(),
        worker_version: made.worker_version.clone(),
        host: made.host.clone(),
        coordinator_version: made.coordinator_version.clone(),
        sweep: made.sweep.unwrap_or(0),
        spec_digest: digest(&made.spec_digest),
        revision: made.revision.clone(),
        protocol_digest: digest(&made.protocol_digest),
    }
}

fn provenance(made: v1::Provenance) -> Result<Provenance, Invalid> {
    Ok(Provenance {
        params: made.params,
        images_per_second: seconds("provenance.images_per_second", made.images_per_second)?,
        seconds: seconds("provenance.seconds", made.seconds)?,
        peak_memory_bytes: made.peak_memory_bytes,
        data_digest: digest("provenance.data_digest", &made.data_digest)?,
        split_digest: digest("provenance.split_digest", &made.split_digest)?,
        device: name("provenance.device", made.device, MAX_NAME_BYTES)?,
        device_name: name("provenance.device_name", made.device_name, MAX_NAME_BYTES)?,
        instruction_set: name("provenance.instruction_set", made.instruction_set, MAX_NAME_BYTES)?,
        trainer: name("provenance.trainer", made.trainer, MAX_NAME_BYTES)?,
        threads: made.threads,
        origin: made.origin.map(origin).transpose()?.unwrap_or_default(),
    })
}

pub fn provenance_message(made: &Provenance) -> v1::Provenance {
    v1::Provenance {
        params: made.params,
        images_per_second: made.images_per_second,
        seconds: made.seconds,
        peak_memory_bytes: made.peak_memory_bytes,
        data_digest: bytes(made.data_digest.as_bytes()),
        split_digest: bytes(made.split_digest.as_bytes()),
        device: made.device.clone(),
        device_name: made.device_name.clone(),
        instruction_set: made.instruction_set.clone(),
        trainer: made.trainer.clone(),
        threads: made.threads,
        origin: Some(origin_message(&made.origin)),
    }
}

fn validation(said: v1::Validation) -> Result<Validation, Invalid> {
    let images = said.labels.len();
    if images > MAX_VALIDATION_IMAGES {
        return invalid("validation", format!("more than {MAX_VALIDATION_IMAGES} images"));
    }
    if said.predicted.len() != images || said.confidence.len() != images {
        return invalid("validation", "labels, predicted and confidence differ in length");
    }
    let classes = said.confusion.len().isqrt();
    if classes * classes != said.confusion.len() || classes > MAX_CLASSES {
        return invalid("validation.confusion", "not a square table of the classes");
    }
    if said.confidence.iter().any(|confidence| !confidence.is_finite()) {
        return invalid("validation.confidence", "not a finite number");
    }
    let class = |class: u32| match u16::try_from(class) {
        Ok(class) if usize::from(class) < classes => Ok(class),
        _ => invalid("validation", "a class that is not in the confusion table"),
    };
    let named = |said: Vec<u32>| said.into_iter().map(class).collect::<Result<Vec<u16>, Invalid>>();
    Ok(Validation {
        labels: named(said.labels)?,
        predicted: named(said.predicted)?,
        confidence: said.confidence,
        confusion: said.confusion,
    })
}

pub fn validation_message(said: Validation) -> v1::Validation {
    let numbers = |classes: Vec<u16>| classes.into_iter().map(u32::from).collect();
    v1::Validation {
        labels: numbers(said.labels),
        predicted: numbers(said.predicted),
        confidence: said.confidence,
        confusion: said.confusion,
    }
}

/// The kind of an artifact; none for an unknown kind.
pub fn artifact_kind(kind: i32) -> Option<ArtifactKind> {
    match v1::ArtifactKind::try_from(kind).ok()? {
        v1::ArtifactKind::Thumbnails => Some(ArtifactKind::Thumbnails),
        v1::ArtifactKind::Log => Some(ArtifactKind::Log),
        v1::ArtifactKind::Weights => Some(ArtifactKind::Weights),
        v1::ArtifactKind::Unspecified => None,
    }
}

pub fn artifact_kind_message(kind: ArtifactKind) -> v1::ArtifactKind {
    match kind {
        ArtifactKind::Thumbnails => v1::ArtifactKind::Thumbnails,
        ArtifactKind::Log => v1::ArtifactKind::Log,
        ArtifactKind::Weights => v1::ArtifactKind::Weights,
    }
}

/// Validates the description of a data set.
pub fn description(found: v1::DataDescription) -> Result<Described, Invalid> {
    if found.classes.len() > MAX_CLASSES {
        return invalid("description.classes", format!("more than {MAX_CLASSES}"));
    }
    let classes = found.classes.into_iter().map(|class| name("description.classes", class, MAX_NAME_BYTES));
    Ok(Described {
        digest: digest("description.digest", &found.digest)?,
        classes: classes.collect::<Result<_, _>>()?,
        channels: found.channels,
        train_images: found.train_images,
        test_images: found.test_images,
    })
}

/// The phases of an attempt in seconds: until it started, until it ended, and paused.
pub fn phases(phases: Option<v1::AttemptPhases>) -> Result<(f64, f64, f64), Invalid> {
    let Some(phases) = phases else { return Ok((0.0, 0.0, 0.0)) };
    let start = seconds("phases.start_seconds", phases.start_seconds)?;
    let run = seconds("phases.run_seconds", phases.run_seconds)?;
    Ok((start, run, seconds("phases.paused_seconds", phases.paused_seconds)?))
}

pub fn setting_message(setting: Setting) -> v1::Setting {
    use v1::setting::Value;
    let value = match setting.value {
        Scalar::Bool(value) => Value::Boolean(value),
        Scalar::Integer(value) => Value::Integer(value),
        Scalar::Float(value) => Value::Number(value),
        Scalar::Text(value) => Value::Text(value),
        Scalar::Texts(texts) => Value::Texts(v1::TextList { texts }),
    };
    v1::Setting { path: setting.path, value: Some(value) }
}

pub const fn counts_message(counts: TrialCounts, to_come_at_most: u64) -> v1::TrialCounts {
    v1::TrialCounts {
        queued: counts.queued,
        running: counts.running,
        succeeded: counts.succeeded,
        diverged: counts.diverged,
        failed: counts.failed,
        cancelled: counts.cancelled,
        reused: counts.reused,
        to_come_at_most,
    }
}

pub const fn trial_state_message(state: TrialState) -> v1::TrialState {
    match state {
        TrialState::Queued => v1::TrialState::Queued,
        TrialState::Running => v1::TrialState::Running,
        TrialState::Succeeded => v1::TrialState::Succeeded,
        TrialState::Failed => v1::TrialState::Failed,
        TrialState::Cancelled => v1::TrialState::Cancelled,
    }
}

/// Validates the state of a trial.
pub fn trial_state(state: i32) -> Result<TrialState, Invalid> {
    match v1::TrialState::try_from(state) {
        Ok(v1::TrialState::Queued) => Ok(TrialState::Queued),
        Ok(v1::TrialState::Running) => Ok(TrialState::Running),
        Ok(v1::TrialState::Succeeded) => Ok(TrialState::Succeeded),
        Ok(v1::TrialState::Failed) => Ok(TrialState::Failed),
        Ok(v1::TrialState::Cancelled) => Ok(TrialState::Cancelled),
        Ok(v1::TrialState::Unspecified) | Err(_) => invalid("states", "unknown"),
    }
}
