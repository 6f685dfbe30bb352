//! Registers two thumbnails: finds the shift, zoom, brightness and contrast that make them most similar. The remaining
//! difference is a fraction of the image's own contrast, so that it means the same for a photograph and for a digit on
//! black.

use super::thumbnail::{SIDE, Thumbnail};

/// Pixels at each edge that are not compared, because a shift moves unknown content there.
const MARGIN: usize = 2;
const STEPS: usize = 4;
const UNKNOWNS: usize = 4;
/// The largest shift in pixels of the thumbnail, and the largest zoom.
const MAX_SHIFT: f32 = 4.0;
const MAX_ZOOM: f32 = 0.2;
/// The largest change of one step.
const SHIFT_STEP: f32 = 1.5;
const ZOOM_STEP: f32 = 0.1;
/// After the first step, further steps reduce a difference by at most this factor.
const HOPELESS: f32 = 6.0;
const CENTRE: f32 = (SIDE as f32 - 1.0) / 2.0;

/// Maps the pixels of one image to the other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Placement {
    /// To the right, in pixels of the thumbnail.
    pub(super) right: f32,
    pub(super) down: f32,
    /// Enlargement around the centre, as a fraction.
    pub(super) zoom: f32,
}

impl Placement {
    pub(super) fn column(self, at: f32) -> f32 {
        at + self.right + self.zoom * (at - CENTRE)
    }

    pub(super) fn row(self, at: f32) -> f32 {
        at + self.down + self.zoom * (at - CENTRE)
    }

    /// Adds a step of the fit: columns, rows, zoom.
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

/// When to end a search for the best placement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Ends at a difference below this one.
    pub(super) enough: f32,
    /// Ends when the difference is unlikely to fall below this one.
    pub(super) below: f32,
}

/// The fraction of `fixed`'s contrast that `moving` does not explain: 0 for equal images, at most 1. The search for the
/// best placement begins at `start`; each step is a Gauss-Newton step.
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

/// An image at another placement; pixels beyond its edges repeat the edge.
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
    /// The unexplained fraction of the contrast at this placement.
    left: f32,
    /// The next step: columns, rows and zoom.
    step: [f32; 3],
}

impl Fit {
    /// `None` for images without contrast.
    fn of(fixed: &[f32], laid: &[f32]) -> Option<Self> {
        // Sums over pixels of grey, its derivatives by column, row and zoom, and their products.
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

/// Solves symmetric equations by elimination. A small value is added to the diagonal, so that flat directions do not
/// move.
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
