//! The work of a trial: five amounts whose times add up.

use sweep_spec::count::Counts;
use sweep_spec::{Dataset, Protocol, dataset::Source};

pub(crate) const AMOUNTS: usize = 5;

/// Seconds that a nominal machine takes for one unit of each amount: 20 GFLOP/s, a billion layer outputs per second, 20
/// µs per image, a millisecond per step, 4 ns per parameter update. Once a trial was measured, only their proportions
/// matter, and measurements correct these too.
pub(crate) const NOMINAL: [f64; AMOUNTS] = [5e-11, 1e-9, 2e-5, 1e-3, 4e-9];

/// The images of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Images of the training part, before a holdout is split off.
    pub train: u64,
    /// Images of the test part.
    pub test: u64,
}

impl Size {
    /// The size that the reference itself states; `None` where a worker has to read the data.
    pub fn of(dataset: &Dataset) -> Option<Self> {
        match dataset.source {
            Source::SyntheticScenes { train_images, test_images, .. } => {
                Some(Self { train: train_images.into(), test: test_images.into() })
            }
            Source::ImageFolder { .. } | Source::Idx { .. } | Source::Cifar10 { .. } => None,
        }
    }
}

/// The work of all epochs of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Floating-point operations (three times the forward pass for a trained image), layer outputs (the same way), images,
    /// steps, and parameters times steps.
    pub(crate) amounts: [f64; AMOUNTS],
    /// The memory that the formula of the network predicts, in bytes.
    pub memory_bytes: u64,
}

impl Work {
    /// The work of a network under a protocol, on data of this size.
    pub fn new(counts: &Counts, protocol: &Protocol, size: Size) -> Self {
        let held = protocol.holdout.as_ref().map_or(0.0, |holdout| holdout.fraction);
        let train = size.train as f64 * (1.0 - held);
        let checked = if protocol.holdout.is_some() { size.train as f64 * held } else { size.test as f64 };
        let batch = f64::from(protocol.batch_size.max(1));
        let steps = (train / batch).ceil();
        let passes = 3.0 * train + checked;
        let one = [
            passes * counts.flops_per_image as f64,
            passes * counts.activations_per_image as f64,
            train + checked,
            steps + (checked / batch).ceil() / 3.0,
            steps * counts.params as f64,
        ];
        let epochs = f64::from(protocol.epochs);
        let memory_bytes = counts.training_memory_bytes(protocol.batch_size);
        Self { amounts: one.map(|amount| amount * epochs), memory_bytes }
    }

    /// Seconds on the nominal machine. They order the trials while there are no measurements.
    pub fn nominal_seconds(&self) -> f64 {
        self.parts().iter().sum()
    }

    pub(crate) fn parts(&self) -> [f64; AMOUNTS] {
        let mut parts = self.amounts;
        parts.iter_mut().zip(NOMINAL).for_each(|(part, nominal)| *part *= nominal);
        parts
    }
}
