//! Requests for capacity, and what uses it now.

use sweep_scheduler::SweepId;

/// What wants room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A sweep to begin, or to open again, with so many trials that have no answer.
    Sweep { trials: u64 },
    /// So many trials of a stage of a sweep that lives.
    Stage { sweep: SweepId, trials: u64 },
}

/// Trials that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unended {
    /// Of the sweep that is asked about.
    pub own: u64,
    /// Of the other sweeps.
    pub others: u64,
}
