//! What the store gives back after a restart: enough to go on as if nothing had happened.

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
    /// Workers that somebody, or the scheduler, has taken out of service.
    pub workers: Vec<(WorkerName, Service)>,
    /// The worker that took each name last, and whether it holds it still.
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
    /// Why its rest is held back, if it is.
    pub hold: Option<Hold>,
}

/// A trial of a sweep that is bound to a round.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundTrial {
    /// Which.
    pub trial: TrialId,
    /// The round.
    pub round: u32,
    /// The round had ended before the sweep wanted it.
    pub reused: bool,
    /// How the round ended, if it has.
    pub end: Option<RoundEnd>,
}

/// A round that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRound {
    /// Whose.
    pub trial: TrialId,
    /// Which.
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
    /// Which.
    pub lease: Lease,
    /// Whose.
    pub worker: WorkerName,
    /// On which slot.
    pub slot: u32,
}
