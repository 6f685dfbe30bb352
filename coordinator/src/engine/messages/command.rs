//! Commands to the owner task. An answer is sent after the commit that it depends on.

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
    /// Whether the limits allow this.
    Room(Wanted, Reply<()>),
    Ticket(Reply<Ticket>),
    Begin(Box<Begin>, Reply<Outlook>),
    Outlook(SweepId, Reply<Option<Outlook>>),
    Cancel(SweepId, String, Reply<()>),
    Pause((SweepId, bool), String, Reply<()>),
    SetPriority((SweepId, i32), String, Reply<()>),
    Retry(Box<Retry>, Reply<u64>),
    /// Deletes a sweep that has ended, and adds this row to the audit log.
    Delete(SweepId, Box<AuditRow>, Reply<()>),
    /// Drops these trials from memory before they are removed from the store.
    Forget(Vec<TrialId>, Reply<()>),
    SetService((String, Service), String, Reply<()>),
    Explain(TrialId, Reply<Vec<String>>),
    Sweep(SweepId, Reply<Option<LiveStatus>>),
    Devices(Reply<Devices>),
    /// Sentences about risks that concern every sweep at present.
    Warnings(Reply<Vec<String>>),
    Workers(Reply<Vec<WorkerView>>),
    Gauges(Reply<Gauges>),
    Paces(Reply<Vec<ProgressGauges>>),
}

/// While a ticket exists, the owner task records the changes of trials. When a command returns the ticket, the owner
/// task applies these changes to what the caller has read from the store since.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) generation: u64,
    pub(crate) _alive: Arc<()>,
}

/// Retries the failed trials of a sweep.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) ticket: Ticket,
    pub(crate) sweep: SweepId,
    pub(crate) ended: Option<Ended>,
    pub(crate) actor: String,
}

/// A sweep that has ended, as read from the store.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) live: LiveSweep,
    pub(crate) snapshot: SweepSnapshot,
}

/// Begins a sweep or opens stages of one. Their rows have been written already.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) ticket: Ticket,
    pub(crate) sweep: SweepId,
    /// The sweep, if it is new.
    pub(crate) new: Option<(NewSweep, LiveSweep)>,
    /// The user who requested it; empty for actions of the coordinator.
    pub(crate) actor: String,
    /// The sweep that a new one extends.
    pub(crate) extends: Option<SweepId>,
    pub(crate) choice: Option<StageChange>,
    pub(crate) open: Vec<(u32, Vec<WantedTrial>)>,
    pub(crate) fail: Vec<(u32, String)>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
}
