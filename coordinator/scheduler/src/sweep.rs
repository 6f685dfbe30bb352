//! A live sweep: its stages, its references to trials, and its queue.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sweep_spec::{Digest, Outcome, TrialId};

use crate::event::NewSweep;
use crate::id::{StageIndex, Timestamp};

#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) spec: NewSweep,
    pub(crate) pin: Option<Digest>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) references: BTreeMap<TrialId, Reference>,
    pub(crate) queue: Queue,
    /// Live attempts of rounds that it is bound to.
    pub(crate) running: u32,
    /// The first failure, for the sweep's own reason.
    pub(crate) failure: Option<String>,
    /// Since when no connected worker can run anything that it waits for.
    pub(crate) unplaceable_since: Option<Timestamp>,
}

/// Where a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its trials are not known yet.
    Unopened,
    /// So many of its trials have not ended.
    Open { remaining: usize },
    /// All have.
    Ended,
}

/// A sweep's reference to a trial.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// The order in which trials of equal cost are taken.
    pub(crate) ordinal: u64,
    /// The stages that it belongs to, each once.
    pub(crate) stages: Vec<StageIndex>,
    pub(crate) state: ReferenceState,
}

/// Where a reference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceState {
    /// The data are not pinned, or the trial's open round is on other data.
    Unbound,
    /// It uses this round, which is open.
    Bound { round: u32 },
    /// The round has ended.
    Ended { round: u32, reused: bool, end: ReferenceEnd },
}

/// How a referenced round ended, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceEnd {
    Succeeded(Outcome),
    Failed,
    Cancelled,
}

impl Sweep {
    pub(crate) fn new(spec: NewSweep) -> Self {
        Self {
            pin: spec.pin,
            stages: vec![Stage::Unopened; spec.stages as usize],
            references: BTreeMap::new(),
            queue: Queue::default(),
            running: 0,
            failure: None,
            unplaceable_since: None,
            spec,
        }
    }

    /// Its place among sweeps that want a slot: first the higher priority, then the smaller share of what it may have.
    pub(crate) fn claim(&self) -> (Reverse<i32>, u64, u64) {
        let share = u64::from(self.running) * 1_000_000 / u64::from(self.spec.weight.max(1));
        (Reverse(self.spec.priority), share, self.spec.id.0)
    }
}

/// Trials that wait for a slot, the longest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<(Reverse<u64>, u64), Entry>,
    /// How many entries need so much memory.
    memory: BTreeMap<u64, usize>,
}

/// A trial in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) trial: TrialId,
    pub(crate) memory_bytes: u64,
}

impl Queue {
    pub(crate) fn insert(&mut self, cost: u64, ordinal: u64, entry: Entry) {
        if self.entries.insert((Reverse(cost), ordinal), entry).is_none() {
            *self.memory.entry(entry.memory_bytes).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, cost: u64, ordinal: u64) {
        let Some(entry) = self.entries.remove(&(Reverse(cost), ordinal)) else { return };
        if let Some(count) = self.memory.get_mut(&entry.memory_bytes) {
            *count -= 1;
            if *count == 0 {
                self.memory.remove(&entry.memory_bytes);
            }
        }
    }

    pub(crate) fn contains(&self, cost: u64, ordinal: u64) -> bool {
        self.entries.contains_key(&(Reverse(cost), ordinal))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The least memory that any entry needs.
    pub(crate) fn least_memory(&self) -> Option<u64> {
        self.memory.keys().next().copied()
    }

    /// The entries, the longest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.values().copied()
    }
}
