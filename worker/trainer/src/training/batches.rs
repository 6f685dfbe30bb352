//! Makes batches of images: the order of an epoch, scaled pixels, augmentation. A shift moves an image by whole pixels
//! and repeats the border.

use sweep_spec::Protocol;
use sweep_spec::protocol::{Augment, Normalize};

use crate::data::{Images, Split};
use crate::failure::Failure;
use crate::random::{Purpose, Stream};

/// Makes batches of a data set's images.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    images: &'a Images,
    augment: Augment,
    seed: u64,
    /// The scaled value of each byte, per channel.
    scale: Vec<[f32; 256]>,
}

/// A batch on the host: pixels as (sample, channel, row, column), and true classes.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) pixels: Vec<f32>,
    pub(super) labels: Vec<u16>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(images: &'a Images, split: &Split, protocol: &Protocol, seed: u64) -> Result<Self, Failure> {
        if !(0.0..1.0).contains(&protocol.augment.shift) {
            let shift = protocol.augment.shift;
            return Err(Failure::spec(format!("protocol.augment.shift is {shift}, but must be in [0, 1)")));
        }
        let scale = (0..images.shape.channels)
            .map(|channel| match protocol.normalize {
                Normalize::Unit => table(0.0, 255.0),
                Normalize::Standardize => standardize(images, &split.train, channel as usize),
            })
            .collect();
        Ok(Self { images, augment: protocol.augment.clone(), seed, scale })
    }

    /// The training images in the order of an epoch.
    pub(super) fn order(&self, train: &[u32], epoch: u32) -> Vec<u32> {
        let order = Stream::new(self.seed, Purpose::Order, "", &[u64::from(epoch)]).order(train.len());
        order.into_iter().map(|position| train[position as usize]).collect()
    }

    /// These images without augmentation.
    pub(super) fn plain(&self, indices: &[u32]) -> Batch {
        self.batch(indices, |_| Change::default())
    }

    /// These images, augmented by the protocol.
    pub(super) fn augmented(&self, indices: &[u32], epoch: u32) -> Batch {
        let size = f64::from(self.images.shape.size);
        self.batch(indices, |index| {
            let place = [u64::from(epoch), u64::from(index)];
            let mut stream = Stream::new(self.seed, Purpose::Augment, "", &place);
            let (flip, across, down) = (stream.below(2) == 1, stream.unit(), stream.unit());
            let reach = self.augment.shift * size;
            let pixels = |draw: f64| ((2.0 * draw - 1.0) * reach).round() as i32;
            Change { flip: self.augment.horizontal_flip && flip, across: pixels(across), down: pixels(down) }
        })
    }

    fn batch(&self, indices: &[u32], change: impl Fn(u32) -> Change) -> Batch {
        let (size, mut pixels) = (self.images.shape.size as usize, Vec::new());
        pixels.reserve_exact(indices.len() * self.images.shape.bytes());
        for &index in indices {
            let change = change(index);
            for (plane, scale) in self.images.image(index).chunks_exact(size * size).zip(&self.scale) {
                change.apply(plane, size, scale, &mut pixels);
            }
        }
        let labels = indices.iter().map(|&index| self.images.contents.labels[index as usize]).collect();
        Batch { pixels, labels }
    }
}

/// The augmentation of one image.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Change {
    flip: bool,
    /// Pixels to the right.
    across: i32,
    /// Pixels downwards.
    down: i32,
}

impl Change {
    fn apply(self, plane: &[u8], size: usize, scale: &[f32; 256], out: &mut Vec<f32>) {
        if self == Self::default() {
            out.extend(plane.iter().map(|&byte| scale[usize::from(byte)]));
            return;
        }
        let last = size as i32 - 1;
        for row in 0..size as i32 {
            let from = (row - self.down).clamp(0, last) as usize * size;
            let line = &plane[from..from + size];
            out.extend((0..=last).map(|column| {
                let from = (column - self.across).clamp(0, last);
                let from = if self.flip { last - from } else { from };
                scale[usize::from(line[from as usize])]
            }));
        }
    }
}

fn table(mean: f64, deviation: f64) -> [f32; 256] {
    std::array::from_fn(|byte| ((byte as f64 - mean) / deviation) as f32)
}

/// Scales to mean 0 and standard deviation 1 over the training images.
fn standardize(images: &Images, train: &[u32], channel: usize) -> [f32; 256] {
    let area = images.shape.size as usize * images.shape.size as usize;
    let mut counts = [0_u64; 256];
    for &index in train {
        images.image(index)[channel * area..(channel + 1) * area]
            .iter()
            .for_each(|&byte| counts[usize::from(byte)] += 1);
    }
    let total: u64 = counts.iter().sum();
    let moment = |of: &dyn Fn(f64) -> f64| {
        counts.iter().enumerate().map(|(byte, &count)| of(byte as f64) * count as f64).sum::<f64>() / total as f64
    };
    let mean = moment(&|value| value);
    let deviation = moment(&|value| (value - mean) * (value - mean)).sqrt();
    // Images of a single value are only centred.
    table(mean, if deviation > 0.0 { deviation } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: Change) -> Vec<f32> {
        let plane: Vec<u8> = (0..9).collect();
        let mut out = Vec::new();
        change.apply(&plane, 3, &table(0.0, 1.0), &mut out);
        out
    }

    #[test]
    fn a_shift_repeats_the_border() {
        let right_and_down = Change { flip: false, across: 1, down: 1 };
        assert_eq!(changed(right_and_down), [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 3.0, 3.0, 4.0]);
        let far_left = Change { flip: false, across: -5, down: 0 };
        assert_eq!(changed(far_left), [2.0, 2.0, 2.0, 5.0, 5.0, 5.0, 8.0, 8.0, 8.0]);
    }

    #[test]
    fn a_flip_mirrors_left_to_right() {
        assert_eq!(changed(Change { flip: true, ..Change::default() }), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0, 8.0, 7.0, 6.0]);
        assert_eq!(changed(Change::default()), (0..9).map(|value| value as f32).collect::<Vec<_>>());
    }
}
