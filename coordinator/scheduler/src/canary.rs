//! Holds back the rest of a sweep when its first trials fail in the same way, so that one mistake does not fail every
//! trial. A trial that succeeds releases the sweep; so does a user who resumes or retries it.
//!
//! ```text
//!              ┌────────── resumed, or retried ──────────┐
//!              ▼                                         │
//!          watching ── first trials fail in one way ▶ held back
//!              │                                         │
//!              └──── a trial succeeds ──▶ proven ◀───────┘
//! ```
//!
//! While a sweep is held back, only its canaries run: the trials that failed, as often as the rule of their class
//! allows, and one more trial from the other end of the queue, on another worker if possible. A queue begins with its
//! longest trials, so its last trial differs most from those that failed: if only large networks fail, it succeeds.

use std::collections::BTreeSet;

use sweep_spec::{FailureClass, TrialId};

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::Effect;
use crate::ends::{Ending, RoundEnd};
use crate::failure_pattern::pattern;
use crate::hold::{Held, HeldBack, Hold, Kind};
use crate::id::{Lease, SweepId, WorkerName};
use crate::reference::ReferenceState;
use crate::sweep::Sweep;

/// The most kinds of failure that are kept for one sweep, and the most workers that are kept for each kind.
const MOST: usize = 16;

/// A failure of a trial of a sweep.
struct Failure<'a> {
    trial: TrialId,
    class: FailureClass,
    reason: &'a str,
    worker: Option<&'a WorkerName>,
}

impl Sweep {
    /// Whether a trial waits because the sweep is held back.
    pub(crate) fn holds_back(&self, trial: TrialId) -> bool {
        self.canary.held.as_ref().is_some_and(|held| !held.keys.values().any(|canary| *canary == trial))
    }

    /// Whether trials failed on this worker like the canary has not.
    pub(crate) fn avoids(&self, trial: TrialId, worker: &WorkerName) -> bool {
        let held = self.canary.held.as_ref();
        held.is_some_and(|held| held.workers.contains(worker) && held.keys.values().any(|canary| *canary == trial))
    }

    pub(crate) fn held_back(&self) -> Option<HeldBack> {
        let held = self.canary.held.as_ref()?;
        let waits = |trial: &&TrialId| {
            let state = self.references.get(trial).map(|reference| reference.state);
            matches!(state, Some(ReferenceState::Unbound | ReferenceState::Bound { running: false, .. }))
        };
        let canaries = held.keys.values().filter(waits).count() as u64;
        let trials = self.totals.queued.saturating_sub(canaries);
        Some(HeldBack { hold: held.hold.clone(), trials, tried: self.totals.running + canaries })
    }

    /// Trials that have not ended and would be held back.
    fn others(&self, canaries: &[TrialId]) -> u64 {
        let ended = |trial: &&TrialId| {
            let state = self.references.get(trial).map(|reference| reference.state);
            matches!(state, None | Some(ReferenceState::Ended { .. }))
        };
        let unended = canaries.iter().filter(|trial| !ended(trial)).count() as u64;
        (self.totals.queued + self.totals.running).saturating_sub(unended)
    }
}

impl Scheduler {
    /// Why the rest of a live sweep is held back; `None` if it is not.
    pub fn held_back(&self, id: SweepId) -> Option<HeldBack> {
        self.sweeps.get(&id)?.held_back()
    }

    /// Whether every live sweep that waits for a trial holds the trial back.
    pub fn is_held_back(&self, trial: TrialId) -> bool {
        let wanted_by = self.trials.get(&trial).into_iter().flat_map(|trial| &trial.wanted_by);
        let mut waiting = wanted_by.filter_map(|id| self.sweeps.get(id)).filter(|sweep| {
            let state = sweep.references.get(&trial).map(|reference| reference.state);
            matches!(state, Some(ReferenceState::Bound { .. }))
        });
        let mut some = false;
        waiting.all(|sweep| {
            some = true;
            sweep.holds_back(trial)
        }) && some
    }

    /// Takes notice of how an attempt ended, and with it perhaps its round.
    pub(crate) fn note_canary(
        &mut self,
        lease: Lease,
        (ending, round): (&Ending, Option<&RoundEnd>),
        worker: Option<&WorkerName>,
        effects: &mut Vec<Effect>,
    ) {
        let (class, reason) = match (ending, round) {
            (Ending::Failed { class, reason }, _) | (Ending::Lost, Some(RoundEnd::Failed { class, reason })) => {
                (*class, reason.as_str())
            }
            (Ending::Succeeded { .. } | Ending::Stopped | Ending::Lost, _) => return,
        };
        let failure = Failure { trial: lease.trial, class, reason, worker };
        let wanted_by = self.trials.get(&lease.trial).map(|trial| trial.wanted_by.clone()).unwrap_or_default();
        for id in wanted_by {
            let reference = self.sweeps.get(&id).and_then(|sweep| sweep.references.get(&lease.trial));
            if reference.is_some_and(|reference| reference.is_bound_to(lease.round)) {
                self.note_failure(id, &failure, effects);
            }
        }
    }

    fn note_failure(&mut self, id: SweepId, failure: &Failure<'_>, effects: &mut Vec<Effect>) {
        let limit = self.config.hold_back_after as usize;
        let Ok(sweep) = self.living(id) else { return };
        if limit == 0 || sweep.canary.proven || sweep.canary.held.is_some() {
            return;
        }
        let pattern = pattern(failure.reason);
        let kinds = &mut sweep.canary.kinds;
        let known = kinds.iter().position(|kind| kind.class == failure.class && kind.pattern == pattern);
        let index = match known {
            Some(index) => index,
            None if kinds.len() < MOST => {
                let (reason, trials, workers) = (failure.reason.to_owned(), Vec::new(), BTreeSet::new());
                kinds.push(Kind { class: failure.class, pattern, reason, trials, workers });
                kinds.len() - 1
            }
            None => return,
        };
        let Some(kind) = kinds.get_mut(index) else { return };
        if kind.trials.len() < limit && !kind.trials.contains(&failure.trial) {
            kind.trials.push(failure.trial);
        }
        if kind.workers.len() < MOST {
            kind.workers.extend(failure.worker.cloned());
        }
        let kind = kind.clone();
        if kind.trials.len() >= limit && !self.is_one_machines_fault(id, &kind) {
            self.hold_back(id, kind, failure.trial, effects);
        }
    }

    /// Whether a machine may be at fault, all failures were on one worker, and another could run the sweep's trials.
    fn is_one_machines_fault(&self, id: SweepId, kind: &Kind) -> bool {
        let may_be = match kind.class {
            FailureClass::Data | FailureClass::DeviceUnavailable | FailureClass::DeviceLost | FailureClass::Machine => {
                true
            }
            FailureClass::Spec | FailureClass::OutOfMemory | FailureClass::Trainer | FailureClass::Coordinator => false,
        };
        let Some(sweep) = self.sweeps.get(&id).filter(|_| may_be && kind.workers.len() == 1) else { return false };
        let Some(pin) = sweep.pin else { return false };
        self.sessions.values().any(|session| {
            !kind.workers.contains(&session.worker)
                && self.takes_trials(session)
                && session.has(&sweep.spec.dataset, pin)
        })
    }

    fn hold_back(&mut self, id: SweepId, kind: Kind, newest: TrialId, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get(&id) else { return };
        let failed = kind.trials.len() as u32;
        let mut canaries = kind.trials;
        let unlike = sweep.queue.last_of_first_rank(|entry| !canaries.contains(&entry.trial));
        let last = unlike.map_or(newest, |entry| entry.trial);
        if !canaries.contains(&last) {
            canaries.push(last);
        }
        if sweep.others(&canaries) == 0 {
            return;
        }
        let hold = Hold { failed, class: kind.class, reason: kind.reason, canaries };
        self.set_hold(id, hold.clone(), kind.workers);
        effects.push(Effect::HoldChanged { sweep: id, hold: Some(hold) });
    }

    /// Holds a sweep back, either now or because it was held back before a restart.
    pub(crate) fn set_hold(&mut self, id: SweepId, hold: Hold, workers: BTreeSet<WorkerName>) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        let key = |trial: &TrialId| {
            let cost = self.trials.get(trial).map_or(0, |trial| trial.cost);
            sweep.references.get(trial).map(|reference| (reference.key(cost), *trial))
        };
        let keys = hold.canaries.iter().filter_map(key).collect();
        sweep.canary.held = Some(Held { hold, keys, workers });
    }

    /// Releases a sweep in which a trial succeeded: later failures cannot mean that every trial fails.
    pub(crate) fn prove(&mut self, id: SweepId, effects: &mut Vec<Effect>) {
        let forgets = self.has(Bug::HeldBackForEver);
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        sweep.canary.proven = true;
        if !forgets && sweep.canary.release() {
            effects.push(Effect::HoldChanged { sweep: id, hold: None });
        }
    }

    /// Releases a sweep at a user's command, and counts its failures from zero. Returns whether it was held back.
    pub(crate) fn release_hold(&mut self, id: SweepId, effects: &mut Vec<Effect>) -> bool {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return false };
        let released = sweep.canary.release();
        if released {
            sweep.unplaceable_since = None;
            effects.push(Effect::HoldChanged { sweep: id, hold: None });
        }
        released
    }
}
