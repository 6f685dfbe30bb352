//! Finds near-duplicate images: recompressed, resized, brightened, or slightly cropped copies.
//!
//! Coarse features select a few candidates for each image, at several placements. Then the thumbnails are registered
//! and compared. Two digits of one class also differ by little, so a difference counts only if it is far below the
//! differences to the other neighbours of both images. Each image is compared with a bounded number of others.

use std::panic::resume_unwind;

use super::cells::Cells;
use super::register::{Placement, Wanted, difference};
use super::thumbnail::{Features, Thumbnail};

/// Candidates that are registered with one image.
const CANDIDATES: usize = 6;
/// Correlation of coarse features from which on an image is a candidate.
const MAY_BE_SAME: f32 = 0.93;
/// Neighbours with which a difference is compared, and how many of them may be copies too.
const NEIGHBOURS: usize = 8;
const COPIES: usize = 6;
/// The largest difference of a pair, as a fraction of the contrast,
const MOST: f32 = 0.05;
/// and as a fraction of the differences to its neighbours,
const FAR_BELOW: f32 = 0.08;
/// unless the difference is as small as that of another compression.
const SURELY: f32 = 0.001;
/// Cells that are searched: for an image as it is, and, for each other placement, among those near the image as it is.
const CELLS: usize = 3;
const CELLS_MOVED: usize = 2;
const CELLS_NEAR: usize = 12;
/// Shifts in each direction, in pixels of the thumbnail, and a zoom.
const SHIFTS: [f32; 5] = [-2.2, -1.1, 0.0, 1.1, 2.2];
const ZOOM: f32 = 0.07;

/// Two images, the earlier one first, and their difference as a fraction of the contrast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) difference: f32,
}

/// A possible duplicate, with its placement.
#[derive(Clone, Copy)]
struct Candidate {
    likeness: f32,
    picture: usize,
    placement: Placement,
}

/// All pairs.
pub(super) fn find(pictures: &[&Thumbnail]) -> Vec<Near> {
    let numbers: Vec<usize> = (0..pictures.len()).collect();
    let features: Vec<Features> =
        in_threads(&numbers, |&picture| Some(pictures[picture].integral().features(Placement::default())));
    let search = Search { pictures, features: &features, cells: Cells::new(&features) };
    let mut candidates: Vec<(usize, usize, Placement)> = in_threads(&numbers, |&picture| {
        Some(search.candidates(picture).into_iter().map(move |found| (picture, found.picture, found.placement)))
    })
    .into_iter()
    .flatten()
    .collect();
    let pair = |(one, other, _): &(usize, usize, Placement)| (*one.min(other), *one.max(other));
    candidates.sort_by_key(pair);
    candidates.dedup_by_key(|candidate| pair(candidate));
    in_threads(&candidates, |candidate| search.near(*candidate))
}

/// Calls `look` for each item, with one thread per core, and keeps the order.
fn in_threads<A: Sync, B: Send>(all: &[A], look: impl Fn(&A) -> Option<B> + Sync) -> Vec<B> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = all.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let look = &look;
        let threads: Vec<_> =
            all.chunks(share).map(|all| scope.spawn(move || all.iter().filter_map(look).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

struct Search<'a> {
    pictures: &'a [&'a Thumbnail],
    features: &'a [Features],
    cells: Cells<'a>,
}

impl Search<'_> {
    /// The candidates for an image, at any placement.
    fn candidates(&self, picture: usize) -> Vec<Candidate> {
        let own = &self.features[picture];
        let integral = self.pictures[picture].integral();
        let near = self.cells.nearest(own, CELLS_NEAR);
        let mut best = Vec::with_capacity(CANDIDATES + 1);
        let mut look = |wanted: &Features, cell: (f32, usize), placement: Placement| {
            self.cells.look(wanted, cell, |likeness, found| {
                if likeness >= MAY_BE_SAME && found != picture {
                    keep_best(&mut best, Candidate { likeness, picture: found, placement }, CANDIDATES);
                }
            });
        };
        near.iter().take(CELLS).for_each(|cell| look(own, *cell, Placement::default()));
        for placement in placements() {
            let wanted = integral.features(placement);
            let mut cells: Vec<_> =
                near.iter().map(|(_, cell)| (self.cells.to_centre(&wanted, *cell), *cell)).collect();
            cells.sort_by(|one, other| other.0.total_cmp(&one.0));
            cells.into_iter().take(CELLS_MOVED).for_each(|cell| look(&wanted, cell, placement));
        }
        best
    }

    /// Returns the pair if the difference is small enough.
    fn near(&self, (moving, fixed, placement): (usize, usize, Placement)) -> Option<Near> {
        let wanted = Wanted { enough: SURELY / 4.0, below: MOST };
        let found = difference(self.pictures[fixed], self.pictures[moving], placement, wanted);
        let near = found <= SURELY
            || found <= MOST && self.is_distinct(moving, fixed, found) && self.is_distinct(fixed, moving, found);
        near.then(|| Near { first: moving.min(fixed), second: moving.max(fixed), difference: found })
    }

    /// Whether an image is far more similar to `partner` than to its other neighbours.
    fn is_distinct(&self, picture: usize, partner: usize, found: f32) -> bool {
        let (level, mut alike, mut different) = (found / FAR_BELOW, 0, 0);
        // The least similar first: they decide soonest.
        for neighbour in self.neighbours(picture, partner).into_iter().rev() {
            let wanted = Wanted { enough: level, below: level };
            let other =
                difference(self.pictures[picture], self.pictures[neighbour.picture], neighbour.placement, wanted);
            if other < level {
                alike += 1
            } else {
                different += 1
            }
            if alike > COPIES || different > NEIGHBOURS - COPIES {
                break;
            }
        }
        alike <= COPIES
    }

    fn neighbours(&self, picture: usize, partner: usize) -> Vec<Candidate> {
        let own = &self.features[picture];
        let mut best = Vec::with_capacity(NEIGHBOURS + 1);
        for cell in self.cells.nearest(own, CELLS) {
            self.cells.look(own, cell, |likeness, found| {
                if found != picture && found != partner {
                    let candidate = Candidate { likeness, picture: found, placement: Placement::default() };
                    keep_best(&mut best, candidate, NEIGHBOURS);
                }
            });
        }
        best
    }
}

/// Keeps the most similar candidates in order, each image once.
fn keep_best(best: &mut Vec<Candidate>, found: Candidate, most: usize) {
    if best.len() == most && best.last().is_some_and(|last| found.likeness <= last.likeness) {
        return;
    }
    match best.iter().position(|other| other.picture == found.picture) {
        Some(place) if best[place].likeness >= found.likeness => return,
        Some(place) => drop(best.remove(place)),
        None => {}
    }
    let place = best.partition_point(|other| other.likeness >= found.likeness);
    best.insert(place, found);
    best.truncate(most);
}

/// The placements besides the identity. Of two inverse placements one is enough: every image is searched for every
/// other, so the second is found from the other side.
fn placements() -> impl Iterator<Item = Placement> {
    let shifts = SHIFTS.into_iter().flat_map(|down| SHIFTS.into_iter().map(move |right| (down, right)));
    let shifts = shifts.filter(|shift| *shift > (0.0, 0.0)).map(|(down, right)| Placement { right, down, zoom: 0.0 });
    shifts.chain([Placement { zoom: ZOOM, ..Placement::default() }])
}
