//! The cost of a sweep, and the devices on which it is predicted.

use sweep_analysis::cost::Prediction;

/// Names of devices, and on how many slots they are.
pub(crate) type Devices = Vec<(String, usize)>;

/// What a sweep costs, as far as that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Seconds of slots so far, those of running attempts included.
    pub spent_seconds: f64,
    /// Seconds of slots that are expected besides.
    pub left: Option<Prediction>,
    /// Seconds until the end.
    pub end: Option<Prediction>,
    /// What it may cost, in seconds of slots.
    pub budget_seconds: Option<f64>,
    /// Trials that wait and that the budget will not hold, by what is known now.
    pub left_out: u64,
    /// Whether slots of the sweep are GPUs.
    pub on_gpus: bool,
}
