//! The walk over a network's layers: the only place that defines their order and the cost of each. The trainer builds
//! the same order; a test of the trainer compares the two.

use crate::configuration::{Cnn, Configuration, Vgg19};

use super::Input;

/// The image has no pixel left before the last max-pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "max-pooling number {pooling} of {poolings} has nothing left to halve: a {image_size}×{image_size} image is \
     already 1×1"
)]
pub struct Shrunk {
    /// Height and width of the image, in pixels.
    pub image_size: u32,
    /// The max-pooling that leaves nothing, counted from 1.
    pub pooling: u32,
    /// The number of max-poolings.
    pub poolings: u32,
}

/// The operation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// Convolution with bias; padding keeps the size.
    Convolution,
    /// Batch normalisation over channels or outputs.
    BatchNorm,
    Relu,
    /// 2×2 maximum with stride 2; an odd last row or column is left out.
    MaxPool,
    /// The mean over all pixels of each channel.
    GlobalAveragePool,
    /// All pixels of all channels in one row.
    Flatten,
    /// Dense layer with bias.
    Dense,
    /// Dropout in training.
    Dropout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    pub kind: LayerKind,
    /// Height and width of its output, in pixels; 1 behind the convolutions.
    pub size: u32,
    /// Channels of its output.
    pub channels: u64,
    /// Batch normalisation has 4 per channel.
    pub params: u64,
    /// Two for each multiply-add of one image.
    pub flops: u64,
}

impl Layer {
    /// Numbers that it gives out for one image.
    pub const fn outputs(&self) -> u64 {
        (self.size as u64).saturating_mul(self.size as u64).saturating_mul(self.channels)
    }
}

/// Shows every layer of `configuration` in order, for images of `input`.
///
/// # Errors
/// Its max-poolings shrink the image to nothing; the layers before that were shown.
pub fn walk(configuration: &Configuration, input: Input, visit: impl FnMut(&Layer)) -> Result<(), Shrunk> {
    let poolings = poolings(configuration);
    let mut walker =
        Walker { input, size: input.image_size, channels: input.channels.into(), pooled: 0, poolings, visit };
    match configuration {
        Configuration::Cnn(cnn) => walker.cnn(cnn),
        Configuration::Vgg19(vgg) => walker.vgg19(vgg),
    }
}

/// The number of max-poolings.
fn poolings(configuration: &Configuration) -> u32 {
    match configuration {
        Configuration::Cnn(cnn) if cnn.max_pool => cnn.conv_layers,
        Configuration::Cnn(_) => 0,
        Configuration::Vgg19(_) => Vgg19::BLOCKS.len() as u32,
    }
}

/// Checks the max-poolings without the walk.
///
/// # Errors
/// They shrink the image to nothing.
pub(crate) fn fits(configuration: &Configuration, input: Input) -> Result<(), Shrunk> {
    let poolings = poolings(configuration);
    let halvings = input.image_size.checked_ilog2().unwrap_or(0);
    if poolings <= halvings {
        return Ok(());
    }
    Err(Shrunk { image_size: input.image_size, pooling: halvings + 1, poolings })
}

struct Walker<V> {
    input: Input,
    size: u32,
    channels: u64,
    pooled: u32,
    poolings: u32,
    visit: V,
}

/// The dense layers of any family.
struct Head {
    layers: u32,
    units: u32,
    batch_norm: bool,
    dropout: f64,
}

impl<V: FnMut(&Layer)> Walker<V> {
    fn cnn(&mut self, cnn: &Cnn) -> Result<(), Shrunk> {
        for _ in 0..cnn.conv_layers {
            self.convolution(cnn.filters, cnn.kernel_size, cnn.batch_norm);
            if cnn.max_pool {
                self.max_pool()?;
            }
        }
        self.size = 1;
        self.show(LayerKind::GlobalAveragePool, 0, 0);
        let (layers, units) = (cnn.dense_layers, cnn.dense_units);
        self.head(&Head { layers, units, batch_norm: cnn.batch_norm, dropout: cnn.dropout });
        Ok(())
    }

    fn vgg19(&mut self, vgg: &Vgg19) -> Result<(), Shrunk> {
        for block in Vgg19::BLOCKS {
            for &filters in block {
                self.convolution(filters, Vgg19::KERNEL_SIZE, vgg.batch_norm);
            }
            self.max_pool()?;
        }
        self.channels = self.channels.saturating_mul(u64::from(self.size).saturating_mul(self.size.into()));
        self.size = 1;
        self.show(LayerKind::Flatten, 0, 0);
        let (layers, units) = (vgg.dense_layers, vgg.dense_units);
        self.head(&Head { layers, units, batch_norm: vgg.batch_norm, dropout: vgg.dropout });
        Ok(())
    }

    fn convolution(&mut self, filters: u32, kernel_size: u32, batch_norm: bool) {
        let filters = u64::from(filters);
        let kernel = u64::from(kernel_size).saturating_mul(kernel_size.into());
        let weights = kernel.saturating_mul(self.channels).saturating_mul(filters);
        let pixels = u64::from(self.size).saturating_mul(self.size.into());
        self.channels = filters;
        let flops = weights.saturating_mul(pixels).saturating_mul(2);
        self.show(LayerKind::Convolution, weights.saturating_add(filters), flops);
        self.normalize(batch_norm);
        self.show(LayerKind::Relu, 0, 0);
    }

    fn max_pool(&mut self) -> Result<(), Shrunk> {
        self.size /= 2;
        self.pooled += 1;
        if self.size == 0 {
            let (pooling, poolings) = (self.pooled, self.poolings);
            return Err(Shrunk { image_size: self.input.image_size, pooling, poolings });
        }
        self.show(LayerKind::MaxPool, 0, 0);
        Ok(())
    }

    fn head(&mut self, head: &Head) {
        for _ in 0..head.layers {
            self.dense(head.units);
            self.normalize(head.batch_norm);
            self.show(LayerKind::Relu, 0, 0);
            if head.dropout > 0.0 {
                self.show(LayerKind::Dropout, 0, 0);
            }
        }
        self.dense(self.input.classes);
    }

    fn dense(&mut self, outputs: u32) {
        let outputs = u64::from(outputs);
        let weights = self.channels.saturating_mul(outputs);
        self.channels = outputs;
        self.show(LayerKind::Dense, weights.saturating_add(outputs), weights.saturating_mul(2));
    }

    fn normalize(&mut self, batch_norm: bool) {
        if batch_norm {
            self.show(LayerKind::BatchNorm, self.channels.saturating_mul(4), 0);
        }
    }

    fn show(&mut self, kind: LayerKind, params: u64, flops: u64) {
        (self.visit)(&Layer { kind, size: self.size, channels: self.channels, params, flops });
    }
}
