//! The plan of a sweep: which configurations a spec asks for, in which order, and what waits for a decision. Nothing is
//! expanded before somebody asks, and everything follows from the spec and the winners that were committed, so whoever
//! holds those two derives the same plan again.

mod assumed;
mod released;
mod summary;
mod winner;

pub use released::{LeftOut, PlannedConfiguration, Released};
pub use summary::{GroupSummary, Summary};
pub use winner::{Candidate, NoWinner, best};

use crate::canonical;
use crate::configuration::Configuration;
use crate::design::Design;
use crate::id::TrialId;
use crate::levels::{Factor, Level};
use crate::spec::{Keep, Spec, Stage, Start};
use crate::trial::Trial;

/// A spec, seen as groups of configurations.
#[derive(Debug, Clone)]
pub struct Plan {
    spec: Spec,
    groups: Vec<Group>,
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
    /// How many points it has, those that occur twice counted twice.
    pub points: u64,
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
    /// The plan of `spec`. Costs little, however many trials there are.
    pub fn new(spec: &Spec) -> Self {
        let mut groups: Vec<Group> = Vec::with_capacity(spec.stages.len() + 1);
        let mut first_ordinal = 0u64;
        for (index, stage) in spec.stages.iter().enumerate() {
            let waits_for = match stage.from {
                Start::Baseline => None,
                Start::Stage(from) if matches!(spec.stages.get(from), Some(Stage { keep: Keep::Best, .. })) => {
                    Some(from)
                }
                Start::Stage(from) => groups.get(from).and_then(|group| group.waits_for),
            };
            let points = stage.design.points();
            let name = stage.name.clone();
            groups.push(Group { name, stage: Some(index), waits_for, points, first_ordinal });
            first_ordinal = first_ordinal.saturating_add(points);
        }
        if !spec.extra.is_empty() {
            let (name, points) = ("extra".to_owned(), spec.extra.len() as u64);
            groups.push(Group { name, stage: None, waits_for: None, points, first_ordinal });
        }
        Self { spec: spec.clone(), groups }
    }

    /// The spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// All groups: the stages in the order of the spec, so that each stands behind what it starts from, then the extra
    /// configurations if there are any. A stage's index among the stages is its index here.
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
        for (index, group) in self.groups.iter().enumerate() {
            lost[index] = group.waits_for.is_some_and(|waits| waits == stage || lost.get(waits) == Some(&true));
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
    pub fn trials_before_merging(&self) -> u64 {
        trials_before_merging(&self.spec)
    }

    /// A point of `stage` that cannot be built, if there is one; it may also be one that can. Nothing where the starting
    /// point waits for a winner. Looks only at what decides about shapes, so a large grid costs no more than a small one.
    pub(crate) fn deepest_pooled(&self, stage: usize) -> Option<Configuration> {
        let released = self.released(&[]);
        let start = released.start(stage)?;
        let design = &self.spec.stages.get(stage)?.design;
        let input = crate::count::Input::from(&self.spec.dataset);
        match design {
            Design::Vary(_) => {
                let mut points = (0..design.points()).filter_map(|index| design.point(start, index));
                points.find(|point| crate::count::Counts::of(point, input).is_err())
            }
            Design::Grid(axes) => {
                let mut worst = design.point(start, 0)?;
                for axis in axes {
                    let level = match axis.factor {
                        Factor::ConvLayers => axis.levels().iter().max_by_key(|level| match level {
                            Level::Whole(layers) => *layers,
                            Level::Switch(_) | Level::Share(_) => 0,
                        }),
                        Factor::MaxPool => axis.levels().iter().find(|level| **level == Level::Switch(true)),
                        _ => None,
                    };
                    if let Some(level) = level {
                        worst.set(axis.factor, *level).ok()?;
                    }
                }
                Some(worst)
            }
        }
    }
}

/// Every point of every stage and every extra, under every seed. From the lengths of lists alone; saturates.
pub(crate) fn trials_before_merging(spec: &Spec) -> u64 {
    let stages = spec.stages.iter().map(|stage| stage.design.points());
    let points = stages.fold(spec.extra.len() as u64, u64::saturating_add);
    points.saturating_mul(spec.seeds.len() as u64)
}

#[cfg(test)]
mod tests;
