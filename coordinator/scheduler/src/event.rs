//! What can happen to the scheduler. Everything in an event came from outside: nothing in it is trusted to be consistent.

use sweep_spec::retry::Changes;
use sweep_spec::{Digest, FailureClass, Outcome, TrialId};

use crate::id::{DatasetKey, Lease, PoolName, SessionId, StageIndex, SweepId, WorkerName};
use crate::snapshot::SweepSnapshot;

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

/// A sweep to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSweep {
    /// Its number.
    pub id: SweepId,
    /// Higher goes first.
    pub priority: i32,
    /// Its share of slots among sweeps of one priority and one owner; 0 counts as 1.
    pub weight: u32,
    /// Whose it is: slots are shared among owners first.
    pub owner: String,
    /// Nothing of it is started.
    pub paused: bool,
    /// Which failures its spec wants treated otherwise.
    pub retry: Changes,
    /// The reference that all of its trials share.
    pub dataset: DatasetKey,
    /// The content that the spec or an earlier worker pinned.
    pub pin: Option<Digest>,
    /// The pin was asked for, so no worker's word changes it.
    pub settled: bool,
    /// How many stages it has; it ends when all have ended.
    pub stages: u32,
    /// Known results do not answer its trials: each gets a round that ends while the sweep lives.
    pub fresh: bool,
    /// It asks again what has an answer. A round that only such sweeps wait for does not become the known answer.
    pub reproduces: bool,
    /// How many attempts may be started before `SetAllowance` says otherwise; `None` for any number.
    pub allowance: Option<u64>,
}

/// A trial that a stage needs.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedTrial {
    /// The question.
    pub id: TrialId,
    /// How long it will take, in milliseconds or any unit that is the same for all: longer goes first.
    pub cost: u64,
    /// Memory that it will need on its slot.
    pub memory_bytes: u64,
    /// What the store knows of it.
    pub history: History,
    /// In its sweep, lower ranks go first, whatever they cost.
    pub rank: u32,
}

/// What the store knows of a trial.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Rounds so far.
    pub rounds: u32,
    /// Attempts so far, over all rounds.
    pub attempts: u32,
    /// The newest accepted result.
    pub known: Option<Known>,
}

/// An accepted result.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The round that it answered.
    pub round: u32,
    /// The content of the data that it was trained on.
    pub data_digest: Digest,
    /// How it came out.
    pub outcome: Outcome,
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

/// Which worker it is, beyond its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instance {
    /// Of its state folder: the same after a restart.
    pub folder: u64,
    /// Of its process; 0 where it does not say.
    pub process: u64,
}

/// Whether a worker is given trials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Service {
    /// It is.
    #[default]
    Active,
    /// By somebody's word it gets nothing new, finishes what it runs, and leaves.
    Draining,
    /// By somebody's word it hands back what it runs, and leaves.
    Leaving,
    /// It gets nothing for now.
    Suspended {
        /// Why, as one sentence.
        reason: String,
        /// What ends it.
        until: Until,
    },
}

/// What ends a suspension, beside the word of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A new process of the worker.
    Restart,
    /// A worker of the same name with another state folder: another machine, as a rule.
    Replacement,
    /// Nothing else: a person said so.
    Return,
}

/// A place where one trial can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Memory that a trial may use there; `None` where it is not known, and then everything fits.
    pub memory_bytes: Option<u64>,
}

/// How an attempt ended, by the worker's word or by the scheduler's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It answered the question.
    Succeeded {
        /// Whether it converged.
        outcome: Outcome,
        /// The content of the data that it was trained on.
        data_digest: Digest,
    },
    /// It did not.
    Failed {
        /// Whose fault.
        class: FailureClass,
        /// One sentence for people.
        reason: String,
    },
    /// It was told to stop, or its worker leaves: nobody's fault.
    Stopped,
    /// Its worker was not heard of until the deadline, or came back without it.
    Lost,
}
