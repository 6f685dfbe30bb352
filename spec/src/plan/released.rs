//! A plan with the winners so far: starting points, and configurations that are made one by one. To find out whether
//! another group has a configuration, it asks the design of that group, so it keeps no list of configurations.

use super::{Group, GroupKind, Plan, Winner};
use crate::configuration::Configuration;
use crate::count::{Counts, Input, Shrunk};
use crate::design::{Look, TooMany};
use crate::levels::Difference;
use crate::spec::{Keep, Stage, Start};

/// The part of a plan that can be expanded.
#[derive(Debug, Clone)]
pub struct Released<'a> {
    plan: &'a Plan,
    input: Input,
    starts: Vec<Option<Configuration>>,
    groups: Vec<usize>,
}

/// A configuration of a plan. All groups that ask for it share it: it is one set of trials.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedConfiguration {
    /// Its number in the plan. It never changes, whatever is decided later. A place whose configuration has an earlier
    /// number stays empty, so the numbers have gaps.
    pub ordinal: u64,
    /// The groups that ask for it, in the order in which they were released.
    pub groups: Vec<usize>,
    /// Its name, if it is an extra configuration that no stage asks for, or was first asked for by a list that names it.
    pub name: Option<String>,
    pub configuration: Configuration,
    pub counts: Counts,
}

impl PlannedConfiguration {
    /// Its difference from the baseline.
    pub fn difference(&self, plan: &Plan) -> Difference {
        self.configuration.difference(&plan.spec().baseline)
    }

    /// Its name, or its difference from the baseline, for users.
    pub fn label(&self, plan: &Plan) -> String {
        self.name.clone().unwrap_or_else(|| self.difference(plan).to_string())
    }
}

/// A point that cannot be built. Only behind a `keep: best` stage: elsewhere such a spec is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// The place that it would have had.
    pub ordinal: u64,
    /// The configuration that is left out.
    pub configuration: Configuration,
    pub reason: Shrunk,
}

/// A point of a group, buildable or not.
pub(super) struct Point {
    pub(super) ordinal: u64,
    pub(super) configuration: Configuration,
    pub(super) counts: Result<Counts, Shrunk>,
}

impl<'a> Released<'a> {
    pub(super) fn new(plan: &'a Plan, winners: &[Winner]) -> Self {
        let starts = starts(plan, winners);
        let ready = |index: &usize| match plan.groups[*index].kind {
            GroupKind::Stage(stage) => starts.get(stage).is_some_and(Option::is_some),
            GroupKind::Extra | GroupKind::Noise => true,
            GroupKind::MoreSeeds(_) => false,
        };
        let waiting_for = |stage: Option<usize>| {
            let groups = plan.groups.iter().enumerate();
            groups.filter(move |(_, group)| group.waits_for == stage).map(|(index, _)| index).filter(ready)
        };
        let mut groups: Vec<usize> = waiting_for(None).collect();
        for winner in winners {
            for group in waiting_for(Some(winner.stage)) {
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
        }
        Self { plan, input: Input::from(&plan.spec.dataset), starts, groups }
    }

    /// The groups that can be expanded, in the order in which they became so.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// Where a stage starts, `set` included; nothing while it waits.
    pub fn start(&self, stage: usize) -> Option<&Configuration> {
        self.starts.get(stage)?.as_ref()
    }

    /// The configurations of one group, each once; none while the group waits.
    pub fn points(&self, group: usize) -> impl Iterator<Item = PlannedConfiguration> + '_ {
        self.made(group).filter_map(move |point| self.planned(point))
    }

    /// Every configuration that can be known by now, each once, in the order of release.
    pub fn configurations(&self) -> impl Iterator<Item = PlannedConfiguration> + '_ {
        self.groups.iter().flat_map(move |&group| {
            let points = self.made(group).filter(move |point| self.is_first(group, &point.configuration));
            points.filter_map(move |point| self.planned(point))
        })
    }

    /// The points of one group that cannot be built.
    pub fn left_out(&self, group: usize) -> impl Iterator<Item = LeftOut> + '_ {
        self.made(group).filter_map(|Point { ordinal, configuration, counts }| {
            let reason = counts.err()?;
            Some(LeftOut { ordinal, configuration, reason })
        })
    }

    /// Whether one of a stage's points is its own starting point; without it, nothing in the stage can be compared with
    /// that. Unknown while the stage waits.
    pub fn tries_start(&self, stage: usize) -> Option<bool> {
        Some(self.plan.spec.stages.get(stage)?.tries_start(self.start(stage)?))
    }

    /// Whether a stage or an extra that can be expanded by now asks for the configuration, and it can be built.
    pub fn trains(&self, configuration: &Configuration) -> bool {
        let is_source = |group: &&usize| self.plan.groups.get(**group).is_some_and(|group| group.kind.is_source());
        let mut sources = self.groups.iter().filter(is_source);
        let asked = sources.any(|&group| self.index_of(group, configuration).is_some());
        asked && Counts::of(configuration, self.input).is_ok()
    }

    /// The number of points of a group, including those that occur twice; `None` while it waits.
    pub(crate) fn counted(&self, group: usize, look: &mut Look) -> Result<Option<u64>, TooMany> {
        let Some(known) = self.plan.groups.get(group) else { return Ok(None) };
        let Some(stage) = known.stage else { return Ok(Some(known.places)) };
        match (self.start(stage), self.plan.spec.stages.get(stage)) {
            (Some(start), Some(stage)) => {
                let points = stage.design.count(start, look)?;
                Ok(Some(points.saturating_add(u64::from(stage.adds_start()))))
            }
            _ => Ok(None),
        }
    }

    /// Every point of a group where it first occurs in the group.
    pub(super) fn made(&self, group: usize) -> impl Iterator<Item = Point> + '_ {
        let (first_ordinal, places, may_repeat) = match self.plan.groups.get(group) {
            Some(known) if self.groups.contains(&group) => {
                let stage = known.stage.and_then(|stage| self.plan.spec.stages.get(stage));
                (known.first_ordinal, known.places, stage.is_none_or(Stage::may_repeat))
            }
            _ => (0, 0, false),
        };
        (0..places).filter_map(move |index| {
            let configuration = self.point(group, index)?;
            if may_repeat && self.index_of(group, &configuration) != Some(index) {
                return None;
            }
            let counts = Counts::of(&configuration, self.input);
            Some(Point { ordinal: first_ordinal.saturating_add(index), configuration, counts })
        })
    }

    /// Whether no stage and no extra that was released before this group has the configuration. The noise floor counts
    /// as the last group, because its seeds are separate.
    pub(super) fn is_first(&self, group: usize, configuration: &Configuration) -> bool {
        let source = |index: &usize| self.plan.groups.get(*index).is_some_and(|group| group.kind.is_source());
        let before = self.groups.iter().take_while(|&&other| other != group || !source(&group));
        before.copied().filter(source).all(|other| self.index_of(other, configuration).is_none())
    }

    fn point(&self, group: usize, index: u64) -> Option<Configuration> {
        let spec = &self.plan.spec;
        match self.plan.groups.get(group)?.kind {
            GroupKind::Stage(stage) => spec.stages.get(stage)?.point(self.start(stage)?, index),
            GroupKind::Extra => Some(spec.extra.get(usize::try_from(index).ok()?)?.configuration.clone()),
            GroupKind::Noise => (index == 0).then(|| spec.baseline.clone()),
            GroupKind::MoreSeeds(_) => None,
        }
    }

    fn index_of(&self, group: usize, configuration: &Configuration) -> Option<u64> {
        let spec = &self.plan.spec;
        match self.plan.groups.get(group)?.kind {
            GroupKind::Stage(stage) => spec.stages.get(stage)?.index_of(self.start(stage)?, configuration),
            GroupKind::Extra => {
                let mut extra = spec.extra.iter();
                extra.position(|extra| extra.configuration == *configuration).map(|index| index as u64)
            }
            GroupKind::Noise => (*configuration == spec.baseline).then_some(0),
            GroupKind::MoreSeeds(_) => None,
        }
    }

    /// The name that the point at a group's place was given, if any.
    fn name_at(&self, group: usize, index: u64) -> Option<String> {
        let spec = &self.plan.spec;
        match self.plan.groups.get(group)?.kind {
            GroupKind::Stage(stage) => spec.stages.get(stage)?.design.entry_name(index).map(str::to_owned),
            GroupKind::Extra => Some(spec.extra.get(usize::try_from(index).ok()?)?.name.clone()),
            GroupKind::Noise | GroupKind::MoreSeeds(_) => None,
        }
    }

    fn planned(&self, point: Point) -> Option<PlannedConfiguration> {
        let Point { configuration, counts, .. } = point;
        let counts = counts.ok()?;
        let mut groups: Vec<usize> = Vec::new();
        let mut ordinal = None;
        let mut name = None;
        for &group in &self.groups {
            let Some(index) = self.index_of(group, &configuration) else { continue };
            let Group { first_ordinal, kind, .. } = &self.plan.groups[group];
            ordinal = ordinal.or(Some(first_ordinal.saturating_add(index)));
            // A name once given stays: what asks first stays first. An extra's is only for want of a stage, and the noise
            // floor gives and takes none.
            match groups.iter().find(|group| self.plan.groups[**group].kind.is_source()) {
                _ if !kind.is_source() => {}
                None => name = self.name_at(group, index),
                Some(&first) if self.plan.groups[first].stage.is_none() => name = None,
                Some(_) => {}
            }
            groups.push(group);
        }
        Some(PlannedConfiguration { ordinal: ordinal?, groups, name, configuration, counts })
    }
}

/// The starting point of each stage, if known.
fn starts(plan: &Plan, winners: &[Winner]) -> Vec<Option<Configuration>> {
    let spec = &plan.spec;
    let mut starts: Vec<Option<Configuration>> = vec![None; spec.stages.len()];
    for &index in &plan.order {
        let stage = &spec.stages[index];
        let kept = match stage.from {
            Start::Baseline => Some(spec.baseline.clone()),
            Start::Stage(from) => kept(plan, from, starts.get(from).and_then(Option::as_ref), winners),
        };
        starts[index] = kept.and_then(|mut configuration| {
            for &(factor, level) in &stage.set {
                configuration.set(factor, level).ok()?;
            }
            Some(configuration)
        });
    }
    starts
}

/// The configuration that later stages start from, if known.
fn kept(plan: &Plan, stage: usize, start: Option<&Configuration>, winners: &[Winner]) -> Option<Configuration> {
    match &plan.spec.stages.get(stage)?.keep {
        // The first decision counts: a choice is never revised.
        Keep::Best | Keep::BestIfSignificant => {
            winners.iter().find(|winner| winner.stage == stage).map(|winner| winner.configuration.clone())
        }
        Keep::Start => start.cloned(),
        Keep::Levels(levels) => {
            let mut configuration = start?.clone();
            for &(factor, level) in levels {
                configuration.set(factor, level).ok()?;
            }
            Some(configuration)
        }
    }
}
