//! Events: the inputs of the scheduler. All of their content comes from outside and may be inconsistent.

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
    /// The trials of a stage are known. Sent once for each stage.
    OpenStage {
        sweep: SweepId,
        stage: StageIndex,
        /// The trials that the stage needs; trials of other stages may be among them.
        trials: Vec<WantedTrial>,
    },
    /// A stage can never be opened, because no winner was found before it.
    FailStage {
        sweep: SweepId,
        stage: StageIndex,
        /// One sentence for users.
        reason: String,
    },
    CancelSweep {
        sweep: SweepId,
    },
    /// Pauses or resumes a sweep. Running trials finish.
    PauseSweep {
        sweep: SweepId,
        paused: bool,
    },
    /// Limits how many attempts a sweep may start until the next `SetAllowance`.
    SetAllowance {
        sweep: SweepId,
        /// `None` for no limit.
        starts: Option<u64>,
    },
    /// Ends a sweep by a rule, not by a user's command.
    StopSweep {
        sweep: SweepId,
        /// The rule, in one sentence for users.
        reason: String,
    },
    /// More trials of a sweep that is being cancelled are let go: see `Scheduler::has_more_to_release`.
    ReleaseMore,
    /// A sweep gets another place among the others.
    SetPriority {
        sweep: SweepId,
        /// Higher starts first.
        priority: i32,
    },
    /// Retries the failed trials of a sweep in new rounds, and no others. Stages that never began are unopened again:
    /// the driver decides about each once the stage that it starts from has ended.
    RetrySweep {
        sweep: SweepId,
        /// The stored state of a sweep that has ended.
        ended: Option<Box<SweepSnapshot>>,
    },
    /// A worker is taken out of service, or put back.
    SetService {
        worker: WorkerName,
        service: Service,
    },
    /// A worker opens a session. Its earlier session ends.
    Register(Registration),
    /// A worker is there: its leases are renewed.
    Poll {
        session: SessionId,
        /// The worker's leases, including those of ended attempts that it has not handed in.
        held: Vec<Lease>,
        /// The worker accepts no new trials.
        draining: bool,
    },
    /// A worker looked at a data set.
    Described {
        session: SessionId,
        dataset: DatasetKey,
        /// The digest of the content, or why the worker could not read it.
        answer: Result<Digest, String>,
    },
    /// An attempt has ended and all of its points are stored.
    Finish {
        session: SessionId,
        lease: Lease,
        ending: Ending,
    },
    /// Time has passed. Too early, too late or repeated, it does no harm.
    Tick,
}

/// A worker that opens a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    pub worker: WorkerName,
    pub session: SessionId,
    /// By index.
    pub slots: Vec<Slot>,
    /// Attempts that it still runs or has not handed in, and their slots.
    pub live: Vec<(Lease, u32)>,
    /// Tells apart workers of the same name.
    pub instance: Instance,
    /// The pool that it belongs to, if it was started for one.
    pub pool: Option<PoolName>,
}
