//! The messages as JSON for programs: the output of `sweepctl --output json` and the answers of `/api/v1`. Each struct
//! is one shape, and its field names are the contract: a field may be added, never renamed. Text output and pages are
//! made from the same structs, so that all agree. Numbers that are not finite are `null`.

mod analysis;
mod artifact;
mod audit;
pub mod backup;
pub mod cells;
mod coordinator;
mod cost;
mod leaderboard;
mod page;
mod reproduction;
mod store;
mod sweep;
pub mod table;
pub mod text;
mod trial;
mod worker;

use std::collections::BTreeMap;

use serde::Serialize;
use sweep_proto::v1::{self, setting};
use utoipa::ToSchema;

pub use analysis::{Analysis, Compared, Comparison, FactorTable, Interval, Level, Noise, Pair, Stage};
pub use artifact::Artifact;
pub use audit::AuditEntry;
pub use coordinator::{Coordinator, Holds};
pub use cost::{Accuracy, Cost, Prediction};
pub use leaderboard::{Estimate, Leaderboard, Row};
pub use page::{
    ArtifactList, AuditPage, ConfusionMatrix, Confusions, Curve, Epoch, EpochPage, Explanation, LeaderboardPage, Log,
    MissedImage, MissedImages, Override, Retried, Specification, Submitted, SweepPage, TrialPage, WorkerList,
};
pub use reproduction::Reproduction;
pub use store::{Deletion, Garbage, GarbageList};
pub use sweep::{
    Best, Counts, HeldBack, LeftOut, OutOfService, Outlook, Running, Stage as SweepStage, State, Sweep, Unplaceable,
};
pub use trial::{Attempt, Detail, Failure, Origin, Provenance, ReproductionMark, Summary};
pub use worker::{Slot, Worker};

/// A message without a part that the contract promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator's answer has no {0}")]
pub struct Incomplete(pub &'static str);

/// The part of an answer that the contract promises.
///
/// # Errors
/// It is not there.
pub fn expect<T>(part: Option<T>, name: &'static str) -> Result<T, Incomplete> {
    part.ok_or(Incomplete(name))
}

/// Settings by their path: `configuration.filters`, `protocol.epochs`, `seed`.
pub type Settings = BTreeMap<String, serde_json::Value>;

pub fn settings(settings: Vec<v1::Setting>) -> Settings {
    settings.into_iter().map(|setting| (setting.path, value(setting.value))).collect()
}

fn value(value: Option<setting::Value>) -> serde_json::Value {
    match value {
        Some(setting::Value::Boolean(value)) => value.into(),
        Some(setting::Value::Integer(value)) => value.into(),
        Some(setting::Value::Number(value)) => value.into(),
        Some(setting::Value::Text(value)) => value.into(),
        Some(setting::Value::Texts(value)) => value.texts.into(),
        None => serde_json::Value::Null,
    }
}

/// The numbers of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Metrics {
    pub epoch: u32,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub val_loss: f64,
    pub val_accuracy: f64,
    pub learning_rate: f64,
    pub seconds: f64,
    pub images_per_second: f64,
}

impl From<v1::EpochMetrics> for Metrics {
    fn from(metrics: v1::EpochMetrics) -> Self {
        Self {
            epoch: metrics.epoch,
            train_loss: metrics.train_loss,
            train_accuracy: metrics.train_accuracy,
            val_loss: metrics.val_loss,
            val_accuracy: metrics.val_accuracy,
            learning_rate: metrics.learning_rate,
            seconds: metrics.seconds,
            images_per_second: metrics.images_per_second,
        }
    }
}
