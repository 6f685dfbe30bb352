//! Costs of sweeps: times of slots, money, budgets, and the errors of predictions.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;

/// A number with its 90 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Prediction {
    pub expected: f64,
    pub low: f64,
    pub high: f64,
}

impl From<v1::Prediction> for Prediction {
    fn from(prediction: v1::Prediction) -> Self {
        Self { expected: prediction.expected, low: prediction.low, high: prediction.high }
    }
}

/// The error of the predictions that were made before trials ran, as shares: 0.08 is 8 %.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Accuracy {
    pub device: String,
    pub trials: u32,
    pub median: f64,
    pub worst: f64,
    /// Share of trials within the interval.
    pub within: f64,
}

impl From<v1::PredictionAccuracy> for Accuracy {
    fn from(accuracy: v1::PredictionAccuracy) -> Self {
        Self {
            device: accuracy.device,
            trials: accuracy.trials,
            median: accuracy.median,
            worst: accuracy.worst,
            within: accuracy.within,
        }
    }
}

/// What a sweep costs. Times are seconds of slots.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Cost {
    /// Time used so far, including failed and running attempts.
    pub spent_slot_seconds: f64,
    /// The expected remaining time; absent until it can be predicted.
    pub left_slot_seconds: Option<Prediction>,
    /// Until the end.
    pub end_seconds: Option<Prediction>,
    pub price_per_hour: Option<String>,
    pub budget: Option<String>,
    pub budget_slot_seconds: Option<f64>,
    /// Seeds that were left out before the sweep started, to stay within the budget.
    pub left_out_seeds: Vec<u64>,
    /// Waiting trials that do not fit the budget.
    pub left_out_trials: u64,
    pub on_gpus: bool,
    pub accuracy: Vec<Accuracy>,
}

impl From<v1::Cost> for Cost {
    fn from(cost: v1::Cost) -> Self {
        Self {
            spent_slot_seconds: cost.spent_slot_seconds,
            left_slot_seconds: cost.left_slot_seconds.map(Prediction::from),
            end_seconds: cost.end_seconds.map(Prediction::from),
            price_per_hour: some_text(cost.price_per_hour),
            budget: some_text(cost.budget),
            budget_slot_seconds: cost.budget_slot_seconds,
            left_out_seeds: cost.left_out_seeds,
            left_out_trials: cost.left_out_trials,
            on_gpus: cost.on_gpus,
            accuracy: cost.accuracy.into_iter().map(Accuracy::from).collect(),
        }
    }
}
