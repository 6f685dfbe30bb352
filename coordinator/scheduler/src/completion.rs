//! The one way out: attempts, rounds, references, stages and sweeps end here and nowhere else. Capacity is given back
//! first, then consequences are drawn.

use sweep_spec::retry::{Changes, Retry, Rule};
use sweep_spec::{FailureClass, TrialId};

use crate::Scheduler;
use crate::effect::Effect;
use crate::ends::{Ending, RoundEnd, SweepEnd};
use crate::id::{Lease, StageIndex, SweepId, WorkerName};
use crate::reference::{ReferenceEnd, ReferenceState};
use crate::session::SlotUse;
use crate::submission::Known;
use crate::sweep::{Stage, Sweep};
use crate::trial::{Place, RoundState};

/// Whether a round ends or gets another attempt after an attempt has ended.
enum Next {
    End(RoundEnd),
    Again { delay_ms: u64 },
}

/// The place that an ended attempt has left.
struct Freed {
    worker: WorkerName,
    /// Memory of the slot, if known.
    memory_bytes: Option<u64>,
}

impl Scheduler {
    /// Ends a live attempt. Anything else is left alone.
    pub(crate) fn end_attempt(&mut self, lease: Lease, ending: Ending, effects: &mut Vec<Effect>) {
        let Some(round) = self.trials.get(&lease.trial).and_then(|trial| trial.open.as_ref()) else { return };
        let live = matches!(round.state, RoundState::Running { attempt, .. } if attempt == lease.attempt);
        if !live || round.number != lease.round {
            return;
        }
        let pin = round.pin;
        let freed = self.free_slot(lease);
        self.count_running(lease.trial, false);
        let ending = match ending {
            Ending::Succeeded { data_digest, .. } if data_digest != pin => Ending::Failed {
                class: FailureClass::Data,
                reason: format!(
                    "trained on data with digest {}, but the sweep is pinned to {}",
                    data_digest.short(),
                    pin.short()
                ),
            },
            Ending::Succeeded { .. } | Ending::Failed { .. } | Ending::Stopped | Ending::Lost => ending,
        };
        effects.push(Effect::AttemptEnded { lease, ending: ending.clone() });
        if let Some(freed) = &freed {
            self.note_health(&freed.worker, lease.trial, &ending, effects);
            self.note_data(lease, (&ending, &freed.worker), effects);
        }
        let worker = freed.as_ref().map(|freed| freed.worker.clone());
        let next = self.next(lease, &ending, freed);
        let round = match &next {
            Next::End(end) => Some(end),
            Next::Again { .. } => None,
        };
        self.note_canary(lease, (&ending, round), worker.as_ref(), effects);
        match next {
            Next::End(end) => {
                let repeats = self.only_reproduces(lease);
                if let (RoundEnd::Succeeded { outcome, .. }, Some(trial)) = (&end, self.trials.get_mut(&lease.trial))
                    && !repeats
                {
                    trial.history.known = Some(Known { round: lease.round, data_digest: pin, outcome: *outcome });
                }
                self.end_round(lease.trial, end, effects);
            }
            Next::Again { delay_ms } => self.requeue(lease.trial, delay_ms),
        }
    }

    /// Whether only sweeps that reproduce earlier results wait for this round.
    fn only_reproduces(&self, lease: Lease) -> bool {
        let wanted_by = self.trials.get(&lease.trial).into_iter().flat_map(|trial| &trial.wanted_by);
        let sweeps = wanted_by.filter_map(|id| self.sweeps.get(id));
        let bound = |sweep: &&Sweep| {
            sweep.references.get(&lease.trial).is_some_and(|reference| reference.is_bound_to(lease.round))
        };
        let mut waiting = sweeps.filter(bound).peekable();
        waiting.peek().is_some() && waiting.all(|sweep| sweep.spec.reproduces)
    }

    fn next(&mut self, lease: Lease, ending: &Ending, freed: Option<Freed>) -> Next {
        let max_losses = self.config.max_losses;
        let rule = match ending {
            Ending::Failed { class, .. } => Some(self.rule(lease.trial, *class)),
            Ending::Succeeded { .. } | Ending::Stopped | Ending::Lost => None,
        };
        let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut()) else {
            return Next::Again { delay_ms: 0 };
        };
        match ending {
            Ending::Succeeded { outcome, .. } => {
                Next::End(RoundEnd::Succeeded { attempt: lease.attempt, outcome: *outcome })
            }
            Ending::Stopped => Next::Again { delay_ms: 0 },
            Ending::Lost => {
                round.losses += 1;
                if round.losses < max_losses {
                    return Next::Again { delay_ms: 0 };
                }
                let reason = format!("quarantined: the trial lost {} workers", round.losses);
                Next::End(RoundEnd::Failed { class: FailureClass::Machine, reason })
            }
            Ending::Failed { class, reason } => {
                round.failures += 1;
                let wait_ms = rule.and_then(|rule| rule.wait_ms(round.failures));
                let Some(delay_ms) = wait_ms else {
                    return Next::End(RoundEnd::Failed { class: *class, reason: reason.clone() });
                };
                let larger = rule.is_some_and(|rule| rule.retry == Retry::LargerSlot);
                match freed {
                    Some(Freed { memory_bytes: Some(bytes), .. }) if larger => {
                        round.too_small = Some(round.too_small.map_or(bytes, |known| known.max(bytes)));
                    }
                    Some(Freed { worker, .. }) => drop(round.avoid.insert(worker)),
                    None => {}
                }
                Next::Again { delay_ms }
            }
        }
    }

    /// The rule for a failure of this class: of the sweeps that wait for the trial, the rule with the most retries
    /// counts.
    fn rule(&self, trial: TrialId, class: FailureClass) -> Rule {
        let wanted_by = self.trials.get(&trial).into_iter().flat_map(|trial| &trial.wanted_by);
        let sweeps = wanted_by.filter_map(|id| self.sweeps.get(id));
        let rules = sweeps.map(|sweep| self.config.rules.rule(class, &sweep.spec.retry));
        let retries = |rule: &Rule| if rule.retry == Retry::Never { 0 } else { rule.failures };
        rules.max_by_key(retries).unwrap_or_else(|| self.config.rules.rule(class, &Changes::new()))
    }

    fn requeue(&mut self, trial_id: TrialId, delay_ms: u64) {
        let Some(round) = self.trials.get_mut(&trial_id).and_then(|trial| trial.open.as_mut()) else { return };
        if delay_ms == 0 {
            round.state = RoundState::Queued;
            self.enqueue(trial_id);
            return;
        }
        let until = self.now.plus(delay_ms);
        round.state = RoundState::Delayed { until };
        self.delayed.insert((until, trial_id));
    }

    /// Frees the slot of an attempt whose worker has reported its end, and returns the place that it had.
    fn free_slot(&mut self, lease: Lease) -> Option<Freed> {
        self.awaited.remove(&lease);
        let round = self.trials.get(&lease.trial)?.open.as_ref()?;
        match &round.state {
            RoundState::Running { place: Place::Session { session, slot }, .. } => {
                let session = self.sessions.get_mut(session)?;
                let slot = session.slots.get_mut(*slot as usize)?;
                if slot.use_ == SlotUse::Busy(lease) {
                    slot.use_ = SlotUse::Free;
                }
                Some(Freed { worker: session.worker.clone(), memory_bytes: slot.offer.memory_bytes })
            }
            RoundState::Running { place: Place::Awaited { worker, .. }, .. } => {
                Some(Freed { worker: worker.clone(), memory_bytes: None })
            }
            RoundState::Queued | RoundState::Delayed { .. } => None,
        }
    }

    /// Takes a live attempt from a worker that does not know it yet: the slot is free once the worker has let go.
    pub(crate) fn vacate(&mut self, lease: Lease, effects: &mut Vec<Effect>) {
        self.awaited.remove(&lease);
        let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut()) else { return };
        let RoundState::Running { place, .. } = &round.state else { return };
        if let Place::Session { session: id, slot } = place
            && let Some(session) = self.sessions.get_mut(id)
            && let Some(slot) = session.slots.get_mut(*slot as usize)
        {
            slot.use_ = SlotUse::Stopping(lease);
            effects.push(Effect::Wake { session: *id });
        }
        self.count_running(lease.trial, false);
        if let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut()) {
            round.state = RoundState::Queued;
        }
    }

    /// Updates every sweep that is bound to the open round when an attempt of the round begins or ends.
    pub(crate) fn count_running(&mut self, trial_id: TrialId, begins: bool) {
        let Some(trial) = self.trials.get(&trial_id) else { return };
        let Some(round) = trial.open.as_ref() else { return };
        for id in &trial.wanted_by {
            let Some(sweep) = self.sweeps.get_mut(id) else { continue };
            if sweep.references.get(&trial_id).is_some_and(|reference| reference.is_bound_to(round.number)) {
                sweep.set_state(trial_id, ReferenceState::Bound { round: round.number, running: begins });
            }
        }
    }

    /// Ends the open round of a trial, and with it the references that are bound to it.
    pub(crate) fn end_round(&mut self, trial_id: TrialId, end: RoundEnd, effects: &mut Vec<Effect>) {
        self.dequeue(trial_id);
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        let Some(round) = trial.open.take() else { return };
        if let RoundState::Delayed { until } = round.state {
            self.delayed.remove(&(until, trial_id));
        }
        let wanted_by: Vec<SweepId> = trial.wanted_by.iter().copied().collect();
        if wanted_by.is_empty() {
            self.trials.remove(&trial_id);
        }
        let short = match &end {
            RoundEnd::Succeeded { outcome, .. } => ReferenceEnd::Succeeded(*outcome),
            RoundEnd::Failed { .. } => ReferenceEnd::Failed,
            RoundEnd::Cancelled => ReferenceEnd::Cancelled,
        };
        let failure = match &end {
            RoundEnd::Failed { class, reason } => Some(format!("{}: {reason}", class.name())),
            RoundEnd::Succeeded { .. } | RoundEnd::Cancelled => None,
        };
        effects.push(Effect::RoundEnded { trial: trial_id, round: round.number, end });
        for id in wanted_by {
            let Some(sweep) = self.sweeps.get_mut(&id) else { continue };
            match sweep.references.get(&trial_id).map(|reference| reference.state) {
                Some(ReferenceState::Bound { round: bound, .. }) if bound == round.number => {
                    if let (None, Some(failure)) = (&sweep.failure, &failure) {
                        sweep.failure = Some(failure.clone());
                    }
                    if matches!(short, ReferenceEnd::Succeeded(_)) {
                        self.prove(id, effects);
                    }
                    self.end_reference(id, trial_id, (round.number, false, short), effects);
                }
                Some(ReferenceState::Unbound) => self.bind(id, trial_id, effects),
                Some(ReferenceState::Bound { .. } | ReferenceState::Ended { .. }) | None => {}
            }
        }
    }

    /// A sweep's trial has its answer, or never will have.
    pub(crate) fn end_reference(
        &mut self,
        id: SweepId,
        trial_id: TrialId,
        (round, reused, end): (u32, bool, ReferenceEnd),
        effects: &mut Vec<Effect>,
    ) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        let Some(reference) = sweep.references.get(&trial_id) else { return };
        if matches!(reference.state, ReferenceState::Ended { .. }) {
            return;
        }
        let stages = reference.stages.clone();
        sweep.set_state(trial_id, ReferenceState::Ended { round, reused, end });
        for stage in &stages {
            if let Some(Stage::Open { remaining }) = sweep.stages.get_mut(*stage as usize) {
                *remaining = remaining.saturating_sub(1);
            }
        }
        for stage in stages {
            self.close_stage_if_done(id, stage, effects);
        }
    }

    pub(crate) fn close_stage_if_done(&mut self, id: SweepId, stage: StageIndex, effects: &mut Vec<Effect>) {
        let Ok(sweep) = self.living(id) else { return };
        let Some(state) = sweep.stages.get_mut(stage as usize) else { return };
        if *state != (Stage::Open { remaining: 0 }) {
            return;
        }
        *state = Stage::Ended;
        effects.push(Effect::StageEnded { sweep: id, stage });
        if sweep.stages.iter().any(|state| *state != Stage::Ended) {
            return;
        }
        let end = match sweep.failure.take() {
            Some(reason) => SweepEnd::Failed { reason },
            None => SweepEnd::Succeeded,
        };
        let trials: Vec<TrialId> = sweep.references.keys().copied().collect();
        for trial in trials {
            self.release(id, trial, effects);
        }
        self.remove_sweep(id);
        effects.push(Effect::SweepEnded { sweep: id, end });
    }

    /// Fails everything of a sweep that waits.
    pub(crate) fn fail_waiting(&mut self, id: SweepId, class: FailureClass, reason: &str, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        if sweep.pin.is_none() {
            sweep.failure.get_or_insert(format!("{}: {reason}", class.name()));
            let trials: Vec<TrialId> = sweep.references.keys().copied().collect();
            for trial in trials {
                self.fail_unpinned(id, trial, (class, reason), effects);
            }
            return;
        }
        let trials: Vec<TrialId> = sweep.startable().map(|entry| entry.trial).collect();
        for trial in trials {
            self.end_round(trial, RoundEnd::Failed { class, reason: reason.to_owned() }, effects);
        }
    }
}

impl Scheduler {
    /// Fails a trial whose data no worker could read. It opens and ends a round at once, so that the store has the
    /// reason.
    fn fail_unpinned(
        &mut self,
        id: SweepId,
        trial_id: TrialId,
        (class, reason): (FailureClass, &str),
        effects: &mut Vec<Effect>,
    ) {
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        trial.history.rounds += 1;
        let round = trial.history.rounds;
        let end = RoundEnd::Failed { class, reason: reason.to_owned() };
        effects.push(Effect::RoundOpened { trial: trial_id, round });
        effects.push(Effect::TrialBound { sweep: id, trial: trial_id, round, reused: false });
        effects.push(Effect::RoundEnded { trial: trial_id, round, end });
        self.end_reference(id, trial_id, (round, false, ReferenceEnd::Failed), effects);
    }
}
