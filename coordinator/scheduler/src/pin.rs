//! Pins a sweep to one content of its data set while workers disagree.
//!
//! The first description pins a sweep, so that it need not wait for a second one. Until a trial has succeeded with the
//! pin, the pin follows the majority: when more connected workers describe another content, every sweep with the pin
//! gets that content instead, and its rounds start again. A result with the pin, in any sweep, confirms it, and a pin
//! in the spec needs no confirmation. After that, a worker with other data gets no trials. A worker that fails a trial
//! because of its data has described them wrongly: it is asked again, and its description does not count.

use std::collections::{BTreeMap, BTreeSet};

use sweep_spec::{Digest, FailureClass, TrialId};

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::Effect;
use crate::ends::{Ending, RoundEnd};
use crate::id::{DatasetKey, Lease, SessionId, SweepId, WorkerName};
use crate::reference::{ReferenceEnd, ReferenceState};
use crate::session::{Knowledge, Session};
use crate::sweep::Sweep;
use crate::trial::{Round, RoundState};
use crate::worker::Service;

/// How often the pin of a sweep may follow the workers. Those that come and go with ever new contents must not keep a sweep
/// from its end.
const MAX_CHANGES: u32 = 8;

/// Who reads a content: how many workers, and in which session it was first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Readers {
    count: usize,
    first: SessionId,
}

type Votes = BTreeMap<Digest, Readers>;

impl Sweep {
    /// Whether workers can no longer change the pin.
    fn confirms_pin(&self) -> bool {
        self.spec.settled || self.confirmed || self.totals.succeeded > 0
    }
}

impl Scheduler {
    /// The content that most connected workers read in a data set; of equally frequent ones, the one that was read
    /// first.
    pub(crate) fn most_read(&self, dataset: &DatasetKey) -> Option<Digest> {
        most(&self.votes(dataset)).map(|(digest, _)| digest)
    }

    /// Whether neither a result nor the spec confirms this pin.
    pub(crate) fn is_in_doubt(&self, sweep: &Sweep) -> bool {
        let Some(pin) = sweep.pin else { return false };
        !self.sharing(&sweep.spec.dataset, pin).any(Sweep::confirms_pin)
    }

    /// Settles the data of a sweep; now its trials can be bound.
    pub(crate) fn pin(&mut self, id: SweepId, digest: Digest, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        sweep.pin = Some(digest);
        effects.push(Effect::DataPinned { sweep: id, digest });
        self.bind_unbound(id, effects);
    }

    /// Removes a sweep. Its confirmation stays valid for other sweeps with the same pin.
    pub(crate) fn remove_sweep(&mut self, id: SweepId) -> Option<Sweep> {
        self.stopping.remove(&id);
        let sweep = self.sweeps.remove(&id)?;
        if sweep.confirms_pin() {
            let shares = |other: &&mut Sweep| other.spec.dataset == sweep.spec.dataset && other.pin == sweep.pin;
            self.sweeps.values_mut().filter(shares).for_each(|other| other.confirmed = true);
        }
        Some(sweep)
    }

    /// Marks all data sets that a session was asked about: their readers may have changed.
    pub(crate) fn votes_may_change(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        self.votes_changed.extend(session.data.keys().copied());
    }

    /// Moves unconfirmed pins to the content that most workers read, where that has changed.
    pub(crate) fn follow_majority(&mut self, effects: &mut Vec<Effect>) {
        let changed = std::mem::take(&mut self.votes_changed);
        if changed.is_empty() || self.has(Bug::PinnedByOneWord) {
            return;
        }
        let of_these = self.sweeps.values().filter(|sweep| changed.contains(&sweep.spec.dataset));
        let pins: BTreeSet<(DatasetKey, Digest)> =
            of_these.filter_map(|sweep| Some((sweep.spec.dataset, sweep.pin?))).collect();
        for (dataset, pin) in pins {
            if let Some(better) = self.outvoted(&dataset, pin) {
                self.repin(dataset, (pin, better), effects);
            }
        }
    }

    /// A worker that described the pinned content fails a trial because of its data: its description does not count any
    /// more.
    pub(crate) fn note_data(
        &mut self,
        lease: Lease,
        (ending, worker): (&Ending, &WorkerName),
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(ending, Ending::Failed { class: FailureClass::Data, .. }) {
            return;
        }
        let wanted_by = self.trials.get(&lease.trial).into_iter().flat_map(|trial| &trial.wanted_by);
        let mut sweeps = wanted_by.filter_map(|id| self.sweeps.get(id));
        let Some(sweep) = sweeps.find(|sweep| self.is_in_doubt(sweep)) else { return };
        let dataset = sweep.spec.dataset;
        let Some(id) = self.workers.get(worker).copied() else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.distrusted.insert(dataset);
        self.votes_changed.insert(dataset);
        if matches!(session.data.get(&dataset), Some(Knowledge::Present(_))) {
            session.data.insert(dataset, Knowledge::Asked);
            effects.push(Effect::Wake { session: id });
        }
    }

    /// The content that has to take the place of this one, if there is one.
    pub(crate) fn outvoted(&self, dataset: &DatasetKey, pin: Digest) -> Option<Digest> {
        let may_change = |sweep: &Sweep| !sweep.confirms_pin() && sweep.pin_changes < MAX_CHANGES;
        let lives = |sweep: &Sweep| sweep.stopping.is_none();
        if !self.sharing(dataset, pin).all(may_change) || !self.sharing(dataset, pin).any(lives) {
            return None;
        }
        let votes = self.votes(dataset);
        let own = votes.get(&pin).map_or(0, |readers| readers.count);
        most(&votes).filter(|(digest, readers)| *digest != pin && readers.count > own).map(|(digest, _)| digest)
    }

    /// The sweeps that have this pin on this data set.
    fn sharing<'a>(&'a self, dataset: &'a DatasetKey, pin: Digest) -> impl Iterator<Item = &'a Sweep> {
        self.sweeps.values().filter(move |sweep| sweep.spec.dataset == *dataset && sweep.pin == Some(pin))
    }

    fn votes(&self, dataset: &DatasetKey) -> Votes {
        let mut votes = Votes::new();
        let counts = |session: &Session| !session.distrusted.contains(dataset) && self.may_vote(session);
        for (id, session) in self.sessions.iter().filter(|(_, session)| counts(session)) {
            if let Some(digest) = session.content(dataset) {
                votes.entry(digest).or_insert(Readers { count: 0, first: *id }).count += 1;
            }
        }
        votes
    }

    /// Whether a worker's description counts. A worker that cannot train does not count.
    fn may_vote(&self, session: &Session) -> bool {
        let suspended = matches!(self.service(&session.worker), Service::Suspended { .. });
        !session.slots.is_empty() && !session.left && !suspended
    }

    /// Moves all sweeps from one pin to another, and starts their rounds again. Only sweeps that are being cancelled
    /// keep a round with the old pin.
    fn repin(&mut self, dataset: DatasetKey, (from, to): (Digest, Digest), effects: &mut Vec<Effect>) {
        let lives = |sweep: &&Sweep| sweep.stopping.is_none();
        let ids: Vec<SweepId> = self.sharing(&dataset, from).filter(lives).map(|sweep| sweep.spec.id).collect();
        let mut rounds = BTreeSet::new();
        for id in &ids {
            let Some(sweep) = self.sweeps.get_mut(id) else { continue };
            sweep.pin = Some(to);
            sweep.pin_changes += 1;
            sweep.unplaceable_since = None;
            effects.push(Effect::DataPinned { sweep: *id, digest: to });
            rounds.extend(sweep.unbind_open());
            // Its first trials failed with the other content.
            self.release_hold(*id, effects);
        }
        for trial in rounds {
            self.replace_round(trial, &ids, effects);
        }
        for id in ids {
            self.bind_unbound(id, effects);
        }
    }

    /// Cancels an open round and binds the trial again: first for the sweeps that used the round, so that each of them
    /// has a round in the same commit, then for those that waited for its end.
    fn replace_round(&mut self, trial_id: TrialId, first: &[SweepId], effects: &mut Vec<Effect>) {
        self.dequeue(trial_id);
        let Some(trial) = self.trials.get(&trial_id) else { return };
        let Some(round) = &trial.open else { return };
        let number = round.number;
        if let RoundState::Running { attempt, .. } = round.state {
            let lease = Lease { trial: trial_id, round: number, attempt };
            self.vacate(lease, effects);
            effects.push(Effect::AttemptEnded { lease, ending: Ending::Stopped });
        }
        let Some(trial) = self.trials.get_mut(&trial_id) else { return };
        if let Some(Round { state: RoundState::Delayed { until }, .. }) = trial.open.take() {
            self.delayed.remove(&(until, trial_id));
        }
        let others = trial.wanted_by.iter().filter(|id| !first.contains(id));
        let order: Vec<SweepId> = first.iter().chain(others).copied().collect();
        effects.push(Effect::RoundEnded { trial: trial_id, round: number, end: RoundEnd::Cancelled });
        for id in order {
            let reference = self.sweeps.get(&id).and_then(|sweep| sweep.references.get(&trial_id));
            match reference.map(|reference| reference.state) {
                Some(ReferenceState::Unbound) => self.bind(id, trial_id, effects),
                // It is being cancelled.
                Some(ReferenceState::Bound { round, .. }) if round == number => {
                    self.end_reference(id, trial_id, (number, false, ReferenceEnd::Cancelled), effects);
                }
                Some(ReferenceState::Bound { .. } | ReferenceState::Ended { .. }) | None => {}
            }
        }
    }

    /// Binds the unbound trials of a sweep, in the order of its spec.
    fn bind_unbound(&mut self, id: SweepId, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get(&id) else { return };
        let unbound = sweep.references.iter().filter(|(_, reference)| reference.state == ReferenceState::Unbound);
        let mut trials: Vec<_> = unbound.map(|(trial, reference)| (reference.ordinal, *trial)).collect();
        trials.sort_unstable();
        for (_, trial) in trials {
            self.bind(id, trial, effects);
        }
    }
}

/// The content with the most readers; of equally frequent ones, the one that was read first.
fn most(votes: &Votes) -> Option<(Digest, Readers)> {
    let first = |(_, readers): &(Digest, Readers)| (readers.count, std::cmp::Reverse(readers.first));
    votes.iter().map(|(digest, readers)| (*digest, *readers)).max_by_key(first)
}
