//! Trials by state: the one shape that the scheduler, the store, the leaderboard and the messages share.

use serde::{Deserialize, Serialize};

/// Trials by state, of a sweep, a stage or a configuration. The store keeps its JSON form in summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrialCounts {
    pub queued: u64,
    /// An attempt is live.
    pub running: u64,
    /// Ended with a result, diverged ones included.
    pub succeeded: u64,
    /// Part of `succeeded`.
    pub diverged: u64,
    /// Ended without a result.
    pub failed: u64,
    /// Cancelled because no sweep needed them.
    pub cancelled: u64,
    /// Part of `succeeded`: results that were known before the sweep.
    pub reused: u64,
}

impl TrialCounts {
    /// All trials, each counted once.
    pub fn total(&self) -> u64 {
        self.queued + self.running + self.succeeded + self.failed + self.cancelled
    }
}
