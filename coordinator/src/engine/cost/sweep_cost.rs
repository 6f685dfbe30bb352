//! The cost of a sweep, and the devices on which it is predicted.

use sweep_analysis::cost::Prediction;

/// Names of devices, each with its number of slots.
pub(crate) type Devices = Vec<(String, usize)>;

/// The cost of a sweep, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Slot-seconds so far, including running attempts.
    pub spent_seconds: f64,
    /// Predicted further slot-seconds.
    pub left: Option<Prediction>,
    /// Predicted seconds until the end.
    pub end: Option<Prediction>,
    /// The budget in slot-seconds.
    pub budget_seconds: Option<f64>,
    /// Queued trials that the budget will not cover, by the present prediction.
    pub left_out: u64,
    /// Whether the sweep runs on GPUs.
    pub on_gpus: bool,
}
