//! Names of workers: which worker has a name, and which worker may take it. While the lease of a worker lasts, no
//! worker with another state folder can take its name. A worker that restarts on its own state folder takes its name
//! over at once.
//!
//! ```text
//!   free ─ registers ─▶ held ─ leaves, or its lease expires ─▶ free
//!                        │
//!                        └─ the coordinator restarts ─▶ returning ─ registers ─▶ held
//!                                                           └─ the grace ends ─▶ free
//! ```

use std::collections::VecDeque;

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::Effect;
use crate::id::{SessionId, Timestamp, WorkerName};
use crate::worker::Instance;

/// Processes of one name that are remembered as replaced.
const MAX_REPLACED: usize = 16;
/// The most names that are remembered. Beyond it, free names are forgotten.
const MAX_NAMES: usize = 100_000;

/// The worker that took a name last.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) instance: Instance,
    pub(crate) held: bool,
    /// Earlier processes on the same state folder. One that is still alive is another worker: its folder was copied.
    replaced: VecDeque<u64>,
}

/// How a registering worker relates to the worker that had its name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The same process.
    Same,
    /// It is a new process, on the state folder of the one before as far as that is known.
    Restarted,
    /// Another state folder.
    Replaced,
}

/// A worker that keeps its name from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its session; `None` where it has not come back since the coordinator's restart.
    pub session: Option<SessionId>,
    /// When the name is free if the holder is not heard of before.
    pub until: Timestamp,
}

impl Name {
    pub(crate) fn new(instance: Instance, held: bool) -> Self {
        Self { instance, held, replaced: VecDeque::new() }
    }

    /// Whether this is the same worker, started again or not.
    fn is(&self, instance: Instance) -> bool {
        self.instance.folder == instance.folder && !self.replaced.contains(&instance.process)
    }

    fn take(&mut self, instance: Instance) -> Arrival {
        let before = std::mem::replace(&mut self.instance, instance);
        self.held = true;
        self.replaced.retain(|process| *process != instance.process);
        if before.folder != instance.folder {
            self.replaced.clear();
            return Arrival::Replaced;
        }
        // A process without a number (0) counts as a new one.
        if before.process == instance.process && instance.process != 0 {
            return Arrival::Same;
        }
        if before.process != instance.process {
            self.replaced.push_back(before.process);
            if self.replaced.len() > MAX_REPLACED {
                self.replaced.pop_front();
            }
        }
        Arrival::Restarted
    }
}

impl Scheduler {
    /// The other worker that has this name at `now`.
    pub fn holder(&self, now: Timestamp, worker: &WorkerName, instance: Instance) -> Option<Holder> {
        let name = self.names.get(worker)?;
        if name.is(instance) || self.has(Bug::EvictedHolder) {
            return None;
        }
        let session = self.workers.get(worker).copied();
        let connected = session.and_then(|id| self.sessions.get(&id)).filter(|session| !session.left);
        let until = connected.map(|session| session.deadline).or_else(|| self.returning.get(worker).copied())?;
        let session = session.filter(|_| connected.is_some());
        (until > self.now.max(now)).then_some(Holder { session, until })
    }

    pub(crate) fn take_name(&mut self, worker: &WorkerName, instance: Instance, effects: &mut Vec<Effect>) -> Arrival {
        self.returning.remove(worker);
        let before = self.names.get(worker).filter(|name| name.held).map(|name| name.instance);
        let arrival = match self.names.get_mut(worker) {
            Some(name) => name.take(instance),
            None => {
                self.make_room_for_a_name();
                self.names.insert(worker.clone(), Name::new(instance, true));
                // The worker that had the name before is unknown.
                Arrival::Restarted
            }
        };
        if before != Some(instance) {
            effects.push(Effect::NameTaken { worker: worker.clone(), instance });
        }
        arrival
    }

    /// A worker announces that it leaves, or revokes the announcement.
    pub(crate) fn leave_name(&mut self, worker: &WorkerName, leaves: bool, effects: &mut Vec<Effect>) {
        if leaves {
            return self.free_name(worker, effects);
        }
        if let Some(name) = self.names.get_mut(worker).filter(|name| !name.held) {
            name.held = true;
            effects.push(Effect::NameTaken { worker: worker.clone(), instance: name.instance });
        }
    }

    pub(crate) fn free_name(&mut self, worker: &WorkerName, effects: &mut Vec<Effect>) {
        if let Some(name) = self.names.get_mut(worker).filter(|name| name.held) {
            name.held = false;
            effects.push(Effect::NameFreed { worker: worker.clone() });
        }
    }

    /// Names whose workers have not come back since the restart are free once the grace is over.
    pub(crate) fn free_unclaimed_names(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let missing: Vec<_> =
            self.returning.iter().filter(|(_, until)| **until <= now).map(|(worker, _)| worker.clone()).collect();
        for worker in missing {
            self.returning.remove(&worker);
            self.free_name(&worker, effects);
        }
    }

    fn make_room_for_a_name(&mut self) {
        if self.names.len() >= MAX_NAMES {
            self.names.retain(|_, name| name.held);
        }
    }
}
