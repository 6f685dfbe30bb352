//! The leaderboard: configurations, best first.

use serde::Serialize;
use sweep_proto::v1;

use super::sweep::some_text;
use super::{Comparison, Counts, Noise, Settings, Sweep, settings};
use crate::client;
use crate::failure::Failure;
use crate::text::hex;

/// Mean and spread over the replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    /// Absent with fewer than two replicates.
    pub(crate) standard_deviation: Option<f64>,
    pub(crate) count: u32,
}

impl From<v1::Estimate> for Estimate {
    fn from(estimate: v1::Estimate) -> Self {
        Self { mean: estimate.mean, standard_deviation: estimate.standard_deviation, count: estimate.count }
    }
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Absent where it cannot be ranked: a replicate has not ended, failed or diverged.
    pub(crate) rank: Option<u32>,
    /// One more than the number of configurations that were shown to be better.
    pub(crate) shared_rank: Option<u32>,
    /// Its place in the plan.
    pub(crate) position: u32,
    /// Of an entry of `extra`.
    pub(crate) name: Option<String>,
    /// What differs from the baseline.
    pub(crate) configuration: String,
    pub(crate) baseline: bool,
    pub(crate) stages: Vec<String>,
    pub(crate) train_accuracy: Option<Estimate>,
    pub(crate) val_accuracy: Option<Estimate>,
    pub(crate) train_loss: Option<Estimate>,
    pub(crate) val_loss: Option<Estimate>,
    pub(crate) params: u64,
    /// A forward pass of one image.
    pub(crate) flops: u64,
    /// Train accuracy ÷ (10 × params).
    pub(crate) ratio: Option<Estimate>,
    /// On the test part, where a holdout chooses the epoch; it ranks nothing.
    pub(crate) test_accuracy: Option<Estimate>,
    pub(crate) test_loss: Option<Estimate>,
    pub(crate) seconds: Option<Estimate>,
    pub(crate) counts: Counts,
    pub(crate) remark: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) trial_ids: Vec<String>,
    /// Against the starting point of its stage.
    pub(crate) comparison: Option<Comparison>,
    /// Nothing is at least as good in the metric, parameters, FLOPs and seconds, and better in one.
    pub(crate) on_front: bool,
    /// In which share of resamples it is.
    pub(crate) front_share: Option<f64>,
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
            trial_ids: row.trial_ids.iter().map(|id| hex(id)).collect(),
            comparison: row.comparison.map(Comparison::from),
            on_front: row.on_front,
            front_share: row.front_share,
        }
    }
}

/// The leaderboard of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Leaderboard {
    pub(crate) sweep: Sweep,
    /// What ranks.
    pub(crate) metric: String,
    /// Whether more is better.
    pub(crate) maximize: bool,
    pub(crate) rows: Vec<Row>,
    /// What a reader should know before comparing.
    pub(crate) notes: Vec<String>,
    /// The error rate of all verdicts together.
    pub(crate) alpha: f64,
    pub(crate) noise: Option<Noise>,
}

impl TryFrom<v1::GetLeaderboardResponse> for Leaderboard {
    type Error = Failure;

    fn try_from(answer: v1::GetLeaderboardResponse) -> Result<Self, Failure> {
        Ok(Self {
            sweep: client::expect(answer.sweep, "sweep")?.into(),
            metric: answer.metric,
            maximize: answer.maximize,
            rows: answer.rows.into_iter().map(Row::from).collect(),
            notes: answer.notes,
            alpha: answer.alpha,
            noise: answer.noise.map(Noise::from),
        })
    }
}
