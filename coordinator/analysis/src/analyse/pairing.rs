//! Pairs two configurations seed by seed: which pairs exist, whether they were trained alike, and which of them count.

use std::collections::BTreeSet;

use super::bounds;
use super::context::{Context, Series};
use crate::number::plural;
use crate::result::{Comparison, Pair, Verdict};
use crate::statistics::{bca_interval, differences, effect_size, mean, sign_flip, t_interval};
use crate::study::{Answer, Replicate};

/// The extent of the computation for each comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// With the bootstrap interval.
    pub(super) intervals: bool,
    /// The number of comparisons in the family.
    pub(super) family: usize,
}

impl Extent {
    pub(super) fn of(family: usize) -> Self {
        Self { intervals: family <= bounds::INTERVALS, family }
    }
}

/// Why the two were not trained alike; `None` if they were. The digests are compared under each seed.
pub(super) fn unequal(one: &Series<'_>, other: &Series<'_>) -> Option<String> {
    for (seed, one, other) in answers(one, other) {
        let what = if one.made.data_digest != other.made.data_digest {
            "data"
        } else if one.made.split_digest != other.made.split_digest {
            "splits"
        } else {
            continue;
        };
        return Some(format!(
            "the two configurations were trained on different {what} under seed {seed}, so they cannot be compared"
        ));
    }
    None
}

/// The answers of both under each seed that both have.
fn answers<'a>(one: &Series<'a>, other: &Series<'a>) -> Vec<(u64, &'a Answer, &'a Answer)> {
    common(one, other)
        .into_iter()
        .filter_map(|(seed, one, other)| Some((seed, one.1.answer.as_ref()?, other.1.answer.as_ref()?)))
        .collect()
}

type Side<'a> = (f64, &'a Replicate);

/// Values and replicates of both under each seed that both have. Both are in the order of their seeds.
fn common<'a>(one: &Series<'a>, other: &Series<'a>) -> Vec<(u64, Side<'a>, Side<'a>)> {
    let mut pairs = Vec::with_capacity(one.values.len().min(other.values.len()));
    let mut rest = other.values.iter().peekable();
    for (seed, value, replicate) in &one.values {
        while rest.next_if(|(with, ..)| with < seed).is_some() {}
        if let Some((_, reference, with)) = rest.next_if(|(with, ..)| with == seed) {
            pairs.push((*seed, (*value, *replicate), (*reference, *with)));
        }
    }
    pairs
}

/// The comparison of two configurations, without the fields that depend on the family.
pub(super) fn pair(
    context: &Context<'_>,
    (position, reference, group): (u32, u32, Option<usize>),
    extent: Extent,
) -> Comparison {
    let mut found = Comparison {
        position,
        reference,
        group,
        pairs: Vec::new(),
        delta: None,
        t_interval: None,
        bca_interval: None,
        test: None,
        adjusted_p: None,
        false_discovery_p: None,
        effect_size: None,
        verdict: Verdict::NoDifferenceShown,
        after_selection: false,
        more_seeds: None,
        images: None,
        classes: Vec::new(),
        remark: String::new(),
    };
    let (Some(one), Some(other)) = (context.series(position), context.series(reference)) else {
        found.verdict = Verdict::Open("no such configuration".to_owned());
        return found;
    };
    if let Some(reason) = unequal(one, other) {
        found.verdict = Verdict::Open(reason);
        return found;
    }
    let mut remarks: Vec<String> = devices(one, other).into_iter().collect();
    let pairs = common(one, other);
    let pair = |(seed, one, other): (u64, Side<'_>, Side<'_>)| Pair { seed, value: one.0, reference: other.0 };
    found.pairs = pairs.into_iter().map(pair).collect();
    if let Some((who, seeds)) = context.chose(position, reference) {
        select(&mut found, &who, &seeds, &mut remarks);
    }
    let values = differences(&found.pairs);
    found.delta = mean(&values);
    found.remark = remarks.join("; ");
    if let Some(reason) = obstacles(one, other) {
        found.verdict = Verdict::Open(reason);
        return found;
    }
    match values.len() {
        0 => found.verdict = Verdict::Open("the two configurations have no seed in common".to_owned()),
        1 => found.verdict = Verdict::Open("one seed: a test needs at least two".to_owned()),
        pairs => {
            found.t_interval = t_interval(&values);
            found.effect_size = effect_size(&values);
            found.bca_interval = extent.intervals.then(|| bca_interval(&values)).flatten();
            match bounds::no_test(pairs, extent.family) {
                None => found.test = sign_flip(&values),
                Some(reason) => found.verdict = Verdict::Open(reason),
            }
        }
    }
    found
}

/// Leaves only the seeds that did not choose; without any, all stay and speak after the selection.
fn select(found: &mut Comparison, who: &str, chose: &BTreeSet<u64>, remarks: &mut Vec<String>) {
    let all = found.pairs.len();
    let fresh: Vec<Pair> = found.pairs.iter().filter(|pair| !chose.contains(&pair.seed)).copied().collect();
    if fresh.len() == all {
        return;
    }
    if fresh.is_empty() {
        found.after_selection = true;
        remarks.push(format!("{who} by these seeds"));
        return;
    }
    remarks.push(format!(
        "{who}: only {} of {all} counted here, those that did not choose the winner",
        plural(fresh.len() as u64, "seed")
    ));
    found.pairs = fresh;
}

fn obstacles(one: &Series<'_>, other: &Series<'_>) -> Option<String> {
    match (&one.obstacle, &other.obstacle) {
        (None, None) => None,
        (Some(reason), None) => Some(reason.clone()),
        (None, Some(reason)) => Some(format!("`{}`, the reference: {reason}", other.subject.title())),
        (Some(one), Some(reason)) => Some(format!("{one}; `{}`, the reference: {reason}", other.subject.title())),
    }
}

/// That the two were trained on different kinds of device, if they were.
fn devices(one: &Series<'_>, other: &Series<'_>) -> Option<String> {
    let kind = |answer: &Answer| {
        let made = &answer.made;
        let device = made.device.split(':').next().unwrap_or_default().to_owned();
        (device, made.instruction_set.clone())
    };
    answers(one, other).into_iter().find_map(|(seed, one, other)| {
        let (one, other) = (kind(one), kind(other));
        let say = |(device, set): (String, String)| format!("{device} {set}");
        (one != other).then(|| format!("trained on different devices ({}, {} under seed {seed})", say(one), say(other)))
    })
}
