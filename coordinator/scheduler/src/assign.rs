//! Assigns trials to free slots: sweeps in the order of `fair_share`, and within a sweep the longest trial that fits.
//! The order never changes the result of a trial.

use sweep_spec::TrialId;

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::Effect;
use crate::explain::MOST_WORKERS;
use crate::fair_share::Line;
use crate::id::{Lease, SessionId, SweepId};
use crate::queue::Entry;
use crate::reference::ReferenceState;
use crate::session::{Knowledge, Session, SlotState, SlotUse};
use crate::sweep::Sweep;
use crate::trial::{Place, RoundState};

impl Scheduler {
    /// Asks every session to describe those data sets of live sweeps that it was not asked about before.
    pub(crate) fn ask_about_data(&mut self, effects: &mut Vec<Effect>) {
        let mut wanted: Vec<_> = self.sweeps.values().map(|sweep| sweep.spec.dataset).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for (id, session) in &mut self.sessions {
            let before = session.data.len();
            for dataset in &wanted {
                session.data.entry(*dataset).or_insert(Knowledge::Asked);
            }
            if session.data.len() > before {
                effects.push(Effect::Wake { session: *id });
            }
        }
    }

    pub(crate) fn assign(&mut self, effects: &mut Vec<Effect>) {
        if !self.sweeps.values().any(Sweep::is_ready) {
            return;
        }
        let ready = self.sessions.iter().filter(|(_, session)| self.takes_trials(session));
        let free: Vec<(SessionId, u32)> =
            ready.flat_map(|(id, session)| session.free_slots().map(|slot| (*id, slot))).collect();
        let mut line = None;
        for (session, slot) in free {
            let waiting = line.get_or_insert_with(|| self.line());
            let Some(trial) = self.pick(waiting, session, slot) else { continue };
            self.start(session, slot, trial, effects);
            if let Some(waiting) = line.take() {
                self.note_start(&waiting, (session, slot));
            }
        }
    }

    fn pick(&self, line: &Line, session: SessionId, slot: u32) -> Option<TrialId> {
        let sweeps = line.in_order(|id| self.could_use(id, session, slot), self.starvation_limit());
        sweeps.into_iter().filter_map(|id| self.sweeps.get(&id)).find_map(|sweep| self.pick_from(sweep, session, slot))
    }

    fn pick_from(&self, sweep: &Sweep, session_id: SessionId, slot: u32) -> Option<TrialId> {
        let session = self.sessions.get(&session_id)?;
        let offer = &session.slots.get(slot as usize)?.offer;
        if !session.has(&sweep.spec.dataset, sweep.pin?) || !offer.fits(sweep.least_memory()?) {
            return None;
        }
        let startable: Box<dyn Iterator<Item = Entry>> =
            if self.has(Bug::HoldIgnored) { Box::new(sweep.queue.iter()) } else { sweep.startable() };
        startable
            .filter(|entry| offer.fits(entry.memory_bytes))
            .map(|entry| entry.trial)
            .find(|trial| !self.better_elsewhere(sweep, session_id, *trial) && !self.better_apart(session, *trial))
    }

    /// Whether a trial that has lost many workers would share a worker with another such trial. Trials that are lost
    /// together are queued together and would meet again. On separate workers, only the trial at fault loses more of
    /// them.
    fn better_apart(&self, session: &Session, trial: TrialId) -> bool {
        let beside = |slot: &SlotState| match slot.use_ {
            SlotUse::Free => false,
            SlotUse::Busy(lease) | SlotUse::Stopping(lease) => self.is_suspect(lease.trial),
        };
        self.is_suspect(trial) && session.slots.iter().any(beside)
    }

    /// Whether half of the workers that a trial may lose are lost.
    fn is_suspect(&self, trial: TrialId) -> bool {
        let losses = self.trials.get(&trial).and_then(|trial| trial.open.as_ref()).map_or(0, |round| round.losses);
        losses > 0 && losses.saturating_mul(2) >= self.config.max_losses
    }

    /// Whether a trial failed on this session's worker, or is the canary for trials that did, and another worker could run
    /// it.
    fn better_elsewhere(&self, sweep: &Sweep, session_id: SessionId, trial_id: TrialId) -> bool {
        let Some(trial) = self.trials.get(&trial_id) else { return false };
        let Some(round) = trial.open.as_ref() else { return false };
        let avoids = |id: &SessionId| {
            let worker = self.sessions.get(id).map(|session| &session.worker);
            worker.is_some_and(|worker| round.avoid.contains(worker) || sweep.avoids(trial_id, worker))
        };
        avoids(&session_id)
            && self.sessions.iter().any(|(id, other)| {
                !avoids(id)
                    && self.takes_trials(other)
                    && other.has(&sweep.spec.dataset, round.pin)
                    && other.fits(trial.needs_bytes())
            })
    }

    fn start(&mut self, session_id: SessionId, slot: u32, trial_id: TrialId, effects: &mut Vec<Effect>) {
        self.dequeue(trial_id);
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        let Some(round) = trial.open.as_mut() else { return };
        trial.history.attempts += 1;
        let attempt = trial.history.attempts;
        let lease = Lease { trial: trial_id, round: round.number, attempt };
        round.state = RoundState::Running { attempt, place: Place::Session { session: session_id, slot } };
        round.expired = None;
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        if let Some(state) = session.slots.get_mut(slot as usize) {
            state.use_ = SlotUse::Busy(lease);
        }
        let worker = session.worker.clone();
        self.count_running(trial_id, true);
        self.note_served(trial_id);
        effects.push(Effect::AttemptStarted { lease, worker, session: session_id, slot });
        effects.push(Effect::Wake { session: session_id });
    }

    /// An attempt has begun: every sweep that waits for it has got a slot, and one start less before it.
    fn note_served(&mut self, trial_id: TrialId) {
        self.starts += 1;
        let wanted_by = self.trials.get(&trial_id).into_iter().flat_map(|trial| &trial.wanted_by);
        for id in wanted_by {
            let Some(sweep) = self.sweeps.get_mut(id) else { continue };
            let state = sweep.references.get(&trial_id).map(|reference| reference.state);
            if matches!(state, Some(ReferenceState::Bound { running: true, .. })) {
                sweep.spec.allowance = sweep.spec.allowance.map(|starts| starts.saturating_sub(1));
                (sweep.served, sweep.passed) = (self.starts, 0);
            }
        }
    }

    /// Why trials of a sweep wait, in sentences for people; empty if none does.
    pub fn waiting_for(&self, id: SweepId) -> Vec<String> {
        let Some(sweep) = self.sweeps.get(&id) else { return Vec::new() };
        if sweep.stopping.is_some() {
            return vec!["the sweep is being cancelled".to_owned()];
        }
        if let Some(held) = sweep.held_back().filter(|_| !sweep.spec.paused) {
            let unplaceable = self.unplaceable(id).map(|unplaceable| unplaceable.to_string());
            let tried = (held.tried > 0).then(|| match held.tried {
                1 => "1 trial is still being tried; the others start if it succeeds".to_owned(),
                tried => format!("{tried} trials are still being tried; the others start if one succeeds"),
            });
            return [held.to_string()].into_iter().chain(tried).chain(unplaceable).collect();
        }
        let unpinned = sweep.pin.is_none() && !sweep.references.is_empty();
        if sweep.queue.is_empty() && !unpinned {
            return Vec::new();
        }
        if sweep.spec.paused {
            return vec!["the sweep is paused".to_owned()];
        }
        // Before the data are pinned, the queue is empty, so the budget is not the reason.
        if sweep.spec.allowance == Some(0) && !unpinned {
            return vec!["the sweep's budget allows no more trials to start".to_owned()];
        }
        if self.sessions.is_empty() {
            return vec![match self.pool_for(sweep) {
                Some(pool) => format!("the sweep needs a worker of pool `{}`: no worker is connected", pool.name),
                None => "no worker is connected".to_owned(),
            }];
        }
        if let Some(lack) = self.lack(sweep) {
            return vec![match self.pool_for(sweep) {
                Some(pool) => format!("the sweep needs a worker of pool `{}`: {lack}", pool.name),
                None => lack.to_string(),
            }];
        }
        if !self.sessions.values().any(|session| self.takes_trials(session)) {
            return self.sessions.values().take(MOST_WORKERS).map(|session| self.explain_absence(session)).collect();
        }
        if unpinned {
            return vec!["a worker has not described the data set yet".to_owned()];
        }
        if self.sessions.values().all(|session| session.free_slots().next().is_none()) {
            return vec!["every slot is busy".to_owned()];
        }
        vec!["no free slot fits: its worker has other data or too little memory, or the trial failed there".to_owned()]
    }
}
