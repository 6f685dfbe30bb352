//! How much two small pictures differ once one is laid over the other: shifted, enlarged, and with its brightness and contrast
//! brought to the other's. What is left is told as a share of the picture's own contrast, so that it means the same for a
//! photograph and for a digit on black.

use super::thumbnail::{SIDE, Thumbnail};

/// Pixels at each edge that are not compared: a shift brings in what the other picture does not have.
const MARGIN: usize = 2;
const STEPS: usize = 4;
const UNKNOWNS: usize = 4;
/// The largest shift in pixels of the small picture, and the largest part by which it is enlarged.
const MAX_SHIFT: f32 = 4.0;
const MAX_ZOOM: f32 = 0.2;
/// What one step changes at most.
const SHIFT_STEP: f32 = 1.5;
const ZOOM_STEP: f32 = 0.1;
/// After the first step the rest of the steps divide a difference by no more.
const HOPELESS: f32 = 6.0;
const CENTRE: f32 = (SIDE as f32 - 1.0) / 2.0;

/// Where a pixel of one picture lies in the other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Placement {
    /// To the right, in pixels of the small picture.
    pub(super) right: f32,
    pub(super) down: f32,
    /// By what part it is enlarged around its centre.
    pub(super) zoom: f32,
}

impl Placement {
    pub(super) fn column(self, at: f32) -> f32 {
        at + self.right + self.zoom * (at - CENTRE)
    }

    pub(super) fn row(self, at: f32) -> f32 {
        at + self.down + self.zoom * (at - CENTRE)
    }

    /// Moved on by a step of the fit: columns, rows, zoom.
    fn moved(self, [right, down, zoom]: [f32; 3]) -> Self {
        let next =
            |now: f32, step: f32, largest: f32, most: f32| (now + step.clamp(-most, most)).clamp(-largest, largest);
        Self {
            right: next(self.right, right, MAX_SHIFT, SHIFT_STEP),
            down: next(self.down, down, MAX_SHIFT, SHIFT_STEP),
            zoom: next(self.zoom, zoom, MAX_ZOOM, ZOOM_STEP),
        }
    }
}

/// What a search for the best placement is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// It ends at a difference below this one.
    pub(super) enough: f32,
    /// It ends where it cannot be expected to come below this one.
    pub(super) below: f32,
}

/// The share of `fixed`'s contrast that `moving` does not explain, from 0 for the same picture to 1. The search for the best
/// placement begins at `start`. Each step solves for the one that would be best if pictures were planes (Gauss and Newton).
pub(super) fn difference(fixed: &Thumbnail, moving: &Thumbnail, start: Placement, wanted: Wanted) -> f32 {
    let (fixed, moving) = (fixed.softened(), moving.softened());
    let (mut placement, mut least) = (start, 1.0_f32);
    for step in 0..STEPS {
        let laid = lay(&moving, placement);
        let Some(fit) = Fit::of(&fixed, &laid) else { break };
        least = least.min(fit.left);
        let hopeless = step > 0 && least > HOPELESS * wanted.below;
        if least < wanted.enough || hopeless {
            break;
        }
        placement = placement.moved(fit.step);
    }
    least
}

/// A picture at another placement; beyond its edges it goes on as it ends.
fn lay(picture: &[f32], placement: Placement) -> Vec<f32> {
    let between = |at: f32| {
        let at = at.clamp(0.0, SIDE as f32 - 1.001);
        (at as usize, at.fract())
    };
    let columns: Vec<(usize, f32)> = (0..SIDE).map(|column| between(placement.column(column as f32))).collect();
    let mut laid = Vec::with_capacity(picture.len());
    for row in 0..SIDE {
        let (row, below) = between(placement.row(row as f32));
        let (upper, lower) = picture[row * SIDE..][..2 * SIDE].split_at(SIDE);
        laid.extend(columns.iter().map(|&(column, right)| {
            let mix = |line: &[f32]| line[column] + right * (line[column + 1] - line[column]);
            mix(upper) + below * (mix(lower) - mix(upper))
        }));
    }
    laid
}

struct Fit {
    /// Share of the contrast that is left at this placement.
    left: f32,
    /// Columns, rows and zoom to move on by.
    step: [f32; 3],
}

impl Fit {
    /// Nothing of pictures without contrast.
    fn of(fixed: &[f32], laid: &[f32]) -> Option<Self> {
        // Sums over pixels of: grey, its change by column, by row and by zoom; and of their products.
        let (mut sums, mut products, mut shared) = ([0.0; UNKNOWNS], [[0.0; UNKNOWNS]; UNKNOWNS], [0.0; UNKNOWNS]);
        let (mut total, mut squares, mut count) = (0.0, 0.0, 0.0);
        for row in MARGIN..SIDE - MARGIN {
            for column in MARGIN..SIDE - MARGIN {
                let at = row * SIDE + column;
                let by_column = (laid[at + 1] - laid[at - 1]) / 2.0;
                let by_row = (laid[at + SIDE] - laid[at - SIDE]) / 2.0;
                let by_zoom = by_column * (column as f32 - CENTRE) + by_row * (row as f32 - CENTRE);
                let here = [laid[at], by_column, by_row, by_zoom];
                for one in 0..UNKNOWNS {
                    sums[one] += here[one];
                    shared[one] += here[one] * fixed[at];
                    for other in 0..=one {
                        products[one][other] += here[one] * here[other];
                    }
                }
                total += fixed[at];
                squares += fixed[at] * fixed[at];
                count += 1.0;
            }
        }
        for one in 0..UNKNOWNS {
            shared[one] -= sums[one] * total / count;
            for other in 0..=one {
                products[one][other] -= sums[one] * sums[other] / count;
                products[other][one] = products[one][other];
            }
        }
        let contrast = squares - total * total / count;
        if contrast <= count * 0.01 || products[0][0] <= count * 0.01 {
            return None;
        }
        let explained = if shared[0] > 0.0 { shared[0] * shared[0] / products[0][0] } else { 0.0 };
        let solved = solve(products, shared);
        let gain = if solved[0].abs() > 0.1 { solved[0] } else { 1.0 };
        Some(Self {
            left: (1.0 - explained / contrast).clamp(0.0, 1.0),
            step: [solved[1] / gain, solved[2] / gain, solved[3] / gain],
        })
    }
}

/// Solves symmetric equations by elimination. A little is added to the diagonal, so that flat directions move nothing.
fn solve(mut matrix: [[f32; UNKNOWNS]; UNKNOWNS], mut right: [f32; UNKNOWNS]) -> [f32; UNKNOWNS] {
    for (at, row) in matrix.iter_mut().enumerate() {
        row[at] = row[at] * 1.001 + 1e-3;
    }
    for pivot in 0..UNKNOWNS {
        let above = matrix[pivot];
        for row in pivot + 1..UNKNOWNS {
            let factor = matrix[row][pivot] / above[pivot];
            matrix[row].iter_mut().zip(above).for_each(|(value, above)| *value -= factor * above);
            right[row] -= factor * right[pivot];
        }
    }
    let mut solved = [0.0; UNKNOWNS];
    for row in (0..UNKNOWNS).rev() {
        let known: f32 = (row + 1..UNKNOWNS).map(|column| matrix[row][column] * solved[column]).sum();
        solved[row] = (right[row] - known) / matrix[row][row];
    }
    solved
}
