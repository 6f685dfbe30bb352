//! The plan of a sweep: which configurations a spec asks for, in which order, and what waits for a decision. Nothing is
//! expanded before somebody asks, and everything follows from the spec and the winners that were committed, so whoever
//! holds those two derives the same plan again.

mod order;
mod released;
mod summary;
mod winner;

pub(crate) use order::circles;
pub use released::{LeftOut, PlannedConfiguration, Released};
pub use summary::{GroupSummary, Summary};
pub use winner::{Candidate, NoWinner, best};

use crate::canonical;
use crate::configuration::Configuration;
use crate::design::{Look, TooMany};
use crate::id::TrialId;
use crate::spec::{Keep, Spec, Stage, Start};
use crate::trial::Trial;

/// A spec, seen as groups of configurations.
#[derive(Debug, Clone)]
pub struct Plan {
    spec: Spec,
    groups: Vec<Group>,
    /// The stages, each behind the one that it starts from.
    order: Vec<usize>,
}

/// A part of a plan that is expanded at once: a stage, or all extra configurations together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The stage's name, or `extra`.
    pub name: String,
    /// The stage's index in the spec; absent for the extra configurations.
    pub stage: Option<usize>,
    /// The `keep: best` stage whose winner must be known before this group can be expanded. It is the nearest one that
    /// this group builds on: a winner is a whole configuration, so those before it need not be known as well.
    pub waits_for: Option<usize>,
    /// How many points it has, those that occur twice counted twice. Of a stage with `where` whose starting point waits
    /// for a winner, the most that it can have.
    pub points: u64,
    /// How many places its points have: more than points where `where` excludes some.
    pub places: u64,
    /// The ordinal of its first point.
    pub first_ordinal: u64,
}

/// The committed decision of a `keep: best` stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Winner {
    /// The stage's index in the spec.
    pub stage: usize,
    /// What won.
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
                Start::Stage(from) if matches!(spec.stages.get(from), Some(Stage { keep: Keep::Best, .. })) => {
                    Some(from)
                }
                Start::Stage(from) => waits.get(from).copied().flatten(),
            };
        }
        let mut groups: Vec<Group> = Vec::with_capacity(spec.stages.len() + 1);
        let mut first_ordinal = 0u64;
        for (index, stage) in spec.stages.iter().enumerate() {
            let (waits_for, places) = (waits[index], stage.design.places());
            let name = stage.name.clone();
            groups.push(Group { name, stage: Some(index), waits_for, points: places, places, first_ordinal });
            first_ordinal = first_ordinal.saturating_add(places);
        }
        if !spec.extra.is_empty() {
            let (name, places) = ("extra".to_owned(), spec.extra.len() as u64);
            groups.push(Group { name, stage: None, waits_for: None, points: places, places, first_ordinal });
        }
        let mut plan = Self { spec: spec.clone(), groups, order };
        let points: Vec<Option<u64>> = {
            let released = plan.released(&[]);
            (0..plan.groups.len()).map(|group| released.counted(group, &mut Look::default()).ok().flatten()).collect()
        };
        for (group, points) in plan.groups.iter_mut().zip(points) {
            group.points = points.unwrap_or(group.points);
        }
        plan
    }

    /// The spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// All groups: the stages in the order of the spec, then the extra configurations if there are any. A stage's index
    /// among the stages is its index here.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The stages whose winner has to be decided: those with `keep: best`, whether or not something builds on them.
    pub fn decisions(&self) -> impl Iterator<Item = usize> + '_ {
        let stages = self.spec.stages.iter().enumerate();
        stages.filter(|(_, stage)| stage.keep == Keep::Best).map(|(index, _)| index)
    }

    /// The groups that can never be expanded if `stage` ends without a winner: all that build on it, however far behind.
    pub fn behind(&self, stage: usize) -> Vec<usize> {
        let mut lost = vec![false; self.groups.len()];
        for &index in &self.order {
            let waits_for = self.groups[index].waits_for;
            lost[index] = waits_for.is_some_and(|waits| waits == stage || lost.get(waits) == Some(&true));
        }
        (0..lost.len()).filter(|&index| lost[index]).collect()
    }

    /// What can be expanded once these winners are committed, in the order of their commits.
    pub fn released(&self, winners: &[Winner]) -> Released<'_> {
        Released::new(self, winners)
    }

    /// The configurations of one group, each once, or nothing while the group waits for a winner that is not among
    /// `winners`. They carry the ordinal under which they were first released, perhaps with another group.
    pub fn expand(&self, group: usize, winners: &[Winner]) -> Option<Vec<PlannedConfiguration>> {
        let released = self.released(winners);
        released.groups().contains(&group).then(|| released.points(group).collect())
    }

    /// One configuration under one seed.
    pub fn trial(&self, configuration: &Configuration, seed: u64) -> Trial {
        Trial::new(configuration.clone(), seed, self.spec.protocol.clone(), self.spec.dataset.clone())
    }

    /// The ids of `configuration`'s trials, in the order of the spec's seeds. Cheaper than asking each trial.
    ///
    /// # Errors
    /// A number in them is not finite; a checked spec has none.
    pub fn trial_ids(&self, configuration: &Configuration) -> Result<Vec<TrialId>, serde_json::Error> {
        let configuration = canonical::to_string(configuration)?;
        let dataset = canonical::to_string(&self.spec.dataset)?;
        let protocol = canonical::to_string(&self.spec.protocol)?;
        // Canonical JSON has its keys sorted; a test holds this against `Trial::id`.
        let head = format!(r#"{{"configuration":{configuration},"dataset":{dataset},"protocol":{protocol},"seed":"#);
        let tail = format!(r#","semantics":{}}}"#, crate::TRAINER_SEMANTICS);
        let id = |seed: &u64| TrialId::of(format!("{head}{seed}{tail}").as_bytes());
        Ok(self.spec.seeds.iter().map(id).collect())
    }

    /// How many trials there are at most: every point under every seed, before points that occur twice are merged.
    /// Saturates.
    pub fn trials_before_merging(&self) -> u64 {
        let points = self.groups.iter().map(|group| group.points).fold(0, u64::saturating_add);
        points.saturating_mul(self.spec.seeds.len() as u64)
    }

    /// A point of `stage` that cannot be built, if there is one. Nothing where the starting point waits for a winner.
    pub(crate) fn unbuildable(&self, stage: usize, look: &mut Look) -> Result<Option<Configuration>, TooMany> {
        let released = self.released(&[]);
        let (Some(start), Some(stage)) = (released.start(stage), self.spec.stages.get(stage)) else { return Ok(None) };
        stage.design.unbuildable(start, crate::count::Input::from(&self.spec.dataset), look)
    }
}

#[cfg(test)]
mod tests;
