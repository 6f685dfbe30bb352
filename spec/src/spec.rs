//! A checked spec: what one YAML file asks, with every default applied and every name resolved. Written by the reader
//! only; who wants the text keeps the text.

use crate::configuration::Configuration;
use crate::dataset::Dataset;
use crate::design::Design;
use crate::levels::{Factor, Level};
use crate::problem::Problems;
use crate::protocol::Protocol;
use crate::read;

/// The version of the spec's form that is read.
pub const VERSION: u64 = 1;

/// One study.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// For people; never part of an id.
    pub name: String,
    /// What every trial is trained on.
    pub dataset: Dataset,
    /// How every trial is trained.
    pub protocol: Protocol,
    /// The replicates of every configuration, each once, in the order of the spec.
    pub seeds: Vec<u64>,
    /// What changes are measured against.
    pub baseline: Configuration,
    /// The steps of the study, in the order of the spec; each starts from an earlier one or from the baseline.
    pub stages: Vec<Stage>,
    /// Configurations beside the stages.
    pub extra: Vec<Extra>,
    /// What the leaderboard ranks by and `keep: best` chooses by.
    pub objective: Objective,
    /// Sweeps of a higher priority are served first.
    pub priority: i32,
    /// The sweep's share among sweeps of one priority.
    pub weight: u32,
}

/// One step of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// For people, and for `from`.
    pub name: String,
    /// What it starts from.
    pub from: Start,
    /// Levels that its starting point takes instead of those that it comes with, in the family's order.
    pub set: Vec<(Factor, Level)>,
    /// Which points are tried.
    pub design: Design,
    /// What later stages start from.
    pub keep: Keep,
}

/// What a stage starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The baseline.
    Baseline,
    /// What the stage of this index kept; the index is lower than the stage's own.
    Stage(usize),
}

/// What a stage hands on.
#[derive(Debug, Clone, PartialEq)]
pub enum Keep {
    /// Its starting point, `set` included.
    Start,
    /// Its starting point with these levels, in the family's order.
    Levels(Vec<(Factor, Level)>),
    /// The winner by the objective, known when the stage has ended.
    Best,
}

/// A configuration beside the stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    /// For people.
    pub name: String,
    /// Its family's defaults with the levels that the spec gives.
    pub configuration: Configuration,
}

/// What is judged, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// The metric.
    pub metric: Metric,
    /// Whether more or less of it is better.
    pub goal: Goal,
}

/// A metric of a trial, of the epoch that `protocol.report` chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Validation accuracy.
    ValAccuracy,
    /// Validation loss.
    ValLoss,
    /// Training accuracy.
    TrainAccuracy,
    /// Training loss.
    TrainLoss,
    /// Training accuracy for ten parameters: the reference's own column.
    Ratio,
}

impl Metric {
    /// Every metric.
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

    /// Which way it is better.
    pub const fn natural_goal(self) -> Goal {
        match self {
            Self::ValAccuracy | Self::TrainAccuracy | Self::Ratio => Goal::Maximize,
            Self::ValLoss | Self::TrainLoss => Goal::Minimize,
        }
    }
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goal {
    /// More.
    Maximize,
    /// Less.
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

/// How large a sweep may be.
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
    /// Reads and checks the YAML `text`. Each of `overrides` is a path such as `protocol.epochs` or
    /// `stages[0].vary.filters` and a value in YAML; they are put in before anything is checked.
    ///
    /// # Errors
    /// Everything that is wrong with it, in one go.
    pub fn parse(text: &[u8], overrides: &[(String, String)], limits: &Limits) -> Result<Self, Problems> {
        read::spec(text, overrides, limits).map_err(Problems)
    }
}
