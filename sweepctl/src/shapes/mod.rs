//! What `--output json` prints: one struct a shape, its field names the contract. A field may be added, never renamed.
//! The text forms are made of the same structs, so that both say the same. Numbers that are not finite are `null`.

mod analysis;
mod artifact;
mod audit;
mod cost;
mod leaderboard;
mod reproduction;
mod sweep;
mod trial;
mod worker;

use std::collections::BTreeMap;

use serde::Serialize;
use sweep_proto::v1::{self, setting};

pub(crate) use analysis::{Analysis, Compared, Comparison, FactorTable, Interval, Level, Noise, Pair, Stage};
pub(crate) use artifact::Artifact;
pub(crate) use audit::AuditEntry;
pub(crate) use cost::{Accuracy, Cost, Prediction};
pub(crate) use leaderboard::{Estimate, Leaderboard, Row};
pub(crate) use reproduction::Reproduction;
pub(crate) use sweep::{Counts, Outlook, State, Sweep};
pub(crate) use trial::{Attempt, Detail, Failure, Origin, Provenance, Summary};
pub(crate) use worker::Worker;

/// Settings by their path: `configuration.filters`, `protocol.epochs`, `seed`.
pub(crate) type Settings = BTreeMap<String, serde_json::Value>;

pub(crate) fn settings(settings: Vec<v1::Setting>) -> Settings {
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Metrics {
    pub(crate) epoch: u32,
    pub(crate) train_loss: f64,
    pub(crate) train_accuracy: f64,
    pub(crate) val_loss: f64,
    pub(crate) val_accuracy: f64,
    pub(crate) learning_rate: f64,
    pub(crate) seconds: f64,
    pub(crate) images_per_second: f64,
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
