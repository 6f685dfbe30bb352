//! Finds workers that can run no trial of a sweep: they have other data, cannot read the data, or have too little
//! memory. A lack of one worker is shown with that worker. A lack that all workers share is why a sweep waits, and
//! finally why it fails.

use std::fmt;

use sweep_spec::{Digest, FailureClass};

use crate::Scheduler;
use crate::bug::Bug;
use crate::id::{DatasetKey, SessionId, SweepId, WorkerName};
use crate::session::{Knowledge, Session};
use crate::sweep::Sweep;

/// Why nothing that waits in a sweep can run on any worker that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaceable {
    pub class: FailureClass,
    /// The worker that reports it; `None` if all workers share the lack.
    pub worker: Option<WorkerName>,
    /// One sentence for users.
    pub reason: String,
}

impl fmt::Display for Unplaceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.worker {
            Some(worker) => write!(f, "no connected worker has the data; {worker} reports: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// A sweep that gives a connected worker nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub sweep: SweepId,
    pub worker: WorkerName,
    /// One sentence for users.
    pub reason: String,
}

impl Scheduler {
    /// Why no waiting trial of this sweep can ever run. `None` if one can, none waits, one runs, a worker has not
    /// described its data yet, no worker is connected, or a pool that fits may start workers.
    pub fn unplaceable(&self, id: SweepId) -> Option<Unplaceable> {
        let sweep = self.sweeps.get(&id)?;
        let lack = self.lack(sweep)?;
        if !self.has(Bug::PoolForgotten) && self.pool_for(sweep).is_some() { None } else { Some(lack) }
    }

    /// The lack that all connected workers share.
    pub(crate) fn lack(&self, sweep: &Sweep) -> Option<Unplaceable> {
        let waits = sweep.startable().next().is_some() || (sweep.pin.is_none() && !sweep.references.is_empty());
        if !waits || sweep.rests() || sweep.totals.running > 0 || self.sessions.is_empty() {
            return None;
        }
        let (mut with_data, mut without) = (Vec::new(), None);
        for session in self.sessions.values() {
            match (session.data.get(&sweep.spec.dataset), session.unfit_data(&sweep.spec.dataset, sweep.pin)) {
                (None | Some(Knowledge::Asked), _) => return None,
                (Some(_), Some(unfit)) => drop(without.get_or_insert((&session.worker, unfit))),
                (Some(_), None) if sweep.pin.is_none() => return None,
                (Some(_), None) => with_data.push(session),
            }
        }
        if with_data.is_empty() {
            let (worker, unfit) = without?;
            let (worker, reason) = (Some(worker.clone()), unfit.to_string());
            return Some(Unplaceable { class: FailureClass::Data, worker, reason });
        }
        let least = sweep.least_memory()?;
        if with_data.iter().any(|session| session.fits(least)) {
            return None;
        }
        let slots = with_data.iter().flat_map(|session| &session.slots);
        let largest = slots.filter_map(|slot| slot.offer.memory_bytes).max().unwrap_or(0);
        let reason = format!("a trial needs at least {least} bytes of memory, and the largest slot has {largest}");
        Some(Unplaceable { class: FailureClass::OutOfMemory, worker: None, reason })
    }

    /// The sweeps that give a session nothing although they have not ended, by number.
    pub fn left_out(&self, id: SessionId) -> Vec<LeftOut> {
        let Some(session) = self.sessions.get(&id) else { return Vec::new() };
        self.sweeps.values().filter_map(|sweep| self.passes_over(sweep, session)).collect()
    }

    /// The connected workers that this sweep gives nothing although it has not ended, by name.
    pub fn leaves_out(&self, id: SweepId) -> Vec<LeftOut> {
        let Some(sweep) = self.sweeps.get(&id) else { return Vec::new() };
        let sessions = self.workers.values().filter_map(|id| self.sessions.get(id));
        sessions.filter_map(|session| self.passes_over(sweep, session)).collect()
    }

    fn passes_over(&self, sweep: &Sweep, session: &Session) -> Option<LeftOut> {
        if sweep.rests() || sweep.totals.queued + sweep.totals.running == 0 {
            return None;
        }
        let unfit = session.unfit_data(&sweep.spec.dataset, sweep.pin).map(|unfit| unfit.to_string());
        let reason = unfit.or_else(|| {
            let too_small = sweep.queue.least_memory().is_some_and(|least| !session.fits(least));
            // Without numbers: they differ between trials, and the sentence is reported once.
            too_small.then(|| "none of its slots has the memory that the waiting trials need".to_owned())
        })?;
        Some(LeftOut { sweep: sweep.spec.id, worker: session.worker.clone(), reason })
    }
}

impl Session {
    /// Why a session's data exclude it from trials with this pin; `None` if they do not, or if they are not described
    /// yet.
    pub(crate) fn unfit_data(&self, dataset: &DatasetKey, pin: Option<Digest>) -> Option<Unfit<'_>> {
        match (self.data.get(dataset)?, pin) {
            (Knowledge::Present(found), Some(pin)) if *found != pin => Some(Unfit::Other { found: *found, pin }),
            (Knowledge::Absent { reason, .. } | Knowledge::AskedAgain { reason }, _) => Some(Unfit::Unreadable(reason)),
            (Knowledge::Asked | Knowledge::Present(_), _) => None,
        }
    }
}

/// A problem with a worker's data. It is formatted only when it is shown, because events are frequent.
#[derive(Debug)]
pub(crate) enum Unfit<'a> {
    /// Another content than the pinned one.
    Other {
        found: Digest,
        pin: Digest,
    },
    Unreadable(&'a str),
}

impl fmt::Display for Unfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { found, pin } => write!(
                f,
                "the sweep is pinned to other data: the worker's data have the digest {}, the sweep's have {}",
                found.short(),
                pin.short()
            ),
            Self::Unreadable(reason) => f.write_str(reason),
        }
    }
}
