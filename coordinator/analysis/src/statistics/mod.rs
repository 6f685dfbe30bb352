//! The statistics, as functions of plain slices, which know no configuration, trial or store. Random numbers come from
//! fixed seeds (`random.rs`), so every function gives the same answer for the same values, in any order. No input
//! causes a panic: a number that cannot be computed is `None`.
//!
//! `ci/statistics` compares exact formulas with SciPy and statsmodels; `tests/error_rates.rs` checks error rates by
//! simulation.

mod bootstrap;
mod correction;
mod estimate;
pub mod factorial;
mod mcnemar;
mod pareto;
mod power;
mod random;
mod ranks;
mod sequential;
mod sign_flip;

pub use bootstrap::{RESAMPLES, bca_from, bca_interval};
pub use correction::{benjamini_hochberg, holm};
pub use estimate::{differences, effect_size, estimate, mean, t_interval};
pub use mcnemar::mcnemar;
pub use pareto::{FRONT_RESAMPLES, front, front_shares};
pub use power::{POWER, Power, detectable, largest_family, more_seeds, seeds_to_reach, smallest_p};
pub use random::Random;
pub use ranks::{shared_ranks, significant_differences};
pub use sequential::{Finding, Looks};
pub use sign_flip::{EXACT_UP_TO, MONTE_CARLO_FLIPS, sign_flip};

/// The error rate of verdicts, over a whole family.
pub const ALPHA: f64 = 0.05;
/// The confidence of intervals.
pub const CONFIDENCE: f64 = 0.95;
