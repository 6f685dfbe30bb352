//! Requests for capacity, and the trials that use it now.

use sweep_scheduler::SweepId;

/// A request for capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// To begin or reopen a sweep with this many trials without a result.
    Sweep { trials: u64 },
    /// To open a stage of a live sweep with this many trials.
    Stage { sweep: SweepId, trials: u64 },
}

/// Trials that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unended {
    /// Trials of the sweep in question.
    pub own: u64,
    /// Trials of the other sweeps.
    pub others: u64,
}
