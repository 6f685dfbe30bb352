//! What is kept of one picture to find it again: a hash of its pixels for exact copies, a perceptual hash to find candidates
//! for near ones, and the details of a small grey picture, which decide about a candidate.
//!
//! The perceptual hash is the difference hash: of a 9 × 8 grey picture, which pixels are brighter than their left neighbour.
//! It survives another size, another compression and another brightness; ten lines, so no library is asked. Alone it takes
//! any two seas under a sky for one, and so does a correlation of grey values: only details tell photographs apart that are
//! built alike.

use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage};
use sweep_spec::Digest;

/// Height and width of the small picture.
const SIDE: usize = 32;
/// A detail is the difference to the mean of a square that reaches this far each way.
const REACH: usize = 2;
/// Bits of the perceptual hash in which two pictures may differ and still be looked at.
const CANDIDATE_BITS: u32 = 12;
/// Correlation of the details from which on two pictures count as one.
const SAME: f32 = 0.6;
/// Below this root mean square of its details a picture is flat, and what is left of them is noise.
const FLAT: f32 = 0.75;
/// Mean grey values of two flat pictures that count as one differ by no more.
const FLAT_STEP: f32 = 2.0;

/// What is kept of a picture.
#[derive(Debug, Clone)]
pub(super) struct Print {
    /// Of its size and its pixels as colours, whatever file they came in.
    pub(super) content: Digest,
    pub(super) width: u32,
    pub(super) height: u32,
    /// 1 or 3; transparency is no channel.
    pub(super) channels: u32,
    /// Its file has an orientation, which was applied.
    pub(super) turned: bool,
    bits: u64,
    mean: f32,
    /// Details, scaled so that their squares add up to 1; empty of a flat picture.
    details: Vec<f32>,
}

impl Print {
    pub(super) fn of(picture: &DynamicImage) -> Self {
        let channels = if picture.color().has_color() { 3 } else { 1 };
        let (width, height) = (picture.width(), picture.height());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&width.to_le_bytes()).update(&height.to_le_bytes());
        hasher.update(picture.to_rgb8().as_raw());
        let content = Digest::from_bytes(*hasher.finalize().as_bytes());
        let grey = picture.to_luma8();
        let small = resize(&grey, SIDE as u32, SIDE as u32, FilterType::Triangle).into_raw();
        let mean = small.iter().map(|&value| f32::from(value)).sum::<f32>() / small.len() as f32;
        Self {
            content,
            width,
            height,
            channels,
            turned: false,
            bits: difference_hash(&grey),
            mean,
            details: details(&small),
        }
    }

    /// How alike two pictures are that show the same, from `SAME` to 1; nothing of two that do not.
    pub(super) fn likeness(&self, other: &Self) -> Option<f32> {
        if (self.bits ^ other.bits).count_ones() > CANDIDATE_BITS {
            return None;
        }
        match (self.details.is_empty(), other.details.is_empty()) {
            (false, false) => {
                let likeness = self.details.iter().zip(&other.details).map(|(a, b)| a * b).sum::<f32>();
                (likeness >= SAME).then(|| likeness.min(1.0))
            }
            (true, true) => ((self.mean - other.mean).abs() <= FLAT_STEP).then_some(1.0),
            (true, false) | (false, true) => None,
        }
    }
}

fn difference_hash(grey: &GrayImage) -> u64 {
    let tiny = resize(grey, 9, 8, FilterType::Triangle);
    let mut bits = 0;
    for row in tiny.as_raw().chunks_exact(9) {
        for pair in row.windows(2) {
            bits = bits << 1 | u64::from(pair[1] > pair[0]);
        }
    }
    bits
}

fn details(small: &[u8]) -> Vec<f32> {
    let around = |at: usize| at.saturating_sub(REACH)..=(at + REACH).min(SIDE - 1);
    let mut details = Vec::with_capacity(small.len());
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (mut sum, mut count) = (0.0, 0.0);
            for line in around(row) {
                for &value in &small[line * SIDE..][around(column)] {
                    sum += f32::from(value);
                    count += 1.0;
                }
            }
            details.push(f32::from(small[row * SIDE + column]) - sum / count);
        }
    }
    let mean = details.iter().sum::<f32>() / details.len() as f32;
    details.iter_mut().for_each(|detail| *detail -= mean);
    let squares: f32 = details.iter().map(|detail| detail * detail).sum();
    if squares < FLAT * FLAT * details.len() as f32 {
        return Vec::new();
    }
    let norm = squares.sqrt();
    details.iter_mut().for_each(|detail| *detail /= norm);
    details
}
