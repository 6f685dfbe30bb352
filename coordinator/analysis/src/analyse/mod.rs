//! The analysis of a study by one metric: `analyse` returns an `Analysis`, `compare` compares any two configurations.
//!
//! The rules of a verdict:
//! - A configuration of a stage is compared with the starting point of its stage, a configuration of `extra` with the
//!   baseline. They are compared seed by seed, and only where both were trained on the same data and split.
//! - The family is all of these comparisons. A comparison that cannot be tested counts as if its p-value were 1. So
//!   leaving out failures gains nothing, and a verdict does not change when results of running trials arrive.
//! - Verdicts come only from the sign-flip test under Holm's correction at 5 %.
//! - Seeds that chose a winner do not count for or against it. Without other seeds there is no verdict.
//! - A configuration is not tested if one of its replicates diverged, failed, was cancelled or has not ended.
//!
//! `bounds` limits the computation, and the notes list what was left out because of its size.

mod bounds;
mod context;
mod effects;
mod family;
mod images;
mod noise;
mod pairing;
mod standing;

use sweep_spec::spec::Metric;

use crate::leaderboard::leaderboard;
use crate::number::plural;
use crate::result::{Analysis, Comparison, Correction, NoiseFloor};
use crate::statistics::{ALPHA, largest_family, seeds_to_reach, smallest_p};
use crate::study::Study;
use context::Context;

/// A request for an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Request {
    /// A metric other than the objective.
    pub metric: Option<Metric>,
    /// Also compare all configurations with the sweep's baseline, as a separate family.
    pub against_baseline: bool,
    /// A correction to show besides Holm's.
    pub correction: Correction,
}

/// A comparison of two configurations.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Compared {
    pub comparison: Comparison,
    /// The size of the family that its p-value is corrected over, itself included.
    pub family: usize,
    /// The variation of the baseline between seeds.
    pub noise: Option<NoiseFloor>,
    /// For users.
    pub notes: Vec<String>,
}

/// Why two configurations are not compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such configuration.
    #[error("no configuration has the position {0}")]
    Unknown(u32),
    #[error("`{0}` cannot be compared with itself")]
    Same(String),
    /// They were trained on different data, splits or protocols.
    #[error("{0}")]
    Unequal(String),
}

pub fn analyse(study: &Study, request: &Request) -> Analysis {
    let context = Context::new(study, request);
    let board = leaderboard(study, Some(context.metric));
    let mut notes = board.notes.clone();
    let mut comparisons = family::stages(&context, &mut notes);
    let mut against_baseline =
        if request.against_baseline { family::baseline(&context, &mut notes) } else { Vec::new() };
    images::classes(&context, &mut comparisons, &mut notes);
    images::classes(&context, &mut against_baseline, &mut notes);
    let standings = standing::standings(&context, &board, &mut notes);
    let stages = effects::stages(&context, &mut notes);
    let noise = noise::floor(&context, &comparisons);
    notes.extend(reach(&context, &comparisons));
    Analysis {
        metric: context.metric,
        goal: context.goal,
        alpha: ALPHA,
        correction: request.correction,
        standings,
        comparisons,
        against_baseline,
        stages,
        noise,
        excluded: context.exclusions(),
        notes,
    }
}

/// Compares the configuration at `position` with the one at `reference`. If the sweep's family has this comparison, the
/// result is that member; otherwise it is one more member of the family.
///
/// # Errors
/// One is unknown, both are the same, or they were not trained alike.
pub fn compare(study: &Study, request: &Request, position: u32, reference: u32) -> Result<Compared, Refused> {
    let context = Context::new(study, request);
    let one = context.series(position).ok_or(Refused::Unknown(position))?;
    let other = context.series(reference).ok_or(Refused::Unknown(reference))?;
    if position == reference {
        return Err(Refused::Same(one.subject.title().to_owned()));
    }
    if let Some(reason) = pairing::unequal(one, other) {
        return Err(Refused::Unequal(reason));
    }
    let mut notes = leaderboard(study, Some(context.metric)).notes;
    let (mut comparison, family) = family::with(&context, position, reference, &mut notes);
    images::classes(&context, std::slice::from_mut(&mut comparison), &mut notes);
    let noise = noise::floor(&context, std::slice::from_ref(&comparison));
    Ok(Compared { comparison, family, noise, notes })
}

/// A note on the verdicts that this number of seeds allows.
fn reach(context: &Context<'_>, comparisons: &[Comparison]) -> Option<String> {
    let pairs = comparisons.iter().filter(|one| one.test.is_some()).map(|one| one.pairs.len()).max()?;
    let (seeds, family) = (u32::try_from(pairs).ok()?, comparisons.len());
    if smallest_p(seeds) * family as f64 <= ALPHA {
        return None;
    }
    let comparisons = plural(family as u64, "comparison");
    let needed = seeds_to_reach(ALPHA, family).map_or_else(
        || format!("the limit is {} under any number of seeds", plural(largest_family(ALPHA), "comparison")),
        |needed| {
            let need = if family == 1 { "needs" } else { "need" };
            format!("{comparisons} {need} at least {}", plural(needed.into(), "seed"))
        },
    );
    let (seeds, metric) = (plural(seeds.into(), "seed"), context.metric.name());
    Some(format!("with {seeds} no comparison of {metric} can be significant ({needed})"))
}

#[cfg(test)]
mod tests;
