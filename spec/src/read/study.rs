//! Checks that need the plan: the sweep must not be too large, every network must be possible, and each stage must do
//! what its design describes.

use super::{At, Reader};
use crate::configuration::Configuration;
use crate::count::{Counts, Input};
use crate::dataset::{Dataset, Source};
use crate::design::{Kind, Look, TooMany};
use crate::plan::{Plan, Released};
use crate::protocol::Protocol;
use crate::spec::{Keep, Limits, Spec, Stage};
use crate::yaml::Value;

/// Stages with `where` may have this many times more places than a sweep may have trials: each place is examined.
const PLACES_PER_TRIAL: u64 = 10;

/// Checks the parts of a spec together.
pub(super) fn check(root: &At<'_>, spec: &Spec, limits: &Limits, reader: &mut Reader) {
    if !check_places(root, spec, limits, reader) {
        return;
    }
    let plan = Plan::new(spec);
    check_size(root, &plan, limits, reader);
    check_shapes(root, &plan, reader);
    let released = plan.released(&[]);
    for (index, stage) in spec.stages.iter().enumerate() {
        if let Some(start) = released.start(index) {
            check_stage(root, &released, (index, stage), start, reader);
        }
    }
}

/// Refuses conditions that would have to be evaluated too often, from the lengths of lists alone.
fn check_places(root: &At<'_>, spec: &Spec, limits: &Limits, reader: &mut Reader) -> bool {
    let mut look = Look::default();
    let mut places = 0u64;
    for (index, stage) in spec.stages.iter().enumerate() {
        let conditions = &stage.design.limits().conditions;
        let at = stage_at(root, index, if conditions.is_empty() { stage.design.name() } else { "where" });
        if !conditions.is_empty() {
            places = places.saturating_add(stage.design.places());
        }
        let most = limits.trials.saturating_mul(PLACES_PER_TRIAL);
        if !conditions.is_empty() && places > most {
            let message = format!("expected at most {most} combinations before the conditions apply, found {places}");
            at.report(reader, message, Some("raise the limit with --trial-limit".into()));
            return false;
        }
        // The baseline stands for a starting point that is not known yet: what is combined does not depend on it.
        let input = Input::from(&spec.dataset);
        let counted = stage.design.count(&spec.baseline, &mut look).map(|_| ());
        let looked = counted.and_then(|()| stage.design.unbuildable(&spec.baseline, input, &mut look).map(|_| ()));
        if let Err(TooMany { combinations }) = looked {
            let message = format!(
                "the conditions of all stages test more than {} combinations of levels, and this one tests \
                 {combinations}",
                crate::design::MOST_COMBINATIONS
            );
            at.report(reader, message, Some("use fewer factors or fewer levels in the conditions".into()));
            return false;
        }
    }
    true
}

/// Refuses a split for each seed where nothing is split.
pub(super) fn check_split(root: &At<'_>, dataset: &Dataset, protocol: &Protocol, reader: &mut Reader) {
    let drawn = protocol.holdout.is_some() || matches!(dataset.source, Source::ImageFolder { test_split: Some(_), .. });
    if !protocol.split.is_fixed() && !drawn {
        let at = below(root, &["protocol", "split"]).unwrap_or_else(|| root.clone());
        let hint = Some("set `protocol.holdout`, or `test_split` for an image folder".to_owned());
        at.report(reader, "no images are held out, so there is no split to draw for each seed", hint);
    }
}

/// Refuses a sweep that is too large, from its size alone.
fn check_size(root: &At<'_>, plan: &Plan, limits: &Limits, reader: &mut Reader) {
    let trials = plan.trials_before_merging();
    if trials > limits.trials {
        let (spec, points, limit) = (plan.spec(), plan.points_before_merging(), limits.trials);
        let seeds = spec.seeds.len() + spec.adaptive.as_ref().map_or(0, |adaptive| adaptive.seeds().len());
        let noise = match spec.noise.len() {
            0 => String::new(),
            noise => format!(" + {noise} for the noise floor"),
        };
        let message =
            format!("expected at most {limit} trials, found {points} points × {seeds} seeds{noise} = {trials}");
        let at = below(root, &["stages"]).unwrap_or_else(|| root.clone());
        at.report(reader, message, Some("raise the limit with --trial-limit".into()));
    }
}

/// Refuses networks whose max-poolings shrink the image to nothing. After a `keep: best` stage the starting point is
/// not known yet; impossible networks are left out once it is.
fn check_shapes(root: &At<'_>, plan: &Plan, reader: &mut Reader) {
    let spec = plan.spec();
    let input = Input::from(&spec.dataset);
    let mut refuse = |at: At<'_>, configuration: &Configuration| {
        let Err(shrunk) = Counts::of(configuration, input) else { return };
        let difference = configuration.difference(&spec.baseline);
        let hint = Some("use fewer blocks or larger images".to_owned());
        at.report(reader, format!("{difference}: {shrunk}"), hint);
    };
    refuse(below(root, &["baseline"]).unwrap_or_else(|| root.clone()), &spec.baseline);
    for (index, extra) in spec.extra.iter().enumerate() {
        let at = below(root, &["extra"]).and_then(|list| list.item(index));
        refuse(at.unwrap_or_else(|| root.clone()), &extra.configuration);
    }
    let mut look = Look::default();
    for (index, stage) in spec.stages.iter().enumerate() {
        // That there are not too many to look at has been checked.
        if let Ok(Some(point)) = plan.unbuildable(index, &mut look) {
            refuse(stage_at(root, index, stage.design.name()), &point);
        }
    }
}

/// Checks a stage whose starting point is known.
fn check_stage(
    root: &At<'_>,
    released: &Released<'_>,
    (index, stage): (usize, &Stage),
    start: &Configuration,
    reader: &mut Reader,
) {
    let design = &stage.design;
    if released.counted(index, &mut Look::default()) == Ok(Some(0)) {
        stage_at(root, index, "where").report(reader, "no point of this stage meets the condition", None);
        return;
    }
    if matches!(design.kind(), Kind::LeaveOneOut | Kind::AddOneIn) {
        let what = if design.kind() == Kind::AddOneIn { "added" } else { "removed" };
        for dimension in design.dimensions() {
            let mut point = start.clone();
            if dimension.put(0, &mut point) && point == *start {
                let message =
                    format!("the start already has this level of `{}`, so nothing is {what}", dimension.name());
                let hint = Some("use `set` to change the levels of the start".to_owned());
                let at = stage_at(root, index, design.name());
                let factor = dimension.factors().first().map_or("", |factor| factor.name());
                below(&at, &[factor]).unwrap_or(at).report(reader, message, hint);
            }
        }
    }
    if let Keep::Levels(levels) = &stage.keep {
        let mut kept = start.clone();
        let set = levels.iter().all(|&(factor, level)| kept.set(factor, level).is_ok());
        if set && !design.allows(&kept) {
            let message = "`where` of this stage excludes the levels that it keeps";
            stage_at(root, index, "keep").report(reader, message, None);
        }
    }
}

/// A key of a stage, or the stage where it has no such key.
fn stage_at<'a>(root: &At<'a>, index: usize, key: &str) -> At<'a> {
    let stage = below(root, &["stages"]).and_then(|list| list.item(index));
    let at = stage.and_then(|stage| below(&stage, &[key]).or(Some(stage)));
    at.unwrap_or_else(|| root.clone())
}

/// The value that keys lead to.
pub(super) fn below<'a>(at: &At<'a>, keys: &[&str]) -> Option<At<'a>> {
    keys.iter().try_fold(at.clone(), |at, key| {
        let Value::Mapping(entries) = &at.node.value else { return None };
        entries.iter().find(|entry| entry.key == *key).map(|entry| at.below(entry))
    })
}
