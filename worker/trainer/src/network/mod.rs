//! Networks as Burn modules, the same for both families: convolution blocks, a reduction of height and width, dense
//! layers, classes. The spec's configuration defines the network; its initial weights come from our own streams.

mod build;
mod initial;
pub(crate) mod weights;

#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;

use crate::kernel::{self, Kernels};

pub(crate) use build::{Build, Input};

#[derive(Module, Debug)]
pub(crate) struct Network<B: Backend> {
    blocks: Vec<Block<B>>,
    /// Every pixel becomes an input of the first dense layer; otherwise each channel's mean does.
    flatten: bool,
    dense: Vec<Dense<B>>,
    output: Linear<B>,
}

/// [convolution, same padding → batch normalisation → ReLU → 2×2 max-pooling]
#[derive(Module, Debug)]
pub(crate) struct Block<B: Backend> {
    convolution: Conv2d<B>,
    norm: Option<BatchNorm<B>>,
    pool: Option<MaxPool2d>,
}

/// [dense → batch normalisation → ReLU]; dropout follows where masks are given.
#[derive(Module, Debug)]
pub(crate) struct Dense<B: Backend> {
    linear: Linear<B>,
    norm: Option<BatchNorm<B>>,
}

impl<B: Kernels> Network<B> {
    /// Logits of `images` (batch, channels, height, width). `masks` has one mask per dense layer, already divided by
    /// the kept fraction; it is empty in validation or without dropout.
    pub(crate) fn forward(&self, images: Tensor<B, 4>, masks: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
        let pixels = self.blocks.iter().fold(images, |pixels, block| block.forward(pixels));
        let [batch, channels, height, width] = pixels.dims();
        let mut features = if self.flatten {
            pixels.reshape([batch, channels * height * width])
        } else {
            pixels.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
        };
        let mut masks = masks.into_iter();
        for layer in &self.dense {
            features = layer.forward(features);
            if let Some(mask) = masks.next() {
                features = features.mul(mask);
            }
        }
        self.output.forward(features)
    }

    /// Outputs of every dense layer before the one to the classes: the sizes of dropout masks.
    pub(crate) fn dense_units(&self) -> Vec<usize> {
        self.dense.iter().map(|layer| layer.linear.weight.dims()[1]).collect()
    }
}

impl<B: Kernels> Block<B> {
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        let pixels = match (&self.norm, &self.convolution.bias) {
            (None, Some(bias)) if kernel::supports(&pixels.device()) => {
                B::convolution(pixels, self.convolution.weight.val(), bias.val(), true)
            }
            (None, _) => relu(self.convolution.forward(pixels)),
            (Some(norm), Some(bias)) if kernel::supports(&pixels.device()) => {
                normalized(norm, B::convolution(pixels, self.convolution.weight.val(), bias.val(), false))
            }
            (Some(norm), _) => normalized(norm, self.convolution.forward(pixels)),
        };
        match &self.pool {
            Some(_) if kernel::supports(&pixels.device()) => B::pooling(pixels),
            Some(pool) => pool.forward(pixels),
            None => pixels,
        }
    }
}

impl<B: Kernels> Dense<B> {
    fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let features = self.linear.forward(features);
        match &self.norm {
            Some(norm) => normalized(norm, features),
            None => relu(features),
        }
    }
}

/// Batch normalisation, then ReLU.
fn normalized<B: Kernels, const D: usize>(norm: &BatchNorm<B>, values: Tensor<B, D>) -> Tensor<B, D> {
    let device = values.device();
    if !kernel::supports(&device) {
        return relu(norm.forward(values));
    }
    if !B::ad_enabled(&device) {
        return relu(scaled(norm, values));
    }
    let (values, [mean, variance]) = B::normalization(values, norm.gamma.val(), norm.beta.val(), norm.epsilon);
    for (running, batch) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
        let kept = running.value_sync().mul_scalar(1.0 - norm.momentum);
        running.update(kept.add(batch.mul_scalar(norm.momentum)).detach());
    }
    values
}

/// Batch normalisation by the running statistics, as one scale and one shift per channel.
fn scaled<B: Backend, const D: usize>(norm: &BatchNorm<B>, values: Tensor<B, D>) -> Tensor<B, D> {
    let mut shape = [1; D];
    shape[1] = values.dims()[1];
    let scale = norm.gamma.val().div(norm.running_var.value().add_scalar(norm.epsilon).sqrt());
    let shift = norm.beta.val().sub(norm.running_mean.value().mul(scale.clone()));
    values.mul(scale.reshape(shape)).add(shift.reshape(shape))
}
