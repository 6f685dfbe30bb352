//! People who share slots of several sizes: one of them never stops asking, at a high priority. Everyone else
//! who waits gets a slot within a bounded number of starts, and people of one priority get equal shares.

use std::collections::BTreeMap;

use sweep_scheduler::bug::Bug;
use sweep_scheduler::event::{Ending, Instance, NewSweep, Registration, Slot, WantedTrial};
use sweep_scheduler::{Config, Effect, Event, Lease, Scheduler, SessionId, SweepId, Timestamp, WorkerName};
use sweep_spec::{Outcome, TrialId};

use super::counts::Counts;
use super::random::Random;
use super::study::{self, LARGE, SMALL};

/// Attempts that end in one schedule.
const ENDINGS: u64 = 1_500;
/// Trials of a sweep.
const TRIALS: u64 = 40;
/// The scheduler's `starvation_limit`.
const LIMIT: u32 = 4;

struct Running {
    session: SessionId,
    lease: Lease,
}

struct World {
    random: Random,
    scheduler: Scheduler,
    running: Vec<Running>,
    sweeps: u64,
    /// The owner of each sweep, and the memory that its trials need.
    owners: BTreeMap<SweepId, (u64, u64)>,
    trials: BTreeMap<TrialId, SweepId>,
    /// Starts of others since the last one of each sweep, in slots that would have done.
    passed: BTreeMap<SweepId, u64>,
    most_sweeps: u64,
    counts: Counts,
}

pub(super) fn run(seed: u64, bug: Option<Bug>) -> (Counts, Result<(), String>) {
    let mut world = World {
        random: Random::new(seed),
        scheduler: Scheduler::new(Config { starvation_limit: LIMIT, hold_back_after: 0, ..Config::default() }),
        running: Vec::new(),
        sweeps: 0,
        owners: BTreeMap::new(),
        trials: BTreeMap::new(),
        passed: BTreeMap::new(),
        most_sweeps: 0,
        counts: Counts::default(),
    };
    #[cfg(debug_assertions)]
    bug.into_iter().for_each(|bug| world.scheduler.plant(bug));
    #[cfg(not(debug_assertions))]
    let _ = bug;
    let result = world.go();
    (world.counts, result)
}

impl World {
    fn go(&mut self) -> Result<(), String> {
        for (number, memory_bytes) in [SMALL, LARGE, LARGE].into_iter().enumerate() {
            self.worker(number as u64, memory_bytes)?;
        }
        for _ in 0..ENDINGS {
            self.ask()?;
            self.end_one()?;
        }
        Ok(())
    }

    fn worker(&mut self, number: u64, memory_bytes: u64) -> Result<(), String> {
        let session = SessionId(number + 1);
        let slots = 1 + self.random.below(2) as usize;
        self.event(Event::Register(Registration {
            worker: WorkerName(format!("w{number}")),
            session,
            slots: vec![Slot { device: "cpu".to_owned(), memory_bytes: Some(memory_bytes) }; slots],
            live: Vec::new(),
            instance: Instance { folder: number + 1, process: 1 },
            pool: None,
        }))
    }

    /// The first person always has work of a high priority; others have some, sooner or later.
    fn ask(&mut self) -> Result<(), String> {
        let waits = |owner: u64| {
            let own = self.owners.iter().filter(|(_, (whose, _))| *whose == owner);
            own.filter(|(sweep, _)| self.scheduler.waiting(**sweep).next().is_some()).count()
        };
        let (greedy, others) = (waits(0), waits(1) + waits(2));
        if greedy < 2 {
            self.submit(0, 9)?;
        }
        if others < 3 && self.random.one_in(10) {
            let (owner, priority) = (1 + self.random.below(2), self.random.below(3) as i32);
            self.submit(owner, priority)?;
        }
        Ok(())
    }

    fn submit(&mut self, owner: u64, priority: i32) -> Result<(), String> {
        self.sweeps += 1;
        let id = SweepId(self.sweeps);
        let memory_bytes = if self.random.one_in(3) { LARGE } else { 1 };
        self.owners.insert(id, (owner, memory_bytes));
        let wanted = |number: u64| WantedTrial {
            id: study::trial(1_000 + id.0 * TRIALS + number),
            cost: 1,
            memory_bytes,
            history: Default::default(),
            rank: 0,
        };
        let trials: Vec<WantedTrial> = (0..TRIALS).map(wanted).collect();
        self.trials.extend(trials.iter().map(|wanted| (wanted.id, id)));
        self.event(Event::SubmitSweep(NewSweep {
            id,
            priority,
            weight: 1,
            owner: owner.to_string(),
            paused: false,
            retry: Default::default(),
            dataset: study::dataset(),
            pin: None,
            settled: false,
            stages: 1,
            fresh: false,
            reproduces: false,
            allowance: None,
        }))?;
        self.event(Event::OpenStage { sweep: id, stage: 0, trials })?;
        self.most_sweeps = self.most_sweeps.max(self.scheduler.live_sweeps().count() as u64);
        Ok(())
    }

    fn end_one(&mut self) -> Result<(), String> {
        if self.running.is_empty() {
            return Err("slots are free, and trials wait".to_owned());
        }
        let index = self.random.below(self.running.len() as u64) as usize;
        let Running { session, lease } = self.running.swap_remove(index);
        let ending = Ending::Succeeded { outcome: Outcome::Converged, data_digest: study::content() };
        self.event(Event::Finish { session, lease, ending })
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        let waited: Vec<SweepId> = self.scheduler.live_sweeps().collect();
        let waited: Vec<SweepId> =
            waited.into_iter().filter(|sweep| self.scheduler.waiting(*sweep).next().is_some()).collect();
        self.counts.events += 1;
        let effects = self.scheduler.apply(Timestamp(1_000), event);
        self.scheduler.check_invariants().map_err(|violation| violation.to_string())?;
        for effect in effects {
            if let Effect::AttemptStarted { lease, session, slot, .. } = effect {
                self.running.push(Running { session, lease });
                self.note(lease, (session, slot), &waited)?;
            }
        }
        let sessions: Vec<SessionId> = self.scheduler.workers().iter().map(|worker| worker.session).collect();
        for session in sessions {
            let asked = self.scheduler.poll_answer(session, &[]).map(|answer| answer.describe).unwrap_or_default();
            for dataset in asked {
                self.event(Event::Described { session, dataset, answer: Ok(study::content()) })?;
            }
        }
        Ok(())
    }

    /// A slot went to a trial: all others that waited for one like it were passed over.
    fn note(&mut self, lease: Lease, (session, slot): (SessionId, u32), waited: &[SweepId]) -> Result<(), String> {
        let Some(own) = self.trials.get(&lease.trial).copied() else { return Ok(()) };
        let workers = self.scheduler.workers();
        let worker = workers.iter().find(|worker| worker.session == session);
        let offered = worker.and_then(|worker| worker.slots.get(slot as usize)).and_then(|slot| slot.0.memory_bytes);
        // At most so many for each sweep that waits, and one for each that is as late.
        let bound = u64::from(LIMIT) * self.most_sweeps * self.most_sweeps + self.most_sweeps;
        for sweep in waited {
            let needs = self.owners.get(sweep).map_or(0, |(_, memory)| *memory);
            if *sweep == own {
                self.passed.insert(own, 0);
            } else if offered >= Some(needs) {
                let passed = self.passed.entry(*sweep).or_default();
                *passed += 1;
                self.counts.most_passed_over = self.counts.most_passed_over.max(*passed);
                if *passed > bound {
                    return Err(format!(
                        "{sweep} waits, and {passed} starts of others went before it; at most {bound}"
                    ));
                }
            }
        }
        Ok(())
    }
}
