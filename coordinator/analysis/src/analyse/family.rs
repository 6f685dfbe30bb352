//! Families of comparisons: p-values are corrected for their number, and verdicts follow.

use std::collections::HashMap;

use sweep_spec::spec::Goal;

use super::bounds;
use super::context::Context;
use super::pairing::{self, Extent};
use crate::adaptive::follow;
use crate::number::plural;
use crate::result::{Comparison, Correction, Verdict};
use crate::statistics::{ALPHA, Finding, Power, benjamini_hochberg, differences, holm};

/// The remark of comparisons that an adaptive study's rule does not cover.
const NOT_FOLLOWED: &str = "seeds were added by the results of the objective against the starting points of stages; \
    these verdicts are not corrected for that";

/// The sweep's family: every configuration against the starting point of its stage.
pub(super) fn stages(context: &Context<'_>, notes: &mut Vec<String>) -> Vec<Comparison> {
    let pairs = context.pairs(notes);
    let mut family = paired(context, pairs, notes);
    correct(context, &mut family);
    if context.study.spec.adaptive.is_some() {
        if context.metric == context.study.spec.objective.metric {
            look_again(context, &mut family, notes);
        } else {
            notes.push(NOT_FOLLOWED.to_owned());
        }
    }
    if !context.has_ended() && family.iter().any(|one| one.test.is_some()) {
        notes.push("the sweep has not ended: p-values will grow as comparisons are added".to_owned());
    }
    family
}

/// The verdicts of an adaptive study. Its comparisons were tested several times, so each look may use only a part of
/// the error rate. A decision keeps the seeds of its look.
fn look_again(context: &Context<'_>, family: &mut [Comparison], notes: &mut Vec<String>) {
    let looks = 1 + context.study.spec.adaptive.as_ref().map_or(0, |adaptive| adaptive.looks());
    let followed = follow(context.study, looks);
    let findings: HashMap<(u32, u32), Option<Finding>> =
        followed.iter().map(|of| ((of.position, of.reference), of.finding)).collect();
    for one in family.iter_mut().filter(|one| !one.after_selection) {
        let finding = findings.get(&(one.position, one.reference)).copied().flatten();
        one.adjusted_p = finding.map(|finding| finding.adjusted_p);
        if matches!(one.verdict, Verdict::Open(_)) {
            continue;
        }
        one.verdict = verdict(context.goal, one);
        if let (true, Some(finding)) = (one.verdict != Verdict::NoDifferenceShown, finding) {
            one.more_seeds = None;
            let said = format!(
                "decided with {}, at look {} of {looks}",
                plural(finding.seeds as u64, "seed"),
                finding.look + 1
            );
            one.remark = if one.remark.is_empty() { said } else { format!("{}; {said}", one.remark) };
        }
    }
    let looks = plural(looks as u64, "look");
    notes.push(format!(
        "seeds were added to undecided comparisons, so p-values are also corrected for {looks} at the results"
    ));
}

/// All configurations against the sweep's baseline, as a separate family.
pub(super) fn baseline(context: &Context<'_>, notes: &mut Vec<String>) -> Vec<Comparison> {
    let Some(baseline) = context.study.baseline() else {
        notes.push("the baseline was not trained, so nothing can be compared with it".to_owned());
        return Vec::new();
    };
    let others = context.all().iter().map(|series| series.subject).filter(|subject| !subject.baseline);
    let pair = |subject: &crate::study::Subject| (subject.position, baseline.position, subject.groups.first().copied());
    let pairs = others.map(pair).collect();
    if context.study.spec.adaptive.is_some() {
        notes.push(NOT_FOLLOWED.to_owned());
    }
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
    // The notes of the family itself list what is missing.
    let mut family = stages(context, &mut Vec::new());
    let extent = Extent { intervals: true, ..Extent::of(family.len() + 1) };
    let asked = pairing::pair(context, (position, reference, None), extent);
    let is = |one: &&Comparison, of: (u32, u32)| (one.position, one.reference) == of;
    if let Some(member) = family.iter().find(|one| is(one, (position, reference))) {
        let member = Comparison { bca_interval: asked.bca_interval, ..member.clone() };
        return (member, family.len());
    }
    if let Some(member) = family.iter().find(|one| is(one, (reference, position))) {
        // The test is the same from either side; its direction is reversed.
        let verdict = match &member.verdict {
            Verdict::Helps => Verdict::Hurts,
            Verdict::Hurts => Verdict::Helps,
            Verdict::NoDifferenceShown => Verdict::NoDifferenceShown,
            Verdict::AfterSelection => Verdict::AfterSelection,
            Verdict::Open(_) => asked.verdict.clone(),
        };
        let mirrored = Comparison {
            group: member.group,
            adjusted_p: member.adjusted_p,
            false_discovery_p: member.false_discovery_p,
            more_seeds: member.more_seeds,
            remark: member.remark.clone(),
            verdict,
            ..asked
        };
        return (mirrored, family.len());
    }
    if !family.is_empty() {
        let others = family.len();
        notes.push(format!(
            "this comparison is not one of the sweep's own {others}; it is corrected together with them"
        ));
    }
    if context.study.spec.adaptive.is_some() {
        notes.push(NOT_FOLLOWED.to_owned());
    }
    family.push(asked);
    let (place, size) = (family.len() - 1, family.len());
    correct(context, &mut family);
    (family.swap_remove(place), size)
}

fn paired(context: &Context<'_>, pairs: Vec<(u32, u32, Option<usize>)>, notes: &mut Vec<String>) -> Vec<Comparison> {
    let extent = Extent::of(pairs.len());
    if !extent.intervals {
        let (count, most) = (pairs.len(), bounds::INTERVALS);
        let (found, most) = (plural(count as u64, "comparison"), crate::number::count(most as u64));
        notes.push(format!("{found}: bootstrap intervals are computed for up to {most} only"));
    }
    pairs.into_iter().map(|pair| pairing::pair(context, pair, extent)).collect()
}

/// Corrects the p-values of a family and sets the verdicts.
fn correct(context: &Context<'_>, family: &mut [Comparison]) {
    // A p-value after a selection is meaningless, but the comparison still counts.
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
