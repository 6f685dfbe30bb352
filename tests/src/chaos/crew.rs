//! The processes of a run and their faults: a killed process is restarted, a frozen one is woken in time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Serialize;

use super::Error;
use super::plan::Fault;
use crate::fleet::{Fleet, Process};

/// The most time that a process may take to leave.
const LEAVING: Duration = Duration::from_secs(30);

/// The faults of a fleet.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Done {
    /// `kill -9` of a worker.
    pub worker_kills: u32,
    /// `kill -9` of the coordinator.
    pub coordinator_kills: u32,
    /// Workers frozen for longer than their lease.
    pub worker_pauses: u32,
    /// The coordinator frozen for longer than a lease.
    pub coordinator_pauses: u32,
    /// Workers that were asked to leave.
    pub drains: u32,
    /// Workers that were killed by a trial.
    pub poisoned: u32,
}

/// A process that comes back.
struct Member {
    process: Process,
    /// When it is woken, if it is frozen.
    wakes: Option<Instant>,
    /// It was asked to leave.
    leaving: bool,
}

impl Member {
    fn new(process: Process) -> Self {
        Self { process, wakes: None, leaving: false }
    }

    fn freeze(&mut self, time: Duration) {
        self.process.signal(Signal::STOP);
        self.wakes = Some(Instant::now() + time);
    }

    fn wake_in_time(&mut self) {
        if self.wakes.is_some_and(|wakes| wakes <= Instant::now()) {
            self.process.signal(Signal::CONT);
            self.wakes = None;
        }
    }
}

/// A coordinator and its workers.
pub(super) struct Crew<'a> {
    fleet: &'a Fleet,
    /// How long a process stays frozen.
    pause: Duration,
    /// Whether a worker may be killed by its trial.
    poison: bool,
    address: SocketAddr,
    coordinator: Member,
    workers: Vec<Member>,
    pub(super) done: Done,
}

fn name(worker: usize) -> String {
    format!("w{}", worker + 1)
}

impl<'a> Crew<'a> {
    pub(super) fn start(fleet: &'a Fleet, workers: usize, pause: Duration, poison: bool) -> Result<Self, Error> {
        let (coordinator, address) = fleet.coordinator(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let start = |worker| fleet.worker(&name(worker), address).map(Member::new);
        let workers = (0..workers).map(start).collect::<Result<_, _>>()?;
        let coordinator = Member::new(coordinator);
        Ok(Self { fleet, pause, poison, address, coordinator, workers, done: Done::default() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Causes a fault now.
    pub(super) fn befall(&mut self, fault: Fault) -> Result<(), Error> {
        match fault {
            Fault::KillWorker(worker) => {
                self.replace(worker)?;
                self.done.worker_kills += 1;
            }
            Fault::KillCoordinator => {
                self.coordinator.process.kill();
                self.coordinator = Member::new(self.fleet.coordinator(self.address)?.0);
                self.done.coordinator_kills += 1;
            }
            Fault::PauseWorker(worker) => {
                self.workers[worker].freeze(self.pause);
                self.done.worker_pauses += 1;
            }
            Fault::PauseCoordinator => {
                self.coordinator.freeze(self.pause);
                self.done.coordinator_pauses += 1;
            }
            Fault::DrainWorker(worker) => {
                let member = &mut self.workers[worker];
                // One that is frozen hears it when it wakes; a second one would end it at once.
                if !std::mem::replace(&mut member.leaving, true) {
                    member.process.signal(Signal::TERM);
                    self.done.drains += 1;
                }
            }
        }
        Ok(())
    }

    /// Wakes who is to be woken, and starts again who has ended.
    pub(super) fn look_after(&mut self) -> Result<(), Error> {
        self.coordinator.wake_in_time();
        if let Some(status) = self.coordinator.process.ended() {
            return Err(format!("the coordinator ended by itself: {status}").into());
        }
        for worker in 0..self.workers.len() {
            let member = &mut self.workers[worker];
            member.wake_in_time();
            let Some(status) = member.process.ended() else { continue };
            match (member.leaving, status.code()) {
                (true, Some(0)) => {}
                (_, None) if self.poison => self.done.poisoned += 1,
                _ => return Err(format!("{} ended by itself: {status}", name(worker)).into()),
            }
            self.replace(worker)?;
        }
        Ok(())
    }

    fn replace(&mut self, worker: usize) -> Result<(), Error> {
        let started = |fleet: &Fleet| fleet.worker(&name(worker), self.address).map(Member::new);
        // The old one must be gone first: its folder is locked.
        self.workers[worker].process.kill();
        self.workers[worker] = started(self.fleet)?;
        Ok(())
    }

    /// Has all of them leave in good order, workers first.
    pub(super) fn dismiss(mut self) -> Result<Done, Error> {
        for member in &mut self.workers {
            member.process.signal(Signal::CONT);
            if !member.leaving {
                member.process.signal(Signal::TERM);
            }
        }
        self.coordinator.process.signal(Signal::CONT);
        for (worker, member) in self.workers.into_iter().enumerate() {
            expect_success(&name(worker), member.process)?;
        }
        self.coordinator.process.signal(Signal::TERM);
        expect_success("the coordinator", self.coordinator.process)?;
        Ok(self.done)
    }
}

fn expect_success(name: &str, process: Process) -> Result<(), Error> {
    let status = process.wait(LEAVING)?;
    if status.success() { Ok(()) } else { Err(format!("{name} was to leave and ended with {status}").into()) }
}
