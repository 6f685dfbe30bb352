//! The complete state of a trial between two steps, which checkpoints save. Random streams are keyed by epoch and step,
//! so they are not part of it.

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use sweep_spec::FailureClass;
use sweep_spec::protocol::{Optimizer, Protocol, Report};
use sweep_spec::trainer::{EpochMetrics, Tested, Validation};

use super::adam::Adam;
use super::schedule::ScheduleState;
use super::score::Score;
use crate::device::{Inner, Training};
use crate::failure::Failure;
use crate::network::{Network, weights};

/// The optimizer of a trial.
pub(super) type TrialOptimizer = OptimizerAdaptor<Adam, Network<Training>, Training>;

/// A trial between two steps.
pub(super) struct State {
    pub(super) network: Network<Training>,
    pub(super) optimizer: TrialOptimizer,
    pub(super) schedule: ScheduleState,
    pub(super) progress: Progress,
    pub(super) partial: Partial,
}

/// The progress so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Progress {
    /// Every completed epoch.
    pub(super) history: Vec<EpochMetrics>,
    pub(super) best: Option<EpochMetrics>,
    /// Predictions of the epoch that the protocol reports.
    pub(super) validation: Option<Validation>,
    /// Metrics of that epoch on the test part, if there is a holdout.
    pub(super) tested: Option<Tested>,
    /// Weights of that epoch as a file, if they are kept.
    pub(super) weights: Option<Vec<u8>>,
    /// Wall time of training and validation.
    pub(super) seconds: f64,
    pub(super) training_seconds: f64,
    pub(super) trained_images: u64,
}

/// The progress in the current epoch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Partial {
    pub(super) steps: u32,
    pub(super) score: Score,
    pub(super) training_seconds: f64,
    pub(super) validation_seconds: f64,
}

impl Progress {
    /// Whether a next epoch with this validation accuracy would be the best so far.
    pub(super) fn is_best(&self, val_accuracy: f64) -> bool {
        self.best.is_none_or(|best| val_accuracy > best.val_accuracy)
    }

    /// Completed epochs.
    pub(super) fn epochs(&self) -> u32 {
        self.last().map_or(0, |last| last.epoch)
    }

    pub(super) fn last(&self) -> Option<EpochMetrics> {
        self.history.last().copied()
    }
}

impl State {
    pub(super) fn new(network: Network<Training>, protocol: &Protocol) -> Result<Self, Failure> {
        let Optimizer::Adam { learning_rate, beta_1, beta_2, epsilon } = protocol.optimizer;
        let constants = [learning_rate, beta_1, beta_2, epsilon];
        if constants.iter().any(|constant| !constant.is_finite() || *constant < 0.0) || beta_1 >= 1.0 || beta_2 >= 1.0 {
            return Err(Failure::spec("protocol.optimizer has a constant that is negative or too large"));
        }
        let optimizer = OptimizerAdaptor::from(Adam { beta_1, beta_2, epsilon });
        Ok(Self {
            network,
            optimizer,
            schedule: ScheduleState::of(protocol),
            progress: Progress::default(),
            partial: Partial::default(),
        })
    }

    /// The network in validation mode.
    pub(super) fn validating(&self) -> Network<Inner> {
        self.network.valid()
    }

    /// The network's weights as a file.
    fn weights(&self) -> Result<Vec<u8>, Failure> {
        // A network in validation mode has the running statistics of the last step; one in training mode may be a step
        // behind.
        weights::file(&self.validating())
            .map_err(|error| Failure::new(FailureClass::Trainer, "cannot write the weights").because(error))
    }

    /// Records a completed epoch. `keep` requests the weights of the reported epoch.
    pub(super) fn end_epoch(
        &mut self,
        metrics: EpochMetrics,
        (validation, tested): (Validation, Option<Tested>),
        report: Report,
        keep: bool,
    ) -> Result<(), Failure> {
        let best = self.observe(metrics);
        if best || report == Report::Last {
            self.progress.validation = Some(validation);
            self.progress.tested = tested;
            if keep {
                self.progress.weights = Some(self.weights()?);
            }
        }
        Ok(())
    }

    /// Records an epoch's metrics, and returns whether it is the best so far. Schedule, last and best epoch follow from
    /// all metrics in order, here and after reading a checkpoint.
    pub(super) fn observe(&mut self, metrics: EpochMetrics) -> bool {
        self.schedule.observe(&metrics);
        self.progress.history.push(metrics);
        let best = self.progress.is_best(metrics.val_accuracy);
        if best {
            self.progress.best = Some(metrics);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::optim::{GradientsParams, Optimizer as _};
    use burn::record::{BinBytesRecorder, FullPrecisionSettings, Recorder};
    use burn::tensor::{Tensor, TensorData};
    use sweep_spec::{Cnn, Configuration};

    use super::*;
    use crate::device::ComputeDevice;
    use crate::network::{Build, Input};

    type Recording = BinBytesRecorder<FullPrecisionSettings>;

    fn fresh(device: &ComputeDevice, seed: u64) -> State {
        let protocol = Protocol::default();
        let cnn =
            Cnn { filters: 3, kernel_size: 3, dense_units: 5, batch_norm: true, max_pool: true, ..Cnn::default() };
        let input = Input { image_size: 4, channels: 1, classes: 2 };
        let build = Build::<Training>::new(seed, &protocol, device.burn());
        State::new(build.network(&Configuration::Cnn(cnn), input).unwrap(), &protocol).unwrap()
    }

    fn step(state: &mut State, device: &ComputeDevice, value: f32) {
        let pixels: Vec<f32> = (0..32).map(|index| (index as f32 * value).sin()).collect();
        let images = Tensor::<Training, 4>::from_data(TensorData::new(pixels, [2, 1, 4, 4]), device.burn());
        let loss = state.network.forward(images, Vec::new()).powi_scalar(2).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &state.network);
        state.network = state.optimizer.step(0.01, state.network.clone(), gradients);
    }

    #[test]
    fn a_saved_state_goes_on_to_the_same_bits() {
        let device = ComputeDevice::cpu();
        let mut straight = fresh(&device, 1);
        step(&mut straight, &device, 0.3);
        let recording = Recording::default();
        let network = straight.network.clone().into_record();
        let network = Recorder::<Training>::record(&recording, network, ()).unwrap();
        let optimizer = Recorder::<Training>::record(&recording, straight.optimizer.to_record(), ()).unwrap();
        let mut resumed = fresh(&device, 2);
        let record = Recorder::<Training>::load(&recording, network, device.burn()).unwrap();
        resumed.network = resumed.network.load_record(record);
        let record = Recorder::<Training>::load(&recording, optimizer, device.burn()).unwrap();
        resumed.optimizer = resumed.optimizer.load_record(record);
        for state in [&mut straight, &mut resumed] {
            step(state, &device, 0.7);
        }
        assert_eq!(straight.weights().unwrap(), resumed.weights().unwrap());
    }
}
