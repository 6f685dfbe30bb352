//! The cost of a network, exact where possible: parameters, FLOPs and shapes by a walk over its layers, and a
//! prediction of the memory for training. No network is built.

mod walk;

use crate::configuration::Configuration;
use crate::dataset::Dataset;

pub(crate) use walk::fits;
pub use walk::{Layer, LayerKind, Shrunk, walk};

/// The part of a data set that decides about a network's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Input {
    /// Height and width, in pixels.
    pub image_size: u32,
    /// Channels of an image.
    pub channels: u32,
    /// Outputs of the network.
    pub classes: u32,
}

impl From<&Dataset> for Input {
    fn from(dataset: &Dataset) -> Self {
        Self { image_size: dataset.image_size, channels: dataset.channels, classes: dataset.classes.count() }
    }
}

/// The cost of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Parameters as the reference counts them: batch normalisation has 4 per channel (scale, shift, running mean,
    /// running variance).
    pub params: u64,
    /// Floating-point operations of one image's forward pass: two for each multiply-add of convolutions and dense
    /// layers. Biases, normalisation, activations and pooling are not counted, nor is the backward pass.
    pub flops_per_image: u64,
    /// Numbers that the layers give out for one image, the image itself included.
    pub activations_per_image: u64,
    /// Numbers that the largest layer gives out for one image.
    pub largest_activation: u64,
}

/// Memory that a trainer needs before the first parameter: program, runtime and decoded images, in bytes.
const BASE_BYTES: u64 = 128 * 1024 * 1024;
/// Bytes of one number.
const F32_BYTES: u64 = 4;

impl Counts {
    /// Counts `configuration` on images of `input`.
    ///
    /// # Errors
    /// Its max-poolings shrink the image to nothing.
    pub fn of(configuration: &Configuration, input: Input) -> Result<Self, Shrunk> {
        let size = u64::from(input.image_size);
        let image = size.saturating_mul(size).saturating_mul(input.channels.into());
        let mut counts =
            Self { params: 0, flops_per_image: 0, activations_per_image: image, largest_activation: image };
        walk(configuration, input, |layer| {
            let outputs = layer.outputs();
            counts.params = counts.params.saturating_add(layer.params);
            counts.flops_per_image = counts.flops_per_image.saturating_add(layer.flops);
            counts.activations_per_image = counts.activations_per_image.saturating_add(outputs);
            counts.largest_activation = counts.largest_activation.max(outputs);
        })?;
        Ok(counts)
    }

    /// The memory in bytes that training in batches of `batch_size` probably needs. The prediction is on the safe side,
    /// because it decides which slots fit: weights, gradients and Adam's two moments, every layer's output for the
    /// backward pass, gradients of the two largest at once, a quarter as margin for workspaces, and a fixed base.
    pub fn training_memory_bytes(&self, batch_size: u32) -> u64 {
        let weights = self.params.saturating_mul(4);
        let kept = self.activations_per_image.saturating_add(self.largest_activation.saturating_mul(2));
        let numbers = weights.saturating_add(kept.saturating_mul(batch_size.into()));
        let bytes = numbers.saturating_mul(F32_BYTES);
        bytes.saturating_add(bytes / 4).saturating_add(BASE_BYTES)
    }
}

/// The reference's own column: training accuracy for ten parameters. It rewards training accuracy, so it cannot see
/// overfitting.
pub fn ratio(train_accuracy: f64, params: u64) -> f64 {
    train_accuracy / (10.0 * params as f64)
}
