//! Restores a scheduler from the store after a restart.

use std::collections::BTreeSet;

use crate::Scheduler;
use crate::config::Config;
use crate::effect::Effect;
use crate::ends::RoundEnd;
use crate::event::Event;
use crate::id::{SweepId, Timestamp};
use crate::names::Name;
use crate::reference::{Reference, ReferenceEnd, ReferenceState};
use crate::service::Health;
use crate::snapshot::{BoundTrial, OpenRound, Snapshot, SweepSnapshot};
use crate::sweep::{Stage, Sweep};
use crate::trial::{Place, Round, RoundState, Trial};

impl Scheduler {
    /// Restores a scheduler from a snapshot. It waits for attempts that workers may still run. Its effects complete
    /// what a crash left between two commits; the driver stores them first.
    pub fn restore(config: Config, now: Timestamp, snapshot: Snapshot) -> (Self, Vec<Effect>) {
        let mut scheduler = Self::new(config);
        scheduler.now = now;
        for sweep in &snapshot.sweeps {
            scheduler.restore_sweep(sweep);
        }
        for (worker, service) in snapshot.workers {
            scheduler.health.insert(worker, Health::of(service));
        }
        let until = now.plus(scheduler.config.name_grace_ms);
        for (worker, instance, held) in snapshot.names {
            if held {
                scheduler.returning.insert(worker.clone(), until);
            }
            scheduler.names.insert(worker, Name::new(instance, held));
        }
        for round in snapshot.open_rounds {
            scheduler.restore_round(round);
        }
        let mut effects = Vec::new();
        for sweep in &snapshot.sweeps {
            scheduler.restore_references(sweep);
            scheduler.resume(sweep.sweep.id, &mut effects);
        }
        effects.extend(scheduler.apply(now, Event::Tick));
        (scheduler, effects)
    }

    pub(crate) fn restore_sweep(&mut self, snapshot: &SweepSnapshot) {
        let id = snapshot.sweep.id;
        let mut sweep = Sweep::new(snapshot.sweep.clone());
        for (stage, reason) in &snapshot.failed_stages {
            if let Some(state) = sweep.stages.get_mut(*stage as usize) {
                *state = Stage::Ended;
            }
            sweep.failure.get_or_insert_with(|| reason.clone());
            sweep.failed_stages.insert(*stage);
        }
        for (stage, trials) in &snapshot.stages {
            let Some(state) = sweep.stages.get_mut(*stage as usize) else { continue };
            *state = Stage::Open { remaining: 0 };
            for wanted in trials {
                sweep.refer(wanted, *stage);
                self.trials.entry(wanted.id).or_insert_with(|| Trial::new(wanted)).wanted_by.insert(id);
            }
        }
        self.sweeps.insert(id, sweep);
        if let Some(hold) = &snapshot.hold {
            self.set_hold(id, hold.clone(), BTreeSet::new());
        }
    }

    fn restore_round(&mut self, snapshot: OpenRound) {
        let OpenRound { trial: id, round: number, pin, failures, losses, failed_on, too_small, live, lost } = snapshot;
        let deadline = self.now.plus(self.config.restart_grace_ms);
        let Some(trial) = self.trials.get_mut(&id) else { return };
        trial.history.rounds = trial.history.rounds.max(number);
        let state = match live {
            None => RoundState::Queued,
            Some(live) => {
                trial.history.attempts = trial.history.attempts.max(live.lease.attempt);
                self.awaited.insert(live.lease, deadline);
                let place = Place::Awaited { worker: live.worker, slot: live.slot, deadline };
                RoundState::Running { attempt: live.lease.attempt, place }
            }
        };
        let avoid = failed_on.into_iter().collect();
        let expired = lost.map(|lost| (lost.lease.attempt, lost.worker));
        trial.open = Some(Round { number, pin, failures, losses, avoid, too_small, expired, state });
    }

    /// Ends and binds references as they were.
    pub(crate) fn restore_references(&mut self, snapshot: &SweepSnapshot) {
        let id = snapshot.sweep.id;
        for bound in &snapshot.bound {
            self.restore_reference(id, bound);
        }
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        let ended = |reference: &Reference| matches!(reference.state, ReferenceState::Ended { .. });
        let mut remaining = vec![0; sweep.stages.len()];
        for reference in sweep.references.values().filter(|reference| !ended(reference)) {
            for stage in &reference.stages {
                remaining[*stage as usize] += 1;
            }
        }
        for (state, remaining) in sweep.stages.iter_mut().zip(remaining) {
            if matches!(state, Stage::Open { .. }) {
                *state = Stage::Open { remaining };
            }
        }
    }

    /// Continues a restored sweep: binds its unbound trials, queues those of open rounds, and closes ended stages.
    fn resume(&mut self, id: SweepId, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get(&id) else { return };
        let is_cancelled = |reference: &Reference| {
            matches!(reference.state, ReferenceState::Ended { end: ReferenceEnd::Cancelled, .. })
        };
        if sweep.references.values().any(is_cancelled) {
            return self.continue_stopping(id);
        }
        let stages = sweep.stages.len() as u32;
        let unbound = sweep.references.iter().filter(|(_, reference)| reference.state == ReferenceState::Unbound);
        let unbound: Vec<_> = unbound.map(|(trial, _)| *trial).collect();
        let bound = sweep.references.iter().filter(|(_, r)| matches!(r.state, ReferenceState::Bound { .. }));
        let bound: Vec<_> = bound.map(|(trial, _)| *trial).collect();
        for trial in unbound {
            self.bind(id, trial, effects);
        }
        for trial in bound {
            self.enqueue(trial);
        }
        for stage in 0..stages {
            self.close_stage_if_done(id, stage, effects);
        }
    }

    fn restore_reference(&mut self, id: SweepId, bound: &BoundTrial) {
        let open = self.trials.get(&bound.trial).and_then(|trial| trial.open.as_ref());
        let open = open.filter(|round| round.number == bound.round);
        let running = open.is_some_and(|round| matches!(round.state, RoundState::Running { .. }));
        let state = match (&bound.end, open) {
            (Some(end), _) => {
                let end = match end {
                    RoundEnd::Succeeded { outcome, .. } => ReferenceEnd::Succeeded(*outcome),
                    RoundEnd::Failed { .. } => ReferenceEnd::Failed,
                    RoundEnd::Cancelled => ReferenceEnd::Cancelled,
                };
                ReferenceState::Ended { round: bound.round, reused: bound.reused, end }
            }
            (None, Some(_)) => ReferenceState::Bound { round: bound.round, running },
            // The store has neither an end nor an open round: the trial is bound again.
            (None, None) => ReferenceState::Unbound,
        };
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        sweep.set_state(bound.trial, state);
        let succeeded = matches!(bound.end, Some(RoundEnd::Succeeded { .. }));
        sweep.canary.proven |= succeeded && !bound.reused;
        if let Some(RoundEnd::Failed { class, reason }) = &bound.end {
            sweep.failure.get_or_insert_with(|| format!("{}: {reason}", class.name()));
        }
    }
}
