//! What the owner task can be asked. Replies leave after the commit that concerns them.

use std::collections::HashMap;
use std::sync::Arc;

use sweep_analysis::cost::Prediction;
use sweep_scheduler::event::{Instance, NewSweep, Service, WantedTrial};
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{
    HeldBack, Lease, LeftOut, Outlook, PoolName, PoolView, SessionId, SweepCounts, SweepId, Unplaceable,
};
use sweep_spec::settings::Setting;
use sweep_spec::trainer::{Described, EpochMetrics};
use sweep_spec::{Digest, FailureClass, Plan, TrialId};
use sweep_store::record::{Predictions, ResultRecord};
use sweep_store::summary::Asked;
use sweep_store::write::{AuditRow, SlotRow, StageChange};
use tokio::sync::oneshot;

use super::Error;
use super::live::{LiveConfiguration, LiveSweep};
use super::outlook::{Cost, Devices};
use super::room::{Unended, Wanted};

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

#[derive(Debug)]
pub(crate) enum Command {
    Register(Register, Reply<Registered>),
    Poll(Poll, Reply<PollReply>),
    Describe(Describe, Reply<bool>),
    Report(Report, Reply<Reported>),
    Finish(Box<Finish>, Reply<Finished>),
    /// Whether there is room for more.
    Room(Wanted, Reply<()>),
    Ticket(Reply<Ticket>),
    Begin(Box<Begin>, Reply<Outlook>),
    Outlook(SweepId, Reply<Option<Outlook>>),
    Cancel(SweepId, String, Reply<()>),
    Pause((SweepId, bool), String, Reply<()>),
    SetPriority((SweepId, i32), String, Reply<()>),
    Retry(Box<Retry>, Reply<u64>),
    /// A sweep that has ended; with what the audit log says of it.
    Delete(SweepId, Box<AuditRow>, Reply<()>),
    /// Trials that are about to be removed from the store.
    Forget(Vec<TrialId>, Reply<()>),
    SetService((String, Service), String, Reply<()>),
    Explain(TrialId, Reply<Vec<String>>),
    Sweep(SweepId, Reply<Option<LiveStatus>>),
    Devices(Reply<Devices>),
    /// What may go wrong with any sweep as things are.
    Warnings(Reply<Vec<String>>),
    Workers(Reply<Vec<WorkerView>>),
    Gauges(Reply<Gauges>),
    Paces(Reply<Vec<PaceGauges>>),
}

/// A worker that opens a session.
#[derive(Debug, Clone)]
pub struct Register {
    /// Its name.
    pub worker: String,
    /// Its machine.
    pub host: String,
    /// Of its program.
    pub version: String,
    /// Its slots, by index.
    pub slots: Vec<SlotRow>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Attempts that it still runs or has not handed in, and their slots.
    pub live: Vec<(Lease, u32)>,
    /// Which of the workers of its name it is.
    pub instance: Instance,
    /// From where it connects; empty where that is not known.
    pub address: String,
    /// The pool that it belongs to.
    pub pool: Option<PoolName>,
    /// Other workers can go on with its trials.
    pub shares_checkpoints: bool,
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// Its number.
    pub session: SessionId,
    /// Attempts that are not adopted.
    pub stop: Vec<Lease>,
    /// Whether it is given trials.
    pub service: Service,
}

/// A worker that waits for something to do.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Who.
    pub session: SessionId,
    /// Leases that it holds.
    pub held: Vec<Lease>,
    /// It takes nothing new.
    pub draining: bool,
    /// The highest number of an answer that it has seen.
    pub seen: u64,
}

/// What a worker is to do.
#[derive(Debug, Clone, Default)]
pub struct PollReply {
    /// Trials to start.
    pub start: Vec<Assignment>,
    /// Leases that no longer hold.
    pub stop: Vec<Lease>,
    /// Data sets to describe, and their settings.
    pub describe: Vec<(Digest, Arc<Vec<Setting>>)>,
    /// Grows within the session; 0 where nothing is to be echoed.
    pub number: u64,
    /// Whether it is given trials.
    pub service: Service,
    /// Sweeps that give it nothing.
    pub left_out: Vec<LeftOut>,
}

impl PollReply {
    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.number == 0 && self.start.is_empty() && self.stop.is_empty() && self.describe.is_empty()
    }
}

/// A trial to start.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Its right.
    pub lease: Lease,
    /// On which slot.
    pub slot: u32,
    /// The question.
    pub settings: Vec<Setting>,
    /// 0 where there is no prediction.
    pub predicted_seconds: f64,
}

/// What a worker found in a data set.
#[derive(Debug, Clone)]
pub struct Describe {
    /// Who.
    pub session: SessionId,
    /// In which.
    pub dataset: Digest,
    /// What, or why nothing.
    pub answer: Result<Described, (FailureClass, String)>,
}

/// Points of attempts.
#[derive(Debug, Clone)]
pub struct Report {
    /// Who.
    pub session: SessionId,
    /// Lease, sequence number, numbers.
    pub points: Vec<(Lease, u64, EpochMetrics)>,
}

/// What became of a `Report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Leases that no longer hold.
    pub stop: Vec<Lease>,
    /// Points that were not known before.
    pub taken: u64,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Who says so.
    pub session: SessionId,
    /// Of what.
    pub lease: Lease,
    /// Its last point's sequence number.
    pub last_sequence: u64,
    /// How.
    pub ending: FinishEnding,
    /// Seconds until it started.
    pub start_seconds: f64,
    /// Seconds until it ended.
    pub run_seconds: f64,
    /// Seconds in which it did not run.
    pub paused_seconds: f64,
    /// The last lines of its log.
    pub log_tail: String,
}

/// How an attempt ended, by its worker's word.
#[derive(Debug, Clone)]
pub enum FinishEnding {
    /// With an answer, and what the network said of single images.
    Result(Box<ResultRecord>, Predictions),
    /// Without.
    Failure(FailureClass, String),
    /// It was stopped.
    Stopped,
    /// The worker itself lost it, and says how.
    Lost(String),
}

/// What became of a `Finish`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Stored.
    Accepted {
        /// All points up to this one are stored.
        stored_sequence: u64,
    },
    /// The lease no longer holds.
    Stale,
    /// Points are missing.
    PointsMissing {
        /// All points up to this one are stored.
        stored_sequence: u64,
    },
}

/// From the moment that it is given, the engine remembers what changes, so that what its holder reads from the store can
/// be brought up to date when it is handed in.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) generation: u64,
    pub(crate) _alive: Arc<()>,
}

/// A sweep of which something is to be tried again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) ticket: Ticket,
    pub(crate) sweep: SweepId,
    pub(crate) ended: Option<Ended>,
    pub(crate) actor: String,
}

/// A sweep that has ended, as the store has it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) live: LiveSweep,
    pub(crate) snapshot: SweepSnapshot,
}

/// A sweep to begin, or stages of one to open; their rows are prepared.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) ticket: Ticket,
    pub(crate) sweep: SweepId,
    /// For a new one.
    pub(crate) new: Option<(NewSweep, LiveSweep)>,
    /// Who asked for it; nobody for what the coordinator does by itself.
    pub(crate) actor: String,
    /// The sweep that a new one goes on from.
    pub(crate) extends: Option<SweepId>,
    pub(crate) choice: Option<StageChange>,
    pub(crate) open: Vec<(u32, Vec<WantedTrial>)>,
    pub(crate) fail: Vec<(u32, String)>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
}

/// Where a live sweep stands.
#[derive(Debug, Clone)]
pub struct LiveStatus {
    /// Over all stages.
    pub counts: SweepCounts,
    /// By stage; `None` for one that is not open.
    pub stages: Vec<Option<SweepCounts>>,
    /// Trials that run, a bounded number of them.
    pub running: Vec<Running>,
    /// What it has cost and will.
    pub cost: Cost,
    /// Epochs of running trials.
    pub running_epochs: u64,
    /// Trials that have not ended, for a stage that waits for room.
    pub unended: Unended,
    /// Why nothing runs.
    pub waiting_for: Vec<String>,
    /// Why none of the connected workers can ever run what waits.
    pub unplaceable: Option<Unplaceable>,
    /// Connected workers that it gives nothing.
    pub leaves_out: Vec<LeftOut>,
    /// Connected workers that are suspended, and what they are.
    pub out_of_service: Vec<(String, Service)>,
    /// Why its rest is held back, if it is.
    pub held: Option<HeldBack>,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// What a status says of its spec.
    pub asked: Arc<Asked>,
}

/// A trial that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its right.
    pub lease: Lease,
    /// Of whom.
    pub sweep: SweepId,
    /// Its configuration's label.
    pub configuration: String,
    /// Its seed.
    pub seed: u64,
    /// Where.
    pub worker: String,
    /// On which slot.
    pub slot: u32,
    /// Epochs that it has to do.
    pub epochs: u32,
    /// The newest point.
    pub newest: Option<EpochMetrics>,
}

/// A connected worker.
#[derive(Debug, Clone)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Its session.
    pub session: SessionId,
    /// It takes nothing new.
    pub draining: bool,
    /// It has said that it leaves, and holds nothing.
    pub left: bool,
    /// Whether it is given trials.
    pub service: Service,
    /// What runs on each slot: trial, label, sweep.
    pub slots: Vec<Option<(TrialId, String, SweepId)>>,
    /// When it polled last, in Unix milliseconds.
    pub seen_ms: i64,
    /// Sweeps that give it nothing.
    pub left_out: Vec<LeftOut>,
}

/// What the gauges show.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Live sweeps: number, name, counts, trials to come at most.
    pub sweeps: Vec<(SweepId, String, SweepCounts, u64)>,
    /// Trials that wait.
    pub queue_depth: usize,
    /// Workers: connected, draining.
    pub workers: (usize, usize),
    /// Slots: busy, free.
    pub slots: (usize, usize),
    /// Trials that run.
    pub running: Vec<Running>,
    /// Seconds of slots that live sweeps have spent.
    pub spent: Vec<(SweepId, f64)>,
    /// The declared pools.
    pub pools: Vec<PoolView>,
}

/// How a live sweep comes on.
#[derive(Debug, Clone)]
pub struct PaceGauges {
    /// Which.
    pub sweep: SweepId,
    /// When it last took an epoch's numbers or the end of a trial, in Unix seconds.
    pub progress_at: f64,
    /// Seconds since a slot last took a trial of it; 0 while none waits.
    pub waits_seconds: f64,
    /// Nothing of it may be started.
    pub rests: bool,
    /// Trials that are held back.
    pub held_back: u64,
    /// Seconds until it is expected to end.
    pub remaining: Option<Prediction>,
}
