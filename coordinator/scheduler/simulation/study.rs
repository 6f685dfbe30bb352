//! The studies: sweeps of a few stages over trials that succeed, diverge, fail, run out of memory, or kill their
//! worker.

use sweep_scheduler::event::{Ending, WantedTrial};
use sweep_scheduler::{Pool, PoolName};
use sweep_spec::{Digest, FailureClass, Outcome, TrialId};

use super::random::Random;

/// The data set of every sweep, and its content.
pub(crate) fn dataset() -> Digest {
    Digest::of(b"reference")
}

pub(crate) fn content() -> Digest {
    Digest::of(b"content")
}

/// A content that some workers have instead.
pub(crate) fn other_content() -> Digest {
    Digest::of(b"other content")
}

/// Trials that any sweep may want: few, so that sweeps share them.
pub(crate) const TRIALS: u64 = 24;
/// Trials that nearly always fail in the same way: a sweep of them is a mistake of its submitter. Their numbers follow
/// the others.
const SLIPS: u64 = 10;
/// Memory of a small slot and of a large one.
pub(crate) const SMALL: u64 = 1 << 30;
pub(crate) const LARGE: u64 = 1 << 32;

pub(crate) fn trial(number: u64) -> TrialId {
    TrialId::of(&number.to_le_bytes())
}

/// The behaviour of a trial on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    Diverges,
    /// Every attempt fails with this class.
    Fails(FailureClass),
    /// It sometimes fails.
    Flaky,
    /// It needs a large slot, and the prediction is too small.
    Hungry,
    /// It kills its worker.
    Poison,
    /// It fails like all of its kind, with rare exceptions.
    Slip,
}

pub(crate) fn nature(number: u64) -> Nature {
    match number {
        0 => Nature::Poison,
        1 => Nature::Fails(FailureClass::Spec),
        2 => Nature::Fails(FailureClass::Trainer),
        3 => Nature::Hungry,
        4 => Nature::Diverges,
        5..=7 => Nature::Flaky,
        TRIALS.. => Nature::Slip,
        _ => Nature::Good,
    }
}

/// A pool of one worker, whose slots are large.
pub(crate) fn pools() -> Vec<Pool> {
    let (name, device) = (PoolName("large".to_owned()), "cpu".to_owned());
    vec![Pool { name, slots: 2, device, memory_bytes: Some(LARGE), max_workers: Some(1) }]
}

/// The pool that a worker belongs to.
pub(crate) fn pool_of(worker: &str) -> Option<PoolName> {
    (worker == "w4").then(|| PoolName("large".to_owned()))
}

/// The machine of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) slots: usize,
    pub(crate) memory_bytes: u64,
    /// The content of its data set.
    pub(crate) content: Digest,
    /// Every trial fails on it.
    pub(crate) broken: bool,
    /// It describes content that no worker has, different each time, and trains on its real content.
    pub(crate) lies: bool,
}

impl Machine {
    /// The content that it describes.
    pub(crate) fn described(&self, random: &mut Random) -> Digest {
        if self.lies { Digest::of(&random.next().to_le_bytes()) } else { self.content }
    }
}

/// How an attempt of a trial ends on a machine; `None` when it takes the worker with it.
pub(crate) fn ending(number: u64, machine: &Machine, random: &mut Random) -> Option<Ending> {
    let failed = |class| Some(Ending::Failed { class, reason: "as planned".to_owned() });
    let succeeded = |outcome| Some(Ending::Succeeded { outcome, data_digest: machine.content });
    match nature(number) {
        Nature::Poison => None,
        _ if machine.broken => failed(FailureClass::Trainer),
        Nature::Fails(class) => failed(class),
        Nature::Slip if !random.one_in(8) => failed(FailureClass::Trainer),
        Nature::Flaky if random.one_in(3) => failed(FailureClass::Trainer),
        Nature::Hungry if machine.memory_bytes < LARGE => failed(FailureClass::OutOfMemory),
        Nature::Diverges => succeeded(Outcome::Diverged),
        Nature::Good | Nature::Flaky | Nature::Hungry | Nature::Slip => succeeded(Outcome::Converged),
    }
}

/// The number of a trial.
pub(crate) fn number(id: TrialId) -> u64 {
    (0..TRIALS + SLIPS).find(|number| trial(*number) == id).unwrap_or(u64::MAX)
}

/// The stages of a sweep: each is a few trials, possibly some of an earlier one.
pub(crate) fn stages(random: &mut Random) -> Vec<Vec<u64>> {
    let stage = |random: &mut Random| (0..random.below(6)).map(|_| random.below(TRIALS)).collect();
    if random.one_in(6) {
        let first = TRIALS + random.below(4);
        return vec![(first..=first + 4 + random.below(2)).collect(), stage(random)];
    }
    (0..1 + random.below(3)).map(|_| stage(random)).collect()
}

pub(crate) fn wanted(number: u64) -> WantedTrial {
    WantedTrial {
        id: trial(number),
        cost: 1 + number % 3,
        // Some are known to need a large slot.
        memory_bytes: if number % 8 == 7 { LARGE / 2 } else { SMALL / 2 },
        history: Default::default(),
        rank: 0,
    }
}
