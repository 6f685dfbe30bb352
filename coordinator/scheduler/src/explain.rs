//! Why a trial waits, or where it runs, in sentences for people.

use sweep_spec::TrialId;

use crate::Scheduler;
use crate::id::SweepId;
use crate::reference::ReferenceState;
use crate::session::Session;
use crate::trial::{Place, Round, RoundState, Trial};
use crate::worker::Service;

/// Workers that one explanation goes through.
pub(crate) const MOST_WORKERS: usize = 20;

impl Scheduler {
    /// Why a trial waits or where it runs; empty if no live sweep waits for it.
    pub fn explain(&self, id: TrialId) -> Vec<String> {
        let Some(trial) = self.trials.get(&id) else { return Vec::new() };
        let mut said = Vec::new();
        match trial.open.as_ref() {
            Some(Round { state: RoundState::Running { attempt, place }, .. }) => {
                said.push(self.explain_running(*attempt, place));
            }
            Some(round) => self.explain_waiting(id, trial, round, &mut said),
            None => {}
        }
        for sweep in trial.wanted_by.iter().filter(|sweep| self.is_unbound(**sweep, id)) {
            let why = self.waiting_for(*sweep).join("; ");
            let why =
                if why.is_empty() { "a round of the trial on other data is not finished".to_owned() } else { why };
            said.push(format!("sweep {sweep}: {why}"));
        }
        said
    }

    fn is_unbound(&self, sweep: SweepId, id: TrialId) -> bool {
        let reference = self.sweeps.get(&sweep).and_then(|sweep| sweep.references.get(&id));
        reference.is_some_and(|reference| reference.state == ReferenceState::Unbound)
    }

    fn explain_running(&self, attempt: u32, place: &Place) -> String {
        match place {
            Place::Session { session, slot } => {
                let worker = self.sessions.get(session).map_or("?", |session| session.worker.0.as_str());
                format!("attempt {attempt} runs on worker {worker}, slot {slot}")
            }
            Place::Awaited { worker, deadline, .. } => {
                let seconds = deadline.0.saturating_sub(self.now.0).div_ceil(1000);
                format!(
                    "attempt {attempt} may still run on worker {worker}, which has not reconnected since the \
                     coordinator restarted; the coordinator waits {seconds} s more"
                )
            }
        }
    }

    fn explain_waiting(&self, id: TrialId, trial: &Trial, round: &Round, said: &mut Vec<String>) {
        if round.failures + round.losses > 0 {
            said.push(format!(
                "round {} so far: failed {}, lost its worker {}",
                round.number,
                times(round.failures),
                times(round.losses)
            ));
        }
        if let RoundState::Delayed { until } = round.state {
            let seconds = until.0.saturating_sub(self.now.0).div_ceil(1000);
            said.push(format!("the coordinator retries it in {seconds} s"));
            return;
        }
        for sweep in trial.wanted_by.iter().filter_map(|sweep| self.sweeps.get(sweep)) {
            let before = sweep.queue.iter().position(|entry| entry.trial == id);
            let bound = sweep.spec.allowance == Some(0);
            if let Some(held) = sweep.held_back().filter(|_| sweep.holds_back(id)) {
                said.push(format!("sweep {}: {held}", sweep.spec.id));
                continue;
            }
            said.extend(before.map(|before| match (sweep.spec.paused, bound) {
                (true, _) => format!("sweep {} is paused", sweep.spec.id),
                (_, true) => format!("sweep {}: its budget allows no more trials to start", sweep.spec.id),
                (false, false) => match before {
                    1 => format!("sweep {}: 1 trial is ahead of it", sweep.spec.id),
                    before => format!("sweep {}: {before} trials are ahead of it", sweep.spec.id),
                },
            }));
        }
        if self.sessions.is_empty() {
            said.push("no worker is connected".to_owned());
        }
        for session in self.sessions.values().take(MOST_WORKERS) {
            said.push(format!("worker {}: {}", session.worker, self.explain_worker(trial, round, session)));
        }
        if self.sessions.len() > MOST_WORKERS {
            said.push(format!("and {} more are not listed", self.sessions.len() - MOST_WORKERS));
        }
    }

    /// Why a worker gets no trials.
    pub(crate) fn explain_absence(&self, session: &Session) -> String {
        match self.service(&session.worker) {
            Service::Suspended { reason, .. } => format!("worker {} is out of service: {reason}", session.worker),
            Service::Active | Service::Draining | Service::Leaving => format!("worker {} is draining", session.worker),
        }
    }

    /// Why this worker does not run the trial.
    fn explain_worker(&self, trial: &Trial, round: &Round, session: &Session) -> String {
        if session.draining {
            return "it is draining".to_owned();
        }
        match self.service(&session.worker) {
            Service::Suspended { reason, .. } => return format!("out of service: {reason}"),
            Service::Draining | Service::Leaving => return "it is draining".to_owned(),
            Service::Active => {}
        }
        let sweep = trial.wanted_by.iter().find_map(|sweep| self.sweeps.get(sweep));
        let dataset = sweep.map(|sweep| &sweep.spec.dataset);
        if let Some(unfit) = dataset.and_then(|dataset| session.unfit_data(dataset, Some(round.pin))) {
            return unfit.to_string();
        }
        if dataset.is_none_or(|dataset| session.content(dataset).is_none()) {
            return "it has not described the data set yet".to_owned();
        }
        let needs = trial.needs_bytes();
        if !session.fits(needs) {
            let largest = session.slots.iter().filter_map(|slot| slot.offer.memory_bytes).max().unwrap_or(0);
            return format!("the trial needs {needs} bytes of memory, and the largest slot has {largest}");
        }
        if round.avoid.contains(&session.worker) {
            return "the trial failed there; the coordinator tries other workers first".to_owned();
        }
        if session.free_slots().next().is_none() {
            return "every slot is busy".to_owned();
        }
        "a slot is free".to_owned()
    }
}

fn times(number: u32) -> String {
    match number {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}
