//! Builds a module from a configuration, layer by layer. Repeats the spec's checks, because a trial may come from any
//! agent: an invalid value has to be an error, not a panic in Burn.

use burn::module::{Param, ParamId, RunningState};
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Linear, PaddingConfig2d};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sweep_spec::protocol::{BatchNormalization, Protocol};
use sweep_spec::{Cnn, Configuration, Vgg19};

use super::initial::{Drawing, constant};
use super::{Block, Dense, Network};
use crate::failure::Failure;

/// More parameters (16 GB for the weights alone) are probably a mistake.
const MAX_PARAMS: u64 = 4_000_000_000;
const MAX_LAYERS: u32 = 1000;
const MAX_IMAGE_SIZE: u32 = 4096;

/// The shape of a network's input and output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) image_size: u32,
    pub(crate) channels: u32,
    pub(crate) classes: u32,
}

/// Builds one network.
pub(crate) struct Build<'a, B: Backend> {
    drawing: Drawing,
    batch_normalization: &'a BatchNormalization,
    device: &'a B::Device,
    params: u64,
    tensors: u64,
}

struct Head {
    layers: u32,
    units: u32,
    norm: bool,
}

impl<'a, B: Backend> Build<'a, B> {
    pub(crate) fn new(seed: u64, protocol: &'a Protocol, device: &'a B::Device) -> Self {
        let drawing = Drawing { seed, initializer: protocol.initializer };
        Self { drawing, batch_normalization: &protocol.batch_normalization, device, params: 0, tensors: 0 }
    }

    /// The network of `configuration` with its initial weights.
    pub(crate) fn network(mut self, configuration: &Configuration, input: Input) -> Result<Network<B>, Failure> {
        if input.image_size == 0 || input.image_size > MAX_IMAGE_SIZE || input.channels == 0 || input.classes == 0 {
            return Err(Failure::spec(format!(
                "cannot build a network for {} channels of {} pixels and {} classes",
                input.channels, input.image_size, input.classes
            )));
        }
        match configuration {
            Configuration::Cnn(cnn) => self.cnn(cnn, input),
            Configuration::Vgg19(vgg19) => self.vgg19(vgg19, input),
        }
    }

    fn cnn(&mut self, cnn: &Cnn, input: Input) -> Result<Network<B>, Failure> {
        at_most("conv_layers", cnn.conv_layers, MAX_LAYERS)?;
        check_dropout(cnn.dropout)?;
        let mut side = input.image_size;
        let mut channels = input.channels;
        let mut blocks = Vec::new();
        for number in 1..=cnn.conv_layers {
            let name = format!("conv_{number}");
            if cnn.max_pool {
                side /= 2;
                check_side(side, &name)?;
            }
            let block = self.block(&name, (channels, cnn.filters), cnn.kernel_size, cnn.batch_norm, cnn.max_pool)?;
            blocks.push(block);
            channels = cnn.filters;
        }
        let head = Head { layers: cnn.dense_layers, units: cnn.dense_units, norm: cnn.batch_norm };
        let (dense, output) = self.head(u64::from(channels), &head, input.classes)?;
        Ok(Network { blocks, flatten: false, dense, output })
    }

    fn vgg19(&mut self, vgg19: &Vgg19, input: Input) -> Result<Network<B>, Failure> {
        check_dropout(vgg19.dropout)?;
        let mut side = input.image_size;
        let mut channels = input.channels;
        let mut blocks = Vec::new();
        for block in Vgg19::BLOCKS {
            for (index, &filters) in block.iter().enumerate() {
                let name = format!("conv_{}", blocks.len() + 1);
                let last = index + 1 == block.len();
                if last {
                    side /= 2;
                    check_side(side, &name)?;
                }
                blocks.push(self.block(&name, (channels, filters), Vgg19::KERNEL_SIZE, vgg19.batch_norm, last)?);
                channels = filters;
            }
        }
        let inputs = u64::from(channels) * u64::from(side) * u64::from(side);
        let head = Head { layers: vgg19.dense_layers, units: vgg19.dense_units, norm: vgg19.batch_norm };
        let (dense, output) = self.head(inputs, &head, input.classes)?;
        Ok(Network { blocks, flatten: true, dense, output })
    }

    fn block(
        &mut self,
        name: &str,
        (channels, filters): (u32, u32),
        kernel_size: u32,
        norm: bool,
        pool: bool,
    ) -> Result<Block<B>, Failure> {
        at_most("kernel_size", kernel_size, MAX_IMAGE_SIZE)?;
        let area = u64::from(kernel_size) * u64::from(kernel_size);
        self.count(name, u64::from(channels) * area, filters, norm)?;
        let (area, kernel) = (area as usize, kernel_size as usize);
        let (channels, filters) = (channels as usize, filters as usize);
        let fan = (channels * area, filters * area);
        let convolution = Conv2d {
            weight: self.weights(name, [filters, channels, kernel, kernel], fan),
            bias: Some(self.constant(0.0, filters)),
            stride: [1, 1],
            kernel_size: [kernel, kernel],
            dilation: [1, 1],
            groups: 1,
            padding: PaddingConfig2d::Same,
        };
        Ok(Block { convolution, norm: norm.then(|| self.norm(filters)), pool: pool.then(halving) })
    }

    fn head(&mut self, inputs: u64, head: &Head, classes: u32) -> Result<(Vec<Dense<B>>, Linear<B>), Failure> {
        at_most("dense_layers", head.layers.max(1), MAX_LAYERS)?;
        let mut inputs = inputs;
        let mut dense = Vec::new();
        for number in 1..=head.layers {
            let linear = self.linear(&format!("dense_{number}"), inputs, head.units, head.norm)?;
            dense.push(Dense { linear, norm: head.norm.then(|| self.norm(head.units as usize)) });
            inputs = u64::from(head.units);
        }
        let output = self.linear("output", inputs, classes, false)?;
        Ok((dense, output))
    }

    fn linear(&mut self, name: &str, inputs: u64, outputs: u32, norm: bool) -> Result<Linear<B>, Failure> {
        self.count(name, inputs, outputs, norm)?;
        let (inputs, outputs) = (inputs as usize, outputs as usize);
        let weight = self.weights(name, [inputs, outputs], (inputs, outputs));
        Ok(Linear { weight, bias: Some(self.constant(0.0, outputs)) })
    }

    fn norm(&mut self, channels: usize) -> BatchNorm<B> {
        BatchNorm {
            gamma: self.constant(1.0, channels),
            beta: self.constant(0.0, channels),
            running_mean: self.running(0.0, channels),
            running_var: self.running(1.0, channels),
            // Burn's momentum is the weight of the batch's statistics, ours (Keras's) the weight of the running ones.
            momentum: 1.0 - self.batch_normalization.momentum,
            epsilon: self.batch_normalization.epsilon,
        }
    }

    fn weights<const D: usize>(&mut self, name: &str, shape: [usize; D], fan: (usize, usize)) -> Param<Tensor<B, D>> {
        let drawn = self.drawing.weights(name, shape, fan, self.device);
        self.numbered(drawn)
    }

    fn constant(&mut self, value: f32, count: usize) -> Param<Tensor<B, 1>> {
        let constant = constant(value, count, self.device);
        self.numbered(constant)
    }

    fn running(&mut self, value: f32, channels: usize) -> RunningState<Tensor<B, 1>> {
        let data = TensorData::new(vec![value; channels], [channels]);
        RunningState::with_id(self.next_id(), Tensor::from_data(data, self.device))
    }

    /// Replaces Burn's random id by the parameter's number, so that the file of a network's weights is reproducible.
    fn numbered<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (_, tensor, mapper) = param.consume();
        Param::from_mapped_value(self.next_id(), tensor, mapper)
    }

    fn next_id(&mut self) -> ParamId {
        self.tensors += 1;
        ParamId::from(self.tensors)
    }

    /// Rejects too large sizes before anything is allocated.
    fn count(&mut self, name: &str, inputs: u64, outputs: u32, norm: bool) -> Result<(), Failure> {
        if outputs == 0 {
            return Err(Failure::spec(format!("layer {name} would have no outputs")));
        }
        let per_output = inputs.saturating_add(if norm { 5 } else { 1 });
        self.params = self.params.saturating_add(per_output.saturating_mul(u64::from(outputs)));
        if self.params > MAX_PARAMS {
            return Err(Failure::spec(format!("the network has more than {MAX_PARAMS} parameters at layer {name}")));
        }
        Ok(())
    }
}

fn halving() -> MaxPool2d {
    MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()
}

fn at_most(factor: &str, level: u32, limit: u32) -> Result<(), Failure> {
    if level == 0 || level > limit {
        return Err(Failure::spec(format!("{factor} is {level}, but must be 1 to {limit}")));
    }
    Ok(())
}

fn check_side(side: u32, layer: &str) -> Result<(), Failure> {
    if side == 0 {
        return Err(Failure::spec(format!("max-pooling after layer {layer} would shrink the image to nothing")));
    }
    Ok(())
}

fn check_dropout(dropout: f64) -> Result<(), Failure> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(Failure::spec(format!("dropout is {dropout}, but must be in [0, 1)")))
}
