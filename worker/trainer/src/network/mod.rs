//! Networks as Burn modules, for one family as for the other: convolution blocks, a way to lose height and width, dense
//! layers, classes. What a network is comes from the spec's configuration; its first weights come from our own streams.

mod build;
mod initial;

#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;

pub(crate) use build::{Build, Input};

/// A network.
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

impl<B: Backend> Network<B> {
    /// Logits of `images` (batch, channels, height, width). `masks` are one for each dense layer, already scaled by the
    /// share that is kept; none are given in validation or where the network drops nothing.
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

    /// Outputs of every dense layer before the one to the classes: what dropout masks are drawn for.
    pub(crate) fn dense_units(&self) -> Vec<usize> {
        self.dense.iter().map(|layer| layer.linear.weight.dims()[1]).collect()
    }
}

impl<B: Backend> Block<B> {
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut pixels = self.convolution.forward(pixels);
        if let Some(norm) = &self.norm {
            pixels = norm.forward(pixels);
        }
        let pixels = relu(pixels);
        match &self.pool {
            Some(pool) => pool.forward(pixels),
            None => pixels,
        }
    }
}

impl<B: Backend> Dense<B> {
    fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let mut features = self.linear.forward(features);
        if let Some(norm) = &self.norm {
            features = norm.forward(features);
        }
        relu(features)
    }
}
