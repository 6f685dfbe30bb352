//! A scheduler with a store of a few vectors. It checks every invariant after every step, and checks the promises about
//! two states on the effects.

use std::collections::BTreeSet;

use sweep_scheduler::event::{Ending, History, Instance, NewSweep, Registration, Service, Slot, WantedTrial};
use sweep_scheduler::{Config, Effect, Event, Lease, Scheduler, SessionId, SweepId, Timestamp, WorkerName};
use sweep_spec::retry::Changes;
use sweep_spec::{Digest, FailureClass, Outcome, TrialId};

use crate::simulation::store::Store;
pub(crate) use crate::simulation::study::{LARGE, SMALL};

/// Of the default rules.
pub(crate) const FAILURES: u32 = 3;
pub(crate) const BACKOFF_MS: u64 = 1_000;

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

pub(crate) fn slot(memory_bytes: u64) -> Slot {
    Slot { device: "cpu".to_owned(), memory_bytes: Some(memory_bytes) }
}

pub(crate) fn wanted(number: u64, cost: u64) -> WantedTrial {
    WantedTrial { id: trial(number), cost, memory_bytes: 1, history: History::default(), rank: 0 }
}

pub(crate) struct Env {
    pub(crate) scheduler: Scheduler,
    config: Config,
    pub(crate) now: Timestamp,
    pub(crate) store: Store,
    /// Sessions that describe data automatically.
    with_data: BTreeSet<u64>,
}

impl Env {
    pub(crate) fn new(config: Config) -> Self {
        let scheduler = Scheduler::new(config.clone());
        Self { scheduler, config, now: Timestamp(1_000), store: Store::default(), with_data: BTreeSet::new() }
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
        let (scheduler, effects) = Scheduler::restore(self.config.clone(), self.now, self.store.snapshot());
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
        let slots = vec![slot(SMALL); slots];
        let (worker, instance) = (WorkerName(name.to_owned()), Instance { folder: 1, process: 1 });
        self.apply(Event::Register(Registration {
            worker,
            session: SessionId(session),
            slots,
            live,
            instance,
            pool: None,
        }))
    }

    /// A worker with one slot, on this state folder and in this process.
    pub(crate) fn arrive(&mut self, session: u64, name: &str, (folder, process): (u64, u64)) -> Vec<Effect> {
        let (worker, instance) = (WorkerName(name.to_owned()), Instance { folder, process });
        let (session, slots, live) = (SessionId(session), vec![slot(SMALL)], Vec::new());
        self.apply(Event::Register(Registration { worker, session, slots, live, instance, pool: None }))
    }

    pub(crate) fn has_data(&mut self, session: u64) -> Vec<Effect> {
        self.with_data.insert(session);
        self.apply(Event::Tick)
    }

    pub(crate) fn poll(&mut self, session: u64) {
        let held = self.running(session);
        self.apply(Event::Poll { session: SessionId(session), held, draining: false });
    }

    pub(crate) fn serve(&mut self, name: &str, service: Service) -> Vec<Effect> {
        self.apply(Event::SetService { worker: WorkerName(name.to_owned()), service })
    }

    pub(crate) fn retry(&mut self, id: u64) -> Vec<Effect> {
        let ended = self.store.ended.get(&sweep(id)).map(|ended| Box::new(self.store.recalled(ended)));
        self.apply(Event::RetrySweep { sweep: sweep(id), ended })
    }

    /// Trials as (number, cost), stage by stage.
    pub(crate) fn submit(&mut self, id: u64, stages: &[&[(u64, u64)]]) -> Vec<Effect> {
        let stage = |trials: &&[(u64, u64)]| {
            trials.iter().map(|(number, cost)| self.store.remembered(wanted(*number, *cost))).collect()
        };
        let stages = stages.iter().map(stage).collect();
        self.submit_trials(id, stages)
    }

    /// One stage that ignores known results.
    pub(crate) fn submit_fresh(&mut self, id: u64, trials: &[(u64, u64)]) -> Vec<Effect> {
        let trials = trials.iter().map(|(number, cost)| self.store.remembered(wanted(*number, *cost))).collect();
        self.submit_with(id, vec![trials], (true, false))
    }

    pub(crate) fn submit_trials(&mut self, id: u64, stages: Vec<Vec<WantedTrial>>) -> Vec<Effect> {
        self.submit_with(id, stages, (false, false))
    }

    /// A sweep that asks one trial again.
    pub(crate) fn reproduce(&mut self, id: u64, number: u64) -> Vec<Effect> {
        let trials = vec![self.store.remembered(wanted(number, 1))];
        self.submit_with(id, vec![trials], (true, true))
    }

    fn submit_with(
        &mut self,
        id: u64,
        stages: Vec<Vec<WantedTrial>>,
        (fresh, reproduces): (bool, bool),
    ) -> Vec<Effect> {
        let count = stages.len() as u32;
        let new = NewSweep {
            id: sweep(id),
            priority: 0,
            weight: 1,
            owner: String::new(),
            paused: false,
            retry: Changes::new(),
            dataset: dataset(),
            pin: None,
            settled: false,
            stages: count,
            fresh,
            reproduces,
            allowance: None,
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
        self.fail_with(session, lease, class, "as planned")
    }

    pub(crate) fn fail_with(&mut self, session: u64, lease: Lease, class: FailureClass, reason: &str) -> Vec<Effect> {
        let ending = Ending::Failed { class, reason: reason.to_owned() };
        self.apply(Event::Finish { session: SessionId(session), lease, ending })
    }

    fn store_event(&mut self, event: &Event, effects: &[Effect]) {
        if effects.iter().any(|effect| matches!(effect, Effect::Ignored(_))) {
            return;
        }
        if let Event::SubmitSweep(new) = event {
            self.store.begin(new.clone());
        }
        if let Event::OpenStage { sweep, stage, trials } = event {
            self.store.open_stage(*sweep, *stage, trials.clone());
        }
    }

    fn store(&mut self, effects: &[Effect]) {
        effects.iter().try_for_each(|effect| self.store.apply(effect)).unwrap();
    }
}
