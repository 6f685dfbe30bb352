//! One epoch: a step for every batch over all training images in random order, then the validation images.

use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use sweep_spec::trainer::{Tested, Validation};
use sweep_spec::{Configuration, FailureClass, Trial};

use super::Listener;
use super::batches::{Batch, Batches};
use super::phases::{Phases, Stopwatch};
use super::score::{self, Answer, Score};
use super::state::State;
use crate::data::Split;
use crate::device::{ComputeDevice, Inner, Training};
use crate::failure::{Failure, Stop};
use crate::random::{Purpose, Stream};

/// Batches whose logits stay on the device before they are evaluated, so that a device with a queue does not wait in
/// each step.
const PENDING: usize = 16;

/// The data and settings that all epochs of a trial share.
pub(super) struct Epochs<'a> {
    trial: &'a Trial,
    device: &'a ComputeDevice,
    split: &'a Split,
    batches: &'a Batches<'a>,
    classes: usize,
    dropout: f64,
    pub(super) phases: Phases,
}

type Pending = Vec<(Tensor<Inner, 2>, Vec<u16>)>;

impl<'a> Epochs<'a> {
    pub(super) fn new(
        trial: &'a Trial,
        device: &'a ComputeDevice,
        split: &'a Split,
        batches: &'a Batches<'a>,
        classes: usize,
    ) -> Self {
        let dropout = match &trial.configuration {
            Configuration::Cnn(cnn) => cnn.dropout,
            Configuration::Vgg19(vgg19) => vgg19.dropout,
        };
        Self { trial, device, split, batches, classes, dropout, phases: Phases::default() }
    }

    pub(super) fn images_per_epoch(&self) -> u64 {
        self.split.train.len() as u64
    }

    /// Trains the epoch to its end, from `state.partial`, which has the completed steps and their running score with
    /// dropout on. Ends early after a loss that is not finite, and between two steps if the listener wants to exit;
    /// `state` then has the progress.
    pub(super) fn train(
        &mut self,
        state: &mut State,
        epoch: u32,
        learning_rate: f64,
        listener: &dyn Listener,
    ) -> Result<(), Stop> {
        let mut stopwatch = Stopwatch::start();
        let mut pending = Pending::new();
        let order = self.batches.order(&self.split.train, epoch);
        let batches = order.chunks(self.trial.protocol.batch_size as usize).enumerate();
        for (step, indices) in batches.skip(state.partial.steps as usize) {
            if !state.partial.score.is_finite() {
                return Ok(());
            }
            if listener.wants_to_leave() {
                self.count_training(&mut pending, state)?;
                return Err(Stop::Left);
            }
            let batch = self.batches.augmented(indices, epoch);
            let targets = self.targets(&batch.labels);
            let (images, labels) = self.to_device::<Training>(batch);
            let masks = self.masks(&state.network.dense_units(), indices.len(), epoch, step);
            stopwatch.lap(&mut self.phases.data);
            let logits = state.network.forward(images, masks);
            let loss = log_softmax(logits.clone(), 1).mul(targets).sum().div_scalar(-(indices.len() as f64));
            stopwatch.lap(&mut self.phases.forward);
            let gradients = GradientsParams::from_grads(loss.backward(), &state.network);
            stopwatch.lap(&mut self.phases.backward);
            state.step(learning_rate, gradients);
            stopwatch.lap(&mut self.phases.optimizer);
            pending.push((logits.inner(), labels));
            if pending.len() == PENDING {
                self.count_training(&mut pending, state)?;
            }
            stopwatch.lap(&mut self.phases.metrics);
        }
        self.count_training(&mut pending, state)?;
        stopwatch.lap(&mut self.phases.metrics);
        Ok(())
    }

    fn count_training(&self, pending: &mut Pending, state: &mut State) -> Result<(), Failure> {
        let score = &mut state.partial.score;
        count(pending, self.classes, |answer, label| score.add(answer, label))
    }

    /// The network's predictions for the validation images, without dropout.
    pub(super) fn validate(&self, state: &State, listener: &dyn Listener) -> Result<(Score, Validation), Stop> {
        self.look_at(&self.split.validation, state, listener)
    }

    /// Its predictions for the test part beside a holdout; `None` without a holdout, or if the outputs are not finite.
    pub(super) fn test(&self, epoch: u32, state: &State, listener: &dyn Listener) -> Result<Option<Tested>, Stop> {
        if self.split.test.is_empty() {
            return Ok(None);
        }
        let (score, predictions) = self.look_at(&self.split.test, state, listener)?;
        let tested = Tested { epoch, loss: score.loss(), accuracy: score.accuracy(), predictions };
        Ok(score.is_finite().then_some(tested))
    }

    fn look_at(&self, images: &[u32], state: &State, listener: &dyn Listener) -> Result<(Score, Validation), Stop> {
        let network = state.validating();
        let mut score = Score::default();
        let (mut answers, mut labels) = (Vec::new(), Vec::new());
        let mut pending = Pending::new();
        let mut take = |answer: Answer, label| {
            score.add(answer, label);
            answers.push(answer);
            labels.push(label);
        };
        for indices in images.chunks(self.trial.protocol.batch_size as usize) {
            if listener.wants_to_leave() {
                return Err(Stop::Left);
            }
            let (images, labels) = self.to_device::<Inner>(self.batches.plain(indices));
            pending.push((network.forward(images, Vec::new()), labels));
            if pending.len() == PENDING {
                count(&mut pending, self.classes, &mut take)?;
            }
        }
        count(&mut pending, self.classes, &mut take)?;
        Ok((score, score::validation(&answers, labels, self.classes)))
    }

    fn to_device<B>(&self, batch: Batch) -> (Tensor<B, 4>, Vec<u16>)
    where
        B: burn::tensor::backend::Backend<Device = burn::DispatchDevice>,
    {
        let Batch { pixels, labels } = batch;
        let dataset = &self.trial.dataset;
        let (channels, size) = (dataset.channels as usize, dataset.image_size as usize);
        let data = TensorData::new(pixels, [labels.len(), channels, size, size]);
        (Tensor::from_data(data, self.device.burn()), labels)
    }

    /// A row per sample, with 1 at its class.
    fn targets(&self, labels: &[u16]) -> Tensor<Training, 2> {
        let mut rows = vec![0.0_f32; labels.len() * self.classes];
        for (row, label) in labels.iter().enumerate() {
            rows[row * self.classes + usize::from(*label)] = 1.0;
        }
        Tensor::from_data(TensorData::new(rows, [labels.len(), self.classes]), self.device.burn())
    }

    /// A mask per dense layer, of 0 and 1 / (kept fraction); empty without dropout.
    fn masks(&self, units: &[usize], samples: usize, epoch: u32, step: usize) -> Vec<Tensor<Training, 2>> {
        if self.dropout == 0.0 {
            return Vec::new();
        }
        let kept = (1.0 / (1.0 - self.dropout)) as f32;
        let dropout = self.dropout as f32;
        let mask = |(layer, &units): (usize, &usize)| {
            let place = [layer as u64, u64::from(epoch), step as u64];
            let mut stream = Stream::new(self.trial.seed, Purpose::Dropout, "dense", &place);
            let values = (0..samples * units).map(|_| if stream.unit_f32() < dropout { 0.0 } else { kept }).collect();
            Tensor::from_data(TensorData::new::<f32, _>(values, [samples, units]), self.device.burn())
        };
        units.iter().enumerate().map(mask).collect()
    }
}

impl State {
    fn step(&mut self, learning_rate: f64, gradients: GradientsParams) {
        self.network = self.optimizer.step(learning_rate, self.network.clone(), gradients);
        self.partial.steps += 1;
    }
}

/// Reads logits back and passes them on, sample by sample.
fn count(pending: &mut Pending, classes: usize, mut take: impl FnMut(Answer, u16)) -> Result<(), Failure> {
    for (logits, labels) in pending.drain(..) {
        let data = logits.into_data();
        let rows = data.as_slice::<f32>().map_err(|error| {
            Failure::new(FailureClass::Trainer, format!("cannot read back the network's answers: {error:?}"))
        })?;
        for (row, label) in rows.chunks_exact(classes).zip(labels) {
            take(Answer::new(row, label), label);
        }
    }
    Ok(())
}
