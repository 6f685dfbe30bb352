//! Named invariants that are true after every event. `check_invariants` walks the whole state; tests call it after each
//! step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sweep_spec::retry::MAX_FAILURES;
use sweep_spec::{TrialCounts, TrialId};

use crate::Scheduler;
use crate::id::{Lease, SweepId};
use crate::reference::{Reference, ReferenceEnd, ReferenceState};
use crate::session::SlotUse;
use crate::sweep::{Stage, Sweep};
use crate::trial::{Place, Round, RoundState};

/// The invariants that one state shows. The others concern two states (attempt numbers only grow, a terminal trial
/// stays terminal, at most one result is accepted): tests check them on the effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// A trial has at most one live attempt.
    OneLiveAttempt,
    /// Attempt numbers of a trial only grow.
    AttemptsGrow,
    /// Slots promised to a worker never exceed the slots that it offered.
    SlotsWithinOffer,
    /// Every live attempt has a deadline that is looked at.
    EveryAttemptHasADeadline,
    /// Every trial that has not ended runs, or waits where something will come for it.
    NothingWaitsInSilence,
    /// Retries are bounded.
    RetriesAreBounded,
    /// Stored counts equal a recount.
    CountsAgree,
    /// A connected worker has its name, unless it has announced that it leaves.
    OneHolder,
    /// A sweep is held back only while none of its trials has succeeded in it, and it names its canaries.
    HoldsBackWithReason,
    /// A pin without a confirming result is the content that most connected workers read.
    PinnedByAgreement,
}

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    /// The values that violate it.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.detail)
    }
}

impl std::error::Error for Violation {}

fn ensure(holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

impl Scheduler {
    /// Walks the whole state.
    ///
    /// # Errors
    /// The first violated invariant.
    pub fn check_invariants(&self) -> Result<(), Violation> {
        self.check_slots()?;
        for (id, trial) in &self.trials {
            ensure(!trial.wanted_by.is_empty() || trial.open.is_some(), Invariant::CountsAgree, || {
                format!("no sweep uses trial {}", id.short())
            })?;
            if let Some(round) = &trial.open {
                self.check_round(*id, trial.history.attempts, round)?;
            }
        }
        for (id, sweep) in &self.sweeps {
            self.check_sweep(*id, sweep)?;
        }
        let stopping = self.sweeps.iter().filter(|(_, sweep)| sweep.stopping.is_some()).map(|(id, _)| id);
        ensure(self.stopping.iter().eq(stopping), Invariant::CountsAgree, || {
            format!("the list of sweeps that are being cancelled is wrong: {:?}", self.stopping)
        })?;
        self.check_waiting()
    }

    fn check_slots(&self) -> Result<(), Violation> {
        let mut seen = BTreeSet::new();
        for (id, session) in &self.sessions {
            for (index, slot) in session.slots.iter().enumerate() {
                let SlotUse::Busy(lease) = slot.use_ else { continue };
                ensure(seen.insert(lease.trial), Invariant::OneLiveAttempt, || format!("two slots run {lease:?}"))?;
                let place = Place::Session { session: *id, slot: index as u32 };
                let expected = RoundState::Running { attempt: lease.attempt, place };
                let open = self.trials.get(&lease.trial).and_then(|trial| trial.open.as_ref());
                let agrees = open.is_some_and(|round| round.number == lease.round && round.state == expected);
                ensure(agrees, Invariant::OneLiveAttempt, || {
                    format!("slot {index} of {id:?} runs {lease:?}: {open:?}")
                })?;
                let trial_memory = self.trials.get(&lease.trial).map_or(0, |trial| trial.memory_bytes);
                let fits = slot.offer.fits(trial_memory);
                ensure(fits, Invariant::SlotsWithinOffer, || format!("{lease:?} does not fit slot {index} of {id:?}"))?;
            }
            let known = self.workers.get(&session.worker) == Some(id);
            ensure(known, Invariant::SlotsWithinOffer, || format!("{id:?} is not the session of {}", session.worker))?;
            let name = self.names.get(&session.worker);
            let holds =
                name.is_some_and(|name| name.held != session.left) && !self.returning.contains_key(&session.worker);
            ensure(holds, Invariant::OneHolder, || {
                format!("{} is connected, and its name is {name:?}", session.worker)
            })?;
        }
        Ok(())
    }

    fn check_round(&self, id: TrialId, attempts: u32, round: &Round) -> Result<(), Violation> {
        let bounded = round.failures < MAX_FAILURES && round.losses < self.config.max_losses.max(1);
        ensure(bounded, Invariant::RetriesAreBounded, || format!("trial {}: {round:?}", id.short()))?;
        let RoundState::Running { attempt, place } = &round.state else { return Ok(()) };
        ensure(*attempt == attempts, Invariant::AttemptsGrow, || {
            format!("trial {} runs attempt {attempt} of {attempts}", id.short())
        })?;
        let lease = Lease { trial: id, round: round.number, attempt: *attempt };
        let watched = match place {
            Place::Session { session, slot } => self
                .sessions
                .get(session)
                .and_then(|session| session.slots.get(*slot as usize))
                .is_some_and(|slot| slot.use_ == SlotUse::Busy(lease)),
            Place::Awaited { deadline, .. } => self.awaited.get(&lease) == Some(deadline),
        };
        ensure(watched, Invariant::EveryAttemptHasADeadline, || format!("{lease:?} at {place:?}"))
    }

    fn check_sweep(&self, id: SweepId, sweep: &Sweep) -> Result<(), Violation> {
        let mut remaining = vec![0; sweep.stages.len()];
        let mut totals = TrialCounts::default();
        let mut stage_totals = vec![TrialCounts::default(); sweep.stages.len()];
        let mut unbound = BTreeMap::new();
        for (trial_id, reference) in &sweep.references {
            let trial = self.trials.get(trial_id);
            reference.state.add_to(&mut totals);
            if reference.state == ReferenceState::Unbound {
                *unbound.entry(reference.memory_bytes).or_default() += 1;
            }
            reference.stages.iter().for_each(|stage| reference.state.add_to(&mut stage_totals[*stage as usize]));
            if !matches!(reference.state, ReferenceState::Ended { .. }) {
                reference.stages.iter().for_each(|stage| remaining[*stage as usize] += 1);
            }
            if sweep.stopping.is_some() {
                continue;
            }
            let wanted = trial.is_some_and(|trial| trial.wanted_by.contains(&id));
            ensure(wanted, Invariant::NothingWaitsInSilence, || format!("{id} has lost trial {}", trial_id.short()))?;
            let open = trial.and_then(|trial| trial.open.as_ref());
            let cost = trial.map_or(0, |trial| trial.cost);
            let queued = sweep.queue.contains(reference.key(cost));
            let right = match (reference.state, open) {
                (ReferenceState::Ended { .. }, _) => !queued,
                (ReferenceState::Unbound, open) => {
                    !queued && (sweep.pin.is_none() || open.is_some_and(|round| Some(round.pin) != sweep.pin))
                }
                (ReferenceState::Bound { round: bound, running }, Some(round)) if bound == round.number => match round
                    .state
                {
                    RoundState::Queued => queued && !running,
                    RoundState::Delayed { until } => !queued && !running && self.delayed.contains(&(until, *trial_id)),
                    RoundState::Running { .. } => !queued && running,
                },
                (ReferenceState::Bound { .. }, _) => false,
            };
            ensure(right, Invariant::NothingWaitsInSilence, || {
                format!("{id}, trial {}: {reference:?}, queued {queued}, open {open:?}", trial_id.short())
            })?;
        }
        self.check_hold(id, sweep)?;
        ensure(sweep.has_more_to_do(), Invariant::NothingWaitsInSilence, || format!("{id} is released and lives"))?;
        ensure(sweep.queue.counts_agree(), Invariant::CountsAgree, || format!("{id} miscounts its queue"))?;
        let pin = sweep.pin.filter(|_| sweep.stopping.is_none());
        let outvoted = pin.and_then(|pin| self.outvoted(&sweep.spec.dataset, pin));
        ensure(outvoted.is_none(), Invariant::PinnedByAgreement, || {
            format!("{id} is pinned to {:?}, and more workers read {outvoted:?}", sweep.pin)
        })?;
        let agree = totals == sweep.totals && stage_totals == sweep.stage_totals && unbound == sweep.unbound;
        ensure(agree, Invariant::CountsAgree, || format!("{id} counts {:?}, there are {totals:?}", sweep.totals))?;
        for (index, (stage, remaining)) in sweep.stages.iter().zip(remaining).enumerate() {
            let right = match stage {
                Stage::Unopened | Stage::Ended => remaining == 0,
                Stage::Open { remaining: counted } => {
                    *counted == remaining && (remaining > 0 || sweep.stopping.is_some())
                }
            };
            ensure(right, Invariant::CountsAgree, || format!("{id}, stage {index}: {stage:?}, {remaining} remain"))?;
        }
        let lives = sweep.stages.is_empty() || sweep.stages.iter().any(|stage| *stage != Stage::Ended);
        ensure(lives, Invariant::NothingWaitsInSilence, || format!("{id} has ended all stages and lives"))
    }

    fn check_hold(&self, id: SweepId, sweep: &Sweep) -> Result<(), Violation> {
        let Some(hold) = sweep.canary.hold() else { return Ok(()) };
        let proven = |reference: &Reference| {
            matches!(reference.state, ReferenceState::Ended { reused: false, end: ReferenceEnd::Succeeded(_), .. })
        };
        let unproven = !sweep.canary.proven && !sweep.references.values().any(proven);
        let bounded = hold.failed > 0 && hold.canaries.len() <= hold.failed as usize + 1;
        let theirs = hold.canaries.iter().all(|canary| sweep.references.contains_key(canary));
        ensure(unproven && bounded && theirs, Invariant::HoldsBackWithReason, || format!("{id}: {hold:?}"))
    }

    fn check_waiting(&self) -> Result<(), Violation> {
        for (until, trial) in &self.delayed {
            let open = self.trials.get(trial).and_then(|trial| trial.open.as_ref());
            let right = open.is_some_and(|round| round.state == RoundState::Delayed { until: *until });
            ensure(right, Invariant::CountsAgree, || format!("{} is delayed and is not", trial.short()))?;
        }
        for lease in self.awaited.keys() {
            let open = self.trials.get(&lease.trial).and_then(|trial| trial.open.as_ref());
            let right = open.is_some_and(|round| {
                matches!(&round.state, RoundState::Running { attempt, place: Place::Awaited { .. } } if *attempt == lease.attempt)
            });
            ensure(right, Invariant::CountsAgree, || format!("{lease:?} is awaited and is not"))?;
        }
        Ok(())
    }
}
