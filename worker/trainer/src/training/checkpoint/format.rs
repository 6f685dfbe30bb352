//! Checkpoint formats 1 and 2. All numbers are little-endian, without padding.
//!
//! | part | bytes |
//! |---|---|
//! | magic, format, trainer semantics | 8, 4, 4 |
//! | trial, digest of the split and so of the images | 32, 32 |
//! | instruction set: length, UTF-8 | 1, length |
//! | epochs that are over | 4 |
//! | of the current epoch: steps, samples, correct ones, loss, seconds of training and of validation | 4, 8, 8, 8, 8, 8 |
//! | of the whole: seconds, seconds of training, trained images | 8, 8, 8 |
//! | each epoch's numbers, in the order of `EpochMetrics`, without the epoch | 56 each |
//! | validation: images, then labels, predictions, confidences, confusion where there are any | 4, 2, 2, 4 each; 4 each |
//! | format 2 only, the test part: epoch, 0 for none; then loss, accuracy, and what `validation` has | 4; 8, 8, ... |
//! | kept weights: length, a safetensors file | 8, length |
//! | tensors: count, each as `tensors` writes it | 4, … |
//! | BLAKE3 digest of everything before | 32 |
//!
//! Trials with a holdout, whose test part is evaluated but does not validate, have format 2; all others have format 1.
//! The schedule's state, the last and the best epoch are not stored: they follow from the epochs' metrics.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use sweep_spec::trainer::{EpochMetrics, Tested, Validation};
use sweep_spec::{Digest, Protocol, TRAINER_SEMANTICS, TrialId};

use super::bytes::{Bytes, write_floats};
use super::refusal::Refusal;
use super::tensors::{self, HostTensor};
use crate::network::weights;
use crate::training::schedule::ScheduleState;
use crate::training::score::Score;
use crate::training::state::{Partial, State};

pub(super) const VERSION: u32 = 1;
pub(super) const WITH_TEST: u32 = 2;
const MAGIC: [u8; 8] = *b"sweepchk";
const DIGEST_BYTES: u64 = 32;
/// Magic and format.
const SHORTEST_BYTES: u64 = 12 + DIGEST_BYTES;
/// A generous limit for all parts whose length does not depend on the trial, with the header of the kept weights.
const FIXED_BYTES: u64 = 2048;
/// More than a tensor's shape needs, here and with its name in kept weights.
const TENSOR_BYTES: u64 = 512;

/// The trial that a checkpoint has to belong to.
#[derive(Debug)]
pub(crate) struct Fit<'a> {
    pub(crate) trial_id: TrialId,
    pub(crate) split_digest: Digest,
    pub(crate) instruction_set: &'a str,
    pub(crate) protocol: &'a Protocol,
    pub(crate) train_images: usize,
    pub(crate) validation_images: usize,
    /// 0 if the test part validates.
    pub(crate) test_images: usize,
    pub(crate) classes: usize,
    pub(crate) keeps_weights: bool,
}

/// The content of a checkpoint.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) history: Vec<EpochMetrics>,
    pub(super) partial: Partial,
    pub(super) seconds: f64,
    pub(super) training_seconds: f64,
    pub(super) trained_images: u64,
    pub(super) validation: Option<Validation>,
    pub(super) tested: Option<Tested>,
    pub(super) weights: Option<Vec<u8>>,
    pub(super) tensors: Vec<HostTensor>,
}

impl Fit<'_> {
    /// The largest checkpoint of a network with these tensors, in bytes.
    fn limit(&self, shapes: &[Vec<usize>]) -> u64 {
        let floats = shapes.iter().map(|shape| shape.iter().map(|&side| side as u64).product::<u64>()).sum::<u64>();
        let (images, classes) = ((self.validation_images + self.test_images) as u64, self.classes as u64);
        // Values, two moments, kept weights.
        let tensors = floats.saturating_mul(16).saturating_add(TENSOR_BYTES * shapes.len() as u64);
        FIXED_BYTES
            .saturating_add(tensors)
            .saturating_add(56 * u64::from(self.protocol.epochs))
            .saturating_add(8 * images)
            .saturating_add(8 * classes * classes)
    }

    fn version(&self) -> u32 {
        if self.test_images > 0 { WITH_TEST } else { VERSION }
    }

    fn instruction_set(&self) -> &[u8] {
        let name = self.instruction_set.as_bytes();
        &name[..name.len().min(usize::from(u8::MAX))]
    }

    fn steps_per_epoch(&self) -> usize {
        self.train_images.div_ceil(self.protocol.batch_size as usize)
    }
}

/// Writes everything except the digest.
pub(super) fn write(state: &State, fit: &Fit<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (progress, partial) = (&state.progress, &state.partial);
    out.write_all(&MAGIC)?;
    out.write_all(&fit.version().to_le_bytes())?;
    out.write_all(&TRAINER_SEMANTICS.to_le_bytes())?;
    out.write_all(fit.trial_id.as_bytes())?;
    out.write_all(fit.split_digest.as_bytes())?;
    out.write_all(&[fit.instruction_set().len() as u8])?;
    out.write_all(fit.instruction_set())?;
    out.write_all(&progress.epochs().to_le_bytes())?;
    out.write_all(&partial.steps.to_le_bytes())?;
    out.write_all(&partial.score.samples.to_le_bytes())?;
    out.write_all(&partial.score.right.to_le_bytes())?;
    for number in [
        partial.score.loss,
        partial.training_seconds,
        partial.validation_seconds,
        progress.seconds,
        progress.training_seconds,
    ] {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(&progress.trained_images.to_le_bytes())?;
    for metrics in &progress.history {
        for number in metrics.numbers() {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    write_validation(progress.validation.as_ref(), out)?;
    if fit.test_images > 0 {
        write_tested(progress.tested.as_ref(), out)?;
    }
    let weights = progress.weights.as_deref().unwrap_or_default();
    out.write_all(&(weights.len() as u64).to_le_bytes())?;
    out.write_all(weights)?;
    out.write_all(&(tensors::shapes(&state.network).len() as u32).to_le_bytes())?;
    tensors::write(state, out)
}

fn write_validation(validation: Option<&Validation>, out: &mut dyn Write) -> io::Result<()> {
    let Some(validation) = validation else { return out.write_all(&0_u32.to_le_bytes()) };
    out.write_all(&(validation.labels.len() as u32).to_le_bytes())?;
    for class in validation.labels.iter().chain(&validation.predicted) {
        out.write_all(&class.to_le_bytes())?;
    }
    write_floats(&validation.confidence, out)?;
    validation.confusion.iter().try_for_each(|count| out.write_all(&count.to_le_bytes()))
}

fn write_tested(tested: Option<&Tested>, out: &mut dyn Write) -> io::Result<()> {
    let Some(tested) = tested else { return out.write_all(&0_u32.to_le_bytes()) };
    out.write_all(&tested.epoch.to_le_bytes())?;
    out.write_all(&tested.loss.to_le_bytes())?;
    out.write_all(&tested.accuracy.to_le_bytes())?;
    write_validation(Some(&tested.predictions), out)
}

/// Reads a checkpoint of the trial `fit`, for a network with tensors of `shapes`. Its length and its digest are checked
/// before its content.
pub(super) fn read(file: &mut (impl Read + Seek), fit: &Fit<'_>, shapes: &[Vec<usize>]) -> Result<Contents, Refusal> {
    let length = file.seek(SeekFrom::End(0)).map_err(Refusal::Unreadable)?;
    check_kind(file, length, fit)?;
    let limit = fit.limit(shapes);
    if length > limit {
        return Err(Refusal::TooLong { bytes: length, limit });
    }
    check_digest(file, length)?;
    file.rewind().map_err(Refusal::Unreadable)?;
    let mut bytes = Bytes::new(BufReader::new(file.take(length - DIGEST_BYTES)));
    check_trial(fit, &mut bytes)?;
    let contents = read_contents(fit, shapes, &mut bytes)?;
    if bytes.ended()? { Ok(contents) } else { Err(Refusal::Contents("extra bytes follow its end")) }
}

fn check_kind(file: &mut (impl Read + Seek), length: u64, fit: &Fit<'_>) -> Result<(), Refusal> {
    file.rewind().map_err(Refusal::Unreadable)?;
    if length < SHORTEST_BYTES {
        return Err(Refusal::EndsEarly);
    }
    let mut bytes = Bytes::new(file);
    if bytes.array()? != MAGIC {
        return Err(Refusal::NoCheckpoint);
    }
    let version = bytes.u32()?;
    if version == fit.version() { Ok(()) } else { Err(Refusal::Version(version)) }
}

fn check_digest(file: &mut (impl Read + Seek), length: u64) -> Result<(), Refusal> {
    file.rewind().map_err(Refusal::Unreadable)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.by_ref().take(length - DIGEST_BYTES)).map_err(Refusal::Unreadable)?;
    let digest: [u8; DIGEST_BYTES as usize] = Bytes::new(file).array()?;
    if *hasher.finalize().as_bytes() == digest { Ok(()) } else { Err(Refusal::Digest) }
}

fn check_trial(fit: &Fit<'_>, bytes: &mut Bytes<impl Read>) -> Result<(), Refusal> {
    // Magic and format, which are checked already.
    bytes.array::<12>()?;
    let semantics = bytes.u32()?;
    let trial_id = TrialId::from_bytes(bytes.array()?);
    let split_digest = Digest::from_bytes(bytes.array()?);
    let [length] = bytes.array()?;
    let instruction_set = bytes.bytes(u64::from(length))?;
    if trial_id != fit.trial_id {
        return Err(Refusal::Trial(trial_id.short()));
    }
    if semantics != TRAINER_SEMANTICS {
        return Err(Refusal::Semantics(semantics));
    }
    if instruction_set != fit.instruction_set() {
        let found = String::from_utf8_lossy(&instruction_set).into_owned();
        return Err(Refusal::InstructionSet { found, here: fit.instruction_set.to_owned() });
    }
    if split_digest != fit.split_digest {
        return Err(Refusal::Data);
    }
    Ok(())
}

fn read_contents(fit: &Fit<'_>, shapes: &[Vec<usize>], bytes: &mut Bytes<impl Read>) -> Result<Contents, Refusal> {
    let epochs = bytes.u32()?;
    if epochs >= fit.protocol.epochs {
        return Err(Refusal::Contents("it has more epochs than the trial"));
    }
    let partial = read_partial(fit, bytes)?;
    let (seconds, training_seconds, trained_images) = (bytes.finite()?, bytes.finite()?, bytes.u64()?);
    let history = read_history(epochs, fit, bytes)?;
    let validation = read_validation(fit.validation_images, fit.classes, bytes)?;
    if validation.is_some() != (epochs > 0) {
        return Err(Refusal::Contents("its epochs and its predictions do not match"));
    }
    let tested = if fit.test_images > 0 { read_tested(epochs, fit, bytes)? } else { None };
    let length = bytes.u64()?;
    let weights = bytes.bytes(length)?;
    // Earlier releases stored them in a format of Burn.
    if fit.keeps_weights && epochs > 0 && !weights::is_whole(&weights) {
        return Err(Refusal::Weights);
    }
    let weights = fit.keeps_weights.then_some(weights).filter(|weights| !weights.is_empty());
    if bytes.u32()? as usize != shapes.len() {
        return Err(Refusal::Contents("it has the tensors of another network"));
    }
    let tensors = tensors::read(shapes, bytes)?;
    Ok(Contents { history, partial, seconds, training_seconds, trained_images, validation, tested, weights, tensors })
}

fn read_partial(fit: &Fit<'_>, bytes: &mut Bytes<impl Read>) -> Result<Partial, Refusal> {
    let steps = bytes.u32()?;
    let (samples, right, loss) = (bytes.u64()?, bytes.u64()?, bytes.f64()?);
    let (training_seconds, validation_seconds) = (bytes.finite()?, bytes.finite()?);
    let trained = (steps as usize).saturating_mul(fit.protocol.batch_size as usize).min(fit.train_images);
    if steps as usize > fit.steps_per_epoch() || samples != trained as u64 || right > samples {
        return Err(Refusal::Contents("its steps and its score do not match"));
    }
    Ok(Partial { steps, score: Score { samples, right, loss }, training_seconds, validation_seconds })
}

fn read_history(epochs: u32, fit: &Fit<'_>, bytes: &mut Bytes<impl Read>) -> Result<Vec<EpochMetrics>, Refusal> {
    let mut schedule = ScheduleState::of(fit.protocol);
    let mut history = Vec::new();
    for epoch in 1..=epochs {
        let metrics = read_metrics(epoch, bytes)?;
        if metrics.learning_rate.to_bits() != schedule.learning_rate().to_bits() {
            return Err(Refusal::Contents("its learning rates are not those of the schedule"));
        }
        schedule.observe(&metrics);
        history.push(metrics);
    }
    Ok(history)
}

fn read_metrics(epoch: u32, bytes: &mut Bytes<impl Read>) -> Result<EpochMetrics, Refusal> {
    EpochMetrics::read(epoch, |_| bytes.finite())
}

fn read_tested(epochs: u32, fit: &Fit<'_>, bytes: &mut Bytes<impl Read>) -> Result<Option<Tested>, Refusal> {
    let epoch = bytes.u32()?;
    if epoch == 0 {
        return Ok(None);
    }
    let (loss, accuracy) = (bytes.finite()?, bytes.finite()?);
    let predictions = read_validation(fit.test_images, fit.classes, bytes)?;
    match predictions {
        Some(predictions) if epoch <= epochs => Ok(Some(Tested { epoch, loss, accuracy, predictions })),
        Some(_) | None => Err(Refusal::Contents("its epochs and its answers for the test part do not match")),
    }
}

fn read_validation(
    expected: usize,
    classes: usize,
    bytes: &mut Bytes<impl Read>,
) -> Result<Option<Validation>, Refusal> {
    let images = bytes.u32()? as usize;
    if images == 0 {
        return Ok(None);
    }
    if images != expected {
        return Err(Refusal::Contents("it has predictions for another number of images"));
    }
    let labels = bytes.list(images, u16::from_le_bytes)?;
    let predicted = bytes.list(images, u16::from_le_bytes)?;
    if labels.iter().chain(&predicted).any(|&class| usize::from(class) >= classes) {
        return Err(Refusal::Contents("it names an unknown class"));
    }
    let confidence = bytes.list(images, f32::from_le_bytes)?;
    if confidence.iter().any(|confidence| !confidence.is_finite()) {
        return Err(Refusal::Contents("a number in it is not finite"));
    }
    let confusion = bytes.list(classes * classes, u32::from_le_bytes)?;
    Ok(Some(Validation { labels, predicted, confidence, confusion }))
}
