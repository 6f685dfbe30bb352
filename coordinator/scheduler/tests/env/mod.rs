//! A scheduler with a store that is a few vectors: it checks every invariant after every step, and holds the effects
//! against those that speak of two states.

#![expect(dead_code, reason = "each test target uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::collections::{BTreeMap, BTreeSet};

use sweep_scheduler::effect::{Effect, RoundEnd};
use sweep_scheduler::event::{Ending, History, Known, NewSweep, Registration, Slot, WantedTrial};
use sweep_scheduler::snapshot::{BoundTrial, LiveAttempt, OpenRound, Snapshot, SweepSnapshot};
use sweep_scheduler::{Config, Event, Lease, Scheduler, SessionId, SweepId, Timestamp, WorkerName};
use sweep_spec::retry::Changes;
use sweep_spec::{Digest, FailureClass, Outcome, TrialId};

pub(crate) fn config() -> Config {
    Config::default()
}

pub(crate) fn trial(number: u64) -> TrialId {
    TrialId::of(&number.to_le_bytes())
}

pub(crate) fn lease(number: u64, round: u32, attempt: u32) -> Lease {
    Lease { trial: trial(number), round, attempt }
}

pub(crate) fn sweep(number: u64) -> SweepId {
    SweepId(number)
}

pub(crate) fn dataset() -> Digest {
    Digest::of(b"reference")
}

pub(crate) fn data() -> Digest {
    Digest::of(b"content")
}

pub(crate) fn wanted(number: u64, cost: u64) -> WantedTrial {
    WantedTrial { id: trial(number), cost, memory_bytes: 1, history: History::default() }
}

/// What a store would remember.
#[derive(Default)]
struct Stored {
    sweeps: BTreeMap<SweepId, SweepSnapshot>,
    rounds: BTreeMap<(TrialId, u32), StoredRound>,
    attempts: BTreeMap<TrialId, u32>,
}

struct StoredRound {
    pin: Option<Digest>,
    failures: u32,
    losses: u32,
    live: Option<LiveAttempt>,
    end: Option<RoundEnd>,
}

pub(crate) struct Env {
    pub(crate) scheduler: Scheduler,
    config: Config,
    pub(crate) now: Timestamp,
    stored: Stored,
    accepted: BTreeSet<(TrialId, u32)>,
    /// Sessions that answer by themselves when they are asked about data.
    with_data: BTreeSet<u64>,
}

impl Env {
    pub(crate) fn new(config: Config) -> Self {
        let scheduler = Scheduler::new(config.clone());
        Self {
            scheduler,
            config,
            now: Timestamp(1_000),
            stored: Stored::default(),
            accepted: BTreeSet::new(),
            with_data: BTreeSet::new(),
        }
    }

    pub(crate) fn apply(&mut self, event: Event) -> Vec<Effect> {
        self.apply_at(self.now, event)
    }

    pub(crate) fn apply_at(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let mut effects = self.step(now, event);
        for session in self.with_data.clone() {
            let session = SessionId(session);
            let asked = self.scheduler.poll_answer(session, &[]).is_ok_and(|answer| !answer.describe.is_empty());
            if asked {
                effects.extend(self.step(now, Event::Described { session, dataset: dataset(), answer: Ok(data()) }));
            }
        }
        effects
    }

    fn step(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let effects = self.scheduler.apply(now, event.clone());
        self.store_event(&event, &effects);
        self.store(&effects);
        if let Err(violation) = self.scheduler.check_invariants() {
            panic!("after {event:?}: {violation}");
        }
        effects
    }

    /// A coordinator that died between two commits and came back.
    pub(crate) fn restart(&mut self) {
        let (scheduler, effects) = Scheduler::restore(self.config.clone(), self.now, self.snapshot());
        self.scheduler = scheduler;
        self.store(&effects);
        if let Err(violation) = self.scheduler.check_invariants() {
            panic!("after a restart: {violation}");
        }
    }

    pub(crate) fn pass(&mut self, milliseconds: u64) -> Vec<Effect> {
        self.now = self.now.plus(milliseconds);
        self.apply(Event::Tick)
    }

    pub(crate) fn worker(&mut self, session: u64, name: &str, slots: usize) -> &mut Self {
        self.register(session, name, slots, Vec::new());
        self
    }

    pub(crate) fn register(&mut self, session: u64, name: &str, slots: usize, live: Vec<(Lease, u32)>) -> Vec<Effect> {
        let slots = vec![Slot { device: "cpu".to_owned(), memory_bytes: Some(1 << 30) }; slots];
        let worker = WorkerName(name.to_owned());
        self.apply(Event::Register(Registration { worker, session: SessionId(session), slots, live }))
    }

    pub(crate) fn has_data(&mut self, session: u64) -> Vec<Effect> {
        self.with_data.insert(session);
        self.apply(Event::Tick)
    }

    pub(crate) fn poll(&mut self, session: u64) {
        let held = self.running(session);
        self.apply(Event::Poll { session: SessionId(session), held, draining: false });
    }

    /// Trials as (number, cost), stage by stage.
    pub(crate) fn submit(&mut self, id: u64, stages: &[&[(u64, u64)]]) -> Vec<Effect> {
        let stage =
            |trials: &&[(u64, u64)]| trials.iter().map(|(number, cost)| self.remembered(*number, *cost)).collect();
        let stages = stages.iter().map(stage).collect();
        self.submit_trials(id, stages)
    }

    /// A trial with the history that the store has of it.
    fn remembered(&self, number: u64, cost: u64) -> WantedTrial {
        let id = trial(number);
        let rounds = self.stored.rounds.range((id, 0)..=(id, u32::MAX));
        let newest = rounds.clone().map(|((_, round), _)| *round).max().unwrap_or(0);
        let known = rounds.rev().find_map(|((_, round), stored)| match (&stored.end, stored.pin) {
            (Some(RoundEnd::Succeeded { outcome, .. }), Some(data_digest)) => {
                Some(Known { round: *round, data_digest, outcome: *outcome })
            }
            _ => None,
        });
        let attempts = self.stored.attempts.get(&id).copied().unwrap_or(0);
        WantedTrial { history: History { rounds: newest, attempts, known }, ..wanted(number, cost) }
    }

    pub(crate) fn submit_trials(&mut self, id: u64, stages: Vec<Vec<WantedTrial>>) -> Vec<Effect> {
        let count = stages.len() as u32;
        let new = NewSweep {
            id: sweep(id),
            priority: 0,
            weight: 1,
            paused: false,
            retry: Changes::new(),
            dataset: dataset(),
            pin: None,
            stages: count,
        };
        let mut effects = self.apply(Event::SubmitSweep(new));
        for (stage, trials) in stages.into_iter().enumerate() {
            effects.extend(self.apply(Event::OpenStage { sweep: sweep(id), stage: stage as u32, trials }));
        }
        effects
    }

    pub(crate) fn running(&self, session: u64) -> Vec<Lease> {
        let answer = self.scheduler.poll_answer(SessionId(session), &[]);
        answer.map(|answer| answer.start.iter().map(|start| start.lease).collect()).unwrap_or_default()
    }

    pub(crate) fn only_running(&self, session: u64) -> Lease {
        let running = self.running(session);
        assert_eq!(running.len(), 1, "{running:?}");
        running[0]
    }

    pub(crate) fn succeed(&mut self, session: u64, lease: Lease) -> Vec<Effect> {
        let ending = Ending::Succeeded { outcome: Outcome::Converged, data_digest: data() };
        self.apply(Event::Finish { session: SessionId(session), lease, ending })
    }

    pub(crate) fn fail(&mut self, session: u64, lease: Lease, class: FailureClass) -> Vec<Effect> {
        let ending = Ending::Failed { class, reason: "as planned".to_owned() };
        self.apply(Event::Finish { session: SessionId(session), lease, ending })
    }

    /// Every sweep that ever was has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.stored.sweeps.is_empty() && self.scheduler.live_sweeps().next().is_none()
    }

    pub(crate) fn live_sweeps(&self) -> Vec<SweepId> {
        self.scheduler.live_sweeps().collect()
    }

    fn store_event(&mut self, event: &Event, effects: &[Effect]) {
        if effects.iter().any(|effect| matches!(effect, Effect::Ignored(_))) {
            return;
        }
        if let Event::SubmitSweep(new) = event {
            let sweep = new.clone();
            let (stages, failed_stages, bound) = (Vec::new(), Vec::new(), Vec::new());
            self.stored.sweeps.insert(sweep.id, SweepSnapshot { sweep, stages, failed_stages, bound });
        }
        if let Event::OpenStage { sweep, stage, trials } = event
            && let Some(stored) = self.stored.sweeps.get_mut(sweep)
        {
            stored.stages.push((*stage, trials.clone()));
        }
    }

    fn store(&mut self, effects: &[Effect]) {
        for effect in effects {
            self.store_one(effect);
        }
    }

    fn store_one(&mut self, effect: &Effect) {
        match effect {
            Effect::DataPinned { sweep, digest } => {
                if let Some(stored) = self.stored.sweeps.get_mut(sweep) {
                    stored.sweep.pin = Some(*digest);
                }
            }
            Effect::TrialBound { sweep, trial, round, reused } => {
                let pin = self.stored.sweeps.get(sweep).and_then(|stored| stored.sweep.pin);
                let end = self.stored.rounds.get(&(*trial, *round)).and_then(|stored| stored.end.clone());
                if let Some(stored) = self.stored.rounds.get_mut(&(*trial, *round)) {
                    stored.pin = stored.pin.or(pin);
                }
                if let Some(stored) = self.stored.sweeps.get_mut(sweep) {
                    stored.bound.push(BoundTrial { trial: *trial, round: *round, reused: *reused, end });
                }
            }
            Effect::RoundOpened { trial, round } => {
                let open = self.stored.rounds.iter().any(|((id, _), stored)| id == trial && stored.end.is_none());
                assert!(!open, "two open rounds of {trial:?}");
                let new = StoredRound { pin: None, failures: 0, losses: 0, live: None, end: None };
                assert!(self.stored.rounds.insert((*trial, *round), new).is_none(), "round {round} opened twice");
            }
            Effect::AttemptStarted { lease, worker, slot, .. } => {
                let newest = self.stored.attempts.entry(lease.trial).or_default();
                assert!(lease.attempt > *newest, "attempt numbers only grow");
                *newest = lease.attempt;
                let round = self.stored.rounds.get_mut(&(lease.trial, lease.round)).unwrap();
                assert!(round.end.is_none(), "a terminal trial stays terminal");
                assert!(round.live.is_none(), "one live attempt");
                round.live = Some(LiveAttempt { lease: *lease, worker: worker.clone(), slot: *slot });
            }
            Effect::AttemptEnded { lease, ending } => {
                let round = self.stored.rounds.get_mut(&(lease.trial, lease.round)).unwrap();
                assert_eq!(round.live.take().map(|live| live.lease), Some(*lease), "only a live attempt ends");
                match ending {
                    Ending::Failed { .. } => round.failures += 1,
                    Ending::Lost => round.losses += 1,
                    Ending::Succeeded { .. } | Ending::Stopped => {}
                }
            }
            Effect::RoundEnded { trial, round, end } => self.store_round_end(*trial, *round, end),
            Effect::SweepEnded { sweep, .. } => {
                self.stored.sweeps.remove(sweep);
            }
            Effect::AttemptAdopted { .. } | Effect::StageEnded { .. } | Effect::Wake { .. } | Effect::Ignored(_) => {}
        }
    }

    fn store_round_end(&mut self, trial: TrialId, round: u32, end: &RoundEnd) {
        let stored = self.stored.rounds.get_mut(&(trial, round)).unwrap();
        assert!(stored.end.is_none(), "a terminal trial stays terminal");
        assert!(stored.live.is_none(), "no attempt outlives its round");
        stored.end = Some(end.clone());
        if matches!(end, RoundEnd::Succeeded { .. }) {
            assert!(self.accepted.insert((trial, round)), "at most one accepted result");
        }
        for sweep in self.stored.sweeps.values_mut() {
            for bound in sweep.bound.iter_mut().filter(|bound| bound.trial == trial && bound.round == round) {
                bound.end = Some(end.clone());
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let open = self.stored.rounds.iter().filter(|(_, stored)| stored.end.is_none());
        let open_rounds = open.map(|((trial, round), stored)| OpenRound {
            trial: *trial,
            round: *round,
            pin: stored.pin.unwrap_or_else(data),
            failures: stored.failures,
            losses: stored.losses,
            failed_on: Vec::new(),
            too_small: None,
            live: stored.live.clone(),
            lost: None,
        });
        let mut sweeps: Vec<SweepSnapshot> = self.stored.sweeps.values().cloned().collect();
        for sweep in &mut sweeps {
            for (_, trials) in &mut sweep.stages {
                for wanted in trials {
                    let attempts = self.stored.attempts.get(&wanted.id).copied().unwrap_or(0);
                    wanted.history.attempts = wanted.history.attempts.max(attempts);
                    let rounds = self.stored.rounds.range((wanted.id, 0)..=(wanted.id, u32::MAX));
                    let newest = rounds.map(|((_, round), _)| *round).max().unwrap_or(0);
                    wanted.history.rounds = wanted.history.rounds.max(newest);
                }
            }
        }
        Snapshot { sweeps, open_rounds: open_rounds.collect(), workers: Vec::new() }
    }
}
