//! A checked spec: the content of one YAML file, with every default applied and every name resolved. Only the reader
//! makes it. It does not contain the text.

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::budget::{Budget, Money};
use crate::canonical;
use crate::configuration::Configuration;
use crate::count;
use crate::dataset::Dataset;
use crate::design::Design;
use crate::id::Digest;
use crate::levels::{Factor, Level};
use crate::problem::Problems;
use crate::protocol::Protocol;
use crate::read;
use crate::retry::Changes;
use crate::trainer::EpochMetrics;

/// The version of the spec's form that is read.
pub const VERSION: u64 = 1;

/// The priorities that a sweep may have.
pub const PRIORITIES: RangeInclusive<i32> = -1000..=1000;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spec {
    /// For people; never part of an id.
    pub name: String,
    pub dataset: Dataset,
    pub protocol: Protocol,
    /// The replicates of every configuration, each once, in the order of the spec.
    pub seeds: Vec<u64>,
    /// The configuration that changes are compared with.
    pub baseline: Configuration,
    /// The steps of the study, in the order of the spec; each starts from another one or from the baseline, never in a
    /// circle.
    pub stages: Vec<Stage>,
    /// Configurations beside the stages.
    pub extra: Vec<Extra>,
    /// The metric of the leaderboard and of `keep: best`.
    pub objective: Objective,
    /// Sweeps of a higher priority are served first; one of `PRIORITIES`.
    pub priority: i32,
    /// The sweep's share among sweeps of one priority.
    pub weight: u32,
    /// Changes to the coordinator's retry rules.
    #[serde(skip_serializing_if = "Changes::is_empty")]
    pub retry: Changes,
    /// Seeds under which the baseline alone is trained as well, for the noise floor and nothing else. None of them is a
    /// seed of the configurations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<u64>,
    /// More seeds for comparisons that are undecided when the stages have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Adaptive>,
    /// The sweep stops when it is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The price of one hour of a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<Money>,
}

impl Spec {
    /// The budget in seconds of slots.
    pub fn budget_seconds(&self) -> Option<f64> {
        self.budget.as_ref()?.slot_seconds(self.price_per_hour.as_ref())
    }
}

/// More seeds for undecided comparisons, a few at a time. `Spec::seeds` are those of the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adaptive {
    /// Seeds per addition.
    step: usize,
    /// Those that can be added, in their order.
    seeds: Vec<u64>,
}

impl Adaptive {
    /// `seeds`, at most `step` of them at once; a step of 0 counts as 1.
    pub fn new(step: usize, seeds: Vec<u64>) -> Self {
        Self { step: step.max(1), seeds }
    }

    /// Seeds per addition.
    pub fn step(&self) -> usize {
        self.step
    }

    /// All that can be added, in their order.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// How often seeds can be added. Results are looked at before each time, and when the last have come in.
    pub fn looks(&self) -> usize {
        self.seeds.len().div_ceil(self.step)
    }

    /// The seeds that are added at a look, counted from 1; none at another one.
    pub fn added_at(&self, look: usize) -> &[u64] {
        let mut pieces = self.seeds.chunks(self.step);
        look.checked_sub(1).and_then(|before| pieces.nth(before)).unwrap_or_default()
    }
}

/// A stage of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// For people, and for `from`.
    pub name: String,
    pub from: Start,
    /// Levels that replace those of its starting point, in the family's order.
    pub set: Vec<(Factor, Level)>,
    pub design: Design,
    /// The configuration that later stages start from.
    pub keep: Keep,
    /// The seeds whose replicates choose the winner, where not all do; the others are fresh, and can test the choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choose_on: Vec<u64>,
}

impl Stage {
    /// Whether its starting point is tried whatever its design is, because choices are compared with it.
    pub fn adds_start(&self) -> bool {
        self.keep == Keep::BestIfSignificant
    }

    /// The number of places of its points. Saturates.
    pub fn places(&self) -> u64 {
        self.design.places().saturating_add(u64::from(self.adds_start()))
    }

    /// The point of this place around `start`, or nothing if there is none.
    pub fn point(&self, start: &Configuration, place: u64) -> Option<Configuration> {
        if self.adds_start() && place == self.design.places() {
            return Some(start.clone());
        }
        self.design.point(start, place)
    }

    /// The place of the first point around `start` that is `configuration`.
    pub fn index_of(&self, start: &Configuration, configuration: &Configuration) -> Option<u64> {
        let added = || (self.adds_start() && start == configuration).then(|| self.design.places());
        self.design.index_of(start, configuration).or_else(added)
    }

    /// Whether two places may have one point.
    pub fn may_repeat(&self) -> bool {
        self.adds_start() || self.design.may_repeat()
    }

    /// Whether its starting point is one of its points.
    pub fn tries_start(&self, start: &Configuration) -> bool {
        self.adds_start() || self.design.tries_start(start)
    }
}

/// The starting point of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    Baseline,
    /// The kept configuration of the stage with this index, which may come later in the spec.
    Stage(usize),
}

/// The configuration that later stages start from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Its starting point, including `set`.
    Start,
    /// Its starting point with these levels, in the family's order.
    Levels(Vec<(Factor, Level)>),
    /// The winner by the objective, known when the stage has ended.
    Best,
    /// The winner, if it is significantly better than the starting point, else the starting point; known when the stage
    /// has ended.
    BestIfSignificant,
}

impl Keep {
    /// Whether results decide about it.
    pub const fn is_decided(&self) -> bool {
        match self {
            Self::Best | Self::BestIfSignificant => true,
            Self::Start | Self::Levels(_) => false,
        }
    }
}

/// A configuration beside the stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extra {
    /// For users.
    pub name: String,
    /// Its family's defaults with the levels of the spec.
    pub configuration: Configuration,
}

/// The metric that is compared, and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Objective {
    pub metric: Metric,
    /// Whether more or less of it is better.
    pub goal: Goal,
}

/// A metric of a trial, of the epoch that `protocol.report` chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Validation accuracy.
    ValAccuracy,
    ValLoss,
    TrainAccuracy,
    TrainLoss,
    /// Training accuracy for ten parameters: the reference's own column.
    Ratio,
}

impl Metric {
    pub const ALL: [Self; 5] = [Self::ValAccuracy, Self::ValLoss, Self::TrainAccuracy, Self::TrainLoss, Self::Ratio];

    /// The metric as specs, tables and labels write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValAccuracy => "val_accuracy",
            Self::ValLoss => "val_loss",
            Self::TrainAccuracy => "train_accuracy",
            Self::TrainLoss => "train_loss",
            Self::Ratio => "ratio",
        }
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Its value in one epoch of a network of `params` parameters, if it is finite.
    pub fn value(self, epoch: &EpochMetrics, params: u64) -> Option<f64> {
        let value = match self {
            Self::ValAccuracy => epoch.val_accuracy,
            Self::ValLoss => epoch.val_loss,
            Self::TrainAccuracy => epoch.train_accuracy,
            Self::TrainLoss => epoch.train_loss,
            Self::Ratio => count::ratio(epoch.train_accuracy, params),
        };
        value.is_finite().then_some(value)
    }

    /// The better direction.
    pub const fn natural_goal(self) -> Goal {
        match self {
            Self::ValAccuracy | Self::TrainAccuracy | Self::Ratio => Goal::Maximize,
            Self::ValLoss | Self::TrainLoss => Goal::Minimize,
        }
    }
}

/// The better direction of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Maximize,
    Minimize,
}

impl Goal {
    /// The goal as a spec writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        }
    }
}

/// Limits on the size of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most trials, counted before points that occur twice are merged.
    pub trials: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { trials: 1_000_000 }
    }
}

impl Spec {
    /// Whether replicates under this seed are there for the noise floor alone.
    pub fn is_noise(&self, seed: u64) -> bool {
        self.noise.contains(&seed)
    }

    /// The seeds whose replicates choose the winner of a stage; none where results choose nothing.
    pub fn chose_on(&self, stage: usize) -> &[u64] {
        match self.stages.get(stage) {
            Some(stage) if !stage.keep.is_decided() => &[],
            Some(stage) if !stage.choose_on.is_empty() => &stage.choose_on,
            Some(_) => &self.seeds,
            None => &[],
        }
    }

    /// Reads and checks the YAML `text`. Each of `overrides` is a path such as `protocol.epochs` or
    /// `stages[0].vary.filters` and a value in YAML; they are put in before anything is checked.
    ///
    /// # Errors
    /// Everything that is wrong with it, in one go.
    pub fn parse(text: &[u8], overrides: &[(String, String)], limits: &Limits) -> Result<Self, Problems> {
        read::spec(text, overrides, limits).map_err(Problems)
    }

    /// The hash of the whole spec with its name, defaults and overrides: the same for two texts with the same meaning.
    ///
    /// # Errors
    /// A number in it is not finite; a checked spec has none.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(canonical::to_string(self)?.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_its_number_if_that_is_finite() {
        let epoch = EpochMetrics {
            epoch: 1,
            train_loss: 0.5,
            train_accuracy: 0.8,
            val_loss: f64::NAN,
            val_accuracy: 0.75,
            learning_rate: 0.001,
            seconds: 1.0,
            images_per_second: 1.0,
        };
        let values = Metric::ALL.map(|metric| metric.value(&epoch, 1000));
        assert_eq!(values, [Some(0.75), None, Some(0.8), Some(0.5), Some(0.8 / 10_000.0)]);
        assert_eq!(Metric::Ratio.value(&epoch, 0), None);
        assert!(Metric::ALL.iter().all(|metric| Metric::named(metric.name()) == Some(*metric)));
    }
}
