//! A running attempt.

use std::time::Instant;

use sweep_analysis::cost::Estimate;
use sweep_spec::trainer::EpochMetrics;
use sweep_store::record::AttemptKey;

#[derive(Debug)]
pub(crate) struct LiveAttempt {
    pub(crate) key: AttemptKey,
    pub(crate) worker: String,
    pub(crate) slot: u32,
    /// All points up to this sequence number are stored or in a batch.
    pub(crate) sequence: u64,
    pub(crate) newest: Option<EpochMetrics>,
    pub(crate) assigned: Instant,
    pub(crate) assigned_ms: i64,
    /// Its predicted cost.
    pub(crate) predicted: Option<Estimate>,
    /// Milliseconds that had been charged when it was given up.
    pub(crate) counted_ms: u64,
    /// Whether its worker received the assignment.
    pub(crate) told: bool,
}
