//! Everything together: which fault comes when, and whether all ends well.

use sweep_scheduler::bug::Bug;
use sweep_scheduler::event::{Service, Until};
use sweep_scheduler::{Config, Event, SweepId, Timestamp, WorkerName};

use super::coordinator::Coordinator;
use super::counts::Counts;
use super::network::{Cut, Message, Network};
use super::random::Random;
use super::study::{self, LARGE, Machine, SMALL};
use super::worker::{Turn, Worker};

/// Workers that may be anything, before two that can run everything.
const WORKERS: usize = 4;
/// Rounds of turns after which a sweep that has not ended is stuck.
const SETTLE_ROUNDS: u32 = 4_000;

pub(crate) struct World {
    random: Random,
    now: Timestamp,
    coordinator: Coordinator,
    workers: Vec<Worker>,
    network: Network,
    sweeps: u64,
    counts: Counts,
    bug: Option<Bug>,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut random = Random::new(seed);
        let config = Config {
            max_losses: 4,
            release_batch: 2,
            pools: study::pools(),
            // Shorter than a lease: trials that nothing fits fail while workers are connected.
            unplaceable_grace_ms: 15_000,
            ..Config::default()
        };
        let mut workers: Vec<Worker> = (0..WORKERS)
            .map(|index| {
                let content = if random.one_in(6) { study::other_content() } else { study::content() };
                let memory_bytes = if random.one_in(2) { SMALL } else { LARGE };
                let slots = random.below(3) as usize;
                let (broken, lies) = (random.one_in(6), random.one_in(6));
                let machine = Machine { slots, memory_bytes, content, broken, lies };
                Worker::new(format!("w{index}"), index as u64, machine)
            })
            .collect();
        let machine = |content| Machine { slots: 2, memory_bytes: LARGE, content, broken: false, lies: false };
        for content in [study::content(), study::other_content()] {
            workers.push(Worker::new(format!("w{}", workers.len()), workers.len() as u64, machine(content)));
        }
        // Two of one name.
        workers.push(Worker::new("w0".to_owned(), workers.len() as u64, machine(study::content())));
        let mut world = Self {
            network: Network::new(workers.len()),
            random,
            now: Timestamp(1_000),
            coordinator: Coordinator::new(config),
            workers,
            sweeps: 0,
            counts: Counts { schedules: 1, ..Counts::default() },
            bug,
        };
        world.plant();
        world
    }

    fn plant(&mut self) {
        #[cfg(debug_assertions)]
        self.bug.into_iter().for_each(|bug| self.coordinator.scheduler.plant(bug));
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.add(&self.coordinator.counts);
        counts.attempts = self.coordinator.store.attempts_started;
        counts
    }

    /// Makes one random thing happen.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..=34 => self.deliver(),
            35..=64 => self.a_random_actor_acts(),
            65..=79 => self.commit(),
            80..=85 => self.time_passes(),
            86..=87 => self.worker_dies(),
            88..=90 => self.worker_starts(),
            91 => self.coordinator_dies(),
            92 => self.link_changes(),
            93..=95 => self.a_user_submits(),
            _ => self.a_user_changes_their_mind(),
        }
    }

    fn deliver(&mut self) -> Result<(), String> {
        let message = self.network.receive(&mut self.random, &mut self.counts);
        match message {
            None => Ok(()),
            Some(Message::Up(index, said)) => {
                let name = self.workers[index].name.clone();
                self.coordinator.receive(self.now, (index, &name), said)
            }
            Some(Message::Down(index, said)) => {
                let turn = self.workers[index].receive(said, &mut self.random);
                self.carry_out(index, turn);
                Ok(())
            }
        }
    }

    fn carry_out(&mut self, index: usize, turn: Turn) {
        for (lease, ending) in turn.ended {
            self.coordinator.happened(lease, ending);
        }
        for said in turn.says {
            self.network.send(Message::Up(index, said), &mut self.random, &mut self.counts);
        }
        if turn.poisoned {
            self.counts.poisonings += 1;
            self.workers[index].crash();
        }
    }

    fn a_random_actor_acts(&mut self) -> Result<(), String> {
        let index = self.random.below(self.workers.len() as u64) as usize;
        self.act(index);
        Ok(())
    }

    fn act(&mut self, index: usize) {
        let turn = self.workers[index].act(&mut self.random);
        self.carry_out(index, turn);
    }

    fn commit(&mut self) -> Result<(), String> {
        for message in self.coordinator.commit(self.now)? {
            self.network.send(message, &mut self.random, &mut self.counts);
        }
        Ok(())
    }

    fn time_passes(&mut self) -> Result<(), String> {
        let jump = [10, 1_000, 10_000, 40_000, 700_000][self.random.below(5) as usize];
        if self.random.one_in(4) {
            self.counts.clock_jumps_backward += 1;
            let earlier = Timestamp(self.now.0.saturating_sub(jump));
            return self.coordinator.event(earlier, Event::Tick).map(drop);
        }
        self.counts.clock_jumps_forward += u64::from(jump > 10_000);
        self.now = self.now.plus(jump);
        self.coordinator.event(self.now, Event::Tick).map(drop)
    }

    fn worker_dies(&mut self) -> Result<(), String> {
        let index = self.random.below(self.workers.len() as u64) as usize;
        if !self.workers[index].up {
            return Ok(());
        }
        if self.random.one_in(3) {
            self.counts.worker_drains += 1;
            let ended = self.workers[index].drain();
            self.carry_out(index, Turn { ended, ..Turn::default() });
        } else {
            self.counts.worker_crashes += 1;
            self.workers[index].crash();
        }
        Ok(())
    }

    fn worker_starts(&mut self) -> Result<(), String> {
        let index = self.random.below(self.workers.len() as u64) as usize;
        if !self.workers[index].up {
            self.counts.worker_restarts += 1;
            if self.random.one_in(8) {
                self.counts.names_replaced += 1;
                self.workers[index].replace(&mut self.random);
            }
            self.workers[index].start(&mut self.random);
        }
        Ok(())
    }

    fn coordinator_dies(&mut self) -> Result<(), String> {
        self.counts.coordinator_crashes += 1;
        self.counts.coordinator_crashes_with_uncommitted_work += u64::from(self.coordinator.has_uncommitted_work());
        // Its clock begins anew, and may be anywhere.
        self.coordinator.crash(self.now)?;
        self.plant();
        Ok(())
    }

    fn link_changes(&mut self) -> Result<(), String> {
        let index = self.random.below(self.workers.len() as u64) as usize;
        let cut = Cut { up: self.random.one_in(2), down: self.random.one_in(2) };
        self.counts.partitions += u64::from(cut.up && cut.down);
        self.counts.one_way_partitions += u64::from(cut.up != cut.down);
        self.network.cuts[index] = cut;
        Ok(())
    }

    fn a_user_submits(&mut self) -> Result<(), String> {
        self.commit()?;
        self.sweeps += 1;
        self.counts.submits += 1;
        let stages = study::stages(&mut self.random);
        self.counts.trials += stages.iter().map(|stage| stage.len() as u64).sum::<u64>();
        let priority = self.random.below(3) as i32;
        self.coordinator.submit(self.now, SweepId(self.sweeps), stages, priority)
    }

    fn a_user_changes_their_mind(&mut self) -> Result<(), String> {
        let sweep = SweepId(1 + self.random.below(self.sweeps + 1));
        let event = match self.random.below(8) {
            0 => {
                self.counts.cancels += 1;
                Event::CancelSweep { sweep }
            }
            1 => {
                self.counts.pauses += 1;
                Event::PauseSweep { sweep, paused: true }
            }
            2 => {
                self.counts.resumes += 1;
                Event::PauseSweep { sweep, paused: false }
            }
            3 => {
                self.counts.priorities += 1;
                Event::SetPriority { sweep, priority: self.random.below(5) as i32 }
            }
            4 | 5 => {
                // What the store has of it must be up to date.
                self.commit()?;
                self.counts.retries += 1;
                return self.coordinator.retry(self.now, sweep);
            }
            _ => {
                self.counts.services += 1;
                let worker = WorkerName(format!("w{}", self.random.below(7)));
                let suspended = Service::Suspended { reason: "no".into(), until: Until::Return };
                let services = [Service::Active, Service::Draining, Service::Leaving, suspended];
                let service = services[self.random.below(4) as usize].clone();
                Event::SetService { worker, service }
            }
        };
        self.coordinator.event(self.now, event).map(drop)
    }

    /// Ends the faults. Now all sweeps have to finish, and again after their failed trials are retried.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.come_to_the_end()?;
        let ended: Vec<SweepId> = self.coordinator.store.ended.keys().copied().collect();
        for sweep in ended {
            if self.random.one_in(2) {
                self.counts.retries += 1;
                self.coordinator.retry(self.now, sweep)?;
                self.commit()?;
            }
        }
        self.come_to_the_end()
    }

    fn come_to_the_end(&mut self) -> Result<(), String> {
        self.network.calm = true;
        self.network.cuts.iter_mut().for_each(|cut| *cut = Cut::default());
        self.workers.iter_mut().for_each(|worker| worker.machine.broken = false);
        // One machine is never seen again.
        let gone = self.random.below(WORKERS as u64) as usize;
        self.workers[gone].crash();
        for _ in 0..SETTLE_ROUNDS {
            if self.coordinator.store.live.is_empty() && self.coordinator.scheduler.live_sweeps().next().is_none() {
                // Two more rounds of turns, so that all workers learn of it.
                self.all_act(gone)?;
                self.all_act(gone)?;
                return self.check_the_end();
            }
            self.all_act(gone)?;
        }
        let waits = self.coordinator.scheduler.live_sweeps();
        let waits: Vec<_> = waits.map(|id| (id, self.coordinator.scheduler.waiting_for(id))).collect();
        Err(format!("these sweeps never end: {waits:?}"))
    }

    fn all_act(&mut self, gone: usize) -> Result<(), String> {
        let live: Vec<SweepId> = self.coordinator.scheduler.live_sweeps().collect();
        for sweep in live {
            self.coordinator.event(self.now, Event::PauseSweep { sweep, paused: false })?;
        }
        for index in (0..self.workers.len()).filter(|index| *index != gone) {
            let worker = WorkerName(self.workers[index].name.clone());
            self.coordinator.event(self.now, Event::SetService { worker, service: Service::Active })?;
            if !self.workers[index].up {
                self.workers[index].start(&mut self.random);
            }
            self.act(index);
        }
        while !self.network.is_empty() {
            self.deliver()?;
        }
        self.commit()?;
        while !self.network.is_empty() {
            self.deliver()?;
        }
        self.now = self.now.plus(5_000);
        self.coordinator.event(self.now, Event::Tick).map(drop)
    }

    /// Every sweep has ended, and every trial of it has an end.
    fn check_the_end(&self) -> Result<(), String> {
        let store = &self.coordinator.store;
        for id in self.coordinator.sweeps() {
            // A sweep whose submit was never committed was never acknowledged.
            let Some(sweep) = store.ended.get(&id) else { continue };
            for bound in &sweep.bound {
                if store.end_of(sweep, bound.trial).is_none() {
                    return Err(format!("{id} has ended, and trial {} has not", bound.trial.short()));
                }
            }
        }
        for worker in self.coordinator.scheduler.workers() {
            if let Some(lease) = worker.slots.iter().find_map(|(_, lease)| *lease) {
                return Err(format!("a slot of {} still holds {lease:?} when all has ended", worker.name));
            }
        }
        let (losses, failures) = store.most_tries();
        if losses > 4 || failures > 3 {
            return Err(format!("a round had {losses} losses and {failures} failures"));
        }
        Ok(())
    }
}
