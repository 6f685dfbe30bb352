//! Batch normalisation by the batch's statistics and ReLU, forward and backward, over (sample, channel, position).

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) channels: usize,
    /// Values of a channel in one sample.
    pub(super) area: usize,
}

/// The values that the backward pass needs.
#[derive(Debug)]
pub(super) struct Normalized {
    /// Before scale and shift.
    pub(super) values: Vec<f32>,
    /// Per channel.
    pub(super) mean: Vec<f32>,
    /// Per channel, over all its values.
    pub(super) variance: Vec<f32>,
    /// One over the standard deviation, per channel.
    scale: Vec<f32>,
}

/// Gradients of a batch, the scale and the shift.
#[derive(Debug)]
pub(super) struct Gradients {
    pub(super) values: Vec<f32>,
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

/// Calls `each` with the channel and the range of each contiguous run of its values.
fn runs(sizes: Sizes, count: usize, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
    for (run, start) in (0..count).step_by(sizes.area).enumerate() {
        each(run % sizes.channels, start..start + sizes.area);
    }
}

/// The sum of some values; the order of additions is fixed, and eight partial sums run side by side.
fn sum(values: impl Iterator<Item = f32>) -> f64 {
    let mut lanes = [0.0_f32; 8];
    for (index, value) in values.enumerate() {
        lanes[index % 8] += value;
    }
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

/// Normalises, scales and shifts `values`, and clips them at zero.
pub(super) fn forward(
    sizes: Sizes,
    values: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
) -> (Vec<f32>, Normalized) {
    let count = values.len() as f64 / sizes.channels as f64;
    let mut sums = vec![0.0_f64; sizes.channels];
    runs(sizes, values.len(), |channel, run| sums[channel] += sum(values[run].iter().copied()));
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
    let mut squares = vec![0.0_f64; sizes.channels];
    runs(sizes, values.len(), |channel, run| {
        let mean = mean[channel];
        squares[channel] += sum(values[run].iter().map(|value| (value - mean) * (value - mean)));
    });
    let variance: Vec<f32> = squares.iter().map(|sum| (sum / count) as f32).collect();
    let scale: Vec<f32> = squares.iter().map(|sum| (1.0 / (sum / count + epsilon).sqrt()) as f32).collect();
    let mut normalized = vec![0.0; values.len()];
    let mut out = vec![0.0; values.len()];
    runs(sizes, values.len(), |channel, run| {
        let (mean, scale, gamma, beta) = (mean[channel], scale[channel], gamma[channel], beta[channel]);
        let places = normalized[run.clone()].iter_mut().zip(&mut out[run.clone()]);
        for ((normalized, out), value) in places.zip(&values[run]) {
            *normalized = (value - mean) * scale;
            let shifted = *normalized * gamma + beta;
            // Unlike `max`, this propagates NaN.
            *out = if shifted < 0.0 { 0.0 } else { shifted };
        }
    });
    (out, Normalized { values: normalized, mean, variance, scale })
}

/// The backward pass; `gradient` is that of the output.
pub(super) fn backward(
    sizes: Sizes,
    normalized: &Normalized,
    (gamma, beta): (&[f32], &[f32]),
    mut gradient: Vec<f32>,
) -> Gradients {
    let count = gradient.len() as f64 / sizes.channels as f64;
    let mut by_beta = vec![0.0_f64; sizes.channels];
    let mut by_gamma = vec![0.0_f64; sizes.channels];
    runs(sizes, normalized.values.len(), |channel, run| {
        let (gamma, beta) = (gamma[channel], beta[channel]);
        let (gradient, values) = (&mut gradient[run.clone()], &normalized.values[run]);
        for (gradient, value) in gradient.iter_mut().zip(values) {
            if value * gamma + beta <= 0.0 {
                *gradient = 0.0;
            }
        }
        by_beta[channel] += sum(gradient.iter().copied());
        by_gamma[channel] += sum(gradient.iter().zip(values).map(|(gradient, value)| gradient * value));
    });
    runs(sizes, normalized.values.len(), |channel, run| {
        let factor = gamma[channel] * normalized.scale[channel];
        let (shift, slope) = ((by_beta[channel] / count) as f32, (by_gamma[channel] / count) as f32);
        for (gradient, value) in gradient[run.clone()].iter_mut().zip(&normalized.values[run]) {
            *gradient = factor * (*gradient - shift - value * slope);
        }
    });
    let single = |sums: Vec<f64>| sums.into_iter().map(|sum| sum as f32).collect();
    Gradients { values: gradient, gamma: single(by_gamma), beta: single(by_beta) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { channels: 2, area: 3 };
    const VALUES: [f32; 12] = [0.1, -0.4, 0.9, 2.0, 1.0, -3.0, 0.6, 0.2, -0.8, 0.5, 0.0, 4.0];
    const WEIGHTS: [f32; 12] = [0.3, -0.2, 0.7, 0.1, 0.9, -0.5, 0.4, 0.8, -0.1, 0.2, -0.6, 0.5];

    fn loss(values: &[f32], gamma: &[f32], beta: &[f32]) -> f64 {
        let (out, _) = forward(SIZES, values, gamma, beta, 1e-3);
        out.iter().zip(WEIGHTS).map(|(out, weight)| f64::from(*out) * f64::from(weight)).sum()
    }

    #[test]
    fn gradients_are_those_of_small_differences() {
        let (gamma, beta) = ([1.2_f32, -0.7], [0.1_f32, 0.3]);
        let (_, normalized) = forward(SIZES, &VALUES, &gamma, &beta, 1e-3);
        let found = backward(SIZES, &normalized, (&gamma, &beta), WEIGHTS.to_vec());
        let check = |found: &[f32], at: usize, difference: &dyn Fn(f32) -> f64| {
            let expected = (difference(5e-3) - difference(-5e-3)) / 1e-2;
            assert!((f64::from(found[at]) - expected).abs() < 2e-2, "{at}: {} {expected}", found[at]);
        };
        let moved = |values: &[f32], at: usize, step: f32| {
            let mut values = values.to_vec();
            values[at] += step;
            values
        };
        for at in 0..12 {
            check(&found.values, at, &|step| loss(&moved(&VALUES, at, step), &gamma, &beta));
        }
        for at in 0..2 {
            check(&found.gamma, at, &|step| loss(&VALUES, &moved(&gamma, at, step), &beta));
            check(&found.beta, at, &|step| loss(&VALUES, &gamma, &moved(&beta, at, step)));
        }
    }

    /// A plan warns about this case: a batch of one image after a dense layer.
    #[test]
    fn a_channel_of_one_value_has_no_variance_and_lets_no_gradient_through() {
        let sizes = Sizes { channels: 2, area: 1 };
        let (gamma, beta) = ([1.2_f32, 0.7], [0.1_f32, 0.3]);
        let (out, normalized) = forward(sizes, &[3.0, -4.0], &gamma, &beta, 1e-3);
        assert_eq!((out.as_slice(), normalized.variance.as_slice()), (&beta[..], &[0.0, 0.0][..]));
        let gradients = backward(sizes, &normalized, (&gamma, &beta), vec![0.5, -2.0]);
        assert_eq!(gradients.values, [0.0, 0.0]);
    }

    #[test]
    fn each_channel_has_mean_0_and_variance_1() {
        let (_, normalized) = forward(SIZES, &VALUES, &[1.0; 2], &[0.0; 2], 0.0);
        for channel in 0..2 {
            let mut values = Vec::new();
            runs(SIZES, 12, |of, run| {
                if of == channel {
                    values.extend_from_slice(&normalized.values[run]);
                }
            });
            let mean = values.iter().sum::<f32>() / 6.0;
            let variance = values.iter().map(|value| value * value).sum::<f32>() / 6.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5);
        }
    }
}
