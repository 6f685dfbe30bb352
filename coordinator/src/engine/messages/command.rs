//! Commands to the owner task. Answers leave after the commit that they depend on.

use std::collections::HashMap;
use std::sync::Arc;

use sweep_scheduler::event::{NewSweep, Service, WantedTrial};
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Outlook, SweepId};
use sweep_spec::TrialId;
use sweep_store::write::{AuditRow, StageChange};

use crate::engine::cost::sweep_cost::Devices;
use crate::engine::messages::capacity::Wanted;
use crate::engine::messages::views::{Gauges, LiveStatus, ProgressGauges, WorkerView};
use crate::engine::messages::worker::{
    Describe, Finish, Finished, Poll, PollReply, Register, Registered, Report, Reported,
};
use crate::engine::reply::Reply;
use crate::engine::state::sweep::{LiveConfiguration, LiveSweep};

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
    Paces(Reply<Vec<ProgressGauges>>),
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
    /// The user who asked for it; empty for actions of the coordinator.
    pub(crate) actor: String,
    /// The sweep that a new one goes on from.
    pub(crate) extends: Option<SweepId>,
    pub(crate) choice: Option<StageChange>,
    pub(crate) open: Vec<(u32, Vec<WantedTrial>)>,
    pub(crate) fail: Vec<(u32, String)>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
}
