//! Adam as Keras computes it: epsilon is added to the root of the uncorrected second moment, and both corrections are
//! part of the step size. Burn's own adds epsilon to the corrected root.

use burn::optim::SimpleOptimizer;
use burn::record::Record;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The optimizer's constants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    pub(crate) beta_1: f64,
    pub(crate) beta_2: f64,
    pub(crate) epsilon: f64,
}

/// The moments of one tensor of weights.
#[derive(Record, Clone)]
pub(crate) struct Moments<B: Backend, const D: usize> {
    pub(crate) steps: u64,
    pub(crate) first: Tensor<B, D>,
    pub(crate) second: Tensor<B, D>,
}

impl<B: Backend> SimpleOptimizer<B> for Adam {
    type State<const D: usize> = Moments<B, D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        weights: Tensor<B, D>,
        gradient: Tensor<B, D>,
        moments: Option<Moments<B, D>>,
    ) -> (Tensor<B, D>, Option<Moments<B, D>>) {
        let fresh_first = gradient.clone().mul_scalar(1.0 - self.beta_1);
        let fresh_second = gradient.square().mul_scalar(1.0 - self.beta_2);
        let moments = match moments {
            Some(old) => Moments {
                steps: old.steps + 1,
                first: old.first.mul_scalar(self.beta_1).add(fresh_first),
                second: old.second.mul_scalar(self.beta_2).add(fresh_second),
            },
            None => Moments { steps: 1, first: fresh_first, second: fresh_second },
        };
        let steps = moments.steps as f64;
        let rate = learning_rate * (1.0 - self.beta_2.powf(steps)).sqrt() / (1.0 - self.beta_1.powf(steps));
        let root = moments.second.clone().sqrt().add_scalar(self.epsilon);
        let step = moments.first.clone().mul_scalar(rate).div(root);
        (weights.sub(step), Some(moments))
    }

    fn to_device<const D: usize>(moments: Moments<B, D>, device: &B::Device) -> Moments<B, D> {
        Moments {
            steps: moments.steps,
            first: moments.first.to_device(device),
            second: moments.second.to_device(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::device::{ComputeDevice, Inner};

    #[test]
    fn steps_are_those_of_the_formula() {
        let device = ComputeDevice::cpu();
        let adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };
        let tensor = |values: [f32; 2]| Tensor::<Inner, 1>::from_data(TensorData::from(values), device.burn());
        let (mut weights, mut moments) = (tensor([1.0, -2.0]), None);
        let (mut expected, mut first, mut second) = ([1.0_f64, -2.0], [0.0_f64; 2], [0.0_f64; 2]);
        for (step, gradient) in [[0.5_f32, -1e-6], [-0.25, 1e-6], [0.125, 0.0]].into_iter().enumerate() {
            (weights, moments) = adam.step(0.01, weights, tensor(gradient), moments);
            let power = step as i32 + 1;
            let rate = 0.01 * (1.0 - 0.999_f64.powi(power)).sqrt() / (1.0 - 0.9_f64.powi(power));
            for index in 0..2 {
                let gradient = f64::from(gradient[index]);
                first[index] = 0.9 * first[index] + 0.1 * gradient;
                second[index] = 0.999 * second[index] + 0.001 * gradient * gradient;
                expected[index] -= rate * first[index] / (second[index].sqrt() + 1e-7);
            }
        }
        let values = weights.into_data().to_vec::<f32>().unwrap();
        for (value, expected) in values.into_iter().zip(expected) {
            assert!((f64::from(value) - expected).abs() < 1e-6, "{value} {expected}");
        }
    }
}
