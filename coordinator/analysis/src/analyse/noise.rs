//! The noise floor: differences of the baseline from itself.

use super::context::Context;
use crate::result::{Comparison, NoiseFloor};
use crate::statistics::{estimate, t_interval};

/// The noise floor of a mean difference over as many pairs as the comparisons have. It uses all replicates of the
/// baseline and treats them as independent. Paired differences vary less where values under one seed rise and fall
/// together.
pub(super) fn floor(context: &Context<'_>, comparisons: &[Comparison]) -> Option<NoiseFloor> {
    let baseline = context.study.baseline()?;
    let values: Vec<f64> = baseline
        .replicates
        .iter()
        .filter_map(|replicate| context.study.value(baseline, replicate, context.metric))
        .collect();
    let found = estimate(&values)?;
    let standard_deviation = found.standard_deviation?;
    let pairs = comparisons.iter().map(|one| one.pairs.len()).max().filter(|pairs| *pairs > 0);
    let pairs = pairs.unwrap_or(context.study.spec.seeds.len()).max(1);
    // Half the interval of a mean is t × deviation ÷ √count; needed is t × deviation × √(2 ÷ pairs).
    let half_width = match t_interval(&values) {
        Some(interval) => (interval.high - interval.low) / 2.0 * (f64::from(found.count) * 2.0 / pairs as f64).sqrt(),
        None => 0.0,
    };
    Some(NoiseFloor { count: found.count, standard_deviation, pairs: u32::try_from(pairs).ok()?, half_width })
}
