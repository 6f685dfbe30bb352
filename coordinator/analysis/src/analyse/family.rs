//! Families of comparisons: p-values are corrected for their number, and verdicts follow.

use sweep_spec::spec::Goal;

use super::bounds;
use super::context::Context;
use super::pairing::{self, Extent};
use crate::result::{Comparison, Correction, Verdict};
use crate::statistics::{ALPHA, Power, benjamini_hochberg, differences, holm};

/// The sweep's family: every configuration against the starting point of its stage.
pub(super) fn stages(context: &Context<'_>, notes: &mut Vec<String>) -> Vec<Comparison> {
    let pairs = context.pairs(notes);
    let mut family = paired(context, pairs, notes);
    correct(context, &mut family);
    if !context.has_ended() && family.iter().any(|one| one.test.is_some()) {
        notes.push("the sweep has not ended: p-values grow with the comparisons that are still to come".to_owned());
    }
    family
}

/// Everything against the sweep's baseline: a family of its own.
pub(super) fn baseline(context: &Context<'_>, notes: &mut Vec<String>) -> Vec<Comparison> {
    let Some(baseline) = context.study.baseline() else {
        notes.push("the baseline was not trained, so nothing can be compared with it".to_owned());
        return Vec::new();
    };
    let others = context.all().iter().map(|series| series.subject).filter(|subject| !subject.baseline);
    let pair = |subject: &crate::study::Subject| (subject.position, baseline.position, subject.groups.first().copied());
    let pairs = others.map(pair).collect();
    let mut family = paired(context, pairs, notes);
    correct(context, &mut family);
    family
}

/// One comparison as a member of the sweep's family, which it joins if it is not in it, and the family's size.
pub(super) fn with(
    context: &Context<'_>,
    position: u32,
    reference: u32,
    notes: &mut Vec<String>,
) -> (Comparison, usize) {
    // What the family lacks is its own concern.
    let pairs = context.pairs(&mut Vec::new());
    let place = pairs.iter().position(|pair| (pair.0, pair.1) == (position, reference));
    let mirrored = pairs.iter().position(|pair| (pair.0, pair.1) == (reference, position));
    let small = Extent { intervals: false, ..Extent::of(pairs.len() + 1) };
    let asked = pairing::pair(context, (position, reference, None), Extent { intervals: true, ..small });
    let mut family: Vec<Comparison> = pairs.into_iter().map(|pair| pairing::pair(context, pair, small)).collect();
    let place = match place.or(mirrored) {
        Some(place) => {
            // The test is the same from either side.
            family[place] = Comparison { group: family[place].group, ..asked };
            place
        }
        None => {
            if !family.is_empty() {
                let others = family.len();
                notes.push(format!("this comparison is beside the sweep's own {others}, and is corrected with them"));
            }
            family.push(asked);
            family.len() - 1
        }
    };
    let size = family.len();
    correct(context, &mut family);
    (family.swap_remove(place), size)
}

fn paired(context: &Context<'_>, pairs: Vec<(u32, u32, Option<usize>)>, notes: &mut Vec<String>) -> Vec<Comparison> {
    let extent = Extent::of(pairs.len());
    if !extent.intervals {
        let (count, most) = (pairs.len(), bounds::INTERVALS);
        notes.push(format!("{count} comparisons: bootstrap intervals are left out above {most}"));
    }
    pairs.into_iter().map(|pair| pairing::pair(context, pair, extent)).collect()
}

/// Corrects the p-values of a family and says what each comparison comes to.
fn correct(context: &Context<'_>, family: &mut [Comparison]) {
    // What speaks after a selection has no p-value that means anything; it counts all the same.
    let tests: Vec<Option<f64>> =
        family.iter().map(|one| one.test.as_ref().filter(|_| !one.after_selection).map(|test| test.p)).collect();
    let adjusted = holm(&tests);
    let discovered = match context.correction {
        Correction::Holm => vec![None; tests.len()],
        Correction::BenjaminiHochberg => benjamini_hochberg(&tests),
    };
    let power = (family.len() <= bounds::MORE_SEEDS).then(|| Power::new(ALPHA, family.len()));
    for ((one, adjusted), discovered) in family.iter_mut().zip(adjusted).zip(discovered) {
        (one.adjusted_p, one.false_discovery_p) = (adjusted, discovered);
        if matches!(one.verdict, Verdict::Open(_)) {
            continue;
        }
        one.verdict = verdict(context.goal, one);
        if one.verdict == Verdict::NoDifferenceShown {
            one.more_seeds = power.as_ref().and_then(|power| power.more_seeds(&differences(&one.pairs)));
        }
    }
}

fn verdict(goal: Goal, one: &Comparison) -> Verdict {
    if one.after_selection {
        return Verdict::AfterSelection;
    }
    match (one.adjusted_p, one.delta) {
        (Some(p), Some(delta)) if p <= ALPHA && delta != 0.0 => {
            let better = match goal {
                Goal::Maximize => delta > 0.0,
                Goal::Minimize => delta < 0.0,
            };
            if better { Verdict::Helps } else { Verdict::Hurts }
        }
        _ => Verdict::NoDifferenceShown,
    }
}
