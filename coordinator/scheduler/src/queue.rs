//! Trials of a sweep that wait for a slot, in the order in which they start: by rank, then the longest first, then by their
//! position in the spec.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use sweep_spec::TrialId;

/// A place in a queue: by rank, then the longest first, then by place in the spec.
pub(crate) type Key = (u32, Reverse<u64>, u64);

/// Trials that wait for a slot, the longest of a rank first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Key, Entry>,
    /// The number of entries by the memory that they need.
    memory: BTreeMap<u64, u64>,
    /// The number of entries by rank.
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

    /// Of the entries that `wanted` accepts, the last one of the first rank.
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

    /// Whether the stored counts equal a recount.
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

/// Adds one to a count or subtracts one. A count of zero is removed.
pub(crate) fn count_one<K: Ord + Copy>(counts: &mut BTreeMap<K, u64>, key: K, more: bool) {
    let count = counts.entry(key).or_default();
    *count = if more { *count + 1 } else { count.saturating_sub(1) };
    if *count == 0 {
        counts.remove(&key);
    }
}
