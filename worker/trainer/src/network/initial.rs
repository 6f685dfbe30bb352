//! Initial weights, drawn from streams keyed by seed, layer name and shape, and passed to Burn as data. Burn's own
//! generator is global to the process and draws lazily, so the weights of a trial would depend on other trials.

use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sweep_spec::protocol::Initializer;

use crate::random::{Purpose, Stream};

/// The standard deviation of a standard normal distribution that is truncated at two standard deviations.
const CUT_NORMAL_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// Draws the weights of one network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawing {
    pub(crate) seed: u64,
    pub(crate) initializer: Initializer,
}

impl Drawing {
    /// The weights of the layer `name`, of `shape`, with `fan_in` inputs per output and `fan_out` outputs per input.
    pub(crate) fn weights<B: Backend, const D: usize>(
        self,
        name: &str,
        shape: [usize; D],
        fan: (usize, usize),
        device: &B::Device,
    ) -> Param<Tensor<B, D>> {
        let place: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
        let mut stream = Stream::new(self.seed, Purpose::Weights, name, &place);
        let count = shape.iter().product();
        let (fan_in, fan_out) = (fan.0 as f64, fan.1 as f64);
        let mut values = Vec::with_capacity(count);
        match self.initializer {
            Initializer::GlorotUniform => {
                let limit = (6.0 / (fan_in + fan_out)).sqrt();
                values.extend((0..count).map(|_| ((2.0 * stream.unit() - 1.0) * limit) as f32));
            }
            Initializer::HeNormal => {
                let deviation = (2.0 / fan_in).sqrt() / CUT_NORMAL_DEVIATION;
                while values.len() < count {
                    let normal = stream.normal();
                    if normal.abs() <= 2.0 {
                        values.push((normal * deviation) as f32);
                    }
                }
            }
        }
        Param::from_data(TensorData::new(values, shape), device)
    }
}

/// A trainable vector of `count` times `value`.
pub(crate) fn constant<B: Backend>(value: f32, count: usize, device: &B::Device) -> Param<Tensor<B, 1>> {
    Param::from_data(TensorData::new(vec![value; count], [count]), device)
}
