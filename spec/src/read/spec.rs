//! Reading of the spec as a whole, and the checks that need more than one part of it.

use super::stage::{Around, baseline, extra, stage, stage_names};
use super::{At, Reader, budget, dataset, protocol, retry};
use crate::configuration::Configuration;
use crate::count::{Counts, Input};
use crate::levels::Family;
use crate::plan::{Plan, trials_before_merging};
use crate::problem::Problem;
use crate::spec::{Extra, Goal, Limits, Metric, Objective, Spec, Stage, VERSION};
use crate::yaml::{self, Value};

/// The most seeds of a sweep.
const MAX_SEEDS: u64 = 1_000_000;
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
        check_size(&at, spec, limits, &mut reader);
        check_shapes(&at, spec, &mut reader);
    }
    match spec {
        Some(spec) if !reader.has_problems() => Ok(spec),
        _ => Err(reader.into_problems()),
    }
}

fn whole(at: &At<'_>, reader: &mut Reader) -> Option<Spec> {
    let mut section = at.section(reader, "a spec: `version: 1`, `name: ...`, ...")?;
    if let Some(at) = section.required(reader, "version")
        && !matches!(at.node.value, Value::Whole(version) if version == i128::from(VERSION))
    {
        at.expected(reader, format_args!("{VERSION}, the version that is read here"));
    }
    let name = section.required(reader, "name").and_then(|at| at.name(reader));
    let dataset = section.required(reader, "dataset").and_then(|at| dataset::dataset(&at, reader));
    let protocol = section.get("protocol").map_or(Some(Default::default()), |at| protocol::protocol(&at, reader));
    let seeds = section.get("seeds").map_or(Some(vec![0]), |at| seeds(&at, reader));
    let baseline_at = section.required(reader, "baseline");
    let baseline = baseline_at.as_ref().and_then(|at| baseline(at, reader));
    // The stages are read all the same where the baseline is wrong, as of the family that it probably is.
    let family = baseline.as_ref().map_or(Family::Cnn, Configuration::family);
    let stages = section.get("stages").map_or(Some(Vec::new()), |at| stages(&at, family, reader));
    let extra = section.get("extra").map_or(Some(Vec::new()), |at| extras(&at, reader));
    let objective = section.get("objective");
    let objective = objective.map_or(Some(default_objective()), |at| self::objective(&at, reader));
    let priority = section.get("priority").map_or(Some(0), |at| at.signed(reader, -1000..=1000));
    let weight = section.get("weight").map_or(Some(1), |at| at.small(reader, 1..=1000));
    let retry = section.get("retry").map_or(Some(Default::default()), |at| retry::retry(&at, reader));
    let price_per_hour = section.get("price_per_hour").map_or(Some(None), |at| budget::price(&at, reader).map(Some));
    let budget_at = section.get("budget");
    let budget = budget_at.as_ref().map_or(Some(None), |at| budget::budget(at, reader).map(Some));
    if let (Some(at), Some(budget), Some(price)) = (&budget_at, &budget, &price_per_hour) {
        budget::agree(at, reader, budget.as_ref(), price.as_ref());
    }
    if matches!((&stages, &extra), (Some(stages), Some(extra)) if stages.is_empty() && extra.is_empty()) {
        section.at.report(reader, "nothing to train", Some("give `stages`, `extra` or both".into()));
    }
    section.finish(reader, "key");
    let (name, dataset, protocol, seeds, baseline) = (name?, dataset?, protocol?, seeds?, baseline?);
    let (stages, extra, objective) = (stages?, extra?, objective?);
    let (priority, weight, retry) = (priority?, weight?, retry?);
    let (budget, price_per_hour) = (budget?, price_per_hour?);
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
        budget,
        price_per_hour,
    })
}

fn seeds(at: &At<'_>, reader: &mut Reader) -> Option<Vec<u64>> {
    let Value::List(_) = at.node.value else {
        return at.whole(reader, 1..=MAX_SEEDS).map(|count| (0..count).collect());
    };
    let items = at.list(reader, "seeds")?;
    let mut seen = std::collections::BTreeSet::new();
    let mut seeds = Vec::with_capacity(items.len());
    let mut complete = true;
    for item in items {
        match item.whole(reader, dataset::SEEDS) {
            Some(seed) if seen.insert(seed) => seeds.push(seed),
            Some(seed) => {
                item.report(reader, format!("seed {seed} stands twice"), None);
                complete = false;
            }
            None => complete = false,
        }
    }
    complete.then_some(seeds)
}

fn stages(at: &At<'_>, family: Family, reader: &mut Reader) -> Option<Vec<Stage>> {
    let items = bounded(at, "stages", reader)?;
    let names = stage_names(&items, reader);
    let read = |(index, item): (usize, &At<'_>)| stage(item, &Around { family, names: &names, index }, reader);
    // Collected before the options are, so that one wrong stage does not hide the next.
    let stages: Vec<Option<Stage>> = items.iter().enumerate().map(read).collect();
    stages.into_iter().collect()
}

fn extras(at: &At<'_>, reader: &mut Reader) -> Option<Vec<Extra>> {
    let items = bounded(at, "configurations", reader)?;
    let mut extras: Vec<Option<Extra>> = Vec::with_capacity(items.len());
    for item in items {
        let extra = extra(&item, reader);
        let taken = extras.iter().flatten().any(|other| Some(&other.name) == extra.as_ref().map(|extra| &extra.name));
        if taken {
            item.report(reader, "an earlier extra has this name", None);
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

/// Refuses a sweep that is too large, from its size alone.
fn check_size(root: &At<'_>, spec: &Spec, limits: &Limits, reader: &mut Reader) {
    let trials = trials_before_merging(spec);
    if trials > limits.trials {
        let seeds = spec.seeds.len();
        let message = format!(
            "expected at most {} trials, found {} points × {seeds} seeds = {trials}",
            limits.trials,
            trials / seeds.max(1) as u64
        );
        let at = below(root, &["stages"]).unwrap_or_else(|| root.clone());
        at.report(reader, message, Some("raise the limit with --trial-limit".into()));
    }
}

/// Refuses networks whose max-poolings shrink the image to nothing. Behind a `keep: best` stage the starting point is
/// not known yet; what cannot be built there is left out when it is.
fn check_shapes(root: &At<'_>, spec: &Spec, reader: &mut Reader) {
    let input = Input::from(&spec.dataset);
    let mut refuse = |path: [&str; 2], index: Option<usize>, configuration: &Configuration| {
        let Err(shrunk) = Counts::of(configuration, input) else { return };
        let at = below(root, &path[..1]).and_then(|list| match index {
            Some(index) => list.item(index),
            None => Some(list),
        });
        let at = at.and_then(|at| below(&at, &path[1..]).or(Some(at))).unwrap_or_else(|| root.clone());
        let difference = configuration.difference(&spec.baseline);
        let hint = Some("use fewer blocks or larger images".to_owned());
        at.report(reader, format!("{difference}: {shrunk}"), hint);
    };
    refuse(["baseline", ""], None, &spec.baseline);
    for (index, extra) in spec.extra.iter().enumerate() {
        refuse(["extra", ""], Some(index), &extra.configuration);
    }
    let plan = Plan::new(spec);
    for (index, stage) in spec.stages.iter().enumerate() {
        if let Some(worst) = plan.deepest_pooled(index) {
            refuse(["stages", stage.design.name()], Some(index), &worst);
        }
    }
}

/// The value that keys lead to.
fn below<'a>(at: &At<'a>, keys: &[&str]) -> Option<At<'a>> {
    keys.iter().try_fold(at.clone(), |at, key| {
        let Value::Mapping(entries) = &at.node.value else { return None };
        entries.iter().find(|entry| entry.key == *key).map(|entry| at.below(entry))
    })
}
