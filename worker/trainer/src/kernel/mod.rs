//! Single-threaded CPU kernels where Burn's CPU backend is slow: convolution and batch normalisation, each fused with
//! the ReLU that follows, and max-pooling. Other devices use Burn's own.
//!
//! `convolution` and `normalization` are arithmetic on slices without Burn; `autodiff` makes them steps of its
//! automatic differentiation.

mod autodiff;
mod convolution;
mod matmul;
mod normalization;
mod pooling;

use burn::DispatchDevice;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A backend on which the kernels of this folder can replace Burn's.
pub(crate) trait Kernels: Backend<Device = DispatchDevice> {
    /// Convolution with `same` padding and stride 1, plus bias, and ReLU if `rectify` is set.
    fn convolution(
        pixels: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        rectify: bool,
    ) -> Tensor<Self, 4>;

    /// Batch normalisation by the batch's own statistics, then ReLU. Also returns mean and variance.
    fn normalization<const D: usize>(
        values: Tensor<Self, D>,
        gamma: Tensor<Self, 1>,
        beta: Tensor<Self, 1>,
        epsilon: f64,
    ) -> (Tensor<Self, D>, [Tensor<Self, 1>; 2]);

    /// 2×2 max-pooling with stride 2.
    fn pooling(pixels: Tensor<Self, 4>) -> Tensor<Self, 4>;
}

/// Whether the kernels are for this device.
pub(crate) fn supports(device: &DispatchDevice) -> bool {
    matches!(device, DispatchDevice::Flex(_))
}
