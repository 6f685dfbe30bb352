//! What can happen to the scheduler. Everything in an event came from outside: nothing in it is trusted to be consistent.

use sweep_spec::Digest;

pub use crate::ends::Ending;
use crate::id::{DatasetKey, Lease, PoolName, SessionId, StageIndex, SweepId, WorkerName};
use crate::snapshot::SweepSnapshot;
pub use crate::submission::{History, Known, NewSweep, WantedTrial};
pub use crate::worker::{Instance, Service, Slot, Until};

/// Something that happened. `Scheduler::apply` turns it into effects.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A sweep begins; its stages are opened by `OpenStage`.
    SubmitSweep(NewSweep),
    /// The trials of a stage are known. Said once for each stage.
    OpenStage {
        /// Whose.
        sweep: SweepId,
        /// Which.
        stage: StageIndex,
        /// What it needs; trials of other stages may be among them.
        trials: Vec<WantedTrial>,
    },
    /// A stage can never be opened, because no winner was found before it.
    FailStage {
        /// Whose.
        sweep: SweepId,
        /// Which.
        stage: StageIndex,
        /// Why, for people.
        reason: String,
    },
    /// Nobody wants this sweep any more.
    CancelSweep {
        /// Which.
        sweep: SweepId,
    },
    /// From now on nothing of this sweep is started, or it is again. What runs goes on.
    PauseSweep {
        /// Which.
        sweep: SweepId,
        /// Whether it rests.
        paused: bool,
    },
    /// A sweep may start so many attempts from now on, and no more before it is told another number; `None` sets it free.
    SetAllowance {
        /// Which.
        sweep: SweepId,
        /// How many.
        starts: Option<u64>,
    },
    /// A sweep ends here, by a rule and not by somebody's word.
    StopSweep {
        /// Which.
        sweep: SweepId,
        /// Which rule, for people.
        reason: String,
    },
    /// More trials of a sweep that is being cancelled are let go: see `Scheduler::has_more_to_release`.
    ReleaseMore,
    /// A sweep gets another place among the others.
    SetPriority {
        /// Which.
        sweep: SweepId,
        /// Higher goes first.
        priority: i32,
    },
    /// What failed of this sweep is tried again in new rounds, and nothing else is. Stages that never began are unopened
    /// again: the driver decides about each anew once the stage that it starts from has ended.
    RetrySweep {
        /// Which.
        sweep: SweepId,
        /// What the store has of it, if it has ended.
        ended: Option<Box<SweepSnapshot>>,
    },
    /// A worker is taken out of service, or put back.
    SetService {
        /// Which.
        worker: WorkerName,
        /// What it is from now on.
        service: Service,
    },
    /// A worker opens a session; one that it had before ends.
    Register(Registration),
    /// A worker is there: its leases are renewed.
    Poll {
        /// Who.
        session: SessionId,
        /// Leases that it holds, ended ones that are not yet handed in included.
        held: Vec<Lease>,
        /// It takes nothing new.
        draining: bool,
    },
    /// A worker looked at a data set.
    Described {
        /// Who.
        session: SessionId,
        /// At what.
        dataset: DatasetKey,
        /// What it found: the content's digest, or why it found none.
        answer: Result<Digest, String>,
    },
    /// An attempt has ended and all of its points are stored.
    Finish {
        /// Who says so.
        session: SessionId,
        /// Of what.
        lease: Lease,
        /// How.
        ending: Ending,
    },
    /// Time has passed. Too early, too late or repeated, it does no harm.
    Tick,
}

/// A worker that opens a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Who.
    pub worker: WorkerName,
    /// The new session.
    pub session: SessionId,
    /// Its slots, by index.
    pub slots: Vec<Slot>,
    /// Attempts that it still runs or has not handed in, and their slots.
    pub live: Vec<(Lease, u32)>,
    /// Which of the workers of this name it is.
    pub instance: Instance,
    /// The pool that it belongs to, if it was started for one.
    pub pool: Option<PoolName>,
}
