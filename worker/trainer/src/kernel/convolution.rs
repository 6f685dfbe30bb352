//! Convolution as matrix products. The pixels under each output become a column (im2col), for a limited number of
//! columns at a time so that they stay in the cache; columns of several small images share a product.
//!
//! Images are (sample, channel, row, column), weights (output, input, row, column), padding `same`, stride 1.

use super::matmul::{Matrix, product};

/// Columns of a product: enough for the matrix library's full speed, few enough for the cache.
const TILE: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) samples: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) kernel: [usize; 2],
}

impl Sizes {
    fn area(self) -> usize {
        self.height * self.width
    }

    fn column(self) -> usize {
        self.inputs * self.kernel[0] * self.kernel[1]
    }

    /// Rows of images, over all samples, that share a product.
    fn rows_per_tile(self) -> usize {
        (TILE / self.width).max(1)
    }
}

/// The initial value of each output channel, and the function applied to the sum.
pub(super) struct Epilogue<'a> {
    pub(super) bias: &'a [f32],
    pub(super) rectify: bool,
}

/// The convolution of `pixels` with `weights`.
pub(super) fn forward(sizes: Sizes, pixels: &[f32], weights: &[f32], epilogue: &Epilogue<'_>) -> Vec<f32> {
    let [top, left] = sizes.kernel.map(|side| (side - 1) / 2);
    correlate(sizes, pixels, weights, [top, left], epilogue)
}

/// The gradient of the pixels: the convolution of the outputs' gradient with the rotated kernels.
pub(super) fn pixel_gradient(sizes: Sizes, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
    let area = sizes.kernel[0] * sizes.kernel[1];
    let mut turned = vec![0.0; weights.len()];
    for output in 0..sizes.outputs {
        for input in 0..sizes.inputs {
            let from = &weights[(output * sizes.inputs + input) * area..][..area];
            let to = &mut turned[(input * sizes.outputs + output) * area..][..area];
            to.iter_mut().zip(from.iter().rev()).for_each(|(to, from)| *to = *from);
        }
    }
    let [bottom, right] = sizes.kernel.map(|side| side - 1 - (side - 1) / 2);
    let back = Sizes { inputs: sizes.outputs, outputs: sizes.inputs, ..sizes };
    let bias = vec![0.0; sizes.inputs];
    correlate(back, gradient, &turned, [bottom, right], &Epilogue { bias: &bias, rectify: false })
}

pub(super) fn weight_gradient(sizes: Sizes, pixels: &[f32], gradient: &[f32]) -> Vec<f32> {
    let padding = sizes.kernel.map(|side| (side - 1) / 2);
    let mut weights = vec![0.0; sizes.outputs * sizes.column()];
    let mut columns = Vec::new();
    let mut gathered = Vec::new();
    for rows in tiles(sizes) {
        let width = rows.len() * sizes.width;
        lay_out(sizes, pixels, rows.clone(), padding, &mut columns);
        gathered.resize(sizes.outputs * width, 0.0);
        for (position, row) in rows.clone().enumerate() {
            for output in 0..sizes.outputs {
                let from = place(sizes, sizes.outputs, output, row);
                let to = output * width + position * sizes.width;
                gathered[to..to + sizes.width].copy_from_slice(&gradient[from..from + sizes.width]);
            }
        }
        let gathered = Matrix::new(&gathered, sizes.outputs, width);
        let columns = Matrix::new(&columns, sizes.column(), width).transpose();
        product(&mut weights, gathered, columns, rows.start > 0);
    }
    weights
}

pub(super) fn bias_gradient(sizes: Sizes, gradient: &[f32]) -> Vec<f32> {
    let mut bias = vec![0.0_f64; sizes.outputs];
    for image in gradient.chunks_exact(sizes.outputs * sizes.area()) {
        for (bias, plane) in bias.iter_mut().zip(image.chunks_exact(sizes.area())) {
            *bias += f64::from(plane.iter().sum::<f32>());
        }
    }
    bias.into_iter().map(|bias| bias as f32).collect()
}

fn correlate(sizes: Sizes, pixels: &[f32], weights: &[f32], padding: [usize; 2], epilogue: &Epilogue<'_>) -> Vec<f32> {
    let mut out = vec![0.0; sizes.samples * sizes.outputs * sizes.area()];
    let mut columns = Vec::new();
    let mut sums = Vec::new();
    for rows in tiles(sizes) {
        let width = rows.len() * sizes.width;
        lay_out(sizes, pixels, rows.clone(), padding, &mut columns);
        sums.resize(sizes.outputs * width, 0.0);
        let weights = Matrix::new(weights, sizes.outputs, sizes.column());
        product(&mut sums, weights, Matrix::new(&columns, sizes.column(), width), false);
        for (position, row) in rows.enumerate() {
            for output in 0..sizes.outputs {
                let from = output * width + position * sizes.width;
                let to = place(sizes, sizes.outputs, output, row);
                let (bias, lowest) = (epilogue.bias[output], if epilogue.rectify { 0.0 } else { f32::NEG_INFINITY });
                let sums = &sums[from..from + sizes.width];
                for (out, sum) in out[to..to + sizes.width].iter_mut().zip(sums) {
                    let sum = sum + bias;
                    // Unlike `max`, this propagates NaN.
                    *out = if sum < lowest { lowest } else { sum };
                }
            }
        }
    }
    out
}

/// Rows of images, over all samples, tile by tile.
fn tiles(sizes: Sizes) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (all, step) = (sizes.samples * sizes.height, sizes.rows_per_tile());
    (0..all).step_by(step).map(move |start| start..(start + step).min(all))
}

/// The start of a row of a channel; rows are counted over all samples.
fn place(sizes: Sizes, channels: usize, channel: usize, row: usize) -> usize {
    let (sample, row) = (row / sizes.height, row % sizes.height);
    ((sample * channels + channel) * sizes.height + row) * sizes.width
}

/// Writes, for each weight of a kernel, the pixel under it at each position of `rows`; 0 beyond the border.
fn lay_out(sizes: Sizes, pixels: &[f32], rows: std::ops::Range<usize>, padding: [usize; 2], columns: &mut Vec<f32>) {
    let (width, height) = (sizes.width, sizes.height);
    let length = rows.len() * width;
    columns.resize(sizes.column() * length, 0.0);
    let mut lines = columns.chunks_exact_mut(length);
    for channel in 0..sizes.inputs {
        for down in 0..sizes.kernel[0] {
            for across in 0..sizes.kernel[1] {
                let Some(line) = lines.next() else { return };
                // The part of a row of pixels that is under this weight as it moves along.
                let skip = padding[1].saturating_sub(across).min(width);
                let start = across.saturating_sub(padding[1]).min(width);
                let count = (width - start).min(width - skip);
                for (line, row) in line.chunks_exact_mut(width).zip(rows.clone()) {
                    let from = (row % height + down).checked_sub(padding[0]).filter(|from| *from < height);
                    let Some(from) = from else {
                        line.fill(0.0);
                        continue;
                    };
                    let from = place(sizes, sizes.inputs, channel, row - row % height + from) + start;
                    line[..skip].fill(0.0);
                    line[skip..skip + count].copy_from_slice(&pixels[from..from + count]);
                    line[skip + count..].fill(0.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    /// By the definition, in double precision.
    fn plain(sizes: Sizes, pixels: &[f32], weights: &[f32], mut meet: impl FnMut(usize, usize, usize)) -> Vec<f64> {
        let [top, left] = sizes.kernel.map(|side| (side - 1) / 2);
        let mut out = vec![0.0; sizes.samples * sizes.outputs * sizes.area()];
        for (at, out) in out.iter_mut().enumerate() {
            let (x, y) = (at % sizes.width, at / sizes.width % sizes.height);
            let (output, sample) = (at / sizes.area() % sizes.outputs, at / sizes.area() / sizes.outputs);
            for input in 0..sizes.inputs {
                for down in 0..sizes.kernel[0] {
                    for across in 0..sizes.kernel[1] {
                        let (row, column) = (y + down, x + across);
                        let inside =
                            (top..sizes.height + top).contains(&row) && (left..sizes.width + left).contains(&column);
                        if inside {
                            let pixel =
                                place(sizes, sizes.inputs, input, sample * sizes.height + row - top) + column - left;
                            let weight =
                                ((output * sizes.inputs + input) * sizes.kernel[0] + down) * sizes.kernel[1] + across;
                            *out += f64::from(pixels[pixel]) * f64::from(weights[weight]);
                            meet(at, pixel, weight);
                        }
                    }
                }
            }
        }
        out
    }

    fn close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-3, "{found} {expected}");
        }
    }

    #[test]
    fn all_three_products_are_those_of_the_definition() {
        for (samples, inputs, outputs, height, width, kernel) in [
            (1, 1, 1, 1, 1, [1, 1]),
            (2, 3, 4, 5, 7, [3, 3]),
            (3, 2, 5, 4, 4, [9, 9]),
            (2, 3, 2, 6, 5, [2, 4]),
            (9, 1, 3, 3, 40, [5, 5]),
            (1, 2, 2, 2, 300, [3, 5]),
        ] {
            let sizes = Sizes { samples, inputs, outputs, height, width, kernel };
            let mut stream = Stream::new(1, Purpose::Scene, "", &[samples as u64, width as u64]);
            let mut draw = |count: usize| (0..count).map(|_| stream.unit_f32() - 0.5).collect::<Vec<_>>();
            let pixels = draw(samples * inputs * sizes.area());
            let weights = draw(outputs * sizes.column());
            let gradient = draw(samples * outputs * sizes.area());
            let bias = vec![0.0; outputs];
            let mut by_pixel = vec![0.0; pixels.len()];
            let mut by_weight = vec![0.0; weights.len()];
            let expected = plain(sizes, &pixels, &weights, |out, pixel, weight| {
                by_pixel[pixel] += f64::from(gradient[out]) * f64::from(weights[weight]);
                by_weight[weight] += f64::from(gradient[out]) * f64::from(pixels[pixel]);
            });
            close(&forward(sizes, &pixels, &weights, &Epilogue { bias: &bias, rectify: false }), &expected);
            close(&pixel_gradient(sizes, &gradient, &weights), &by_pixel);
            close(&weight_gradient(sizes, &pixels, &gradient), &by_weight);
        }
    }

    #[test]
    fn bias_and_rectifier_come_last_and_let_nan_through() {
        let sizes = Sizes { samples: 1, inputs: 1, outputs: 2, height: 1, width: 3, kernel: [1, 1] };
        let epilogue = Epilogue { bias: &[0.5, -1.0], rectify: true };
        let out = forward(sizes, &[1.0, -2.0, f32::NAN], &[1.0, 2.0], &epilogue);
        assert_eq!(out[..2], [1.5, 0.0]);
        assert_eq!(out[3..5], [1.0, 0.0]);
        assert!(out[2].is_nan() && out[5].is_nan());
        assert_eq!(bias_gradient(sizes, &[1.0, 2.0, 3.0, -1.0, 0.0, 4.0]), [6.0, 3.0]);
    }
}
