//! The kernels as steps of Burn's automatic differentiation. Tensors move to the host and back; on the CPU this moves a
//! buffer, or copies it if it is shared.

use std::sync::Arc;

use burn::DispatchDevice;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};

use super::normalization::{self, Normalized};
use super::{Kernels, convolution, pooling};
use crate::device::{Inner, Training};

/// Values of a tensor on the host.
fn values<const D: usize>(tensor: Tensor<Inner, D>) -> Vec<f32> {
    // All tensors of this crate have this type; for any other the panic is caught and reported as a crash of the
    // trainer.
    tensor.into_data().into_vec().unwrap_or_else(|error| panic!("a tensor that is not of f32: {error:?}"))
}

fn host(primitive: FloatTensor<Inner>) -> Vec<f32> {
    values(Tensor::<Inner, 1>::from_primitive(TensorPrimitive::Float(primitive)))
}

fn primitive<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &DispatchDevice) -> FloatTensor<Inner> {
    Tensor::<Inner, D>::from_data(TensorData::new(values, shape), device).into_primitive().tensor()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &DispatchDevice) -> Tensor<Inner, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn sizes(pixels: [usize; 4], weight: [usize; 4]) -> convolution::Sizes {
    convolution::Sizes {
        samples: pixels[0],
        inputs: pixels[1],
        outputs: weight[0],
        height: pixels[2],
        width: pixels[3],
        kernel: [weight[2], weight[3]],
    }
}

fn channels<const D: usize>(shape: [usize; D]) -> normalization::Sizes {
    normalization::Sizes { channels: shape[1], area: shape[2..].iter().product() }
}

impl Kernels for Inner {
    fn convolution(
        pixels: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        rectify: bool,
    ) -> Tensor<Self, 4> {
        let (device, sizes) = (pixels.device(), sizes(pixels.dims(), weight.dims()));
        let epilogue = convolution::Epilogue { bias: &values(bias), rectify };
        let out = convolution::forward(sizes, &values(pixels), &values(weight), &epilogue);
        tensor(out, [sizes.samples, sizes.outputs, sizes.height, sizes.width], &device)
    }

    fn normalization<const D: usize>(
        batch: Tensor<Self, D>,
        gamma: Tensor<Self, 1>,
        beta: Tensor<Self, 1>,
        epsilon: f64,
    ) -> (Tensor<Self, D>, [Tensor<Self, 1>; 2]) {
        let (device, shape) = (batch.device(), batch.dims());
        let (out, normalized) =
            normalization::forward(channels(shape), &values(batch), &values(gamma), &values(beta), epsilon);
        let statistics = [normalized.mean, normalized.variance].map(|values| tensor(values, [shape[1]], &device));
        (tensor(out, shape, &device), statistics)
    }

    fn pooling(pixels: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let (device, [samples, channels, height, width]) = (pixels.device(), pixels.dims());
        let (out, _) = pooling::forward(&values(pixels), height, width);
        tensor(out, [samples, channels, height / 2, width / 2], &device)
    }
}

/// The backward step of max-pooling.
#[derive(Debug)]
struct Pooling;

#[derive(Debug, Clone)]
struct PoolingState {
    shape: [usize; 4],
    chosen: Arc<Vec<u8>>,
    device: DispatchDevice,
}

impl Backward<Inner, 1> for Pooling {
    type State = PoolingState;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let PoolingState { shape, chosen, device } = ops.state;
        let gradient = host(gradients.consume::<Inner>(&ops.node));
        let [pixels] = ops.parents;
        if let Some(node) = pixels {
            let found = pooling::backward(&gradient, &chosen, shape[2], shape[3]);
            gradients.register::<Inner>(node.id, primitive(found, shape, &device));
        }
    }
}

/// The backward step of a convolution.
#[derive(Debug)]
struct Convolution;

#[derive(Debug, Clone)]
struct ConvolutionState {
    sizes: convolution::Sizes,
    pixels: Arc<Vec<f32>>,
    weight: Arc<Vec<f32>>,
    /// Where the output was above zero; `None` without ReLU.
    passed: Option<Arc<Vec<bool>>>,
    device: DispatchDevice,
}

impl Backward<Inner, 3> for Convolution {
    type State = ConvolutionState;

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let (sizes, device) = (state.sizes, state.device);
        let mut gradient = host(gradients.consume::<Inner>(&ops.node));
        if let Some(passed) = &state.passed {
            for (gradient, passed) in gradient.iter_mut().zip(passed.iter()) {
                if !passed {
                    *gradient = 0.0;
                }
            }
        }
        let [pixels, weight, bias] = ops.parents;
        if let Some(node) = pixels {
            let found = convolution::pixel_gradient(sizes, &gradient, &state.weight);
            let shape = [sizes.samples, sizes.inputs, sizes.height, sizes.width];
            gradients.register::<Inner>(node.id, primitive(found, shape, &device));
        }
        if let Some(node) = weight {
            let found = convolution::weight_gradient(sizes, &state.pixels, &gradient);
            let shape = [sizes.outputs, sizes.inputs, sizes.kernel[0], sizes.kernel[1]];
            gradients.register::<Inner>(node.id, primitive(found, shape, &device));
        }
        if let Some(node) = bias {
            let found = convolution::bias_gradient(sizes, &gradient);
            gradients.register::<Inner>(node.id, primitive(found, [sizes.outputs], &device));
        }
    }
}

/// The backward step of batch normalisation.
#[derive(Debug)]
struct Normalization<const D: usize>;

#[derive(Debug, Clone)]
struct NormalizationState<const D: usize> {
    shape: [usize; D],
    normalized: Arc<Normalized>,
    gamma: Arc<Vec<f32>>,
    beta: Arc<Vec<f32>>,
    device: DispatchDevice,
}

impl<const D: usize> Backward<Inner, 3> for Normalization<D> {
    type State = NormalizationState<D>;

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let gradient = host(gradients.consume::<Inner>(&ops.node));
        let weights = (state.gamma.as_slice(), state.beta.as_slice());
        let found = normalization::backward(channels(state.shape), &state.normalized, weights, gradient);
        let [values, gamma, beta] = ops.parents;
        let channels = [state.shape[1]];
        if let Some(node) = values {
            gradients.register::<Inner>(node.id, primitive(found.values, state.shape, &state.device));
        }
        if let Some(node) = gamma {
            gradients.register::<Inner>(node.id, primitive(found.gamma, channels, &state.device));
        }
        if let Some(node) = beta {
            gradients.register::<Inner>(node.id, primitive(found.beta, channels, &state.device));
        }
    }
}

impl Kernels for Training {
    fn convolution(
        pixels: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        rectify: bool,
    ) -> Tensor<Self, 4> {
        let (device, sizes) = (pixels.device(), sizes(pixels.dims(), weight.dims()));
        let shape = [sizes.samples, sizes.outputs, sizes.height, sizes.width];
        let [pixels, weight] = [pixels, weight].map(|tensor| tensor.into_primitive().tensor());
        let bias = bias.into_primitive().tensor();
        let step =
            Convolution.prepare::<NoCheckpointing>([pixels.node.clone(), weight.node.clone(), bias.node.clone()]);
        let (pixels, weight, bias) = (host(pixels.primitive), host(weight.primitive), host(bias.primitive));
        let out = convolution::forward(sizes, &pixels, &weight, &convolution::Epilogue { bias: &bias, rectify });
        let out = match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let passed = rectify.then(|| Arc::new(out.iter().map(|value| *value > 0.0).collect()));
                let (pixels, weight) = (Arc::new(pixels), Arc::new(weight));
                let state = ConvolutionState { sizes, pixels, weight, passed, device: device.clone() };
                step.finish(state, primitive(out, shape, &device))
            }
            OpsKind::UnTracked(step) => step.finish(primitive(out, shape, &device)),
        };
        Tensor::from_primitive(TensorPrimitive::Float(out))
    }

    fn normalization<const D: usize>(
        batch: Tensor<Self, D>,
        gamma: Tensor<Self, 1>,
        beta: Tensor<Self, 1>,
        epsilon: f64,
    ) -> (Tensor<Self, D>, [Tensor<Self, 1>; 2]) {
        let (device, shape) = (batch.device(), batch.dims());
        let batch = batch.into_primitive().tensor();
        let [gamma, beta] = [gamma, beta].map(|tensor| tensor.into_primitive().tensor());
        let nodes = [batch.node.clone(), gamma.node.clone(), beta.node.clone()];
        let step = Normalization::<D>.prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
        let (batch, gamma, beta) = (host(batch.primitive), host(gamma.primitive), host(beta.primitive));
        let (out, normalized) = normalization::forward(channels(shape), &batch, &gamma, &beta, epsilon);
        let statistics = [&normalized.mean, &normalized.variance]
            .map(|values| Tensor::from_inner(tensor(values.clone(), [shape[1]], &device)));
        let out = match step {
            OpsKind::Tracked(step) => {
                let (normalized, gamma, beta) = (Arc::new(normalized), Arc::new(gamma), Arc::new(beta));
                let state = NormalizationState { shape, normalized, gamma, beta, device: device.clone() };
                step.finish(state, primitive(out, shape, &device))
            }
            OpsKind::UnTracked(step) => step.finish(primitive(out, shape, &device)),
        };
        (Tensor::from_primitive(TensorPrimitive::Float(out)), statistics)
    }

    fn pooling(pixels: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let (device, shape) = (pixels.device(), pixels.dims());
        let halved = [shape[0], shape[1], shape[2] / 2, shape[3] / 2];
        let pixels = pixels.into_primitive().tensor();
        let step = Pooling.prepare::<NoCheckpointing>([pixels.node.clone()]).compute_bound().stateful();
        let (out, chosen) = pooling::forward(&host(pixels.primitive), shape[2], shape[3]);
        let out = match step {
            OpsKind::Tracked(step) => {
                let state = PoolingState { shape, chosen: Arc::new(chosen), device: device.clone() };
                step.finish(state, primitive(out, halved, &device))
            }
            OpsKind::UnTracked(step) => step.finish(primitive(out, halved, &device)),
        };
        Tensor::from_primitive(TensorPrimitive::Float(out))
    }
}
