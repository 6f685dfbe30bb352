//! The analysis of a sweep: comparisons with verdicts, tables of factors, effects, noise.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::{Incomplete, expect};
use crate::{Row, Sweep};

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The values of both under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Pair {
    pub seed: u64,
    pub value: f64,
    pub reference: f64,
}

/// McNemar's exact test on the same images.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Images {
    pub seed: u64,
    pub gained: u64,
    pub lost: u64,
    pub p: f64,
    pub sentence: String,
}

/// A difference of one class's recall.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Class {
    pub class: u32,
    pub name: Option<String>,
    pub delta: f64,
    pub p: Option<f64>,
    /// Corrected over the classes.
    pub adjusted_p: Option<f64>,
    pub verdict: &'static str,
}

/// A comparison of two configurations.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    pub position: u32,
    pub reference_position: u32,
    pub configuration: String,
    pub reference: String,
    pub stage: Option<String>,
    /// `helps`, `hurts`, `no_difference_shown`, `after_selection`, `open`.
    pub verdict: &'static str,
    pub sentence: String,
    /// The reason of an open verdict.
    pub reason: Option<String>,
    pub remark: Option<String>,
    /// The number of seeds in the comparison.
    pub seeds: u32,
    /// Mean over the seeds of the value of `configuration` minus that of `reference`.
    pub delta: Option<f64>,
    /// By Student's t.
    pub t_interval: Option<Interval>,
    /// By the bias-corrected and accelerated bootstrap.
    pub bca_interval: Option<Interval>,
    /// The p-value of the sign-flip test.
    pub p: Option<f64>,
    /// Whether the test counted every assignment of signs.
    pub exact: Option<bool>,
    /// The p-value corrected by Holm over the family; it decides the verdict.
    pub adjusted_p: Option<f64>,
    /// The p-value corrected by Benjamini and Hochberg, if requested.
    pub false_discovery_p: Option<f64>,
    pub effect_size: Option<f64>,
    pub after_selection: bool,
    pub more_seeds: Option<u32>,
    pub pairs: Vec<Pair>,
    pub images: Option<Images>,
    pub classes: Vec<Class>,
}

fn verdict(verdict: v1::Verdict) -> &'static str {
    match verdict {
        v1::Verdict::Helps => "helps",
        v1::Verdict::Hurts => "hurts",
        v1::Verdict::NoDifferenceShown => "no_difference_shown",
        v1::Verdict::AfterSelection => "after_selection",
        v1::Verdict::Open => "open",
        v1::Verdict::Unspecified => "unknown",
    }
}

impl From<v1::Interval> for Interval {
    fn from(interval: v1::Interval) -> Self {
        Self { low: interval.low, high: interval.high }
    }
}

impl From<v1::ClassDifference> for Class {
    fn from(found: v1::ClassDifference) -> Self {
        Self {
            verdict: verdict(found.verdict()),
            class: found.class,
            name: some_text(found.name),
            delta: found.delta,
            p: found.test.map(|test| test.p),
            adjusted_p: found.adjusted_p,
        }
    }
}

impl From<v1::Comparison> for Comparison {
    fn from(one: v1::Comparison) -> Self {
        let pair = |pair: v1::SeedPair| Pair { seed: pair.seed, value: pair.value, reference: pair.reference };
        let images = |images: v1::McNemarTest| Images {
            seed: images.seed,
            gained: images.gained,
            lost: images.lost,
            p: images.p,
            sentence: images.sentence,
        };
        Self {
            verdict: verdict(one.verdict()),
            position: one.position,
            reference_position: one.reference,
            configuration: one.configuration,
            reference: one.reference_configuration,
            stage: some_text(one.stage),
            sentence: one.sentence,
            reason: some_text(one.reason),
            remark: some_text(one.remark),
            seeds: one.seeds,
            delta: one.delta,
            t_interval: one.t_interval.map(Interval::from),
            bca_interval: one.bca_interval.map(Interval::from),
            p: one.test.map(|test| test.p),
            exact: one.test.map(|test| test.exact),
            adjusted_p: one.adjusted_p,
            false_discovery_p: one.false_discovery_p,
            effect_size: one.effect_size,
            after_selection: one.after_selection,
            more_seeds: one.more_seeds,
            pairs: one.pairs.into_iter().map(pair).collect(),
            images: one.images.map(images),
            classes: one.classes.into_iter().map(Class::from).collect(),
        }
    }
}

/// The noise floor: differences of the baseline from itself.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Noise {
    pub count: u32,
    pub standard_deviation: f64,
    pub pairs: u32,
    pub half_width: f64,
    pub sentence: String,
}

impl From<v1::NoiseFloor> for Noise {
    fn from(found: v1::NoiseFloor) -> Self {
        Self {
            count: found.count,
            standard_deviation: found.standard_deviation,
            pairs: found.pairs,
            half_width: found.half_width,
            sentence: found.sentence,
        }
    }
}

/// A main effect or an interaction.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Effect {
    pub factors: Vec<String>,
    pub size: Option<f64>,
    pub interval: Option<Interval>,
    /// Of the variance between configurations.
    pub variance_share: f64,
    pub aliases: Vec<String>,
}

/// The result of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = StageFinding)]
pub struct Stage {
    pub stage: String,
    pub start: Option<String>,
    pub winner: Option<String>,
    /// Value of the winner minus value of the start.
    pub gain: Option<f64>,
    pub effects: Vec<Effect>,
}

impl From<v1::StageFinding> for Stage {
    fn from(found: v1::StageFinding) -> Self {
        let effect = |effect: v1::FactorEffect| Effect {
            factors: effect.factors,
            size: effect.size,
            interval: effect.interval.map(Interval::from),
            variance_share: effect.variance_share,
            aliases: effect.aliases,
        };
        Self {
            stage: found.stage,
            start: some_text(found.start),
            winner: some_text(found.winner),
            gain: found.gain,
            effects: found.effects.into_iter().map(effect).collect(),
        }
    }
}

/// A replicate that the analysis excludes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Exclusion {
    pub configuration: String,
    pub seed: Option<u64>,
    pub reason: String,
}

/// Configurations along one factor, or in combination.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FactorTable {
    pub stage: String,
    pub factors: Vec<String>,
    pub rows: Vec<Level>,
}

/// A row of such a table.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Level {
    pub level: String,
    /// The configuration's place in the plan.
    pub position: u32,
    pub start: bool,
}

impl From<v1::FactorTable> for FactorTable {
    fn from(table: v1::FactorTable) -> Self {
        let row = |row: v1::FactorTableRow| Level { level: row.level, position: row.position, start: row.start };
        Self { stage: table.stage, factors: table.factors, rows: table.rows.into_iter().map(row).collect() }
    }
}

/// The analysis of a sweep by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Analysis {
    pub sweep: Sweep,
    pub metric: String,
    /// Whether higher values are better.
    pub maximize: bool,
    /// The error rate of all verdicts of a family together.
    pub alpha: f64,
    pub tables: Vec<FactorTable>,
    pub comparisons: Vec<Comparison>,
    /// Comparisons with the baseline, a separate family.
    pub against_baseline: Vec<Comparison>,
    pub stages: Vec<Stage>,
    pub noise: Option<Noise>,
    pub excluded: Vec<Exclusion>,
    /// The best first.
    pub configurations: Vec<Row>,
    pub notes: Vec<String>,
    /// The reference of every `delta` in `comparisons`, as text; absent without comparisons.
    pub against: Option<String>,
}

impl TryFrom<v1::GetAnalysisResponse> for Analysis {
    type Error = Incomplete;

    fn try_from(answer: v1::GetAnalysisResponse) -> Result<Self, Incomplete> {
        let exclusion =
            |one: v1::Exclusion| Exclusion { configuration: one.configuration, seed: one.seed, reason: one.reason };
        Ok(Self {
            sweep: expect(answer.sweep, "sweep")?.into(),
            metric: answer.metric,
            maximize: answer.maximize,
            alpha: answer.alpha,
            tables: answer.tables.into_iter().map(FactorTable::from).collect(),
            comparisons: answer.comparisons.into_iter().map(Comparison::from).collect(),
            against_baseline: answer.against_baseline.into_iter().map(Comparison::from).collect(),
            stages: answer.stages.into_iter().map(Stage::from).collect(),
            noise: answer.noise.map(Noise::from),
            excluded: answer.excluded.into_iter().map(exclusion).collect(),
            configurations: answer.rows.into_iter().map(Row::from).collect(),
            notes: answer.notes,
            against: some_text(answer.against),
        })
    }
}

/// Two configurations of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Compared {
    pub sweep: Sweep,
    pub metric: String,
    /// Whether higher values are better.
    pub maximize: bool,
    pub alpha: f64,
    pub configuration: Row,
    pub reference: Row,
    pub comparison: Comparison,
    /// The number of comparisons that the p-value is corrected for.
    pub family: u32,
    pub noise: Option<Noise>,
    pub notes: Vec<String>,
}

impl TryFrom<v1::CompareConfigurationsResponse> for Compared {
    type Error = Incomplete;

    fn try_from(answer: v1::CompareConfigurationsResponse) -> Result<Self, Incomplete> {
        Ok(Self {
            sweep: expect(answer.sweep, "sweep")?.into(),
            metric: answer.metric,
            maximize: answer.maximize,
            alpha: answer.alpha,
            configuration: expect(answer.configuration, "configuration")?.into(),
            reference: expect(answer.reference, "reference")?.into(),
            comparison: expect(answer.comparison, "comparison")?.into(),
            family: answer.family,
            noise: answer.noise.map(Noise::from),
            notes: answer.notes,
        })
    }
}
