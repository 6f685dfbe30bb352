//! What a sweep's results say: comparisons with verdicts, tables of factors, effects, noise.

use serde::Serialize;
use sweep_proto::v1;

use super::sweep::some_text;
use super::{Row, Sweep};
use crate::client;
use crate::failure::Failure;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The values of both under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Pair {
    pub(crate) seed: u64,
    pub(crate) value: f64,
    pub(crate) reference: f64,
}

/// McNemar's exact test on the same images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Images {
    pub(crate) seed: u64,
    pub(crate) gained: u64,
    pub(crate) lost: u64,
    pub(crate) p: f64,
    pub(crate) sentence: String,
}

/// A difference of one class's recall.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Class {
    pub(crate) class: u32,
    pub(crate) name: Option<String>,
    pub(crate) delta: f64,
    pub(crate) p: Option<f64>,
    /// Corrected over the classes.
    pub(crate) adjusted_p: Option<f64>,
    pub(crate) verdict: &'static str,
}

/// One configuration held against another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) position: u32,
    pub(crate) reference_position: u32,
    pub(crate) configuration: String,
    pub(crate) reference: String,
    pub(crate) stage: Option<String>,
    /// `helps`, `hurts`, `no_difference_shown`, `after_selection`, `open`.
    pub(crate) verdict: &'static str,
    pub(crate) sentence: String,
    /// Why it is open.
    pub(crate) reason: Option<String>,
    pub(crate) remark: Option<String>,
    /// How many seeds speak.
    pub(crate) seeds: u32,
    /// Mean of value minus reference.
    pub(crate) delta: Option<f64>,
    /// By Student's t.
    pub(crate) t_interval: Option<Interval>,
    /// By the bias-corrected and accelerated bootstrap.
    pub(crate) bca_interval: Option<Interval>,
    /// Of the sign-flip test.
    pub(crate) p: Option<f64>,
    /// Every assignment of signs was counted.
    pub(crate) exact: Option<bool>,
    /// Corrected by Holm over the family; what the verdict rests on.
    pub(crate) adjusted_p: Option<f64>,
    /// Corrected by Benjamini and Hochberg, where that was asked for.
    pub(crate) false_discovery_p: Option<f64>,
    pub(crate) effect_size: Option<f64>,
    pub(crate) after_selection: bool,
    pub(crate) more_seeds: Option<u32>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) images: Option<Images>,
    pub(crate) classes: Vec<Class>,
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

/// How far the baseline is from itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Noise {
    pub(crate) count: u32,
    pub(crate) standard_deviation: f64,
    pub(crate) pairs: u32,
    pub(crate) half_width: f64,
    pub(crate) sentence: String,
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Effect {
    pub(crate) factors: Vec<String>,
    pub(crate) size: Option<f64>,
    pub(crate) interval: Option<Interval>,
    /// Of the variance between configurations.
    pub(crate) variance_share: f64,
    pub(crate) aliases: Vec<String>,
}

/// What a stage showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Stage {
    pub(crate) stage: String,
    pub(crate) start: Option<String>,
    pub(crate) winner: Option<String>,
    /// Value of the winner minus value of the start.
    pub(crate) gain: Option<f64>,
    pub(crate) effects: Vec<Effect>,
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

/// What did not enter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Exclusion {
    pub(crate) configuration: String,
    pub(crate) seed: Option<u64>,
    pub(crate) reason: String,
}

/// Configurations along one factor, or in combination.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FactorTable {
    pub(crate) stage: String,
    pub(crate) factors: Vec<String>,
    pub(crate) rows: Vec<Level>,
}

/// A row of such a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Level {
    pub(crate) level: String,
    /// The configuration's place in the plan.
    pub(crate) position: u32,
    pub(crate) start: bool,
}

impl From<v1::FactorTable> for FactorTable {
    fn from(table: v1::FactorTable) -> Self {
        let row = |row: v1::FactorTableRow| Level { level: row.level, position: row.position, start: row.start };
        Self { stage: table.stage, factors: table.factors, rows: table.rows.into_iter().map(row).collect() }
    }
}

/// Everything that a sweep's results say of one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Analysis {
    pub(crate) sweep: Sweep,
    pub(crate) metric: String,
    /// Whether more is better.
    pub(crate) maximize: bool,
    /// The error rate of all verdicts of a family together.
    pub(crate) alpha: f64,
    pub(crate) tables: Vec<FactorTable>,
    pub(crate) comparisons: Vec<Comparison>,
    /// A family of its own.
    pub(crate) against_baseline: Vec<Comparison>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) noise: Option<Noise>,
    pub(crate) excluded: Vec<Exclusion>,
    /// The best first.
    pub(crate) configurations: Vec<Row>,
    pub(crate) notes: Vec<String>,
}

impl TryFrom<v1::GetAnalysisResponse> for Analysis {
    type Error = Failure;

    fn try_from(answer: v1::GetAnalysisResponse) -> Result<Self, Failure> {
        let exclusion =
            |one: v1::Exclusion| Exclusion { configuration: one.configuration, seed: one.seed, reason: one.reason };
        Ok(Self {
            sweep: client::expect(answer.sweep, "sweep")?.into(),
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
        })
    }
}

/// Two configurations of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Compared {
    pub(crate) sweep: Sweep,
    pub(crate) metric: String,
    /// Whether more is better.
    pub(crate) maximize: bool,
    pub(crate) alpha: f64,
    pub(crate) configuration: Row,
    pub(crate) reference: Row,
    pub(crate) comparison: Comparison,
    /// Comparisons that its p-value is corrected over.
    pub(crate) family: u32,
    pub(crate) noise: Option<Noise>,
    pub(crate) notes: Vec<String>,
}

impl TryFrom<v1::CompareConfigurationsResponse> for Compared {
    type Error = Failure;

    fn try_from(answer: v1::CompareConfigurationsResponse) -> Result<Self, Failure> {
        Ok(Self {
            sweep: client::expect(answer.sweep, "sweep")?.into(),
            metric: answer.metric,
            maximize: answer.maximize,
            alpha: answer.alpha,
            configuration: client::expect(answer.configuration, "configuration")?.into(),
            reference: client::expect(answer.reference, "reference")?.into(),
            comparison: client::expect(answer.comparison, "comparison")?.into(),
            family: answer.family,
            noise: answer.noise.map(Noise::from),
            notes: answer.notes,
        })
    }
}
