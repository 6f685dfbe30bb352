//! Which workers are given trials: what people said of them, and which of them fail what others can run.

use std::collections::BTreeSet;

use sweep_spec::{FailureClass, TrialId};

use crate::Scheduler;
use crate::effect::{Effect, Ignored};
use crate::event::{Ending, Service};
use crate::id::WorkerName;
use crate::session::Session;

/// Trials of one row of failures that are remembered.
const MAX_ROW: usize = 1_000;

/// What is known of a worker beyond its session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    pub(crate) service: Service,
    /// Trials that failed on it since the last one that succeeded there.
    failed: BTreeSet<TrialId>,
    /// Of these, the ones that have succeeded on another worker since.
    vindicated: BTreeSet<TrialId>,
}

impl Health {
    pub(crate) fn of(service: Service) -> Self {
        Self { service, ..Self::default() }
    }

    fn is_blank(&self) -> bool {
        self.service == Service::Active && self.failed.is_empty()
    }
}

impl Scheduler {
    /// What a worker is, by name.
    pub fn service(&self, worker: &WorkerName) -> Service {
        self.health.get(worker).map_or(Service::Active, |health| health.service.clone())
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
        self.change_service(worker, service, effects);
        Ok(())
    }

    fn change_service(&mut self, worker: WorkerName, service: Service, effects: &mut Vec<Effect>) {
        let health = self.health.entry(worker.clone()).or_default();
        if service == Service::Active {
            *health = Health::default();
        }
        health.service = service.clone();
        if health.is_blank() {
            self.health.remove(&worker);
        }
        effects.extend(self.workers.get(&worker).map(|session| Effect::Wake { session: *session }));
        effects.push(Effect::ServiceChanged { worker, service });
    }

    /// A new process of a worker: who sent the one before it away did not mean this one.
    pub(crate) fn welcome(&mut self, worker: &WorkerName, effects: &mut Vec<Effect>) {
        if matches!(self.service(worker), Service::Draining | Service::Leaving) {
            self.change_service(worker.clone(), Service::Active, effects);
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
                    health.failed.insert(trial);
                }
            }
            Ending::Failed { .. } | Ending::Stopped | Ending::Lost => {}
        }
    }

    fn note_success(&mut self, worker: &WorkerName, trial: TrialId, effects: &mut Vec<Effect>) {
        if let Some(health) = self.health.get_mut(worker) {
            health.failed.clear();
            health.vindicated.clear();
            if health.is_blank() {
                self.health.remove(worker);
            }
        }
        let limit = self.config.suspend_after as usize;
        let mut unfit = Vec::new();
        for (name, health) in &mut self.health {
            if health.failed.contains(&trial) {
                health.vindicated.insert(trial);
                let row = health.vindicated.len();
                if limit > 0 && row >= limit && health.service == Service::Active {
                    unfit.push((name.clone(), row));
                }
            }
        }
        for (name, row) in unfit {
            let reason = format!("{row} trials failed here in a row that succeeded on other workers");
            self.change_service(name, Service::Suspended(reason), effects);
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
