//! Reads configurations and stages: everything with factors, except the designs.

use super::design::design;
use super::{At, Reader, Section, known, seeds};
use crate::configuration::Configuration;
use crate::design::{Design, Dimension, Kind};
use crate::levels::{Factor, Family, Level};
use crate::problem::did_you_mean;
use crate::spec::{Extra, Keep, Stage, Start};
use crate::yaml::Value;

/// The name by which `from` means the baseline.
const BASELINE: &str = "baseline";

const FAMILIES: [(&str, Family); 2] = [(Family::Cnn.name(), Family::Cnn), (Family::Vgg19.name(), Family::Vgg19)];

/// The rest of a section: a family and levels for some of its factors; the others are at the family's defaults.
fn configuration(mut section: Section<'_>, reader: &mut Reader) -> Option<Configuration> {
    // Without a family it is not known which keys are factors, so then none is unknown.
    let family = section.required(reader, "family").and_then(|at| at.choice(reader, &FAMILIES))?;
    let mut configuration = family.defaults();
    let mut complete = true;
    for &factor in family.factors() {
        if let Some(at) = section.get(factor.name()) {
            let set = at.level(reader, factor).map(|level| configuration.set(factor, level));
            complete &= matches!(set, Some(Ok(())));
        }
    }
    section.finish(reader, "factor");
    complete.then_some(configuration)
}

pub(super) fn baseline(at: &At<'_>, reader: &mut Reader) -> Option<Configuration> {
    let section = at.section(reader, "a configuration: `{ family: cnn, ... }`")?;
    configuration(section, reader)
}

pub(super) fn extra(at: &At<'_>, reader: &mut Reader) -> Option<Extra> {
    let mut section = at.section(reader, "an extra configuration: `{ name: ..., family: ..., ... }`")?;
    let name = section.required(reader, "name").and_then(|at| at.name(reader));
    let configuration = configuration(section, reader);
    Some(Extra { name: name?, configuration: configuration? })
}

/// The parts of the spec that the reader of a stage needs.
pub(super) struct Around<'a> {
    pub(super) family: Family,
    /// Names of all stages, in order; `None` where a name could not be read.
    pub(super) names: &'a [Option<String>],
    /// The stage's own place among them.
    pub(super) index: usize,
}

pub(super) fn stage(at: &At<'_>, around: &Around<'_>, reader: &mut Reader) -> Option<Stage> {
    let mut section = at.section(reader, "a stage: `{ name: ..., vary: ... }`")?;
    // Its own problems were reported when all names were read.
    section.get("name");
    let name = around.names.get(around.index).cloned().flatten();
    let from = from(&mut section, around, reader);
    let set = section.get("set").map_or(Some(Vec::new()), |at| levels(&at, around.family, reader));
    let design = design(&mut section, around.family, reader);
    if let (Some(set), Some(design)) = (&set, &design)
        // Elsewhere the starting level is a point of its own, so that it may be said.
        && matches!(design.kind(), Kind::Vary | Kind::Grid | Kind::Factorial)
    {
        for axis in design.axes() {
            if set.iter().any(|(factor, _)| *factor == axis.factor)
                && let Some(at) = section.get("set")
            {
                at.report(reader, format!("this stage varies `{}`, so `set` cannot contain it", axis.factor), None);
            }
        }
    }
    let keep = section.get("keep").map_or(Some(Keep::Start), |at| keep(&at, around.family, design.as_ref(), reader));
    let choose_on = section.get("choose_on");
    let choose_on = choose_on.map_or(Some(Vec::new()), |at| seeds::choose_on(&at, keep.as_ref(), reader));
    section.finish(reader, "key");
    Some(Stage { name: name?, from: from?, set: set?, design: design?, keep: keep?, choose_on: choose_on? })
}

/// The names of the stages: each needs one, and no two may share one.
pub(super) fn stage_names(stages: &[At<'_>], reader: &mut Reader) -> Vec<Option<String>> {
    let mut names: Vec<Option<String>> = Vec::with_capacity(stages.len());
    for at in stages {
        let Value::Mapping(_) = at.node.value else {
            names.push(None);
            continue;
        };
        let mut name = None;
        if let Some(at) = at.section(reader, "a stage").and_then(|mut section| section.required(reader, "name")) {
            name = at.name(reader);
            if name.as_deref() == Some(BASELINE) {
                at.report(reader, format!("a stage cannot be named `{BASELINE}`"), None);
            } else if name.is_some() && names.contains(&name) {
                at.report(reader, "an earlier stage has the same name", None);
            }
        }
        names.push(name);
    }
    names
}

fn from(section: &mut Section<'_>, around: &Around<'_>, reader: &mut Reader) -> Option<Start> {
    let Some(at) = section.get("from") else {
        return Some(around.index.checked_sub(1).map_or(Start::Baseline, Start::Stage));
    };
    let name = at.text(reader, "the name of another stage, or `baseline`")?;
    if name == BASELINE {
        return Some(Start::Baseline);
    }
    let place = around.names.iter().position(|other| other.as_deref() == Some(name));
    match place {
        Some(place) if place == around.index => at.report(reader, "a stage cannot start from itself", None),
        Some(place) => return Some(Start::Stage(place)),
        None => {
            let others = around.names.iter().enumerate().filter(|(index, _)| *index != around.index);
            let others = others.filter_map(|(_, name)| name.as_deref());
            let names: Vec<&str> = others.chain([BASELINE]).collect();
            let hint = did_you_mean(name, &names).or_else(|| Some(known(&names)));
            at.report(reader, format!("unknown stage, found {}", at.node.describe()), hint);
        }
    }
    None
}

/// The factor that a key names, reported if the family has none of that name.
pub(super) fn factor(
    key: &str,
    mark: crate::yaml::Mark,
    path: &str,
    family: Family,
    reader: &mut Reader,
) -> Option<Factor> {
    let found = Factor::named(key).filter(|factor| family.factors().contains(factor));
    if found.is_none() {
        let names: Vec<&str> = family.factors().iter().map(|factor| factor.name()).collect();
        let hint = did_you_mean(key, &names).or_else(|| Some(known(&names)));
        let message = match Factor::named(key) {
            Some(_) => format!("unknown factor: family `{}` has no factor of this name", family.name()),
            None => "unknown factor".to_owned(),
        };
        reader.report(mark, path, message, hint);
    }
    found
}

/// `{ factor: level, ... }`, in the family's order.
pub(super) fn levels(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Vec<(Factor, Level)>> {
    let section = at.section(reader, "levels: `{ factor: level }`")?;
    let mut levels = Vec::new();
    let mut complete = true;
    for (key, mark, at) in section.entries() {
        let factor = factor(key, mark, &at.path, family, reader);
        let level = factor.and_then(|factor| Some((factor, at.level(reader, factor)?)));
        complete &= level.is_some();
        levels.extend(level);
    }
    levels.sort_by_key(|(factor, _)| *factor);
    complete.then_some(levels)
}

fn keep(at: &At<'_>, family: Family, design: Option<&Design>, reader: &mut Reader) -> Option<Keep> {
    if let Value::Text(text) = &at.node.value {
        match text.as_str() {
            "best" => return Some(Keep::Best),
            "best_if_significant" => return Some(Keep::BestIfSignificant),
            _ => {}
        }
        let hint = did_you_mean(text, &["best", "best_if_significant"]);
        let message = format!("expected `best`, `best_if_significant` or levels, found {}", at.node.describe());
        at.report(reader, message, hint);
        return None;
    }
    let kept = levels(at, family, reader)?;
    // Whether a level was varied is only known of a design that could be read.
    let design = design?;
    let axes = design.axes();
    let varied: Vec<&str> = axes.iter().map(|axis| axis.factor.name()).collect();
    let mut complete = true;
    for (key, mark, at) in at.section(reader, "levels")?.entries() {
        let Some((factor, level)) = kept.iter().find(|(factor, _)| factor.name() == key) else { continue };
        match axes.iter().find(|axis| axis.factor == *factor) {
            None => {
                reader.report(mark, &at.path, "this stage does not vary the factor", Some(known(&varied)));
                complete = false;
            }
            Some(axis) if axis.place(*level).is_none() => {
                let tried: Vec<String> = axis.levels().iter().map(Level::to_string).collect();
                at.expected(reader, format_args!("one of the levels that the stage varies ({})", tried.join(", ")));
                complete = false;
            }
            Some(_) => {}
        }
    }
    for dimension in design.dimensions() {
        complete &= !complete || kept_together(at, dimension, &kept, reader);
    }
    complete.then_some(Keep::Levels(kept))
}

/// Factors that advance together are kept together, at a step that they have.
fn kept_together(at: &At<'_>, dimension: &Dimension, kept: &[(Factor, Level)], reader: &mut Reader) -> bool {
    let level = |factor: &Factor| kept.iter().find(|(other, _)| other == factor).map(|(_, level)| *level);
    let levels: Vec<Level> = dimension.factors().iter().filter_map(level).collect();
    if levels.is_empty() || dimension.steps().contains(&levels) {
        return true;
    }
    let names = dimension.name();
    if levels.len() < dimension.factors().len() {
        at.report(reader, format!("expected a level for each of `{names}`, which advance together"), None);
    } else {
        let message = format!("expected levels of one step of `{names}`, found levels of different steps");
        at.report(reader, message, None);
    }
    false
}
