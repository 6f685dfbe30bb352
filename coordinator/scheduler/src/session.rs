//! A worker's session: its slots, its deadline, and its descriptions of data sets.

use std::collections::{BTreeMap, BTreeSet};

use sweep_spec::Digest;

use crate::id::{DatasetKey, Lease, PoolName, Timestamp, WorkerName};
use crate::worker::Slot;

#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) worker: WorkerName,
    pub(crate) pool: Option<PoolName>,
    pub(crate) slots: Vec<SlotState>,
    /// Every live attempt of the session is lost at this moment, unless a poll comes first.
    pub(crate) deadline: Timestamp,
    pub(crate) draining: bool,
    /// It is draining and has no lease: its process is about to end.
    pub(crate) left: bool,
    pub(crate) data: BTreeMap<DatasetKey, Knowledge>,
    /// Data sets that it has described wrongly.
    pub(crate) distrusted: BTreeSet<DatasetKey>,
    /// Attempts whose end the worker has reported in this session. A poll that was sent earlier may still name them.
    pub(crate) handed_in: BTreeSet<Lease>,
}

/// Attempts of one session that are remembered as handed in: no poll names more.
const MAX_HANDED_IN: usize = 4096;
/// Beyond this number, attempts that a poll does not name are forgotten. Polls may overtake each other, so not before.
const KEPT_HANDED_IN: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct SlotState {
    pub(crate) offer: Slot,
    pub(crate) use_: SlotUse,
}

/// The use of a slot.
///
/// ```text
///   free ─ assigned ─▶ busy ─ finished ─▶ free
///                       │
///                       └─ no sweep needs it ─▶ stopping ─ the worker dropped the lease ─▶ free
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotUse {
    Free,
    Busy(Lease),
    /// The attempt has ended here, but the worker may not know it yet.
    Stopping(Lease),
}

/// A session's description of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Asked, without an answer yet.
    Asked,
    /// The digest that it read.
    Present(Digest),
    /// It could not read the data. It is asked again at `ask_again`.
    Absent { reason: String, ask_again: Timestamp },
    /// It could not read the data, and was asked again.
    AskedAgain { reason: String },
}

impl Session {
    pub(crate) fn new(worker: WorkerName, offers: Vec<Slot>, deadline: Timestamp) -> Self {
        let slots = offers.into_iter().map(|offer| SlotState { offer, use_: SlotUse::Free }).collect();
        let (data, distrusted, handed_in) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { worker, pool: None, slots, deadline, draining: false, left: false, data, distrusted, handed_in }
    }

    /// Notes that the worker has reported the end of an attempt.
    pub(crate) fn hand_in(&mut self, lease: Lease) {
        if self.handed_in.len() < MAX_HANDED_IN {
            self.handed_in.insert(lease);
        }
    }

    /// Forgets attempts that a poll no longer names, if there are many.
    pub(crate) fn keep_handed_in(&mut self, held: &[Lease]) {
        if self.handed_in.len() > KEPT_HANDED_IN {
            let held: BTreeSet<Lease> = held.iter().copied().collect();
            self.handed_in.retain(|lease| held.contains(lease));
        }
    }

    pub(crate) fn holds(&self, lease: Lease) -> Option<u32> {
        self.slots.iter().position(|slot| slot.use_ == SlotUse::Busy(lease)).map(|index| index as u32)
    }

    /// Puts an attempt of `live` on the slot that its worker names, if that is free.
    pub(crate) fn occupy(&mut self, lease: Lease, live: &[(Lease, u32)]) -> Option<u32> {
        let slot = live.iter().find(|(alive, _)| *alive == lease).map(|(_, slot)| *slot)?;
        let state = self.slots.get_mut(slot as usize).filter(|state| state.use_ == SlotUse::Free)?;
        state.use_ = SlotUse::Busy(lease);
        Some(slot)
    }

    pub(crate) fn free_slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.use_ == SlotUse::Free).map(|(index, _)| index as u32)
    }

    /// Whether some slot, once free, has this much memory.
    pub(crate) fn fits(&self, memory_bytes: u64) -> bool {
        self.slots.iter().any(|slot| slot.offer.fits(memory_bytes))
    }

    /// The data sets whose description is missing.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = DatasetKey> + '_ {
        let asked = |known: &Knowledge| matches!(known, Knowledge::Asked | Knowledge::AskedAgain { .. });
        self.data.iter().filter(move |(_, known)| asked(known)).map(|(dataset, _)| *dataset)
    }

    /// The content of a data set, if it has read it.
    pub(crate) fn content(&self, dataset: &DatasetKey) -> Option<Digest> {
        match self.data.get(dataset)? {
            Knowledge::Present(digest) => Some(*digest),
            Knowledge::Asked | Knowledge::Absent { .. } | Knowledge::AskedAgain { .. } => None,
        }
    }

    pub(crate) fn has(&self, dataset: &DatasetKey, pin: Digest) -> bool {
        self.content(dataset) == Some(pin)
    }
}

impl Slot {
    /// Whether a trial that needs this much memory can run here.
    pub(crate) fn fits(&self, memory_bytes: u64) -> bool {
        self.memory_bytes.is_none_or(|offered| offered >= memory_bytes)
    }
}
