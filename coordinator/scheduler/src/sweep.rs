//! A live sweep: its stages, its references to trials, and its queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use sweep_spec::{Digest, Outcome, TrialId};

use crate::canary::Canary;
use crate::event::{NewSweep, WantedTrial};
use crate::id::{StageIndex, Timestamp};
use crate::stopping::Stopping;

#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) spec: NewSweep,
    pub(crate) pin: Option<Digest>,
    /// How often workers have changed the pin.
    pub(crate) pin_changes: u32,
    /// A sweep that shared the pin, and is gone, had a trial that succeeded with it.
    pub(crate) confirmed: bool,
    pub(crate) stages: Vec<Stage>,
    pub(crate) references: BTreeMap<TrialId, Reference>,
    pub(crate) queue: Queue,
    /// Where its trials stand, each once.
    pub(crate) totals: SweepCounts,
    /// Where the trials of each stage stand.
    pub(crate) stage_totals: Vec<SweepCounts>,
    /// The first failure, for the sweep's own reason.
    pub(crate) failure: Option<String>,
    /// Stages that failed to open.
    pub(crate) failed_stages: BTreeSet<StageIndex>,
    /// Since when no connected worker can run anything that it waits for.
    pub(crate) unplaceable_since: Option<Timestamp>,
    /// What its first trials have shown.
    pub(crate) canary: Canary,
    /// It is being cancelled.
    pub(crate) stopping: Option<Stopping>,
    /// How many of its trials are bound to no round, by the memory that they need.
    pub(crate) unbound: BTreeMap<u64, u64>,
    /// The number of the start that it got last, among all starts.
    pub(crate) served: u64,
    /// Starts of others since then in slots that it could have had.
    pub(crate) passed: u64,
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
    /// Lower goes first, whatever it costs.
    pub(crate) rank: u32,
    /// The order in which trials of equal cost are taken.
    pub(crate) ordinal: u64,
    /// Memory that it needs, as it was predicted.
    pub(crate) memory_bytes: u64,
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
    Bound { round: u32, running: bool },
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
            pin_changes: 0,
            confirmed: false,
            stages: vec![Stage::Unopened; spec.stages as usize],
            references: BTreeMap::new(),
            queue: Queue::default(),
            totals: SweepCounts::default(),
            stage_totals: vec![SweepCounts::default(); spec.stages as usize],
            failure: None,
            failed_stages: BTreeSet::new(),
            unplaceable_since: None,
            canary: Canary::default(),
            stopping: None,
            unbound: BTreeMap::new(),
            served: 0,
            passed: 0,
            spec,
        }
    }

    /// Notes that a stage wants a trial. Says whether the stage has to wait for it (it counts once, and not if it has
    /// ended), and whether the reference is new.
    pub(crate) fn refer(&mut self, wanted: &WantedTrial, stage: StageIndex) -> (bool, bool) {
        let ordinal = self.references.len() as u64;
        let mut new = false;
        let reference = self.references.entry(wanted.id).or_insert_with(|| {
            new = true;
            let (rank, memory_bytes) = (wanted.rank, wanted.memory_bytes);
            Reference { rank, ordinal, memory_bytes, stages: Vec::new(), state: ReferenceState::Unbound }
        });
        if new {
            self.totals.add(reference.state);
            *self.unbound.entry(wanted.memory_bytes).or_default() += 1;
        }
        if reference.stages.contains(&stage) {
            return (false, new);
        }
        reference.stages.push(stage);
        if let Some(totals) = self.stage_totals.get_mut(stage as usize) {
            totals.add(reference.state);
        }
        (!matches!(reference.state, ReferenceState::Ended { .. }), new)
    }

    /// Takes its references off the open rounds that they are bound to, and says which trials these were.
    pub(crate) fn unbind_open(&mut self) -> Vec<TrialId> {
        let bound = |reference: &Reference| matches!(reference.state, ReferenceState::Bound { .. });
        let open: Vec<TrialId> =
            self.references.iter().filter(|(_, reference)| bound(reference)).map(|(trial, _)| *trial).collect();
        for trial in &open {
            self.set_state(*trial, ReferenceState::Unbound);
        }
        open
    }

    /// The one place where a reference's state changes, so that the totals follow.
    pub(crate) fn set_state(&mut self, trial: TrialId, state: ReferenceState) {
        let Some(reference) = self.references.get_mut(&trial) else { return };
        let before = std::mem::replace(&mut reference.state, state);
        let was = before == ReferenceState::Unbound;
        let is = state == ReferenceState::Unbound;
        if was != is {
            count_one(&mut self.unbound, reference.memory_bytes, is);
        }
        self.totals.remove(before);
        self.totals.add(state);
        for stage in &reference.stages {
            if let Some(totals) = self.stage_totals.get_mut(*stage as usize) {
                totals.remove(before);
                totals.add(state);
            }
        }
    }

    /// Whether something of it could be started now.
    pub(crate) fn is_ready(&self) -> bool {
        !self.rests() && self.startable().next().is_some()
    }

    /// Whether nothing of it may be started, whatever waits.
    pub(crate) fn rests(&self) -> bool {
        self.spec.paused || self.spec.allowance == Some(0) || self.stopping.is_some()
    }
}

/// Counts one more, or one less. What there is none of is not kept.
fn count_one<K: Ord + Copy>(counts: &mut BTreeMap<K, u64>, key: K, more: bool) {
    let count = counts.entry(key).or_default();
    *count = if more { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        counts.remove(&key);
    }
}

impl Reference {
    /// Its place in a queue.
    pub(crate) fn key(&self, cost: u64) -> Key {
        (self.rank, Reverse(cost), self.ordinal)
    }

    pub(crate) fn is_bound_to(&self, number: u32) -> bool {
        matches!(self.state, ReferenceState::Bound { round, .. } if round == number)
    }
}

/// How many trials of a sweep stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepCounts {
    /// They wait.
    pub queued: u64,
    /// An attempt is live.
    pub running: u64,
    /// Ended with a result, diverged ones included.
    pub succeeded: u64,
    /// Of the succeeded ones.
    pub diverged: u64,
    /// Ended without a result.
    pub failed: u64,
    /// Ended because nobody wanted them.
    pub cancelled: u64,
    /// Of the succeeded ones, those whose result was known before.
    pub reused: u64,
}

impl SweepCounts {
    pub(crate) fn add(&mut self, state: ReferenceState) {
        self.change(state, |count| *count += 1);
    }

    fn remove(&mut self, state: ReferenceState) {
        self.change(state, |count| *count = count.saturating_sub(1));
    }

    fn change(&mut self, state: ReferenceState, by_one: impl Fn(&mut u64)) {
        match state {
            ReferenceState::Unbound | ReferenceState::Bound { running: false, .. } => by_one(&mut self.queued),
            ReferenceState::Bound { running: true, .. } => by_one(&mut self.running),
            ReferenceState::Ended { end: ReferenceEnd::Failed, .. } => by_one(&mut self.failed),
            ReferenceState::Ended { end: ReferenceEnd::Cancelled, .. } => by_one(&mut self.cancelled),
            ReferenceState::Ended { end: ReferenceEnd::Succeeded(outcome), reused, .. } => {
                by_one(&mut self.succeeded);
                if reused {
                    by_one(&mut self.reused);
                }
                if outcome == Outcome::Diverged {
                    by_one(&mut self.diverged);
                }
            }
        }
    }
}

/// A place in a queue: by rank, then the longest first, then by place in the spec.
pub(crate) type Key = (u32, Reverse<u64>, u64);

/// Trials that wait for a slot, the longest of a rank first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Key, Entry>,
    /// How many entries need so much memory.
    memory: BTreeMap<u64, u64>,
    /// How many entries have each rank.
    ranks: BTreeMap<u32, u64>,
}

/// A trial in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) trial: TrialId,
    pub(crate) memory_bytes: u64,
}

impl Queue {
    pub(crate) fn insert(&mut self, key: Key, entry: Entry) {
        if self.entries.insert(key, entry).is_none() {
            count_one(&mut self.memory, entry.memory_bytes, true);
            count_one(&mut self.ranks, key.0, true);
        }
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(&key) else { return };
        count_one(&mut self.memory, entry.memory_bytes, false);
        count_one(&mut self.ranks, key.0, false);
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.entries.contains_key(&key)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Entry> {
        self.entries.get(&key).copied()
    }

    /// The last entry of those that go first by rank, among those that `wanted` takes.
    pub(crate) fn last_of_first_rank(&self, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let rank = self.entries.iter().find(|(_, entry)| wanted(entry)).map(|((rank, ..), _)| *rank)?;
        let last = (rank, Reverse(0), u64::MAX);
        self.entries.range(..=last).rev().map(|(_, entry)| *entry).find(wanted)
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

    /// The memory that its entries need, least first, each with how many entries need it.
    pub(crate) fn memory(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.memory.iter().map(|(bytes, count)| (*bytes, *count))
    }

    /// The ranks of its entries, each with how many entries have it.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.ranks.iter().map(|(rank, count)| (*rank, *count))
    }

    /// The entries of some ranks in their order.
    pub(crate) fn of_ranks(&self, ranks: RangeInclusive<u32>) -> impl Iterator<Item = Entry> + '_ {
        let (first, last) = ((*ranks.start(), Reverse(u64::MAX), 0), (*ranks.end(), Reverse(0), u64::MAX));
        let range = if first <= last { Some(self.entries.range(first..=last)) } else { None };
        range.into_iter().flatten().map(|(_, entry)| *entry)
    }

    /// Whether the counts agree with what is counted.
    pub(crate) fn counts_agree(&self) -> bool {
        let (mut memory, mut ranks) = (BTreeMap::new(), BTreeMap::new());
        for ((rank, ..), entry) in &self.entries {
            *memory.entry(entry.memory_bytes).or_default() += 1;
            *ranks.entry(*rank).or_default() += 1;
        }
        memory == self.memory && ranks == self.ranks
    }

    /// The entries in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.values().copied()
    }
}
