//! Findings from single images: McNemar's test where there is one seed, and classes that a change helps or hurts.

use sweep_spec::trainer::Validation;

use super::bounds;
use super::context::Context;
use crate::number::plural;
use crate::result::{ClassDifference, Comparison, McNemar, Verdict};
use crate::statistics::{ALPHA, holm, mcnemar, mean, sign_flip};

/// Adds the findings from single images to each comparison, where the study has predictions.
pub(super) fn classes(context: &Context<'_>, comparisons: &mut [Comparison], notes: &mut Vec<String>) {
    if context.study.validations.is_empty() {
        return;
    }
    let classes = context.study.validations.values().map(|said| said.confusion.len().isqrt()).max().unwrap_or(0);
    let tests = comparisons.len().saturating_mul(classes);
    let most = comparisons.iter().map(|one| one.pairs.len()).max().unwrap_or(0);
    let made =
        tests <= bounds::CLASS_TESTS && bounds::test_steps(most).saturating_mul(tests as u64) <= bounds::CLASS_STEPS;
    if !made {
        notes.push(format!(
            "{} of single classes over {} are left out because their tests take too long",
            plural(tests as u64, "difference"),
            plural(most as u64, "seed"),
        ));
    }
    for one in comparisons {
        let pairs = validations(context, one);
        if let [(seed, value, reference)] = pairs.as_slice()
            && one.pairs.len() == 1
        {
            one.images = same_images(*seed, value, reference);
        }
        // Classes use the same replicates as the comparison itself, or none.
        if made && !pairs.is_empty() && pairs.len() == one.pairs.len() {
            one.classes = differences(&pairs, one);
        }
    }
}

/// The predictions of both configurations for every image, under each seed of the comparison.
fn validations<'a>(context: &Context<'a>, one: &Comparison) -> Vec<(u64, &'a Validation, &'a Validation)> {
    let find = |position: u32, seed: u64| {
        let values = &context.series(position)?.values;
        let place = values.binary_search_by_key(&seed, |(seed, ..)| *seed).ok()?;
        context.study.validations.get(&values[place].2.trial)
    };
    let pair = |seed: u64| Some((seed, find(one.position, seed)?, find(one.reference, seed)?));
    one.pairs.iter().filter_map(|of| pair(of.seed)).collect()
}

fn same_images(seed: u64, value: &Validation, reference: &Validation) -> Option<McNemar> {
    let complete = |said: &Validation| said.labels.len() == said.predicted.len() && !said.labels.is_empty();
    if value.labels != reference.labels || !complete(value) || !complete(reference) {
        return None;
    }
    let (mut gained, mut lost) = (0, 0);
    for ((label, one), other) in value.labels.iter().zip(&value.predicted).zip(&reference.predicted) {
        gained += u64::from(one == label && other != label);
        lost += u64::from(one != label && other == label);
    }
    Some(McNemar { seed, gained, lost, p: mcnemar(gained, lost) })
}

/// Differences of recall, corrected over the classes of this comparison.
fn differences(pairs: &[(u64, &Validation, &Validation)], one: &Comparison) -> Vec<ClassDifference> {
    let classes = pairs.iter().flat_map(|(_, a, b)| [a.confusion.len().isqrt(), b.confusion.len().isqrt()]).max();
    let by_class: Vec<(usize, Vec<f64>)> = (0..classes.unwrap_or(0))
        .filter_map(|class| {
            let difference = |(_, value, reference): &(u64, &Validation, &Validation)| {
                Some(recall(value, class)? - recall(reference, class)?)
            };
            // A class without images has no recall.
            Some((class, pairs.iter().map(difference).collect::<Option<Vec<f64>>>()?))
        })
        .collect();
    let test = |values: &Vec<f64>| if values.len() > 1 { sign_flip(values) } else { None };
    let tests: Vec<_> = by_class.iter().map(|(_, values)| test(values)).collect();
    let speaks = !one.after_selection && !matches!(one.verdict, Verdict::Open(_));
    let family: Vec<Option<f64>> = tests.iter().map(|test| test.filter(|_| speaks).map(|test| test.p)).collect();
    by_class
        .into_iter()
        .zip(tests)
        .zip(holm(&family))
        .filter_map(|(((class, values), test), adjusted_p)| {
            let delta = mean(&values)?;
            let verdict = verdict(one, delta, adjusted_p);
            Some(ClassDifference { class, delta, test, adjusted_p, verdict })
        })
        .collect()
}

fn verdict(one: &Comparison, delta: f64, adjusted_p: Option<f64>) -> Verdict {
    if let Verdict::Open(reason) = &one.verdict {
        return Verdict::Open(reason.clone());
    }
    if one.after_selection {
        return Verdict::AfterSelection;
    }
    match adjusted_p {
        Some(p) if p <= ALPHA && delta > 0.0 => Verdict::Helps,
        Some(p) if p <= ALPHA && delta < 0.0 => Verdict::Hurts,
        _ => Verdict::NoDifferenceShown,
    }
}

/// The share of a class's images that were recognised.
fn recall(said: &Validation, class: usize) -> Option<f64> {
    let classes = said.confusion.len().isqrt();
    let row = said.confusion.chunks_exact(classes.max(1)).nth(class)?;
    let all: u64 = row.iter().map(|count| u64::from(*count)).sum();
    (all > 0).then(|| row.get(class).map(|right| f64::from(*right) / all as f64)).flatten()
}
