//! A live sweep: its stages, its references to trials, and its queue.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use sweep_spec::{Digest, TrialCounts, TrialId};

use crate::ends::SweepEnd;
use crate::hold::Canary;
use crate::id::{StageIndex, Timestamp};
use crate::queue::{Entry, Queue, count_one};
use crate::reference::{Reference, ReferenceState};
use crate::submission::{NewSweep, WantedTrial};

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
    /// Its trials by state, each counted once.
    pub(crate) totals: TrialCounts,
    /// The trials of each stage by state.
    pub(crate) stage_totals: Vec<TrialCounts>,
    /// The first failure, for the sweep's own reason.
    pub(crate) failure: Option<String>,
    /// Stages that failed to open.
    pub(crate) failed_stages: BTreeSet<StageIndex>,
    /// Since when no connected worker can run anything that it waits for.
    pub(crate) unplaceable_since: Option<Timestamp>,
    pub(crate) canary: Canary,
    /// Set while it is being cancelled.
    pub(crate) stopping: Option<Stopping>,
    /// How many of its trials are bound to no round, by the memory that they need.
    pub(crate) unbound: BTreeMap<u64, u64>,
    /// The number of the start that it got last, among all starts.
    pub(crate) served: u64,
    /// Starts of others since then in slots that it could have had.
    pub(crate) passed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its trials are not known yet.
    Unopened,
    /// `remaining` trials have not ended.
    Open {
        remaining: usize,
    },
    Ended,
}

/// A sweep on its way to its end.
#[derive(Debug, Clone)]
pub(crate) struct Stopping {
    pub(crate) end: SweepEnd,
    /// A round of the sweep was cancelled, so that a restart finds the cancellation in the store.
    pub(crate) shown: bool,
    /// The trial that was released last; they go in the order of their ids.
    pub(crate) last: Option<TrialId>,
}

impl Stopping {
    /// The range of trials that are not released yet.
    pub(crate) fn rest(&self) -> (Bound<TrialId>, Bound<TrialId>) {
        (self.last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }
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
            totals: TrialCounts::default(),
            stage_totals: vec![TrialCounts::default(); spec.stages as usize],
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

    /// Records that a stage needs a trial. Returns whether the stage has to wait for it (once, and not if it has
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
            reference.state.add_to(&mut self.totals);
            *self.unbound.entry(wanted.memory_bytes).or_default() += 1;
        }
        if reference.stages.contains(&stage) {
            return (false, new);
        }
        reference.stages.push(stage);
        if let Some(totals) = self.stage_totals.get_mut(stage as usize) {
            reference.state.add_to(totals);
        }
        (!matches!(reference.state, ReferenceState::Ended { .. }), new)
    }

    /// Unbinds its references from open rounds, and returns their trials.
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
        before.remove_from(&mut self.totals);
        state.add_to(&mut self.totals);
        for stage in &reference.stages {
            if let Some(totals) = self.stage_totals.get_mut(*stage as usize) {
                before.remove_from(totals);
                state.add_to(totals);
            }
        }
    }

    /// The trials that may be started, in their order.
    pub(crate) fn startable(&self) -> Box<dyn Iterator<Item = Entry> + '_> {
        match &self.canary.held {
            Some(held) => Box::new(held.keys.keys().filter_map(|key| self.queue.get(*key))),
            None => Box::new(self.queue.iter()),
        }
    }

    /// The least memory that any of them needs.
    pub(crate) fn least_memory(&self) -> Option<u64> {
        match &self.canary.held {
            Some(_) => self.startable().map(|entry| entry.memory_bytes).min(),
            None => self.queue.least_memory(),
        }
    }

    /// Whether a sweep that is being cancelled has trials left to release.
    pub(crate) fn has_more_to_do(&self) -> bool {
        self.stopping.as_ref().is_none_or(|stopping| self.references.range(stopping.rest()).next().is_some())
    }

    /// Whether something of it could be started now.
    pub(crate) fn is_ready(&self) -> bool {
        !self.rests() && self.startable().next().is_some()
    }

    /// Whether none of its trials may start.
    pub(crate) fn rests(&self) -> bool {
        self.spec.paused || self.spec.allowance == Some(0) || self.stopping.is_some()
    }
}
