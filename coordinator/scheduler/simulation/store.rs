//! A store of a few maps. It also checks the promises about two states, on every stored effect: attempt numbers only
//! grow, ended trials stay ended, at most one result is accepted.

use std::collections::{BTreeMap, BTreeSet};

use sweep_scheduler::effect::{Effect, RoundEnd, SweepEnd};
use sweep_scheduler::event::{Ending, History, Instance, Known, NewSweep, Service, WantedTrial};
use sweep_scheduler::snapshot::{BoundTrial, LiveAttempt, OpenRound, Snapshot, SweepSnapshot};
use sweep_scheduler::{Lease, StageIndex, SweepId, WorkerName};
use sweep_spec::{Digest, FailureClass, TrialId};

/// An effort to answer a trial's question.
#[derive(Debug, Clone, Default)]
struct Round {
    pin: Option<Digest>,
    failures: u32,
    failed_on: Vec<WorkerName>,
    too_small: Option<u64>,
    live: Option<LiveAttempt>,
    /// Attempts that were lost and did not come back.
    lost: Vec<LiveAttempt>,
    end: Option<RoundEnd>,
}

/// Everything that was committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) live: BTreeMap<SweepId, SweepSnapshot>,
    pub(crate) ended: BTreeMap<SweepId, SweepSnapshot>,
    pub(crate) cancelled: BTreeMap<SweepId, SweepSnapshot>,
    rounds: BTreeMap<(TrialId, u32), Round>,
    attempts: BTreeMap<TrialId, u32>,
    services: BTreeMap<WorkerName, Service>,
    /// The worker that last took each name, and whether it still has the name.
    pub(crate) names: BTreeMap<WorkerName, (Instance, bool)>,
    /// Leases whose results were accepted.
    pub(crate) accepted: BTreeSet<Lease>,
    pub(crate) attempts_started: u64,
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Store {
    pub(crate) fn begin(&mut self, sweep: NewSweep) {
        let (stages, failed_stages, bound) = (Vec::new(), Vec::new(), Vec::new());
        self.live.insert(sweep.id, SweepSnapshot { sweep, stages, failed_stages, bound, hold: None });
    }

    pub(crate) fn open_stage(&mut self, sweep: SweepId, stage: StageIndex, trials: Vec<WantedTrial>) {
        if let Some(stored) = self.live.get_mut(&sweep) {
            stored.stages.retain(|(known, _)| *known != stage);
            stored.stages.push((stage, trials));
        }
    }

    pub(crate) fn fail_stage(&mut self, sweep: SweepId, stage: StageIndex, reason: String) {
        if let Some(stored) = self.live.get_mut(&sweep) {
            stored.failed_stages.push((stage, reason));
        }
    }

    /// A trial with its stored history.
    pub(crate) fn remembered(&self, wanted: WantedTrial) -> WantedTrial {
        let rounds = self.rounds.range((wanted.id, 0)..=(wanted.id, u32::MAX));
        let newest = rounds.clone().map(|((_, round), _)| *round).max().unwrap_or(0);
        let known = rounds.rev().find_map(|((_, round), stored)| match (&stored.end, stored.pin) {
            _ if self.only_reproduces(wanted.id, *round) => None,
            (Some(RoundEnd::Succeeded { outcome, .. }), Some(data_digest)) => {
                Some(Known { round: *round, data_digest, outcome: *outcome })
            }
            (Some(_) | None, _) => None,
        });
        let attempts = self.attempts.get(&wanted.id).copied().unwrap_or(0);
        WantedTrial { history: History { rounds: newest, attempts, known }, ..wanted }
    }

    /// Whether only sweeps that reproduce earlier results are bound to a round.
    fn only_reproduces(&self, trial: TrialId, round: u32) -> bool {
        let sweeps = self.live.values().chain(self.ended.values()).chain(self.cancelled.values());
        let bound = |bound: &BoundTrial| bound.trial == trial && bound.round == round && !bound.reused;
        let mut bound = sweeps.filter(|sweep| sweep.bound.iter().any(bound)).peekable();
        bound.peek().is_some() && bound.all(|sweep| sweep.sweep.reproduces)
    }

    /// The end of the round that a sweep uses for a trial.
    pub(crate) fn end_of(&self, sweep: &SweepSnapshot, trial: TrialId) -> Option<RoundEnd> {
        let bound = sweep.bound.iter().find(|bound| bound.trial == trial)?;
        self.rounds.get(&(trial, bound.round))?.end.clone()
    }

    /// Stores one effect.
    ///
    /// # Errors
    /// A promise is broken.
    pub(crate) fn apply(&mut self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::DataPinned { sweep, digest } => {
                self.check_pin(*sweep, *digest)?;
                self.change(*sweep, |stored| stored.sweep.pin = Some(*digest));
            }
            Effect::TrialBound { sweep, trial, round, reused } => self.bind(*sweep, *trial, *round, *reused),
            Effect::RoundOpened { trial, round } => self.open_round(*trial, *round)?,
            Effect::AttemptStarted { lease, worker, slot, .. } => {
                self.start(LiveAttempt { lease: *lease, worker: worker.clone(), slot: *slot })?;
            }
            Effect::AttemptEnded { lease, ending } => self.end_attempt(*lease, ending)?,
            Effect::AttemptRevived { lease, .. } => self.revive(*lease)?,
            Effect::RoundEnded { trial, round, end } => self.end_round(*trial, *round, end)?,
            Effect::SweepPaused { sweep, paused } => self.change(*sweep, |stored| stored.sweep.paused = *paused),
            Effect::HoldChanged { sweep, hold } => self.change(*sweep, |stored| stored.hold.clone_from(hold)),
            Effect::PriorityChanged { sweep, priority } => {
                self.change(*sweep, |stored| stored.sweep.priority = *priority);
            }
            Effect::SweepReopened { sweep } => {
                let stored = self.ended.remove(sweep).ok_or_else(|| format!("{sweep} had not ended"))?;
                self.live.insert(*sweep, stored);
            }
            Effect::StageReopened { sweep, stage, open: false } => {
                self.change(*sweep, |stored| stored.failed_stages.retain(|(failed, _)| failed != stage));
            }
            Effect::ServiceChanged { worker, service } => {
                self.services.insert(worker.clone(), service.clone());
            }
            Effect::NameTaken { worker, instance } => {
                self.names.insert(worker.clone(), (*instance, true));
            }
            Effect::NameFreed { worker } => {
                let name = self.names.get_mut(worker).filter(|(_, held)| *held);
                name.ok_or_else(|| format!("the name {worker} is freed and was not held"))?.1 = false;
            }
            Effect::SweepEnded { sweep, end } => {
                // Who cancels a sweep does not want it again.
                let ended = self.live.remove_entry(sweep);
                if matches!(end, SweepEnd::Cancelled | SweepEnd::Stopped { .. }) {
                    self.cancelled.extend(ended);
                } else {
                    self.ended.extend(ended);
                }
            }
            Effect::StageReopened { open: true, .. }
            | Effect::AttemptAdopted { .. }
            | Effect::StageEnded { .. }
            | Effect::WorkerLost { .. }
            | Effect::Wake { .. }
            | Effect::Ignored(_) => {}
        }
        Ok(())
    }

    /// A pin with which a trial of the sweep has succeeded stays.
    fn check_pin(&self, sweep: SweepId, digest: Digest) -> Result<(), String> {
        let Some(stored) = self.live.get(&sweep).filter(|stored| stored.sweep.pin.is_some_and(|pin| pin != digest))
        else {
            return Ok(());
        };
        let succeeded =
            |bound: &BoundTrial| matches!(self.end_of(stored, bound.trial), Some(RoundEnd::Succeeded { .. }));
        let confirmed = stored.bound.iter().any(succeeded);
        ensure(!confirmed, || {
            format!("{sweep} gets the pin {} after a trial has succeeded with another", digest.short())
        })
    }

    fn change(&mut self, sweep: SweepId, change: impl FnOnce(&mut SweepSnapshot)) {
        if let Some(stored) = self.live.get_mut(&sweep) {
            change(stored);
        }
    }

    fn bind(&mut self, sweep: SweepId, trial: TrialId, round: u32, reused: bool) {
        let pin = self.live.get(&sweep).and_then(|stored| stored.sweep.pin);
        if let Some(stored) = self.rounds.get_mut(&(trial, round)) {
            stored.pin = stored.pin.or(pin);
        }
        self.change(sweep, |stored| {
            stored.bound.retain(|bound| bound.trial != trial);
            stored.bound.push(BoundTrial { trial, round, reused, end: None });
        });
    }

    fn open_round(&mut self, trial: TrialId, round: u32) -> Result<(), String> {
        let mut rounds = self.rounds.range((trial, 0)..=(trial, u32::MAX));
        ensure(rounds.all(|(_, stored)| stored.end.is_some()), || format!("two open rounds of {}", trial.short()))?;
        let before = self.rounds.insert((trial, round), Round::default());
        ensure(before.is_none(), || format!("round {round} of {} opened twice", trial.short()))
    }

    fn round(&mut self, trial: TrialId, round: u32) -> Result<&mut Round, String> {
        self.rounds.get_mut(&(trial, round)).ok_or_else(|| format!("no round {round} of {}", trial.short()))
    }

    fn start(&mut self, attempt: LiveAttempt) -> Result<(), String> {
        let lease = attempt.lease;
        let newest = self.attempts.entry(lease.trial).or_default();
        ensure(lease.attempt > *newest, || format!("attempt numbers only grow: {lease:?} after {newest}"))?;
        *newest = lease.attempt;
        self.attempts_started += 1;
        let round = self.round(lease.trial, lease.round)?;
        ensure(round.end.is_none(), || format!("{lease:?} begins after its round has ended"))?;
        ensure(round.live.is_none(), || format!("{lease:?} begins beside {:?}", round.live))?;
        round.live = Some(attempt);
        Ok(())
    }

    fn end_attempt(&mut self, lease: Lease, ending: &Ending) -> Result<(), String> {
        let round = self.round(lease.trial, lease.round)?;
        let live = round.live.take().filter(|live| live.lease == lease);
        let live = live.ok_or_else(|| format!("{lease:?} ends and was not live"))?;
        match ending {
            Ending::Failed { class, .. } => {
                round.failures += 1;
                if *class == FailureClass::OutOfMemory {
                    round.too_small = Some(super::study::SMALL);
                } else {
                    round.failed_on.push(live.worker);
                }
            }
            Ending::Lost => round.lost.push(live),
            Ending::Succeeded { .. } => {
                ensure(self.accepted.insert(lease), || format!("{lease:?} is accepted twice"))?;
            }
            Ending::Stopped => {}
        }
        Ok(())
    }

    fn revive(&mut self, lease: Lease) -> Result<(), String> {
        let newest = self.attempts.get(&lease.trial).copied();
        ensure(newest == Some(lease.attempt), || format!("{lease:?} goes on after attempt {newest:?}"))?;
        let round = self.round(lease.trial, lease.round)?;
        ensure(round.live.is_none() && round.end.is_none(), || format!("{lease:?} goes on beside {round:?}"))?;
        let index = round.lost.iter().position(|lost| lost.lease == lease);
        let index = index.ok_or_else(|| format!("{lease:?} goes on and was not lost"))?;
        round.live = Some(round.lost.remove(index));
        Ok(())
    }

    fn end_round(&mut self, trial: TrialId, number: u32, end: &RoundEnd) -> Result<(), String> {
        let accepted = self.accepted.clone();
        let round = self.round(trial, number)?;
        ensure(round.end.is_none(), || format!("round {number} of {} ends twice", trial.short()))?;
        ensure(round.live.is_none(), || format!("{:?} outlives its round", round.live))?;
        if let RoundEnd::Succeeded { attempt, .. } = end {
            let lease = Lease { trial, round: number, attempt: *attempt };
            ensure(accepted.contains(&lease), || format!("{lease:?} answers and was not accepted"))?;
        }
        round.end = Some(end.clone());
        Ok(())
    }

    /// Whether a lease's round is trained on this content.
    pub(crate) fn is_pinned_to(&self, lease: Lease, content: Digest) -> bool {
        self.rounds.get(&(lease.trial, lease.round)).is_some_and(|round| round.pin == Some(content))
    }

    /// The most lost and the most failed attempts of a round.
    pub(crate) fn most_tries(&self) -> (usize, u32) {
        let lost = self.rounds.values().map(|round| round.lost.len()).max().unwrap_or(0);
        (lost, self.rounds.values().map(|round| round.failures).max().unwrap_or(0))
    }

    /// A live or ended sweep as the store returns it.
    pub(crate) fn recalled(&self, sweep: &SweepSnapshot) -> SweepSnapshot {
        let mut sweep = sweep.clone();
        for (_, trials) in &mut sweep.stages {
            for wanted in trials {
                *wanted = self.remembered(wanted.clone());
            }
        }
        for bound in &mut sweep.bound {
            bound.end = self.rounds.get(&(bound.trial, bound.round)).and_then(|round| round.end.clone());
        }
        sweep
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let open = self.rounds.iter().filter(|(_, round)| round.end.is_none());
        let open_rounds = open.filter_map(|((trial, number), round)| {
            let newest = self.attempts.get(trial).copied();
            Some(OpenRound {
                trial: *trial,
                round: *number,
                pin: round.pin?,
                failures: round.failures,
                losses: round.lost.len() as u32,
                failed_on: round.failed_on.clone(),
                too_small: round.too_small,
                live: round.live.clone(),
                lost: round.lost.last().filter(|lost| Some(lost.lease.attempt) == newest).cloned(),
            })
        });
        Snapshot {
            sweeps: self.live.values().map(|sweep| self.recalled(sweep)).collect(),
            open_rounds: open_rounds.collect(),
            workers: self.services.clone().into_iter().collect(),
            names: self.names.iter().map(|(worker, (instance, held))| (worker.clone(), *instance, *held)).collect(),
        }
    }
}
