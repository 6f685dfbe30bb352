//! An attempt that a worker runs.

use std::time::Instant;

use sweep_analysis::cost::Estimate;
use sweep_spec::trainer::EpochMetrics;
use sweep_store::record::AttemptKey;

/// An attempt that a worker runs.
#[derive(Debug)]
pub(crate) struct LiveAttempt {
    pub(crate) key: AttemptKey,
    pub(crate) worker: String,
    pub(crate) slot: u32,
    /// Points up to this one are stored or in a batch, without gaps.
    pub(crate) sequence: u64,
    pub(crate) newest: Option<EpochMetrics>,
    pub(crate) assigned: Instant,
    pub(crate) assigned_ms: i64,
    /// What is expected of it.
    pub(crate) predicted: Option<Estimate>,
    /// Milliseconds that were counted when it was given up.
    pub(crate) counted_ms: u64,
    /// Its worker received the assignment.
    pub(crate) told: bool,
}
