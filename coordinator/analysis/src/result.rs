//! The result of an analysis, as plain data. gRPC, the command line and reports show it and compute nothing of it
//! again. Configurations are identified by their position in the plan. Values are those of the requested metric, in the
//! epoch that the protocol reports.

use serde::Serialize;
use sweep_spec::spec::{Goal, Metric};

/// All findings about one metric of one sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    pub metric: Metric,
    /// The better direction of the metric.
    pub goal: Goal,
    /// The error rate of the verdicts, over the whole family.
    pub alpha: f64,
    /// The correction of the family's p-values.
    pub correction: Correction,
    /// Every configuration, the best first.
    pub standings: Vec<Standing>,
    /// The family: every configuration against the starting point of its stage, in the order of the plan.
    pub comparisons: Vec<Comparison>,
    /// All other configurations against the sweep's baseline, if requested; a separate family.
    pub against_baseline: Vec<Comparison>,
    pub stages: Vec<StageFinding>,
    /// The variation of the baseline under other seeds.
    pub noise: Option<NoiseFloor>,
    /// Configurations and replicates that are not tested.
    pub excluded: Vec<Exclusion>,
    /// Notes for users on the whole analysis, such as that the epoch was chosen on the test set.
    pub notes: Vec<String>,
}

/// The correction of a family's p-values for their number.
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
    pub mean: f64,
    /// Of the sample (n - 1); absent with fewer than two replicates.
    pub standard_deviation: Option<f64>,
    /// The number of values.
    pub count: u32,
}

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The standing of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    pub position: u32,
    /// Counted from 1; configurations without a shown difference share a rank. Absent if it cannot be ranked.
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
    pub seed: u64,
    pub value: f64,
    /// The value of the reference.
    pub reference: f64,
}

/// A comparison of two configurations, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub position: u32,
    /// The position of the reference.
    pub reference: u32,
    /// The stage of this change, by index of the group.
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
    /// Corrected over the family.
    pub adjusted_p: Option<f64>,
    /// Corrected by Benjamini and Hochberg, if requested.
    pub false_discovery_p: Option<f64>,
    /// Mean difference ÷ standard deviation of the differences (Cohen's d_z).
    pub effect_size: Option<f64>,
    pub verdict: Verdict,
    /// Either side won a stage on these very replicates, so this comparison favours it.
    pub after_selection: bool,
    /// The approximate number of further seeds that would make a difference of this size significant.
    pub more_seeds: Option<u32>,
    /// McNemar's test on the test images, if there is only one pair. It concerns this one pair of trained networks.
    pub images: Option<McNemar>,
    /// Classes that the change helps or hurts.
    pub classes: Vec<ClassDifference>,
    /// For users; may be empty.
    pub remark: String,
}

/// The verdict of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better, by the corrected test.
    Helps,
    /// Worse, by the corrected test.
    Hurts,
    /// The test does not show a difference. This is not evidence that there is no difference.
    NoDifferenceShown,
    /// The replicates chose one of the two, so they cannot show that it helps.
    AfterSelection,
    /// No verdict, with the reason: too few pairs, unequal data, a diverged replicate, not ended.
    Open(String),
}

/// A sign-flip test of paired differences, two-sided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SignFlip {
    pub p: f64,
    /// All assignments of signs were counted; otherwise a sample.
    pub exact: bool,
    /// The number of assignments that were counted.
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
    /// The number of the class in the data set.
    pub class: usize,
    /// Mean over the seeds of recall minus the reference's recall.
    pub delta: f64,
    pub test: Option<SignFlip>,
    /// Corrected over the classes.
    pub adjusted_p: Option<f64>,
    /// By the corrected p-value.
    pub verdict: Verdict,
}

/// The finding about a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageFinding {
    /// The index of the group.
    pub group: usize,
    /// The position of its starting point, if that was trained.
    pub start: Option<u32>,
    /// The position of its winner, if results chose one.
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
    /// The 95 % interval over the seeds, by Student's t.
    pub interval: Option<Interval>,
    /// Share of the variance between configurations, in [0, 1]; the shares of a balanced design add up to at most 1.
    pub variance_share: f64,
    /// Effects that this design cannot tell from it, as products of factors.
    pub aliases: Vec<Vec<String>>,
}

/// The variation of the baseline between seeds.
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

/// A configuration, or a replicate, that is not tested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exclusion {
    pub position: u32,
    /// Absent if all replicates are excluded.
    pub seed: Option<u64>,
    pub reason: String,
}
