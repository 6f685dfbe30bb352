//! Decides which workers get trials: those that no user has taken out of service, and on which trials do not fail that
//! succeed elsewhere.
//!
//! A failure counts against the process on which it happened. A new process gets trials: the failures of earlier
//! processes do not suspend it. A worker that fails again after every start is detected by the number of its starts
//! since a trial last succeeded on it. After the third such start, a restart does not end its suspension.

use std::collections::{BTreeMap, BTreeSet};

use sweep_spec::{FailureClass, TrialId};

use crate::Scheduler;
use crate::effect::{Effect, Ignored};
use crate::ends::Ending;
use crate::id::WorkerName;
use crate::names::Arrival;
use crate::session::Session;
use crate::worker::{Service, Until};

/// Trials of one row of failures that are remembered.
const MAX_ROW: usize = 1_000;

/// Starts in a row on which trials failed that others could run, after which another start is no remedy.
const BAD_STARTS: usize = 3;

/// The state of a worker that outlives its session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    pub(crate) service: Service,
    /// The worker's processes since a trial last succeeded on it.
    start: u32,
    /// Trials that failed on it since its last success.
    failed: BTreeMap<TrialId, Failure>,
}

/// A trial that failed on a worker.
#[derive(Debug, Clone, Copy)]
struct Failure {
    /// The number of the worker's process.
    start: u32,
    /// The trial has succeeded on another worker since.
    vindicated: bool,
}

impl Health {
    pub(crate) fn of(service: Service) -> Self {
        Self { service, ..Self::default() }
    }

    fn is_blank(&self) -> bool {
        self.service == Service::Active && self.failed.is_empty()
    }

    /// The suspension that the worker's failures cause, if any.
    fn unfit(&self, limit: usize) -> Option<Service> {
        let vindicated = || self.failed.values().filter(|failure| failure.vindicated);
        let here = vindicated().filter(|failure| failure.start == self.start).count();
        let starts = vindicated().map(|failure| failure.start).collect::<BTreeSet<_>>().len();
        if limit == 0 || here == 0 {
            return None;
        }
        if starts >= BAD_STARTS {
            let reason = format!(
                "trials that succeeded on other workers failed here in {starts} runs of the worker in a row, and none \
                 succeeded"
            );
            return Some(Service::Suspended { reason, until: Until::Replacement });
        }
        let reason = match here {
            1 => "1 trial that succeeded on another worker failed here".to_owned(),
            _ => format!("{here} trials in a row that succeeded on other workers failed here"),
        };
        (here >= limit).then_some(Service::Suspended { reason, until: Until::Restart })
    }
}

impl Scheduler {
    pub fn service(&self, worker: &WorkerName) -> Service {
        self.health.get(worker).map_or(Service::Active, |health| health.service.clone())
    }

    /// Connected workers that are suspended.
    pub fn suspended(&self) -> impl Iterator<Item = (&WorkerName, &Service)> {
        let is_connected = |worker: &WorkerName| {
            let session = self.workers.get(worker).and_then(|id| self.sessions.get(id));
            session.is_some_and(|session| !session.left)
        };
        let suspended = self.health.iter().filter(|(_, health)| matches!(health.service, Service::Suspended { .. }));
        suspended.filter(move |(worker, _)| is_connected(worker)).map(|(worker, health)| (worker, &health.service))
    }

    /// Whether a session is given trials.
    pub(crate) fn takes_trials(&self, session: &Session) -> bool {
        !session.draining && self.health.get(&session.worker).is_none_or(|health| health.service == Service::Active)
    }

    pub(crate) fn set_service(
        &mut self,
        worker: WorkerName,
        service: Service,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        if !self.workers.contains_key(&worker) && !self.health.contains_key(&worker) {
            return Err(Ignored::UnknownWorker);
        }
        if self.service(&worker) == service {
            return Err(Ignored::Repeated);
        }
        if service == Service::Active {
            self.health.insert(worker.clone(), Health::default());
        }
        self.change_service(worker, service, effects);
        Ok(())
    }

    fn change_service(&mut self, worker: WorkerName, service: Service, effects: &mut Vec<Effect>) {
        if let Some(session) = self.workers.get(&worker).copied() {
            self.votes_may_change(session);
        }
        let health = self.health.entry(worker.clone()).or_default();
        health.service = service.clone();
        if health.is_blank() {
            self.health.remove(&worker);
        }
        effects.extend(self.workers.get(&worker).map(|session| Effect::Wake { session: *session }));
        effects.push(Effect::ServiceChanged { worker, service });
    }

    /// Ends a suspension, or other service, that was limited to the worker's earlier process.
    pub(crate) fn welcome(&mut self, worker: &WorkerName, arrival: Arrival, effects: &mut Vec<Effect>) {
        let Some(health) = self.health.get_mut(worker) else { return };
        match arrival {
            Arrival::Same => return,
            Arrival::Restarted => health.start = health.start.saturating_add(1),
            Arrival::Replaced => health.failed.clear(),
        }
        let is_over = match &health.service {
            Service::Active => false,
            Service::Draining | Service::Leaving | Service::Suspended { until: Until::Restart, .. } => true,
            Service::Suspended { until: Until::Replacement, .. } => arrival == Arrival::Replaced,
            Service::Suspended { until: Until::Return, .. } => false,
        };
        if is_over {
            self.change_service(worker.clone(), Service::Active, effects);
        } else if health.is_blank() {
            self.health.remove(worker);
        }
    }

    /// Takes notice of how an attempt ended on a worker.
    pub(crate) fn note_health(
        &mut self,
        worker: &WorkerName,
        trial: TrialId,
        ending: &Ending,
        effects: &mut Vec<Effect>,
    ) {
        match ending {
            Ending::Succeeded { .. } => self.note_success(worker, trial, effects),
            Ending::Failed { class, .. } if may_be_the_machines(*class) => {
                let health = self.health.entry(worker.clone()).or_default();
                if health.failed.len() < MAX_ROW {
                    let start = health.start;
                    let failure = health.failed.entry(trial).or_insert(Failure { start, vindicated: false });
                    failure.start = start;
                }
            }
            Ending::Failed { .. } | Ending::Stopped | Ending::Lost => {}
        }
    }

    fn note_success(&mut self, worker: &WorkerName, trial: TrialId, effects: &mut Vec<Effect>) {
        if let Some(health) = self.health.get_mut(worker) {
            health.failed.clear();
            health.start = 0;
            if health.is_blank() {
                self.health.remove(worker);
            }
        }
        let limit = self.config.suspend_after as usize;
        let mut unfit = Vec::new();
        for (name, health) in &mut self.health {
            if let Some(failure) = health.failed.get_mut(&trial) {
                failure.vindicated = true;
                let found = health.unfit(limit).filter(|_| health.service == Service::Active);
                unfit.extend(found.map(|service| (name.clone(), service)));
            }
        }
        for (name, service) in unfit {
            self.change_service(name, service, effects);
        }
    }
}

/// Whether a failure of this class speaks against the machine at all.
fn may_be_the_machines(class: FailureClass) -> bool {
    match class {
        FailureClass::Data
        | FailureClass::DeviceUnavailable
        | FailureClass::DeviceLost
        | FailureClass::Trainer
        | FailureClass::Machine => true,
        FailureClass::Spec | FailureClass::OutOfMemory | FailureClass::Coordinator => false,
    }
}
