//! What the scheduler wants done. The driver stores what is to be stored in one commit, then wakes who is to be woken.

use sweep_spec::{Digest, TrialId};

use crate::ends::Ending;
pub use crate::ends::{RoundEnd, SweepEnd};
use crate::hold::Hold;
use crate::id::{Lease, SessionId, StageIndex, SweepId, WorkerName};
use crate::worker::{Instance, Service};

/// One thing to do. All but `WorkerLost`, `Wake` and `Ignored` are state edges to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The content that this sweep's trials are trained on is settled.
    DataPinned {
        /// Whose.
        sweep: SweepId,
        /// The content.
        digest: Digest,
    },
    /// A trial of a sweep is settled on a round: it is that round's result that the sweep uses.
    TrialBound {
        /// Whose.
        sweep: SweepId,
        /// Which.
        trial: TrialId,
        /// The round.
        round: u32,
        /// The round had ended before the sweep wanted it.
        reused: bool,
    },
    /// An effort to answer a trial's question begins.
    RoundOpened {
        /// Which trial.
        trial: TrialId,
        /// Which round.
        round: u32,
    },
    /// An attempt begins.
    AttemptStarted {
        /// Which.
        lease: Lease,
        /// On whose slot.
        worker: WorkerName,
        /// In which session.
        session: SessionId,
        /// Which slot.
        slot: u32,
    },
    /// An attempt goes on in a new session of its worker.
    AttemptAdopted {
        /// Which.
        lease: Lease,
        /// The new session.
        session: SessionId,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// Which.
        lease: Lease,
        /// How.
        ending: Ending,
    },
    /// A round has ended.
    RoundEnded {
        /// Which trial.
        trial: TrialId,
        /// Which round.
        round: u32,
        /// How.
        end: RoundEnd,
    },
    /// Every trial of a stage has ended. The driver may open other stages now, in the same commit.
    StageEnded {
        /// Whose.
        sweep: SweepId,
        /// Which.
        stage: StageIndex,
    },
    /// Every stage of a sweep has ended, or it was cancelled.
    SweepEnded {
        /// Which.
        sweep: SweepId,
        /// How.
        end: SweepEnd,
    },
    /// An attempt that had been given up goes on: its worker came back with it before another began.
    AttemptRevived {
        /// Which.
        lease: Lease,
        /// The session in which it goes on.
        session: SessionId,
    },
    /// Nothing of this sweep is started any more, or it is again.
    SweepPaused {
        /// Which.
        sweep: SweepId,
        /// Whether it rests.
        paused: bool,
    },
    /// The rest of a sweep is held back because its first trials failed alike, or no longer is.
    HoldChanged {
        /// Which.
        sweep: SweepId,
        /// Why; `None` when it goes on.
        hold: Option<Hold>,
    },
    /// A sweep has another place among the others.
    PriorityChanged {
        /// Which.
        sweep: SweepId,
        /// Higher goes first.
        priority: i32,
    },
    /// A sweep that had ended goes on.
    SweepReopened {
        /// Which.
        sweep: SweepId,
    },
    /// A stage that had ended goes on, because trials of it are tried again or because it never began.
    StageReopened {
        /// Whose.
        sweep: SweepId,
        /// Which.
        stage: StageIndex,
        /// Its trials are known; otherwise it waits to be opened.
        open: bool,
    },
    /// A worker is given trials, or is not, from now on.
    ServiceChanged {
        /// Which.
        worker: WorkerName,
        /// What it is.
        service: Service,
    },
    /// A worker took its name, and keeps it until `NameFreed`.
    NameTaken {
        /// The name.
        worker: WorkerName,
        /// Which worker of this name.
        instance: Instance,
    },
    /// A worker has left, or its lease has run out: any other may take its name.
    NameFreed {
        /// The name.
        worker: WorkerName,
    },
    /// A worker that had not said that it leaves was not heard of for the length of a lease.
    WorkerLost {
        /// Which.
        worker: WorkerName,
    },
    /// A session's poll has something to answer: see `Scheduler::poll_answer`.
    Wake {
        /// Whose.
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
    /// Another worker holds the name: see `Scheduler::holder`.
    NameHeld,
    /// The lease no longer holds: the worker must stop and forget the attempt.
    StaleLease,
    /// It was said before.
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
