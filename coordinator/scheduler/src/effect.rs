//! Effects: the actions that the scheduler requests. The driver stores all state changes of a batch in one commit, then
//! wakes sessions.

use sweep_spec::{Digest, TrialId};

use crate::ends::Ending;
pub use crate::ends::{RoundEnd, SweepEnd};
use crate::hold::Hold;
use crate::id::{Lease, SessionId, StageIndex, SweepId, WorkerName};
use crate::worker::{Instance, Service};

/// One action. All except `WorkerLost`, `Wake` and `Ignored` are state changes that the driver stores.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A sweep is pinned to one content of its data set.
    DataPinned {
        sweep: SweepId,
        digest: Digest,
    },
    /// A sweep's trial is bound to a round, whose result the sweep uses.
    TrialBound {
        sweep: SweepId,
        trial: TrialId,
        round: u32,
        /// The round had ended before the sweep needed it.
        reused: bool,
    },
    RoundOpened {
        trial: TrialId,
        round: u32,
    },
    AttemptStarted {
        lease: Lease,
        worker: WorkerName,
        session: SessionId,
        slot: u32,
    },
    /// An attempt continues in a new session of its worker.
    AttemptAdopted {
        lease: Lease,
        session: SessionId,
    },
    /// An attempt has ended.
    AttemptEnded {
        lease: Lease,
        ending: Ending,
    },
    RoundEnded {
        trial: TrialId,
        round: u32,
        end: RoundEnd,
    },
    /// Every trial of a stage has ended. The driver may open other stages now, in the same commit.
    StageEnded {
        sweep: SweepId,
        stage: StageIndex,
    },
    /// Every stage of a sweep has ended, or it was cancelled.
    SweepEnded {
        sweep: SweepId,
        end: SweepEnd,
    },
    /// An expired attempt continues: its worker came back with it before another attempt began.
    AttemptRevived {
        lease: Lease,
        session: SessionId,
    },
    /// Nothing of this sweep is started any more, or it is again.
    SweepPaused {
        sweep: SweepId,
        /// `false` when it is resumed.
        paused: bool,
    },
    /// The rest of a sweep is held back because its first trials failed in the same way, or it is released.
    HoldChanged {
        sweep: SweepId,
        /// `None` when the sweep is released.
        hold: Option<Hold>,
    },
    /// A sweep has another place among the others.
    PriorityChanged {
        sweep: SweepId,
        /// Higher starts first.
        priority: i32,
    },
    /// A sweep that had ended continues.
    SweepReopened {
        sweep: SweepId,
    },
    /// A stage that had ended continues, because its trials are retried or because it never began.
    StageReopened {
        sweep: SweepId,
        stage: StageIndex,
        /// Whether its trials are known; otherwise the driver opens it later.
        open: bool,
    },
    /// A worker is given trials, or is not, from now on.
    ServiceChanged {
        worker: WorkerName,
        service: Service,
    },
    /// A worker took its name, and keeps it until `NameFreed`.
    NameTaken {
        worker: WorkerName,
        instance: Instance,
    },
    /// A worker has left, or its lease has run out: any other may take its name.
    NameFreed {
        worker: WorkerName,
    },
    /// The lease of a worker expired although the worker had not announced that it leaves.
    WorkerLost {
        worker: WorkerName,
    },
    /// A session's poll has something to answer: see `Scheduler::poll_answer`.
    Wake {
        session: SessionId,
    },
    /// The event changed nothing, and that is well.
    Ignored(Ignored),
}

/// Why an event changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// No such sweep lives here.
    UnknownSweep,
    /// No such stage, or it is open or ended already.
    UnknownStage,
    /// No such worker is connected or known.
    UnknownWorker,
    /// Nothing of the sweep has failed.
    NothingFailed,
    /// The session has ended or never was: the worker must register again.
    UnknownSession,
    /// Another worker has the name: see `Scheduler::holder`.
    NameHeld,
    /// The lease is stale: the worker must stop and forget the attempt.
    StaleLease,
    /// The event has been applied before.
    Repeated,
}

impl Effect {
    /// A label for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DataPinned { .. } => "data_pinned",
            Self::TrialBound { .. } => "trial_bound",
            Self::RoundOpened { .. } => "round_opened",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptAdopted { .. } => "attempt_adopted",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::RoundEnded { .. } => "round_ended",
            Self::StageEnded { .. } => "stage_ended",
            Self::SweepEnded { .. } => "sweep_ended",
            Self::AttemptRevived { .. } => "attempt_revived",
            Self::SweepPaused { .. } => "sweep_paused",
            Self::HoldChanged { .. } => "hold_changed",
            Self::PriorityChanged { .. } => "priority_changed",
            Self::SweepReopened { .. } => "sweep_reopened",
            Self::StageReopened { .. } => "stage_reopened",
            Self::ServiceChanged { .. } => "service_changed",
            Self::NameTaken { .. } => "name_taken",
            Self::NameFreed { .. } => "name_freed",
            Self::WorkerLost { .. } => "worker_lost",
            Self::Wake { .. } => "wake",
            Self::Ignored(_) => "ignored",
        }
    }
}
