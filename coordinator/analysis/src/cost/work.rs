//! What a trial asks of a device: five amounts whose times add up.

use sweep_spec::count::Counts;
use sweep_spec::{Dataset, Protocol, dataset::Source};

/// How many amounts there are.
pub(crate) const AMOUNTS: usize = 5;

/// Seconds that a machine of no particular kind takes for one unit of each amount: 20 GFLOP/s, a billion layer outputs a
/// second, 20 µs for an image, a millisecond for a step, 4 ns for a parameter's update. Only their proportions matter once
/// one trial was measured, and these too give way to what is measured.
pub(crate) const NOMINAL: [f64; AMOUNTS] = [5e-11, 1e-9, 2e-5, 1e-3, 4e-9];

/// The images of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// In the training part, before anything is held out.
    pub train: u64,
    /// In the test part.
    pub test: u64,
}

impl Size {
    /// What the reference itself says; absent where a worker has to look.
    pub fn of(dataset: &Dataset) -> Option<Self> {
        match dataset.source {
            Source::SyntheticScenes { train_images, test_images, .. } => {
                Some(Self { train: train_images.into(), test: test_images.into() })
            }
            Source::ImageFolder { .. } | Source::Idx { .. } | Source::Cifar10 { .. } => None,
        }
    }
}

/// What all epochs of a trial together ask of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Floating-point operations (three times the forward pass for a trained image), layer outputs (the same way), images,
    /// steps, and parameters times steps.
    pub(crate) amounts: [f64; AMOUNTS],
    /// The memory that the formula of the network predicts, in bytes.
    pub memory_bytes: u64,
}

impl Work {
    /// Of a network under a protocol, on data of this size.
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

    /// Seconds on the machine of no particular kind: what trials are ordered by where nothing was measured.
    pub fn nominal_seconds(&self) -> f64 {
        self.parts().iter().sum()
    }

    pub(crate) fn parts(&self) -> [f64; AMOUNTS] {
        let mut parts = self.amounts;
        parts.iter_mut().zip(NOMINAL).for_each(|(part, nominal)| *part *= nominal);
        parts
    }
}
