//! Messages between workers and the coordinator. The network may lose, keep, repeat and reorder every one of them, and
//! each direction of each link may be cut.

use sweep_scheduler::event::{Ending, Instance, Slot};
use sweep_scheduler::{Lease, PollAnswer, SessionId};
use sweep_spec::Digest;

use super::counts::Counts;
use super::random::Random;

/// A message of a worker. An answer has the serial number of its question, as a call and its reply belong together.
#[derive(Debug, Clone)]
pub(crate) enum ToCoordinator {
    Register { serial: u64, slots: Vec<Slot>, live: Vec<(Lease, u32)>, instance: Instance },
    Poll { serial: u64, session: SessionId, held: Vec<Lease>, draining: bool },
    Describe { session: SessionId, dataset: Digest, answer: Result<Digest, String> },
    Finish { session: SessionId, lease: Lease, ending: Ending },
}

/// A message of the coordinator.
#[derive(Debug, Clone)]
pub(crate) enum ToWorker {
    Registered { serial: u64, session: SessionId, stop: Vec<Lease> },
    Answer { serial: u64, answer: PollAnswer },
    Accepted { session: SessionId, lease: Lease },
    Stale { session: SessionId, lease: Lease },
    UnknownSession { session: SessionId },
}

/// A message on its way, and which worker it comes from or goes to.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Up(usize, ToCoordinator),
    Down(usize, ToWorker),
}

/// The two directions of a worker's link.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cut {
    pub(crate) up: bool,
    pub(crate) down: bool,
}

/// More messages than this are dropped, the oldest first.
const MOST: usize = 200;

pub(crate) struct Network {
    messages: Vec<Message>,
    pub(crate) cuts: Vec<Cut>,
    /// Nothing is lost, repeated or reordered any more.
    pub(crate) calm: bool,
}

impl Network {
    pub(crate) fn new(workers: usize) -> Self {
        Self { messages: Vec::new(), cuts: vec![Cut::default(); workers], calm: false }
    }

    pub(crate) fn send(&mut self, message: Message, random: &mut Random, counts: &mut Counts) {
        if !self.calm && random.one_in(20) {
            counts.messages_lost += 1;
            return;
        }
        if !self.calm && random.one_in(20) {
            counts.messages_duplicated += 1;
            self.messages.push(message.clone());
        }
        if self.messages.len() >= MOST {
            self.messages.remove(0);
        }
        self.messages.push(message);
    }

    /// The next message that arrives.
    pub(crate) fn receive(&mut self, random: &mut Random, counts: &mut Counts) -> Option<Message> {
        if self.messages.is_empty() {
            return None;
        }
        let mut index = 0;
        if !self.calm && random.one_in(4) {
            index = random.below(self.messages.len() as u64) as usize;
            counts.messages_reordered += u64::from(index > 0);
        }
        let message = self.messages.remove(index);
        let cut = match &message {
            Message::Up(worker, _) => self.cuts[*worker].up,
            Message::Down(worker, _) => self.cuts[*worker].down,
        };
        if cut && !self.calm {
            // Behind a partition a message is lost, or it comes when nobody expects it any more.
            if random.one_in(3) {
                counts.messages_late += 1;
                self.messages.push(message);
            } else {
                counts.messages_lost += 1;
            }
            return None;
        }
        Some(message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
