//! Reading of the spec as a whole.

use super::seeds::Seeds;
use super::stage::{Around, baseline, extra, stage, stage_names};
use super::study::below;
use super::{At, Reader, budget, dataset, protocol, retry, seeds, study};
use crate::configuration::Configuration;
use crate::levels::Family;
use crate::plan::circles;
use crate::problem::Problem;
use crate::spec::{Extra, Goal, Limits, Metric, Objective, PRIORITIES, Spec, Stage, Start, VERSION};
use crate::yaml::{self, Value};

/// The most stages, and the most extras, of a sweep.
const MAX_STAGES: usize = 200;

/// Reads and checks a spec.
pub(crate) fn spec(text: &[u8], overrides: &[(String, String)], limits: &Limits) -> Result<Spec, Vec<Problem>> {
    let (mut root, mut problems) = yaml::parse(text).map_err(|problem| vec![problem])?;
    yaml::apply(&mut root, overrides, &mut problems);
    let mut reader = Reader::new(problems);
    let at = At::root(&root);
    let spec = whole(&at, &mut reader);
    if let Some(spec) = &spec
        && !reader.has_problems()
    {
        study::check(&at, spec, limits, &mut reader);
    }
    match spec {
        Some(spec) if !reader.has_problems() => Ok(spec),
        _ => Err(reader.into_problems()),
    }
}

fn whole(at: &At<'_>, reader: &mut Reader) -> Option<Spec> {
    let mut section = at.section(reader, "a spec: `version: 1`, `name: ...`, ...")?;
    if let Some(at) = section.required(reader, "version")
        && !matches!(at.node.value, Value::Int(version) if version == i128::from(VERSION))
    {
        at.expected(reader, format_args!("{VERSION}, the only version of the format"));
    }
    let name = section.required(reader, "name").and_then(|at| at.name(reader));
    let dataset = section.required(reader, "dataset").and_then(|at| dataset::dataset(&at, reader));
    let protocol = section.get("protocol").map_or(Some(Default::default()), |at| protocol::protocol(&at, reader));
    let seeds = section.get("seeds").map_or(Some(Seeds::default()), |at| seeds::seeds(&at, reader));
    let baseline_at = section.required(reader, "baseline");
    let baseline = baseline_at.as_ref().and_then(|at| baseline(at, reader));
    // The stages are read all the same where the baseline is wrong, as of the family that it probably is.
    let family = baseline.as_ref().map_or(Family::Cnn, Configuration::family);
    let stages = section.get("stages").map_or(Some(Vec::new()), |at| stages(&at, family, reader));
    let extra = section.get("extra").map_or(Some(Vec::new()), |at| extras(&at, reader));
    let objective = section.get("objective");
    let objective = objective.map_or(Some(default_objective()), |at| self::objective(&at, reader));
    let priority = section.get("priority").map_or(Some(0), |at| at.signed(reader, PRIORITIES));
    let weight = section.get("weight").map_or(Some(1), |at| at.small(reader, 1..=1000));
    let retry = section.get("retry").map_or(Some(Default::default()), |at| retry::retry(&at, reader));
    let noise = section.get("noise");
    let noise = noise.map_or(Some(Vec::new()), |at| seeds::noise(&at, seeds.as_ref(), reader));
    if let (Some(stages), Some(seeds)) = (&stages, &seeds) {
        for (index, stage) in stages.iter().enumerate() {
            let place = below(at, &["stages"]).and_then(|list| below(&list.item(index)?, &["choose_on"]));
            seeds::check_choice(place.as_ref().unwrap_or(at), stage, seeds, reader);
        }
    }
    if let (Some(dataset), Some(protocol)) = (&dataset, &protocol) {
        study::check_split(at, dataset, protocol, reader);
    }
    let price_per_hour = section.get("price_per_hour").map_or(Some(None), |at| budget::price(&at, reader).map(Some));
    let budget_at = section.get("budget");
    let budget = budget_at.as_ref().map_or(Some(None), |at| budget::budget(at, reader).map(Some));
    if let (Some(at), Some(budget), Some(price)) = (&budget_at, &budget, &price_per_hour) {
        budget::agree(at, reader, budget.as_ref(), price.as_ref());
    }
    if matches!((&stages, &extra), (Some(stages), Some(extra)) if stages.is_empty() && extra.is_empty()) {
        section.at.report(reader, "nothing to train", Some("add `stages`, `extra` or both".into()));
    }
    section.finish(reader, "key");
    let (name, dataset, protocol, seeds, baseline) = (name?, dataset?, protocol?, seeds?, baseline?);
    let (stages, extra, objective) = (stages?, extra?, objective?);
    let (priority, weight, retry, noise) = (priority?, weight?, retry?, noise?);
    let (budget, price_per_hour) = (budget?, price_per_hour?);
    let Seeds { first: seeds, adaptive } = seeds;
    Some(Spec {
        name,
        dataset,
        protocol,
        seeds,
        baseline,
        stages,
        extra,
        objective,
        priority,
        weight,
        retry,
        noise,
        adaptive,
        budget,
        price_per_hour,
    })
}

fn stages(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Vec<Stage>> {
    let items = bounded(at, "stages", reader)?;
    let names = stage_names(&items, reader);
    let read = |(index, item): (usize, &At<'_>)| stage(item, &Around { family, names: &names, index }, reader);
    // Collected before the options are, so that one wrong stage does not hide the next.
    let stages: Vec<Option<Stage>> = items.iter().enumerate().map(read).collect();
    let stages: Vec<Stage> = stages.into_iter().collect::<Option<_>>()?;
    let starts: Vec<Start> = stages.iter().map(|stage| stage.from).collect();
    let circles = circles(&starts);
    for circle in &circles {
        let name = |index: &usize| stages.get(*index).map(|stage| format!("`{}`", stage.name)).unwrap_or_default();
        let names: Vec<String> = circle.iter().chain(circle.first()).map(name).collect();
        let message = format!("stages start from each other in a circle, so none can start: {}", names.join(" from "));
        let at = circle.first().and_then(|first| items.get(*first)).unwrap_or(at);
        at.report(reader, message, Some("give one of them `from: baseline`".into()));
    }
    circles.is_empty().then_some(stages)
}

fn extras(at: &At<'_>, reader: &mut Reader) -> Option<Vec<Extra>> {
    let items = bounded(at, "configurations", reader)?;
    let mut extras: Vec<Option<Extra>> = Vec::with_capacity(items.len());
    for item in items {
        let extra = extra(&item, reader);
        let taken = extras.iter().flatten().any(|other| Some(&other.name) == extra.as_ref().map(|extra| &extra.name));
        if taken {
            item.report(reader, "an earlier extra configuration has the same name", None);
        }
        extras.push(extra);
    }
    extras.into_iter().collect()
}

/// The values of a list that is no longer than a study can be.
fn bounded<'a>(at: &At<'a>, what: &str, reader: &mut Reader) -> Option<Vec<At<'a>>> {
    let items = at.list(reader, what)?;
    if items.len() > MAX_STAGES {
        at.report(reader, format!("expected at most {MAX_STAGES} {what}, found {}", items.len()), None);
        return None;
    }
    Some(items)
}

fn default_objective() -> Objective {
    let metric = Metric::ValAccuracy;
    Objective { metric, goal: metric.natural_goal() }
}

fn objective(at: &At<'_>, reader: &mut Reader) -> Option<Objective> {
    let mut section = at.section(reader, "an objective: `{ metric: ..., goal: ... }`")?;
    let metrics = Metric::ALL.map(|metric| (metric.name(), metric));
    let metric = section.get("metric").map_or(Some(Metric::ValAccuracy), |at| at.choice(reader, &metrics));
    let goals = [Goal::Maximize, Goal::Minimize].map(|goal| (goal.name(), goal));
    let goal = match section.get("goal") {
        Some(at) => at.choice(reader, &goals),
        None => metric.map(Metric::natural_goal),
    };
    section.finish(reader, "key");
    Some(Objective { metric: metric?, goal: goal? })
}
