//! How sweeps begin, learn their trials, bind them to rounds, and are cancelled.

use sweep_spec::TrialId;

use crate::Scheduler;
use crate::effect::{Effect, Ignored};
use crate::ends::{Ending, RoundEnd, SweepEnd};
use crate::id::{Lease, StageIndex, SweepId};
use crate::queue::Entry;
use crate::reference::{ReferenceEnd, ReferenceState};
use crate::submission::{NewSweep, WantedTrial};
use crate::sweep::{Stage, Sweep};
use crate::trial::{Round, RoundState, Trial};

impl Scheduler {
    pub(crate) fn submit(&mut self, sweep: NewSweep, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        if self.sweeps.contains_key(&sweep.id) {
            return Err(Ignored::Repeated);
        }
        if sweep.stages == 0 {
            effects.push(Effect::SweepEnded { sweep: sweep.id, end: SweepEnd::Succeeded });
            return Ok(());
        }
        let (id, dataset) = (sweep.id, sweep.dataset);
        self.sweeps.insert(id, Sweep::new(sweep));
        let any = || self.sessions.values().find_map(|session| session.content(&dataset));
        let known = self.most_read(&dataset).or_else(any);
        if let (Some(digest), None) = (known, self.sweeps.get(&id).and_then(|sweep| sweep.pin)) {
            self.pin(id, digest, effects);
        }
        Ok(())
    }

    pub(crate) fn open_stage(
        &mut self,
        id: SweepId,
        stage: StageIndex,
        trials: Vec<WantedTrial>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        let sweep = self.living(id)?;
        let place = sweep.stages.get_mut(stage as usize).filter(|state| **state == Stage::Unopened);
        *place.ok_or(Ignored::UnknownStage)? = Stage::Open { remaining: 0 };
        let pin = sweep.pin;
        let mut remaining = 0;
        let mut unbound = Vec::new();
        for wanted in trials {
            let (waits, new) = self.refer(id, stage, &wanted);
            remaining += usize::from(waits);
            if new {
                unbound.push(wanted.id);
            }
        }
        // The count is set before trials can end: a trial that is bound to a known result ends at once.
        if let Some(sweep) = self.sweeps.get_mut(&id) {
            sweep.stages[stage as usize] = Stage::Open { remaining };
        }
        if pin.is_some() {
            for trial in unbound {
                self.bind(id, trial, effects);
            }
        }
        self.close_stage_if_done(id, stage, effects);
        Ok(())
    }

    fn refer(&mut self, id: SweepId, stage: StageIndex, wanted: &WantedTrial) -> (bool, bool) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return (false, false) };
        let trial = self.trials.entry(wanted.id).or_insert_with(|| Trial::new(wanted));
        trial.wanted_by.insert(id);
        sweep.refer(wanted, stage)
    }

    /// Settles which round answers a sweep's trial: a known one, the open one, or a new one. While another sweep's round
    /// is open on other data, none does, and this is tried again when that one ends.
    pub(crate) fn bind(&mut self, id: SweepId, trial_id: TrialId, effects: &mut Vec<Effect>) {
        let living = self.sweeps.get(&id).filter(|sweep| sweep.stopping.is_none());
        let Some((Some(pin), fresh)) = living.map(|sweep| (sweep.pin, sweep.spec.fresh)) else { return };
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        if let Some(known) = trial.history.known.clone().filter(|known| known.data_digest == pin && !fresh) {
            effects.push(Effect::TrialBound { sweep: id, trial: trial_id, round: known.round, reused: true });
            let end = ReferenceEnd::Succeeded(known.outcome);
            self.end_reference(id, trial_id, (known.round, true, end), effects);
            return;
        }
        let number = match &trial.open {
            Some(round) if round.pin == pin => round.number,
            Some(_) => return,
            None => {
                trial.history.rounds += 1;
                let number = trial.history.rounds;
                trial.open = Some(Round::new(number, pin));
                effects.push(Effect::RoundOpened { trial: trial_id, round: number });
                number
            }
        };
        let running = trial.open.as_ref().is_some_and(|round| matches!(round.state, RoundState::Running { .. }));
        if let Some(sweep) = self.sweeps.get_mut(&id) {
            sweep.set_state(trial_id, ReferenceState::Bound { round: number, running });
        }
        effects.push(Effect::TrialBound { sweep: id, trial: trial_id, round: number, reused: false });
        self.enqueue(trial_id);
    }

    /// Puts a trial whose round is to run into the queue of every sweep that is bound to it.
    pub(crate) fn enqueue(&mut self, trial_id: TrialId) {
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        let needs_bytes = trial.needs_bytes();
        let Some(round) = trial.open.as_mut() else { return };
        match round.state {
            RoundState::Running { .. } => return,
            RoundState::Delayed { until } if until > self.now => return,
            RoundState::Delayed { .. } | RoundState::Queued => round.state = RoundState::Queued,
        }
        let entry = Entry { trial: trial_id, memory_bytes: needs_bytes };
        for id in &trial.wanted_by {
            let Some(sweep) = self.sweeps.get_mut(id) else { continue };
            let Some(reference) = sweep.references.get(&trial_id) else { continue };
            if reference.is_bound_to(round.number) {
                sweep.queue.insert(reference.key(trial.cost), entry);
            }
        }
    }

    /// Takes a trial out of every queue.
    pub(crate) fn dequeue(&mut self, trial_id: TrialId) {
        let Some(trial) = self.trials.get(&trial_id) else { return };
        for id in &trial.wanted_by {
            let Some(sweep) = self.sweeps.get_mut(id) else { continue };
            if let Some(reference) = sweep.references.get(&trial_id) {
                sweep.queue.remove(reference.key(trial.cost));
            }
        }
    }

    pub(crate) fn fail_stage(
        &mut self,
        id: SweepId,
        stage: StageIndex,
        reason: String,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        let sweep = self.living(id)?;
        let place = sweep.stages.get_mut(stage as usize).filter(|state| **state == Stage::Unopened);
        *place.ok_or(Ignored::UnknownStage)? = Stage::Open { remaining: 0 };
        sweep.failure.get_or_insert(reason);
        sweep.failed_stages.insert(stage);
        self.close_stage_if_done(id, stage, effects);
        Ok(())
    }

    /// Removes a sweep's use of a trial. If no sweep uses it any more, its open round is cancelled and the trial is
    /// forgotten.
    pub(crate) fn release(&mut self, id: SweepId, trial_id: TrialId, effects: &mut Vec<Effect>) {
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        trial.wanted_by.remove(&id);
        if let Some(sweep) = self.sweeps.get_mut(&id)
            && let Some(reference) = sweep.references.get(&trial_id)
        {
            sweep.queue.remove(reference.key(trial.cost));
        }
        let Some(round) = trial.open.as_ref() else {
            if trial.wanted_by.is_empty() {
                self.trials.remove(&trial_id);
            }
            return;
        };
        let number = round.number;
        let still_wanted = trial.wanted_by.iter().any(|other| {
            let reference = self.sweeps.get(other).and_then(|sweep| sweep.references.get(&trial_id));
            reference.is_some_and(|reference| reference.is_bound_to(number))
        });
        if still_wanted {
            return;
        }
        if let RoundState::Running { attempt, .. } = round.state {
            let lease = Lease { trial: trial_id, round: number, attempt };
            self.vacate(lease, effects);
            effects.push(Effect::AttemptEnded { lease, ending: Ending::Stopped });
        }
        self.end_round(trial_id, RoundEnd::Cancelled, effects);
    }
}
