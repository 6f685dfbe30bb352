//! The numbers themselves, as functions of plain slices: no configuration, no trial and no store is known here. What is
//! random comes from fixed seeds (`random.rs`), so every function gives the same answer to the same values, in whatever
//! order they come. Nothing panics on any input: what cannot be computed is `None`.
//!
//! Exact formulas are held against SciPy and statsmodels by `ci/statistics`.

mod correction;
mod estimate;
mod random;
mod sign_flip;

pub use correction::{benjamini_hochberg, holm};
pub use estimate::{differences, effect_size, estimate, mean, t_interval};
pub use sign_flip::{EXACT_UP_TO, MONTE_CARLO_FLIPS, sign_flip};

/// The error rate of verdicts, over a whole family.
pub const ALPHA: f64 = 0.05;
/// How sure intervals are.
pub const CONFIDENCE: f64 = 0.95;
