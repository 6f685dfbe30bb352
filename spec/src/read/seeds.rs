//! Reads seeds: `seeds`, `noise`, and `choose_on` of a stage.

use std::collections::BTreeSet;

use super::dataset::SEEDS;
use super::{At, Reader};
use crate::spec::{Adaptive, Keep, Stage};
use crate::yaml::Value;

/// The most seeds of a sweep.
const MAX_SEEDS: u64 = 1_000_000;
/// The first of counted noise seeds. It is greater than every seed of a counted `seeds`, so that `seeds` can grow later
/// without using one of them.
const FIRST_NOISE_SEED: u64 = MAX_SEEDS;
/// The most noise seeds.
const MAX_NOISE: u64 = 10_000;
/// The most seeds that an adaptive study goes to.
const MAX_ADAPTIVE: u32 = 1000;
/// How often an adaptive study may look at its results and add seeds.
const MAX_LOOKS: usize = 50;

/// The seeds of a sweep.
pub(super) struct Seeds {
    /// Those that every configuration begins with.
    pub(super) first: Vec<u64>,
    /// Those that may be added.
    pub(super) adaptive: Option<Adaptive>,
}

impl Default for Seeds {
    fn default() -> Self {
        Self { first: vec![0], adaptive: None }
    }
}

/// A count, a list, or `{ adaptive: ... }`.
pub(super) fn seeds(at: &At<'_>, reader: &mut Reader) -> Option<Seeds> {
    match at.node.value {
        Value::List(_) => Some(Seeds { first: listed(at, reader)?, adaptive: None }),
        Value::Mapping(_) => {
            let mut section = at.section(reader, "seeds: `{ adaptive: ... }`")?;
            let adaptive = section.required(reader, "adaptive").and_then(|at| adaptive(&at, reader));
            section.finish(reader, "key");
            adaptive
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            let first = at.integer(reader, 1..=MAX_SEEDS).map(|count| (0..count).collect())?;
            Some(Seeds { first, adaptive: None })
        }
    }
}

/// `{ start, step, at_most }`.
fn adaptive(at: &At<'_>, reader: &mut Reader) -> Option<Seeds> {
    let mut section = at.section(reader, "a plan of seeds: `{ start: 6, step: 3, at_most: 18 }`")?;
    let mut number =
        |key, reader: &mut Reader| section.required(reader, key).and_then(|at| at.small(reader, 1..=MAX_ADAPTIVE));
    let (start, step, at_most) = (number("start", reader), number("step", reader), number("at_most", reader));
    let bound = section.get("at_most");
    section.finish(reader, "key");
    let (start, step, at_most, bound) = (start?, step?, at_most?, bound?);
    if at_most <= start {
        bound.report(
            reader,
            format!("expected more than {start}, the number of seeds at the start, found {at_most}"),
            None,
        );
        return None;
    }
    let added = Adaptive::new(step as usize, (u64::from(start)..u64::from(at_most)).collect());
    if added.looks() > MAX_LOOKS {
        let message = format!("expected at most {MAX_LOOKS} steps from {start} to {at_most}, found {}", added.looks());
        bound.report(reader, message, Some("use a larger `step`".to_owned()));
        return None;
    }
    Some(Seeds { first: (0..u64::from(start)).collect(), adaptive: Some(added) })
}

/// `{ seeds: 6 }`, or `{ seeds: [100, 101] }`.
pub(super) fn noise(at: &At<'_>, seeds: Option<&Seeds>, reader: &mut Reader) -> Option<Vec<u64>> {
    let mut section = at.section(reader, "seeds of the baseline alone: `{ seeds: 6 }`")?;
    let asked = section.required(reader, "seeds");
    section.finish(reader, "key");
    let asked = asked?;
    if !matches!(asked.node.value, Value::List(_)) {
        let count = asked.integer(reader, 1..=MAX_NOISE)?;
        let counted: Vec<u64> = (FIRST_NOISE_SEED..FIRST_NOISE_SEED + count).collect();
        return disjoint(&asked, &counted, seeds, reader).then_some(counted);
    }
    let listed = listed(&asked, reader)?;
    disjoint(&asked, &listed, seeds, reader).then_some(listed)
}

/// Whether no noise seed is a seed of the configurations, which would make one trial two things.
fn disjoint(at: &At<'_>, noise: &[u64], seeds: Option<&Seeds>, reader: &mut Reader) -> bool {
    let Some(seeds) = seeds else { return true };
    let added = seeds.adaptive.iter().flat_map(|adaptive| adaptive.seeds());
    let taken: BTreeSet<u64> = seeds.first.iter().chain(added).copied().collect();
    let Some(both) = noise.iter().find(|seed| taken.contains(seed)) else { return true };
    let hint = Some("runs of the baseline under the same seeds add no information".to_owned());
    at.report(reader, format!("expected seeds that `seeds` does not contain, found {both} in both"), hint);
    false
}

/// `[0, 1]` on a stage that results decide about.
pub(super) fn choose_on(at: &At<'_>, keep: Option<&Keep>, reader: &mut Reader) -> Option<Vec<u64>> {
    if keep.is_some_and(|keep| !keep.is_decided()) {
        let hint = Some("`choose_on` needs `keep: best` or `keep: best_if_significant`".to_owned());
        at.report(reader, "this stage chooses nothing by its results", hint);
        return None;
    }
    listed(at, reader)
}

/// Compares `choose_on` of a stage, at `at`, with the seeds of the sweep.
pub(super) fn check_choice(at: &At<'_>, stage: &Stage, seeds: &Seeds, reader: &mut Reader) {
    if stage.choose_on.is_empty() {
        return;
    }
    let known: BTreeSet<u64> = seeds.first.iter().copied().collect();
    if let Some(unknown) = stage.choose_on.iter().find(|seed| !known.contains(seed)) {
        at.report(reader, format!("expected seeds that `seeds` contains, found {unknown}"), None);
    } else if stage.choose_on.len() == known.len() && seeds.adaptive.is_none() {
        let hint = Some("remove `choose_on`, or leave out some seeds to test the choice".to_owned());
        at.report(reader, "`choose_on` contains every seed, so none is left to test the choice", hint);
    }
}

/// A list of different seeds.
fn listed(at: &At<'_>, reader: &mut Reader) -> Option<Vec<u64>> {
    let items = at.list(reader, "seeds")?;
    let mut seen = BTreeSet::new();
    let mut seeds = Vec::with_capacity(items.len());
    let mut complete = true;
    for item in items {
        match item.integer(reader, SEEDS) {
            Some(seed) if seen.insert(seed) => seeds.push(seed),
            Some(seed) => {
                item.report(reader, format!("seed {seed} appears twice"), None);
                complete = false;
            }
            None => complete = false,
        }
    }
    complete.then_some(seeds)
}
