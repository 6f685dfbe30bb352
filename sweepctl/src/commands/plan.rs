//! `sweepctl plan`: lists a spec's configurations and their cost. It needs a coordinator only for measurements.
//! Configurations are generated one by one and not kept, so that a plan of a million trials needs little memory.

mod stages;

use std::cell::RefCell;
use std::path::PathBuf;

use clap::Args;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use sweep_spec::Plan;
use sweep_spec::levels::{Factor, Level};
use sweep_spec::plan::{GroupKind, GroupSummary, PlannedConfiguration, Released, Summary};
use sweep_spec::spec::{Keep, Stage, Start};

use self::stages::{Said, StageShape};
use sweep_shapes::Settings;
use sweep_shapes::text::{bytes, count, escape, plural, si};

use super::Context;
use super::estimate::{CostShape, Estimate, Money, Source};
use crate::failure::{Exit, Failure};
use crate::output::{Output, STRONG, WARNING};
use crate::power::PowerShape;
use crate::study::{self, Study, parameters, totals};
use crate::table::Table;

/// With more configurations a plan shows only the first ones.
const MOST_SHOWN: u64 = 200;
/// How many it then shows.
const HEAD: usize = 20;
/// Rows of one table; a longer list becomes several tables.
const TABLE_ROWS: usize = 1000;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sweepctl plan sweeps/ablation.yaml\n  \
    sweepctl plan sweeps/ablation.yaml --set protocol.epochs=10 --output json")]
pub(crate) struct Arguments {
    /// Spec: a YAML file, or `-` for stdin
    file: PathBuf,
    /// Override of a spec value, such as `protocol.epochs=10`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = study::parse_override)]
    overrides: Vec<(String, String)>,
    /// Maximum number of trials of a grid; a larger grid is refused
    #[arg(long, value_name = "TRIALS")]
    trial_limit: Option<u64>,
    /// Show all configurations, even if there are many
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    money: Money,
    #[command(flatten)]
    source: Source,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let text = study::load(&arguments.file)?;
    let file = arguments.file.display().to_string();
    let overrides = arguments.money.overrides(&arguments.overrides);
    let study = Study::read(&file, text, overrides.clone(), arguments.trial_limit)?;
    let estimate = Estimate::ask(context, &arguments.source, &study, &overrides, arguments.trial_limit).await;
    let summary = study.plan.summary(&[]);
    let known: u64 = summary.groups.iter().filter(|group| !group.at_most).map(|group| group.configurations).sum();
    let shown = if arguments.all || known <= MOST_SHOWN { usize::MAX } else { HEAD };
    let released = study.plan.released(&[]);
    let view = View { study: &study, estimate, summary, released, shown, omitted: known.saturating_sub(shown as u64) };
    if context.output.is_json() {
        context.output.json(&view.shape())?;
    } else {
        view.print(&context.output)?;
    }
    Ok(Exit::Success)
}

struct View<'a> {
    study: &'a Study,
    estimate: Estimate,
    summary: Summary,
    released: Released<'a>,
    /// The number of configurations that are shown.
    shown: usize,
    omitted: u64,
}

impl View<'_> {
    fn print(&self, output: &Output) -> Result<(), Failure> {
        output.prose(&format!("{STRONG}{}{STRONG:#}\n", self.study.head()))?;
        let mut configurations = self.released.configurations().take(self.shown).peekable();
        while configurations.peek().is_some() {
            let headings = ["stage", "configuration", "params#", "FLOPs/image#", "memory#", "trials#"];
            let mut table =
                Table::new(&headings).names(&["configuration"]).optional(&["FLOPs/image", "memory", "trials", "stage"]);
            for planned in configurations.by_ref().take(TABLE_ROWS) {
                table.row(self.cells(&planned));
            }
            output.table(table)?;
        }
        if self.omitted > 0 {
            output.text(&format!("... and {} more; --all shows them", count(self.omitted)))?;
        }
        output.text("")?;
        for line in self.groups() {
            output.prose(&line)?;
        }
        output.prose(&totals(&self.summary))?;
        for line in self.estimate.lines(self.study) {
            output.prose(&line)?;
        }
        for warning in self.study.warnings() {
            output.prose(&format!("{WARNING}warning{WARNING:#}: {warning}"))?;
        }
        Ok(())
    }

    fn plan(&self) -> &Plan {
        &self.study.plan
    }

    fn cells(&self, planned: &PlannedConfiguration) -> [String; 6] {
        [
            self.names(&planned.groups).join(", "),
            planned.label(self.plan()),
            count(planned.counts.params),
            si(planned.counts.flops_per_image),
            bytes(planned.counts.training_memory_bytes(self.plan().spec().protocol.batch_size)),
            count(self.trials(planned)),
        ]
    }

    /// Trials of a configuration, before any decision.
    fn trials(&self, planned: &PlannedConfiguration) -> u64 {
        let known = |group: &usize| self.plan().groups().get(*group).map(|group| group.kind);
        let asked = planned.groups.iter().filter_map(known);
        let (sources, others): (Vec<GroupKind>, Vec<GroupKind>) = asked.partition(|kind| kind.is_source());
        let own = if sources.is_empty() { 0 } else { self.plan().spec().seeds.len() };
        let noise = if others.contains(&GroupKind::Noise) { self.plan().spec().noise.len() } else { 0 };
        (own + noise) as u64
    }

    fn names(&self, groups: &[usize]) -> Vec<String> {
        groups.iter().filter_map(|&group| self.plan().groups().get(group)).map(|group| group.name.clone()).collect()
    }

    /// Notes about single stages, and about extra configurations that also belong to a stage.
    fn groups(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, (group, numbers)) in self.plan().groups().iter().zip(&self.summary.groups).enumerate() {
            let name = escape(&group.name);
            match group.kind {
                GroupKind::Noise => {
                    let seeds = plural(self.plan().seeds(index).len() as u64, "more seed");
                    lines.push(format!("{name}: the baseline with {seeds}, only for the noise floor"));
                    continue;
                }
                GroupKind::MoreSeeds(look) => {
                    lines.extend(self.look(look));
                    continue;
                }
                GroupKind::Stage(_) | GroupKind::Extra => {}
            }
            if numbers.at_most {
                lines.push(self.waiting(index, numbers));
            } else if let Some(said) = self.said(index, numbers) {
                lines.extend(said.lines());
            } else if numbers.merged > 0 {
                let merged = format!("{} of {}", count(numbers.merged), plural(numbers.points, "point"));
                let verb = if numbers.merged == 1 { "occurs" } else { "occur" };
                lines.push(format!("{name}: {merged} also {verb} in an earlier stage"));
            }
        }
        lines
    }

    fn said<'a>(&'a self, index: usize, numbers: &'a GroupSummary) -> Option<Said<'a>> {
        let stage = self.stage(index)?;
        Some(Said { plan: self.plan(), released: &self.released, stage, index, numbers })
    }

    /// All interim analyses of an adaptive study in one line.
    fn look(&self, look: usize) -> Option<String> {
        let spec = self.plan().spec();
        let adaptive = spec.adaptive.as_ref().filter(|_| look == 1)?;
        let most = spec.seeds.len() + adaptive.seeds().len();
        let times = plural(adaptive.looks() as u64, "time");
        let trials = plural(self.summary.more_seeds, "trial");
        let (step, most) = (plural(adaptive.step() as u64, "seed"), plural(most as u64, "seed"));
        Some(format!(
            "more seeds: {step} at a time for undecided comparisons, up to {times} and {most}; at most {trials}"
        ))
    }

    fn waiting(&self, index: usize, numbers: &GroupSummary) -> String {
        let winner = self.waits_for(index).unwrap_or_default();
        let params = numbers.params.map(|params| format!(", {}", parameters(params))).unwrap_or_default();
        let name = escape(&self.plan().groups()[index].name);
        let levels = self.stage(index).map(|stage| stage.design.description()).unwrap_or_default();
        let points = plural(numbers.points, "configuration");
        format!("{name}: waits for the winner of {}; {levels}; at most {points}{params}", escape(&winner))
    }

    fn stage(&self, group: usize) -> Option<&Stage> {
        self.plan().spec().stages.get(self.plan().groups().get(group)?.stage?)
    }

    fn waits_for(&self, group: usize) -> Option<String> {
        Some(self.plan().spec().stages.get(self.plan().groups().get(group)?.waits_for?)?.name.clone())
    }

    fn shape(&self) -> Shape<'_, impl Iterator<Item = ConfigurationShape>> {
        let spec = self.plan().spec();
        let configurations = self.released.configurations().take(self.shown);
        let configurations = configurations.map(|planned| self.configuration_shape(&planned));
        Shape {
            name: self.study.name(),
            dataset: spec.dataset.kind(),
            image_size: spec.dataset.image_size,
            channels: spec.dataset.channels,
            classes: spec.dataset.classes.count(),
            epochs: spec.protocol.epochs,
            seeds: &spec.seeds,
            objective: Objective { metric: spec.objective.metric.name(), goal: spec.objective.goal.name() },
            totals: Totals {
                configurations: self.summary.configurations,
                trials: self.summary.trials,
                merged: self.summary.merged,
                at_most: self.summary.at_most,
                params_least: self.summary.params.map(|(least, _)| least),
                params_most: self.summary.params.map(|(_, most)| most),
            },
            stages: (0..self.summary.groups.len()).map(|index| self.group_shape(index)).collect(),
            configurations: LazyList::new(configurations),
            omitted: self.omitted,
            power: &self.estimate.power,
            cost: self.estimate.cost.as_ref(),
            warnings: self.study.warnings(),
        }
    }

    fn group_shape(&self, index: usize) -> GroupShape {
        let (group, numbers) = (&self.plan().groups()[index], &self.summary.groups[index]);
        let stage = self.stage(index);
        let keep = stage.map(|stage| match &stage.keep {
            Keep::Start => "start".to_owned(),
            Keep::Levels(levels) => levels_text(levels),
            Keep::Best => "best".to_owned(),
            Keep::BestIfSignificant => "best_if_significant".to_owned(),
        });
        let from = stage.map(|stage| match stage.from {
            Start::Baseline => "baseline".to_owned(),
            Start::Stage(from) => self.names(&[from]).concat(),
        });
        GroupShape {
            name: group.name.clone(),
            extra: group.kind == GroupKind::Extra,
            kind: kind(group.kind),
            seeds: self.plan().seeds(index).len() as u64,
            from,
            design: stage.map(|stage| stage.design.description()),
            keep,
            waits_for: self.waits_for(index),
            points: numbers.points,
            configurations: numbers.configurations,
            merged: numbers.merged,
            left_out: numbers.left_out,
            at_most: numbers.at_most,
            params_least: numbers.params.map(|(least, _)| least),
            params_most: numbers.params.map(|(_, most)| most),
            stage: self.said(index, numbers).map(|said| said.shape()).unwrap_or_default(),
        }
    }

    fn configuration_shape(&self, planned: &PlannedConfiguration) -> ConfigurationShape {
        let spec = self.plan().spec();
        let levels = planned.configuration.levels().into_iter();
        let mut settings: Settings = levels.map(|(factor, level)| (factor.name().to_owned(), value(level))).collect();
        settings.insert("family".to_owned(), planned.configuration.family().name().into());
        let (mut groups, mut ids) = (planned.groups.clone(), Vec::new());
        // The stages and the extra configurations share one list of seeds.
        groups.dedup_by_key(|group| self.plan().groups().get(*group).is_some_and(|group| group.kind.is_source()));
        for group in groups {
            ids.extend(
                self.plan().trial_ids_under(&planned.configuration, self.plan().seeds(group)).unwrap_or_default(),
            );
        }
        ConfigurationShape {
            stages: self.names(&planned.groups),
            name: planned.name.clone(),
            configuration: planned.label(self.plan()),
            baseline: planned.configuration == spec.baseline,
            params: planned.counts.params,
            flops_per_image: planned.counts.flops_per_image,
            training_memory_bytes: planned.counts.training_memory_bytes(spec.protocol.batch_size),
            trials: self.trials(planned),
            trial_ids: ids.iter().map(ToString::to_string).collect(),
            settings,
        }
    }
}

/// The purpose of a group, in one word.
const fn kind(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Stage(_) => "stage",
        GroupKind::Extra => "extra",
        GroupKind::Noise => "noise",
        GroupKind::MoreSeeds(_) => "more_seeds",
    }
}

fn levels_text(levels: &[(Factor, Level)]) -> String {
    levels.iter().map(|(factor, level)| format!("{factor}={level}")).collect::<Vec<_>>().join(" ")
}

fn value(level: Level) -> serde_json::Value {
    match level {
        Level::Bool(value) => value.into(),
        Level::Int(value) => value.into(),
        Level::Fraction(value) => value.into(),
    }
}

/// A plan as JSON.
#[derive(Serialize)]
#[serde(bound = "")]
struct Shape<'a, I: Iterator<Item = ConfigurationShape>> {
    name: &'a str,
    dataset: &'static str,
    image_size: u32,
    channels: u32,
    classes: u32,
    epochs: u32,
    seeds: &'a [u64],
    objective: Objective,
    totals: Totals,
    stages: Vec<GroupShape>,
    configurations: LazyList<I>,
    /// Configurations that are not listed without `--all`.
    omitted: u64,
    /// The statistical power.
    power: &'a PowerShape,
    /// `None` without a source of measurements.
    cost: Option<&'a CostShape>,
    /// Warnings about a spec that can be trained.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Objective {
    metric: &'static str,
    goal: &'static str,
}

#[derive(Serialize)]
struct Totals {
    configurations: u64,
    trials: u64,
    /// Duplicate points, which are shared.
    merged: u64,
    /// The numbers are upper bounds, because a stage waits for a winner.
    at_most: bool,
    params_least: Option<u64>,
    params_most: Option<u64>,
}

/// A stage, all extra configurations, or another group.
#[derive(Serialize)]
struct GroupShape {
    name: String,
    extra: bool,
    /// `stage`, `extra`, `noise` or `more_seeds`.
    kind: &'static str,
    /// The number of seeds of its configurations.
    seeds: u64,
    from: Option<String>,
    design: Option<String>,
    keep: Option<String>,
    /// The stage whose winner it needs.
    waits_for: Option<String>,
    points: u64,
    configurations: u64,
    merged: u64,
    /// Points that cannot be built.
    left_out: u64,
    at_most: bool,
    params_least: Option<u64>,
    params_most: Option<u64>,
    #[serde(flatten)]
    stage: StageShape,
}

#[derive(Serialize)]
struct ConfigurationShape {
    stages: Vec<String>,
    /// The name of an entry of `extra`.
    name: Option<String>,
    /// Differences from the baseline.
    configuration: String,
    baseline: bool,
    params: u64,
    flops_per_image: u64,
    training_memory_bytes: u64,
    trials: u64,
    /// In the order of the seeds.
    trial_ids: Vec<String>,
    settings: Settings,
}

/// A list that is generated while it is serialised.
struct LazyList<I>(RefCell<Option<I>>);

impl<I> LazyList<I> {
    fn new(elements: I) -> Self {
        Self(RefCell::new(Some(elements)))
    }
}

impl<I: Iterator<Item: Serialize>> Serialize for LazyList<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for element in self.0.borrow_mut().take().into_iter().flatten() {
            list.serialize_element(&element)?;
        }
        list.end()
    }
}
