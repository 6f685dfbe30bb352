//! Compares networks with the reference's parameter counts and with cases that can be computed by hand.

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::TensorData;
use sweep_spec::protocol::{Initializer, Protocol};
use sweep_spec::{Cnn, Configuration, Vgg19};

use super::*;
use crate::device::{ComputeDevice, Inner, Training};

fn build(configuration: &Configuration, input: Input, protocol: &Protocol) -> Network<Training> {
    Build::new(1, protocol, ComputeDevice::cpu().burn()).network(configuration, input).unwrap()
}

/// Reference values: conv_layers, filters, kernel_size, dense_layers, batch_norm, max_pool, dropout, parameters, for
/// dense layers of 1024 units, three channels and eight classes.
type Row = (u32, u32, u32, u32, bool, bool, f64, usize);

const REFERENCE: [Row; 18] = [
    (1, 64, 5, 1, false, false, 0.0, 79_624),
    (2, 64, 5, 1, false, false, 0.0, 182_088),
    (4, 64, 5, 1, false, false, 0.0, 387_016),
    (8, 64, 5, 1, false, false, 0.0, 796_872),
    (4, 64, 5, 2, false, false, 0.0, 1_436_616),
    (4, 64, 5, 4, false, false, 0.0, 3_535_816),
    (4, 32, 5, 2, false, false, 0.0, 1_170_920),
    (4, 128, 5, 2, false, false, 0.0, 2_428_808),
    (4, 256, 5, 2, false, false, 0.0, 6_256_392),
    (4, 256, 5, 2, false, true, 0.0, 6_256_392),
    (4, 256, 5, 2, false, false, 0.2, 6_256_392),
    (4, 256, 5, 2, true, false, 0.0, 6_268_680),
    (4, 256, 5, 2, false, true, 0.2, 6_256_392),
    (4, 256, 5, 2, true, true, 0.0, 6_268_680),
    (4, 256, 5, 2, true, true, 0.2, 6_268_680),
    (4, 256, 3, 2, false, false, 0.2, 3_098_376),
    (4, 256, 7, 2, false, false, 0.2, 10_993_416),
    (4, 256, 9, 2, false, false, 0.2, 17_309_448),
];

#[test]
fn modules_have_the_references_parameter_counts() {
    let input = Input { image_size: 64, channels: 3, classes: 8 };
    for (conv_layers, filters, kernel_size, dense_layers, batch_norm, max_pool, dropout, params) in REFERENCE {
        let dense_units = 1024;
        let cnn = Cnn { conv_layers, filters, kernel_size, dense_layers, dense_units, batch_norm, max_pool, dropout };
        let network = build(&Configuration::Cnn(cnn.clone()), input, &Protocol::default());
        assert_eq!(network.num_params(), params, "{cnn:?}");
    }
}

#[test]
fn vgg19_has_the_literatures_convolutional_base() {
    let input = Input { image_size: 64, channels: 3, classes: 8 };
    let network = build(&Configuration::Vgg19(Vgg19::default()), input, &Protocol::default());
    let base: usize = network.blocks.iter().map(Module::num_params).sum();
    assert_eq!(base, 20_024_384);
    assert_eq!(network.blocks.iter().filter(|block| block.pool.is_some()).count(), 5);
    assert_eq!(network.num_params(), 24_229_960);
}

fn one_block(batch_norm: bool) -> Network<Training> {
    let cnn = Cnn {
        conv_layers: 1,
        filters: 1,
        kernel_size: 3,
        dense_layers: 1,
        dense_units: 2,
        batch_norm,
        max_pool: true,
        dropout: 0.5,
    };
    let input = Input { image_size: 2, channels: 1, classes: 2 };
    let mut network = build(&Configuration::Cnn(cnn), input, &Protocol::default());
    let device = ComputeDevice::cpu().burn().clone();
    let kernel = TensorData::from([[[[0.0_f32, 0.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.0]]]]);
    network.blocks[0].convolution.weight = Param::from_data(kernel, &device);
    network.dense[0].linear.weight = Param::from_data(TensorData::from([[1.0_f32, -1.0]]), &device);
    network.output.weight = Param::from_data(TensorData::from([[1.0_f32, 2.0], [3.0, 4.0]]), &device);
    network.output.bias = Some(Param::from_data(TensorData::from([0.5_f32, 0.0]), &device));
    network
}

fn pixels<B: Backend<Device = burn::DispatchDevice>>(values: [f32; 4]) -> Tensor<B, 4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 2, 2]), ComputeDevice::cpu().burn())
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().to_vec().unwrap()
}

#[test]
fn a_forward_pass_by_hand() {
    let network = one_block(false);
    // The kernel gives 2·x plus the right neighbour, 0 beyond the border: [[2+3, 6], [-2+1, 2]]; ReLU and pooling leave
    // 6, the dense layer [6, 0], the output [6 + 0.5, 12].
    assert_eq!(values(network.forward(pixels([1.0, 3.0, -1.0, 1.0]), Vec::new())), [6.5, 12.0]);
    let mask = Tensor::from_data(TensorData::from([[2.0_f32, 0.0]]), ComputeDevice::cpu().burn());
    assert_eq!(values(network.forward(pixels([1.0, 3.0, -1.0, 1.0]), vec![mask])), [12.5, 24.0]);
}

#[test]
fn running_statistics_move_as_keras_moves_them() {
    let network = one_block(true);
    network.forward(pixels([1.0, 3.0, -1.0, 1.0]), Vec::new());
    // Outputs of the convolution are 5, 6, -1 and 2: mean 3, variance (4 + 9 + 16 + 1) / 4 = 7.5.
    let norm = network.blocks[0].norm.as_ref().unwrap();
    let (mean, variance) = (values(norm.running_mean.value_sync()), values(norm.running_var.value_sync()));
    assert!((mean[0] - 0.03).abs() < 1e-6, "{mean:?}");
    assert!((variance[0] - (0.99 + 0.075)).abs() < 1e-6, "{variance:?}");
    // In validation the running statistics normalise, and do not change.
    let validating = network.valid();
    let answer = values(validating.forward(pixels::<Inner>([1.0, 3.0, -1.0, 1.0]), Vec::new()));
    let block = (6.0 - 0.03) / (1.065_f32 + 1e-3).sqrt();
    let norm = network.dense[0].norm.as_ref().unwrap();
    let dense = |value: f32, mean: f32, variance: f32| ((value - mean) / (variance + 1e-3).sqrt()).max(0.0);
    let (means, variances) = (values(norm.running_mean.value_sync()), values(norm.running_var.value_sync()));
    let features = [dense(block, means[0], variances[0]), dense(-block, means[1], variances[1])];
    let expected = [features[0] + 3.0 * features[1] + 0.5, 2.0 * features[0] + 4.0 * features[1]];
    for (answer, expected) in answer.iter().zip(expected) {
        assert!((answer - expected).abs() < 1e-4, "{answer} {expected}");
    }
}

#[test]
fn first_weights_depend_on_seed_name_and_shape_alone() {
    let device = ComputeDevice::cpu().burn().clone();
    let drawing = initial::Drawing { seed: 1, initializer: Initializer::GlorotUniform };
    let draw = |drawing: initial::Drawing, name, shape| {
        values(drawing.weights::<Inner, 2>(name, shape, (shape[0], shape[1]), &device).val())
    };
    let first = draw(drawing, "dense_1", [40, 60]);
    assert_eq!(first, draw(drawing, "dense_1", [40, 60]));
    assert_ne!(first, draw(drawing, "dense_2", [40, 60]));
    assert_ne!(first[..10], draw(drawing, "dense_1", [60, 40])[..10]);
    assert_ne!(first, draw(initial::Drawing { seed: 2, ..drawing }, "dense_1", [40, 60]));
    let limit = (6.0_f32 / 100.0).sqrt();
    assert!(first.iter().all(|weight| weight.abs() <= limit));
    assert!(first.iter().any(|weight| weight.abs() > 0.95 * limit));
    let normal = initial::Drawing { initializer: Initializer::HeNormal, ..drawing };
    let weights = draw(normal, "dense_1", [40, 60]);
    let variance = weights.iter().map(|weight| weight * weight).sum::<f32>() / weights.len() as f32;
    // The fourth moment of a truncated normal is below 3 variances squared: five deviations of the mean are 5·√(2/2400)
    // = 0.144.
    assert!((variance / (2.0 / 40.0) - 1.0).abs() < 0.144, "{variance}");
}

#[test]
fn weights_are_a_safetensors_file_named_after_the_layers() {
    let network = one_block(true);
    network.forward(pixels([1.0, 3.0, -1.0, 1.0]), Vec::new());
    let file = weights::file(&network.valid()).unwrap();
    let read = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut shapes: Vec<(String, Vec<usize>)> =
        read.tensors().into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
    shapes.sort();
    let expected = [
        ("batch_norm1.bias", vec![1]),
        ("batch_norm1.running_mean", vec![1]),
        ("batch_norm1.running_var", vec![1]),
        ("batch_norm1.weight", vec![1]),
        ("batch_norm2.bias", vec![2]),
        ("batch_norm2.running_mean", vec![2]),
        ("batch_norm2.running_var", vec![2]),
        ("batch_norm2.weight", vec![2]),
        ("conv1.bias", vec![1]),
        ("conv1.weight", vec![1, 1, 3, 3]),
        ("dense1.bias", vec![2]),
        ("dense1.weight", vec![2, 1]),
        ("output.bias", vec![2]),
        ("output.weight", vec![2, 2]),
    ];
    assert_eq!(shapes, expected.map(|(name, shape)| (name.to_owned(), shape)));
    let stored = |name: &str| -> Vec<f32> {
        let tensor = read.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    assert_eq!(stored("conv1.weight"), values(network.blocks[0].convolution.weight.val()));
    // The network has (inputs, outputs): [[1, -1]] and [[1, 2], [3, 4]].
    assert_eq!(stored("dense1.weight"), [1.0, -1.0]);
    assert_eq!(stored("output.weight"), [1.0, 3.0, 2.0, 4.0]);
    assert_eq!(stored("output.bias"), [0.5, 0.0]);
    let norm = network.dense[0].norm.as_ref().unwrap();
    assert_eq!(stored("batch_norm2.running_mean"), values(norm.running_mean.value_sync()));
    assert_eq!(stored("batch_norm2.running_var"), values(norm.running_var.value_sync()));
    assert!(stored("batch_norm1.running_mean")[0] > 0.02, "the statistics of the last step");
    let (_, about) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    assert!(about.metadata().as_ref().unwrap()["layout"].contains("(outputs, inputs, rows, columns)"));
    assert_eq!(file, weights::file(&network.valid()).unwrap(), "equal weights are equal bytes");
}

#[test]
fn a_file_of_weights_names_every_layer_of_the_largest_network() {
    let input = Input { image_size: 32, channels: 3, classes: 8 };
    let vgg19 = Vgg19 { batch_norm: true, ..Vgg19::default() };
    let network = build(&Configuration::Vgg19(vgg19), input, &Protocol::default());
    let file = weights::file(&network.valid()).unwrap();
    let read = safetensors::SafeTensors::deserialize(&file).unwrap();
    let named: usize = read.tensors().iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum();
    assert_eq!(named, network.num_params());
    assert_eq!(read.tensor("conv16.weight").unwrap().shape(), [512, 512, 3, 3]);
    assert_eq!(read.tensor("batch_norm19.running_var").unwrap().shape(), [1024]);
}
