//! A worker: it registers, polls, trains, keeps results on its disk until they are handed in, dies, and restarts.

use std::collections::BTreeMap;

use sweep_scheduler::event::{Ending, Instance, Service, Slot};
use sweep_scheduler::{Lease, PollAnswer, SessionId};

use super::network::{ToCoordinator, ToWorker};
use super::random::Random;
use super::study::{self, Machine};

/// An attempt with a lease.
#[derive(Debug, Clone)]
enum Held {
    Running { slot: u32, left: u64 },
    Ended { slot: u32, ending: Ending },
}

impl Held {
    fn slot(&self) -> u32 {
        match self {
            Self::Running { slot, .. } | Self::Ended { slot, .. } => *slot,
        }
    }
}

pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) machine: Machine,
    pub(crate) up: bool,
    instance: Instance,
    session: Option<SessionId>,
    /// The serial number of the newest register and poll; answers to older ones are dropped.
    registering: u64,
    polling: u64,
    draining: bool,
    held: BTreeMap<Lease, Held>,
    /// Endings on its disk.
    disk: BTreeMap<Lease, (u32, Ending)>,
}

/// The result of a worker's turn.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) says: Vec<ToCoordinator>,
    /// The real ends of attempts.
    pub(crate) ended: Vec<(Lease, Ending)>,
    /// A trial took it down.
    pub(crate) poisoned: bool,
}

impl Worker {
    pub(crate) fn new(name: String, folder: u64, machine: Machine) -> Self {
        Self {
            name,
            machine,
            up: false,
            instance: Instance { folder, process: 0 },
            session: None,
            registering: 0,
            polling: 0,
            draining: false,
            held: BTreeMap::new(),
            disk: BTreeMap::new(),
        }
    }

    /// kill -9.
    pub(crate) fn crash(&mut self) {
        self.up = false;
        self.session = None;
        self.held.clear();
    }

    /// A new process reads the disk.
    pub(crate) fn start(&mut self, random: &mut Random) {
        self.up = true;
        self.instance.process = random.next();
        self.session = None;
        self.polling = 0;
        self.draining = false;
        let ended = self
            .disk
            .iter()
            .map(|(lease, (slot, ending))| (*lease, Held::Ended { slot: *slot, ending: ending.clone() }));
        self.held = ended.collect();
    }

    /// Its machine is another one, of the same name: nothing is on its disk.
    pub(crate) fn replace(&mut self, random: &mut Random) {
        self.instance.folder = random.next();
        self.disk.clear();
    }

    /// SIGTERM: accepts nothing new, and hands running trials back.
    pub(crate) fn drain(&mut self) -> Vec<(Lease, Ending)> {
        self.draining = true;
        let running = |(lease, held): (&Lease, &Held)| match held {
            Held::Running { slot, .. } => Some((*lease, *slot)),
            Held::Ended { .. } => None,
        };
        let running: Vec<_> = self.held.iter().filter_map(running).collect();
        for (lease, slot) in &running {
            self.end(*lease, *slot, Ending::Stopped);
        }
        running.into_iter().map(|(lease, _)| (lease, Ending::Stopped)).collect()
    }

    fn end(&mut self, lease: Lease, slot: u32, ending: Ending) {
        self.disk.insert(lease, (slot, ending.clone()));
        self.held.insert(lease, Held::Ended { slot, ending });
    }

    fn forget(&mut self, lease: &Lease) {
        self.held.remove(lease);
        self.disk.remove(lease);
    }

    /// Some time passes on the worker.
    pub(crate) fn act(&mut self, random: &mut Random) -> Turn {
        let mut turn = Turn::default();
        if !self.up {
            return turn;
        }
        self.train(random, &mut turn);
        if turn.poisoned {
            return turn;
        }
        if self.draining && self.held.is_empty() {
            let goodbye = |session| ToCoordinator::Poll { serial: 0, session, held: Vec::new(), draining: true };
            turn.says.extend(self.session.map(goodbye));
            self.crash();
            return turn;
        }
        let Some(session) = self.session else {
            self.registering = random.next();
            let offer = Slot { device: "cpu".to_owned(), memory_bytes: Some(self.machine.memory_bytes) };
            turn.says.push(ToCoordinator::Register {
                serial: self.registering,
                slots: vec![offer; self.machine.slots],
                live: self.held.iter().map(|(lease, held)| (*lease, held.slot())).collect(),
                instance: self.instance,
            });
            return turn;
        };
        self.polling = random.next();
        let held = self.held.keys().copied().collect();
        turn.says.push(ToCoordinator::Poll { serial: self.polling, session, held, draining: self.draining });
        for (lease, held) in &self.held {
            if let Held::Ended { ending, .. } = held {
                turn.says.push(ToCoordinator::Finish { session, lease: *lease, ending: ending.clone() });
            }
        }
        turn
    }

    fn train(&mut self, random: &mut Random, turn: &mut Turn) {
        let mut over = Vec::new();
        for (lease, held) in &mut self.held {
            if let Held::Running { slot, left } = held {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    over.push((*lease, *slot));
                }
            }
        }
        for (lease, slot) in over {
            match study::ending(study::number(lease.trial), &self.machine, random) {
                Some(ending) => {
                    turn.ended.push((lease, ending.clone()));
                    self.end(lease, slot, ending);
                }
                None => turn.poisoned = true,
            }
        }
    }

    /// Handles a message. Data sets are described at once.
    pub(crate) fn receive(&mut self, message: ToWorker, random: &mut Random) -> Turn {
        let mut turn = Turn::default();
        if !self.up {
            return turn;
        }
        match message {
            ToWorker::Registered { serial, session, stop } if serial == self.registering => {
                (self.registering, self.polling) = (0, 0);
                self.session = Some(session);
                stop.iter().for_each(|lease| self.forget(lease));
            }
            ToWorker::Answer { serial, answer } if serial == self.polling => {
                self.polling = 0;
                self.obey(answer, random, &mut turn);
            }
            // An answer belongs to a call, and a call to a session: what an earlier session was told says nothing now.
            ToWorker::Accepted { session, lease } | ToWorker::Stale { session, lease } => {
                if self.session == Some(session) {
                    self.forget(&lease);
                }
            }
            ToWorker::UnknownSession { session } if self.session == Some(session) => self.session = None,
            ToWorker::Registered { .. } | ToWorker::Answer { .. } | ToWorker::UnknownSession { .. } => {}
        }
        turn
    }

    fn obey(&mut self, answer: PollAnswer, random: &mut Random, turn: &mut Turn) {
        answer.stop.iter().for_each(|lease| self.forget(lease));
        for start in answer.start {
            let left = 1 + random.below(5);
            self.held.entry(start.lease).or_insert(Held::Running { slot: start.slot, left });
        }
        if let Some(session) = self.session {
            for dataset in answer.describe {
                let answer = if random.one_in(10) { Err("no".to_owned()) } else { Ok(self.machine.described(random)) };
                turn.says.push(ToCoordinator::Describe { session, dataset, answer });
            }
        }
        match answer.service {
            Service::Draining => self.draining = true,
            Service::Leaving => turn.ended.extend(self.drain()),
            Service::Active | Service::Suspended { .. } => {}
        }
    }
}
