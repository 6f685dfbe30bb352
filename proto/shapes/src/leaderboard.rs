//! The leaderboard: configurations, best first.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::{Comparison, Counts, Noise, Settings, Sweep, settings};
use crate::{Incomplete, expect};

/// Mean and spread over the replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Estimate {
    pub mean: f64,
    /// Absent with fewer than two replicates.
    pub standard_deviation: Option<f64>,
    pub count: u32,
}

impl From<v1::Estimate> for Estimate {
    fn from(estimate: v1::Estimate) -> Self {
        Self { mean: estimate.mean, standard_deviation: estimate.standard_deviation, count: estimate.count }
    }
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Row {
    /// Absent where it cannot be ranked: a replicate has not ended, failed or diverged.
    pub rank: Option<u32>,
    /// One more than the number of configurations that are significantly better.
    pub shared_rank: Option<u32>,
    /// Its place in the plan.
    pub position: u32,
    /// Of an entry of `extra`.
    pub name: Option<String>,
    /// What differs from the baseline.
    pub configuration: String,
    pub baseline: bool,
    pub stages: Vec<String>,
    pub train_accuracy: Option<Estimate>,
    pub val_accuracy: Option<Estimate>,
    pub train_loss: Option<Estimate>,
    pub val_loss: Option<Estimate>,
    pub params: u64,
    /// A forward pass of one image.
    pub flops: u64,
    /// Train accuracy ÷ (10 × params).
    pub ratio: Option<Estimate>,
    /// On the test part, where a holdout chooses the epoch; it ranks nothing.
    pub test_accuracy: Option<Estimate>,
    pub test_loss: Option<Estimate>,
    pub seconds: Option<Estimate>,
    pub counts: Counts,
    pub remark: Option<String>,
    #[schema(value_type = Object)]
    pub settings: Settings,
    /// Against the starting point of its stage.
    pub comparison: Option<Comparison>,
    /// Whether no other configuration is at least as good in metric, parameters, FLOPs and seconds, and better in one.
    pub on_front: bool,
    /// The share of resamples in which it is on the front.
    pub front_share: Option<f64>,
}

impl From<v1::LeaderboardRow> for Row {
    fn from(row: v1::LeaderboardRow) -> Self {
        Self {
            rank: row.rank,
            shared_rank: row.shared_rank,
            position: row.position,
            name: some_text(row.name),
            configuration: row.configuration,
            baseline: row.baseline,
            stages: row.stages,
            train_accuracy: row.train_accuracy.map(Estimate::from),
            val_accuracy: row.val_accuracy.map(Estimate::from),
            train_loss: row.train_loss.map(Estimate::from),
            val_loss: row.val_loss.map(Estimate::from),
            params: row.params,
            flops: row.flops,
            ratio: row.ratio.map(Estimate::from),
            test_accuracy: row.test_accuracy.map(Estimate::from),
            test_loss: row.test_loss.map(Estimate::from),
            seconds: row.seconds.map(Estimate::from),
            counts: row.counts.unwrap_or_default().into(),
            remark: some_text(row.remark),
            settings: settings(row.settings),
            comparison: row.comparison.map(Comparison::from),
            on_front: row.on_front,
            front_share: row.front_share,
        }
    }
}

/// The leaderboard of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Leaderboard {
    pub sweep: Sweep,
    /// The metric that ranks.
    pub metric: String,
    /// Whether higher values are better.
    pub maximize: bool,
    pub rows: Vec<Row>,
    /// Notes for readers.
    pub notes: Vec<String>,
    /// The error rate of all verdicts together.
    pub alpha: f64,
    pub noise: Option<Noise>,
    /// The reference of every `comparison.delta`, as text; absent without comparisons.
    pub against: Option<String>,
}

impl TryFrom<v1::GetLeaderboardResponse> for Leaderboard {
    type Error = Incomplete;

    fn try_from(answer: v1::GetLeaderboardResponse) -> Result<Self, Incomplete> {
        Ok(Self {
            sweep: expect(answer.sweep, "sweep")?.into(),
            metric: answer.metric,
            maximize: answer.maximize,
            rows: answer.rows.into_iter().map(Row::from).collect(),
            notes: answer.notes,
            alpha: answer.alpha,
            noise: answer.noise.map(Noise::from),
            against: some_text(answer.against),
        })
    }
}
