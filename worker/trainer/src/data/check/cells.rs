//! An index for similarity search: images are grouped into cells by their coarse features, so that similar ones are
//! found without comparing all. Each cell contains the images that are more similar to its centre than to any other.
//! Centres are images themselves.

use super::thumbnail::Features;

/// Average number of images in a cell.
const OF_A_CELL: usize = 256;
/// The most images that are compared in one cell; the limit matters where most of a data set is similar.
const LOOKED_AT: usize = 1024;

pub(super) struct Cells<'a> {
    features: &'a [Features],
    cells: Vec<Cell>,
}

struct Cell {
    centre: usize,
    /// Similarity to the centre and index of the image.
    members: Vec<(f32, u32)>,
}

pub(super) fn likeness(one: &Features, other: &Features) -> f32 {
    let mut lanes = [0.0; 8];
    for (one, other) in one.chunks_exact(8).zip(other.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += one[lane] * other[lane];
        }
    }
    lanes.iter().sum()
}

impl<'a> Cells<'a> {
    pub(super) fn new(features: &'a [Features]) -> Self {
        let count = features.len().div_ceil(OF_A_CELL);
        let cells = (0..count).map(|cell| Cell { centre: cell * features.len() / count, members: Vec::new() });
        let mut cells = Self { features, cells: cells.collect() };
        for (picture, own) in features.iter().enumerate() {
            if let Some(&(likeness, cell)) = cells.nearest(own, 1).first() {
                cells.cells[cell].members.push((likeness, picture as u32));
            }
        }
        cells.cells.iter_mut().for_each(|cell| cell.members.sort_by(|one, other| one.0.total_cmp(&other.0)));
        cells
    }

    /// The cells whose centres are most similar to an image, the most similar first.
    pub(super) fn nearest(&self, wanted: &Features, count: usize) -> Vec<(f32, usize)> {
        let mut nearest: Vec<(f32, usize)> = Vec::with_capacity(count + 1);
        for (cell, found) in self.cells.iter().enumerate() {
            let likeness = likeness(wanted, &self.features[found.centre]);
            if nearest.len() < count || nearest.last().is_some_and(|last| likeness > last.0) {
                let place = nearest.partition_point(|other| other.0 >= likeness);
                nearest.insert(place, (likeness, cell));
                nearest.truncate(count);
            }
        }
        nearest
    }

    /// Similarity of an image to the centre of a cell.
    pub(super) fn to_centre(&self, wanted: &Features, cell: usize) -> f32 {
        likeness(wanted, &self.features[self.cells[cell].centre])
    }

    /// The images of a cell with their similarities; in a very large cell only those that are about as similar to its
    /// centre.
    pub(super) fn look(&self, wanted: &Features, (to_centre, cell): (f32, usize), mut found: impl FnMut(f32, usize)) {
        let members = &self.cells[cell].members;
        let middle = members.partition_point(|member| member.0 < to_centre);
        let from = middle.saturating_sub(LOOKED_AT / 2).min(members.len().saturating_sub(LOOKED_AT));
        for &(_, picture) in members[from..].iter().take(LOOKED_AT) {
            let picture = picture as usize;
            found(likeness(wanted, &self.features[picture]), picture);
        }
    }
}
