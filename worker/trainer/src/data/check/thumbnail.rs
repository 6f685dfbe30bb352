//! A grey thumbnail, the only pixels of an image that are kept, and the coarse features that select possible
//! duplicates.

use image::DynamicImage;
use image::imageops::{FilterType, resize};

use super::register::Placement;

/// Height and width of the thumbnail.
pub(super) const SIDE: usize = 32;
/// Squares per side whose means are the features.
const SQUARES: usize = 8;
/// The length of a feature vector.
pub(super) const FEATURES: usize = SQUARES * SQUARES;
/// How far a placement may reach beyond the edge, in pixels.
const BEYOND: usize = 5;
/// Images whose grey values have a smaller deviation are flat: only noise is left of them.
const FLAT: f32 = 1.5;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thumbnail(Vec<u8>);

/// Means of the squares of one image, normalised to mean 0 and length 1: the product of two vectors is their
/// correlation.
pub(super) type Features = [f32; FEATURES];

impl Thumbnail {
    pub(super) fn of(picture: &DynamicImage) -> Self {
        Self(resize(&picture.to_luma8(), SIDE as u32, SIDE as u32, FilterType::Triangle).into_raw())
    }

    pub(super) fn is_flat(&self) -> bool {
        let count = self.0.len() as f32;
        let mean = self.0.iter().map(|&value| f32::from(value)).sum::<f32>() / count;
        let squares: f32 = self.0.iter().map(|&value| (f32::from(value) - mean).powi(2)).sum();
        squares < FLAT * FLAT * count
    }

    /// The image without its finest details, which change with every compression.
    pub(super) fn softened(&self) -> Vec<f32> {
        let values: Vec<f32> = self.0.iter().map(|&value| f32::from(value)).collect();
        soften(&values)
    }

    /// The integral image, from which features are computed.
    pub(super) fn integral(&self) -> Integral {
        Integral::of(&soften(&self.softened()))
    }
}

/// Replaces each pixel by the mean of its neighbourhood, weighted 1, 2, 1 in both directions.
fn soften(values: &[f32]) -> Vec<f32> {
    let mut across = Vec::with_capacity(values.len());
    for row in values.chunks_exact(SIDE) {
        for column in 0..SIDE {
            let (left, right) = (row[column.saturating_sub(1)], row[(column + 1).min(SIDE - 1)]);
            across.push((left + 2.0 * row[column] + right) / 4.0);
        }
    }
    let mut soft = Vec::with_capacity(values.len());
    for row in 0..SIDE {
        let (above, below) = (row.saturating_sub(1), (row + 1).min(SIDE - 1));
        for column in 0..SIDE {
            let at = |row: usize| across[row * SIDE + column];
            soft.push((at(above) + 2.0 * at(row) + at(below)) / 4.0);
        }
    }
    soft
}

/// Sums of all pixels above and to the left, so that the mean of any square needs four of them.
pub(super) struct Integral(Vec<f32>);

impl Integral {
    const SIDE: usize = SIDE + 2 * BEYOND + 1;

    fn of(picture: &[f32]) -> Self {
        let inside = |at: usize| at.saturating_sub(BEYOND).min(SIDE - 1);
        let mean = picture.iter().sum::<f32>() / picture.len() as f32;
        let mut sums = vec![0.0; Self::SIDE * Self::SIDE];
        for row in 1..Self::SIDE {
            let mut line = 0.0;
            for column in 1..Self::SIDE {
                line += picture[inside(row - 1) * SIDE + inside(column - 1)] - mean;
                sums[row * Self::SIDE + column] = sums[(row - 1) * Self::SIDE + column] + line;
            }
        }
        Self(sums)
    }

    /// Features of the image at a placement.
    pub(super) fn features(&self, placement: Placement) -> Features {
        let last = Self::SIDE as f32 - 1.001;
        let corner = |at: f32| {
            let at = (at + 0.5 + BEYOND as f32).clamp(0.0, last);
            (at as usize, at.fract())
        };
        let edge = |square: usize| (square * SIDE / SQUARES) as f32 - 0.5;
        let columns: [(usize, f32); SQUARES + 1] = std::array::from_fn(|at| corner(placement.column(edge(at))));
        let rows: [(usize, f32); SQUARES + 1] = std::array::from_fn(|at| corner(placement.row(edge(at))));
        let line = |(row, below): (usize, f32)| -> [f32; SQUARES + 1] {
            let (upper, lower) = self.0[row * Self::SIDE..][..2 * Self::SIDE].split_at(Self::SIDE);
            std::array::from_fn(|at| {
                let (column, right) = columns[at];
                let mix = |line: &[f32]| line[column] + right * (line[column + 1] - line[column]);
                mix(upper) + below * (mix(lower) - mix(upper))
            })
        };
        let mut features = [0.0; FEATURES];
        let mut above = line(rows[0]);
        for row in 0..SQUARES {
            let below = line(rows[row + 1]);
            for column in 0..SQUARES {
                features[row * SQUARES + column] =
                    below[column + 1] - below[column] - above[column + 1] + above[column];
            }
            above = below;
        }
        normalized(features)
    }
}

fn normalized(mut features: Features) -> Features {
    let mean = features.iter().sum::<f32>() / FEATURES as f32;
    features.iter_mut().for_each(|value| *value -= mean);
    let length = features.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-6);
    features.iter_mut().for_each(|value| *value /= length);
    features
}
