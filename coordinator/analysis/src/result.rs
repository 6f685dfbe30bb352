//! What an analysis says, as plain data: gRPC, the command line and reports tell it, and compute nothing of it again.
//! Configurations are named by their position in the plan. Values are those of the metric that was asked for, of the epoch
//! that the protocol reports.

use serde::Serialize;
use sweep_spec::spec::{Goal, Metric};

/// Everything that is said of one metric of one sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// What is judged.
    pub metric: Metric,
    /// Which way is better.
    pub goal: Goal,
    /// The error rate of the verdicts, over the whole family.
    pub alpha: f64,
    /// How p-values of the family are corrected.
    pub correction: Correction,
    /// Every configuration, the best first.
    pub standings: Vec<Standing>,
    /// The family: every configuration against the starting point of its stage, in the order of the plan.
    pub comparisons: Vec<Comparison>,
    /// Every other configuration against the sweep's baseline, where that was asked for; a family of its own.
    pub against_baseline: Vec<Comparison>,
    /// What each stage showed.
    pub stages: Vec<StageFinding>,
    /// How far the baseline is from itself under other seeds.
    pub noise: Option<NoiseFloor>,
    /// What did not enter, and why.
    pub excluded: Vec<Exclusion>,
    /// For people: what a reader has to know of the whole (the epoch was chosen on the test set, mixed devices, ...).
    pub notes: Vec<String>,
}

/// How p-values of one family are corrected for their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Holm (1979): the chance of any false finding is at most alpha. Verdicts use only this one.
    #[default]
    Holm,
    /// Benjamini and Hochberg (1995): the expected share of false findings is at most alpha. Shown on request; never a verdict.
    BenjaminiHochberg,
}

/// Mean and spread over replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Of the sample (n - 1); absent with fewer than two replicates.
    pub standard_deviation: Option<f64>,
    /// How many there were.
    pub count: u32,
}

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// A configuration and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Which.
    pub position: u32,
    /// Counted from 1; configurations that cannot be told apart share one. Absent where it cannot be ranked.
    pub rank: Option<u32>,
    /// Mean and spread of the metric.
    pub value: Option<Estimate>,
    /// Wall time of a trial, in seconds.
    pub seconds: Option<Estimate>,
    /// Whether no other configuration is at least as good in the metric, parameters, FLOPs and seconds, and better in one.
    pub on_front: bool,
    /// Share of bootstrap resamples of the replicates in which it is on the front; absent without replicates.
    pub front_share: Option<f64>,
}

/// The value of two configurations under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// The seed.
    pub seed: u64,
    /// Of the configuration.
    pub value: f64,
    /// Of what it is compared with.
    pub reference: f64,
}

/// One configuration held against another, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The configuration.
    pub position: u32,
    /// What it is compared with.
    pub reference: u32,
    /// The stage in which this change stands, by index of the group.
    pub group: Option<usize>,
    /// The seeds under which both have a value.
    pub pairs: Vec<Pair>,
    /// Mean of value minus reference; absent without a pair.
    pub delta: Option<f64>,
    /// Of the mean difference, by Student's t.
    pub t_interval: Option<Interval>,
    /// Of the mean difference, by the bias-corrected and accelerated bootstrap.
    pub bca_interval: Option<Interval>,
    /// The exact (or Monte Carlo) sign-flip test, two-sided.
    pub test: Option<SignFlip>,
    /// Its p-value, corrected over the family.
    pub adjusted_p: Option<f64>,
    /// Its p-value, corrected by Benjamini and Hochberg, where that was asked for.
    pub false_discovery_p: Option<f64>,
    /// Mean difference ÷ standard deviation of the differences (Cohen's d_z).
    pub effect_size: Option<f64>,
    /// In one word.
    pub verdict: Verdict,
    /// Either side won a stage on these very replicates, so this comparison favours it.
    pub after_selection: bool,
    /// About so many more seeds would show a difference of this size, with no difference shown.
    pub more_seeds: Option<u32>,
    /// The same test images by two networks, where there is one pair only. Speaks of this one pair of trained networks.
    pub images: Option<McNemar>,
    /// Which classes the change helps or hurts.
    pub classes: Vec<ClassDifference>,
    /// For people: what has to be known of this comparison; empty if nothing.
    pub remark: String,
}

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is better, by the corrected test.
    Helps,
    /// It is worse, by the corrected test.
    Hurts,
    /// The test does not show a difference. This is not evidence that there is no difference.
    NoDifferenceShown,
    /// The replicates chose one of the two, so they cannot show that it helps.
    AfterSelection,
    /// It cannot be said, and why: too few pairs, unequal data, a diverged replicate, not ended.
    Open(String),
}

/// A sign-flip test of paired differences, two-sided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SignFlip {
    /// The p-value.
    pub p: f64,
    /// Every assignment of signs was looked at; otherwise a sample of them.
    pub exact: bool,
    /// How many were looked at.
    pub flips: u64,
}

/// McNemar's exact test over the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    /// The seed of the pair.
    pub seed: u64,
    /// Images that only the configuration got right.
    pub gained: u64,
    /// Images that only the reference got right.
    pub lost: u64,
    /// Two-sided, exact.
    pub p: f64,
}

/// A difference of one class's recall.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassDifference {
    /// Its number in the data set.
    pub class: usize,
    /// Mean over the seeds of recall minus the reference's recall.
    pub delta: f64,
    /// The sign-flip test of it.
    pub test: Option<SignFlip>,
    /// Its p-value, corrected over the classes.
    pub adjusted_p: Option<f64>,
    /// In one word; decided by the corrected p-value.
    pub verdict: Verdict,
}

/// What a stage showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageFinding {
    /// The group's index.
    pub group: usize,
    /// What it started from, if that was trained.
    pub start: Option<u32>,
    /// What it handed on, where results chose it.
    pub winner: Option<u32>,
    /// Value of the winner minus value of the start.
    pub gain: Option<f64>,
    /// Main effects and interactions, where the design is a factorial one.
    pub effects: Vec<Effect>,
}

/// A main effect or an interaction of a factorial design.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The factors, one for a main effect.
    pub factors: Vec<String>,
    /// For factors of two levels: mean at the high levels minus mean at the low ones (for interactions, half the difference
    /// of differences), with its interval over seeds. Absent for factors of more levels.
    pub size: Option<f64>,
    /// Its 95 % interval over the seeds, by Student's t.
    pub interval: Option<Interval>,
    /// Share of the variance between configurations, in [0, 1]; the shares of a balanced design add up to at most 1.
    pub variance_share: f64,
    /// Effects that this design cannot tell from it, as products of factors.
    pub aliases: Vec<Vec<String>>,
}

/// How far the baseline is from itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoiseFloor {
    /// Replicates of the baseline that it rests on.
    pub count: u32,
    /// Standard deviation of one run.
    pub standard_deviation: f64,
    /// A mean difference over this many pairs ...
    pub pairs: u32,
    /// ... stays within plus or minus this in 95 % of A/A comparisons.
    pub half_width: f64,
}

/// What did not enter, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exclusion {
    /// Which configuration.
    pub position: u32,
    /// Under which seed; absent for all of it.
    pub seed: Option<u64>,
    /// Why.
    pub reason: String,
}
