//! The stored state from which a scheduler continues after a restart.

use sweep_spec::{Digest, TrialId};

use crate::ends::RoundEnd;
use crate::hold::Hold;
use crate::id::{Lease, StageIndex, WorkerName};
use crate::submission::{NewSweep, WantedTrial};
use crate::worker::{Instance, Service};

/// Everything that lives: sweeps that have not ended, their trials, and the attempts that workers may still run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// The sweeps that have not ended.
    pub sweeps: Vec<SweepSnapshot>,
    /// Rounds that have not ended.
    pub open_rounds: Vec<OpenRound>,
    /// Workers that a user or the scheduler has taken out of service.
    pub workers: Vec<(WorkerName, Service)>,
    /// The worker that last took each name, and whether it still has the name.
    pub names: Vec<(WorkerName, Instance, bool)>,
}

/// A sweep that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSnapshot {
    /// As it was submitted, but with the pin that was settled since.
    pub sweep: NewSweep,
    /// Stages that were opened, with the trials of each.
    pub stages: Vec<(StageIndex, Vec<WantedTrial>)>,
    /// Stages that failed to open, and why.
    pub failed_stages: Vec<(StageIndex, String)>,
    /// Trials that are bound to a round.
    pub bound: Vec<BoundTrial>,
    /// Why the rest of the sweep is held back, if it is.
    pub hold: Option<Hold>,
}

/// A trial of a sweep that is bound to a round.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundTrial {
    pub trial: TrialId,
    pub round: u32,
    /// The round had ended before the sweep wanted it.
    pub reused: bool,
    /// `None` while the round is open.
    pub end: Option<RoundEnd>,
}

/// A round that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRound {
    pub trial: TrialId,
    pub round: u32,
    /// The content that it is trained on.
    pub pin: Digest,
    /// Attempts of this round that ended in failure.
    pub failures: u32,
    /// Attempts of this round that were lost with their worker.
    pub losses: u32,
    /// Workers on which it failed.
    pub failed_on: Vec<WorkerName>,
    /// The most memory of a slot on which it ran out of memory.
    pub too_small: Option<u64>,
    /// The attempt that is live.
    pub live: Option<LiveAttempt>,
    /// The newest attempt, if it was lost: its worker may come back with it.
    pub lost: Option<LiveAttempt>,
}

/// An attempt that a worker may still run.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAttempt {
    pub lease: Lease,
    pub worker: WorkerName,
    pub slot: u32,
}
