//! The plan of a sweep: the configurations of a spec, their order, and which of them wait for a decision. It is
//! expanded on demand. The spec and the committed winners determine it completely, so the same plan can be derived
//! again at any time.

mod assumed;
mod lone_batch;
mod order;
mod released;
mod summary;
mod winner;

pub use lone_batch::LoneBatch;
pub(crate) use order::circles;
pub use released::{LeftOut, PlannedConfiguration, Released};
pub use summary::{GroupSummary, Summary};
pub use winner::{Candidate, NoWinner, best};

use serde::Serialize;

use crate::canonical;
use crate::configuration::Configuration;
use crate::design::{Look, TooMany};
use crate::id::TrialId;
use crate::spec::{Adaptive, Spec, Start};
use crate::trial::Trial;

/// A spec, seen as groups of configurations.
#[derive(Debug, Clone)]
pub struct Plan {
    spec: Spec,
    groups: Vec<Group>,
    /// The stages, each after the stage that it starts from.
    order: Vec<usize>,
}

/// A part of a plan that is expanded at once: a stage, all extra configurations together, or a group beside the stages.
/// Its trials are its configurations under its seeds (`Plan::seeds`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name of the stage, or of the group beside the stages.
    pub name: String,
    pub kind: GroupKind,
    /// The stage's index in the spec; absent for everything else.
    pub stage: Option<usize>,
    /// The stage whose winner must be known before this group can be expanded. It is the nearest stage with a choice
    /// that this group builds on: a winner is a complete configuration, so earlier winners are not needed.
    pub waits_for: Option<usize>,
    /// The number of points, including those that occur twice. For a stage with `where` whose starting point waits for
    /// a winner, and for more seeds, an upper bound.
    pub points: u64,
    /// How many places its points have: more than points where `where` excludes some.
    pub places: u64,
    /// The ordinal of its first point.
    pub first_ordinal: u64,
}

/// The purpose of a group of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// The stage of this index in the spec.
    Stage(usize),
    /// The extra configurations.
    Extra,
    /// The baseline under separate seeds, for the noise floor. Nothing else uses these replicates.
    Noise,
    /// More seeds for comparisons that are undecided when all earlier groups have ended: the look of this number,
    /// counted from 1. Its configurations are chosen then and are not part of a winner; `released` never has such a
    /// group.
    MoreSeeds(usize),
}

impl GroupKind {
    /// Whether it adds configurations, not only trials of them.
    pub const fn is_source(self) -> bool {
        match self {
            Self::Stage(_) | Self::Extra => true,
            Self::Noise | Self::MoreSeeds(_) => false,
        }
    }
}

/// The committed decision of a stage that results decide about.
#[derive(Debug, Clone, PartialEq)]
pub struct Winner {
    /// The stage's index in the spec.
    pub stage: usize,
    pub configuration: Configuration,
}

impl Plan {
    /// The plan of `spec`. Costs little, however many trials there are; a stage with `where` costs a look at every
    /// combination of the levels that its conditions read.
    pub fn new(spec: &Spec) -> Self {
        let order = order::order(&spec.stages);
        let mut waits: Vec<Option<usize>> = vec![None; spec.stages.len()];
        for &index in &order {
            waits[index] = match spec.stages[index].from {
                Start::Baseline => None,
                Start::Stage(from) if spec.stages.get(from).is_some_and(|stage| stage.keep.is_decided()) => Some(from),
                Start::Stage(from) => waits.get(from).copied().flatten(),
            };
        }
        let mut groups: Vec<Group> = Vec::with_capacity(spec.stages.len() + 1);
        let mut first_ordinal = 0u64;
        for (index, stage) in spec.stages.iter().enumerate() {
            let (waits_for, places) = (waits[index], stage.places());
            let (name, kind) = (stage.name.clone(), GroupKind::Stage(index));
            groups.push(Group { name, kind, stage: Some(index), waits_for, points: places, places, first_ordinal });
            first_ordinal = first_ordinal.saturating_add(places);
        }
        let mut beside = |name: String, kind, places| {
            groups.push(Group { name, kind, stage: None, waits_for: None, points: places, places, first_ordinal });
            first_ordinal = first_ordinal.saturating_add(places);
        };
        if !spec.extra.is_empty() {
            beside("extra".to_owned(), GroupKind::Extra, spec.extra.len() as u64);
        }
        if !spec.noise.is_empty() {
            beside("noise".to_owned(), GroupKind::Noise, 1);
        }
        for look in 1..=spec.adaptive.as_ref().map_or(0, Adaptive::looks) {
            beside(format!("more seeds {look}"), GroupKind::MoreSeeds(look), 0);
        }
        let mut plan = Self { spec: spec.clone(), groups, order };
        let points: Vec<Option<u64>> = {
            let released = plan.released(&[]);
            (0..plan.groups.len()).map(|group| released.counted(group, &mut Look::default()).ok().flatten()).collect()
        };
        for (group, points) in plan.groups.iter_mut().zip(points) {
            group.points = points.unwrap_or(group.points);
        }
        let points = plan.points_before_merging();
        for group in plan.groups.iter_mut().filter(|group| matches!(group.kind, GroupKind::MoreSeeds(_))) {
            group.points = points;
        }
        plan
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// All groups: the stages in the order of the spec, then the extra configurations, the noise floor and more seeds, as far
    /// as there are any. A stage's index among the stages is its index here.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The seeds under which the configurations of a group are trained, in their order.
    pub fn seeds(&self, group: usize) -> &[u64] {
        match self.groups.get(group).map(|group| group.kind) {
            Some(GroupKind::Stage(_) | GroupKind::Extra) => &self.spec.seeds,
            Some(GroupKind::Noise) => &self.spec.noise,
            Some(GroupKind::MoreSeeds(look)) => {
                self.spec.adaptive.as_ref().map_or(&[], |adaptive| adaptive.added_at(look))
            }
            None => &[],
        }
    }

    /// Whether all groups have the same seeds.
    pub fn has_one_list_of_seeds(&self) -> bool {
        self.spec.noise.is_empty() && self.spec.adaptive.is_none()
    }

    /// The groups that add seeds, in the order of their looks.
    pub fn looks(&self) -> impl Iterator<Item = usize> + '_ {
        let groups = self.groups.iter().enumerate();
        groups.filter(|(_, group)| matches!(group.kind, GroupKind::MoreSeeds(_))).map(|(index, _)| index)
    }

    /// The stages whose winner has to be decided, whether or not something builds on them.
    pub fn decisions(&self) -> impl Iterator<Item = usize> + '_ {
        let stages = self.spec.stages.iter().enumerate();
        stages.filter(|(_, stage)| stage.keep.is_decided()).map(|(index, _)| index)
    }

    /// The groups that can never be expanded if `stage` ends without a winner: all that build on it, however far behind,
    /// and more seeds, which wait for everything.
    pub fn behind(&self, stage: usize) -> Vec<usize> {
        let mut lost = vec![false; self.groups.len()];
        for &index in &self.order {
            let waits_for = self.groups[index].waits_for;
            lost[index] = waits_for.is_some_and(|waits| waits == stage || lost.get(waits) == Some(&true));
        }
        for index in self.looks() {
            lost[index] = true;
        }
        (0..lost.len()).filter(|&index| lost[index]).collect()
    }

    /// The groups that can be expanded with these winners, given in the order of their commits.
    pub fn released(&self, winners: &[Winner]) -> Released<'_> {
        Released::new(self, winners)
    }

    /// The configurations of one group, each once, or nothing while the group waits for a winner that is not among
    /// `winners`. They carry the ordinal under which they were first released, perhaps with another group.
    pub fn expand(&self, group: usize, winners: &[Winner]) -> Option<Vec<PlannedConfiguration>> {
        let released = self.released(winners);
        released.groups().contains(&group).then(|| released.points(group).collect())
    }

    pub fn trial(&self, configuration: &Configuration, seed: u64) -> Trial {
        Trial::new(configuration.clone(), seed, self.spec.protocol.clone(), self.spec.dataset.clone())
    }

    /// The ids of `configuration`'s trials, in the order of the spec's seeds. Cheaper than asking each trial.
    ///
    /// # Errors
    /// A number in them is not finite; a checked spec has none.
    pub fn trial_ids(&self, configuration: &Configuration) -> Result<Vec<TrialId>, serde_json::Error> {
        self.trial_ids_under(configuration, &self.spec.seeds)
    }

    /// The ids of `configuration`'s trials under these seeds.
    ///
    /// # Errors
    /// A number in them is not finite; a checked spec has none.
    pub fn trial_ids_under(
        &self,
        configuration: &Configuration,
        seeds: &[u64],
    ) -> Result<Vec<TrialId>, serde_json::Error> {
        let configuration = canonical::to_string(configuration)?;
        let dataset = canonical::to_string(&self.spec.dataset)?;
        let protocol = canonical::to_string(&self.spec.protocol)?;
        // Canonical JSON has its keys sorted; a test holds this against `Trial::id`.
        let head = format!(r#"{{"configuration":{configuration},"dataset":{dataset},"protocol":{protocol},"seed":"#);
        let tail = format!(r#","semantics":{}}}"#, crate::TRAINER_SEMANTICS);
        let id = |seed: &u64| TrialId::of(format!("{head}{seed}{tail}").as_bytes());
        Ok(seeds.iter().map(id).collect())
    }

    /// The number of points of all stages and extras, before points that occur twice are merged. Saturates.
    pub fn points_before_merging(&self) -> u64 {
        let sources = self.groups.iter().filter(|group| group.kind.is_source());
        sources.map(|group| group.points).fold(0, u64::saturating_add)
    }

    /// The maximum number of trials: every point under every seed that it may get, before points that occur twice are
    /// merged, and the noise floor. Saturates.
    pub fn trials_before_merging(&self) -> u64 {
        let spec = &self.spec;
        let more = spec.adaptive.as_ref().map_or(0, |adaptive| adaptive.seeds().len());
        let trials = self.points_before_merging().saturating_mul((spec.seeds.len() + more) as u64);
        trials.saturating_add(spec.noise.len() as u64)
    }

    /// A point of `stage` that cannot be built, if there is one. Nothing where the starting point waits for a winner.
    pub(crate) fn unbuildable(&self, stage: usize, look: &mut Look) -> Result<Option<Configuration>, TooMany> {
        let released = self.released(&[]);
        let (Some(start), Some(stage)) = (released.start(stage), self.spec.stages.get(stage)) else { return Ok(None) };
        let input = crate::count::Input::from(&self.spec.dataset);
        if stage.adds_start() && crate::count::Counts::of(start, input).is_err() {
            return Ok(Some(start.clone()));
        }
        stage.design.unbuildable(start, input, look)
    }
}

#[cfg(test)]
mod seeds_tests;
#[cfg(test)]
mod tests;
