//! Queries that do not change the scheduler.

use std::ops::RangeInclusive;

use sweep_spec::{Digest, TrialCounts, TrialId};

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::Ignored;
use crate::hold::HeldBack;
use crate::id::{DatasetKey, Lease, SessionId, StageIndex, SweepId, WorkerName};
use crate::reference::ReferenceState;
use crate::session::SlotUse;
use crate::sweep::Stage;
use crate::trial::RoundState;
use crate::worker::{Service, Slot};

/// The answer to a worker's poll.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PollAnswer {
    pub start: Vec<Start>,
    /// Stale leases, whose attempts the worker stops.
    pub stop: Vec<Lease>,
    /// Data sets to describe.
    pub describe: Vec<DatasetKey>,
    /// Whether it is given trials.
    pub service: Service,
}

/// An attempt to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub lease: Lease,
    pub slot: u32,
}

impl PollAnswer {
    /// Whether the worker has nothing to do. A changed service does not count.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty() && self.stop.is_empty() && self.describe.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SweepView {
    /// Over all stages, each trial once.
    pub counts: TrialCounts,
    /// By stage; a trial counts in each stage that it belongs to. `None` for a stage that is not open yet.
    pub stages: Vec<Option<TrialCounts>>,
    /// Stages that have ended.
    pub ended_stages: Vec<StageIndex>,
    /// The content that it is pinned to.
    pub pin: Option<Digest>,
    /// Nothing of it may be started: it is paused, its budget is spent, or all that is left is held back.
    pub rests: bool,
    pub held: Option<HeldBack>,
}

/// A connected worker.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    pub name: WorkerName,
    pub session: SessionId,
    /// The worker has announced that it accepts no new trials.
    pub draining: bool,
    /// It is draining and has no lease.
    pub left: bool,
    /// Whether it is given trials.
    pub service: Service,
    /// Its slots, with the attempt on each.
    pub slots: Vec<(Slot, Option<Lease>)>,
}

impl Scheduler {
    /// Whether a session's description of a data set is missing.
    pub fn asks(&self, id: SessionId, dataset: DatasetKey) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.unanswered().any(|asked| asked == dataset))
    }

    /// The answer to a poll of a worker that has the leases in `held`. It is a pure difference: an answer that was lost
    /// on its way is given again.
    ///
    /// # Errors
    /// `Ignored::UnknownSession`: the worker must register again.
    pub fn poll_answer(&self, id: SessionId, held: &[Lease]) -> Result<PollAnswer, Ignored> {
        let session = self.sessions.get(&id).ok_or(Ignored::UnknownSession)?;
        let mut answer = PollAnswer::default();
        for (slot, state) in session.slots.iter().enumerate() {
            if let SlotUse::Busy(lease) = state.use_
                && !held.contains(&lease)
            {
                answer.start.push(Start { lease, slot: slot as u32 });
            }
        }
        // The poll was usually sent before the end of the attempt was reported: it names the attempt, and needs no answer.
        let repeats = self.has(Bug::StoppedThoughHandedIn);
        let handed_in = |lease: &Lease| !repeats && session.handed_in.contains(lease);
        let stops = held.iter().copied().filter(|lease| session.holds(*lease).is_none() && !handed_in(lease));
        answer.stop = stops.collect();
        answer.describe = session.unanswered().collect();
        answer.service = self.service(&session.worker);
        Ok(answer)
    }

    /// The sweeps that live.
    pub fn live_sweeps(&self) -> impl Iterator<Item = SweepId> + '_ {
        self.sweeps.keys().copied()
    }

    pub fn sweep(&self, id: SweepId) -> Option<SweepView> {
        let sweep = self.sweeps.get(&id)?;
        let opened = |(stage, totals): (&Stage, &TrialCounts)| (*stage != Stage::Unopened).then_some(*totals);
        let stages = sweep.stages.iter().zip(&sweep.stage_totals).map(opened).collect();
        let ended = sweep.stages.iter().enumerate().filter(|(_, stage)| **stage == Stage::Ended);
        let ended_stages = ended.map(|(index, _)| index as StageIndex).collect();
        let held = sweep.held_back();
        let rests = sweep.rests() || held.as_ref().is_some_and(|held| held.tried == 0);
        Some(SweepView { counts: sweep.totals, stages, ended_stages, pin: sweep.pin, rests, held })
    }

    /// The connected workers, by name.
    pub fn workers(&self) -> Vec<WorkerView> {
        let view = |(name, id): (&WorkerName, &SessionId)| {
            let session = self.sessions.get(id)?;
            let slots = session.slots.iter().map(|slot| match slot.use_ {
                SlotUse::Busy(lease) | SlotUse::Stopping(lease) => (slot.offer.clone(), Some(lease)),
                SlotUse::Free => (slot.offer.clone(), None),
            });
            let slots = slots.collect();
            let service = self.service(name);
            let (draining, left) = (session.draining, session.left);
            Some(WorkerView { name: name.clone(), session: *id, draining, left, service, slots })
        };
        self.workers.iter().filter_map(view).collect()
    }

    /// The trials of a sweep that could be started now, in the order in which they are.
    pub fn waiting(&self, id: SweepId) -> impl Iterator<Item = TrialId> + '_ {
        self.waiting_of_ranks(id, 0..=u32::MAX)
    }

    /// Like `waiting`, for some ranks. A caller that stops early pays only for the trials that it has taken.
    pub fn waiting_of_ranks(&self, id: SweepId, ranks: RangeInclusive<u32>) -> impl Iterator<Item = TrialId> + '_ {
        let queue = self.sweeps.get(&id).map(|sweep| &sweep.queue);
        queue.into_iter().flat_map(move |queue| queue.of_ranks(ranks.clone())).map(|entry| entry.trial)
    }

    /// The ranks of the trials of a sweep that could be started now, each with how many trials have it. These counts are
    /// kept: no trial is looked at.
    pub fn waiting_ranks(&self, id: SweepId) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.sweeps.get(&id).into_iter().flat_map(|sweep| sweep.queue.ranks())
    }

    /// The trials of a sweep that have not ended.
    pub fn unended(&self, id: SweepId) -> impl Iterator<Item = TrialId> + '_ {
        let references = self.sweeps.get(&id).into_iter().flat_map(|sweep| &sweep.references);
        references.filter(|(_, one)| !matches!(one.state, ReferenceState::Ended { .. })).map(|(trial, _)| *trial)
    }

    /// Whether a live sweep waits, or has waited, for this round of a trial: not if the round had ended before.
    pub fn uses(&self, id: SweepId, trial: TrialId, round: u32) -> Option<bool> {
        let reference = self.sweeps.get(&id)?.references.get(&trial)?;
        Some(match reference.state {
            ReferenceState::Unbound => false,
            ReferenceState::Bound { round: bound, .. } => bound == round,
            ReferenceState::Ended { round: bound, reused, .. } => bound == round && !reused,
        })
    }

    /// How many attempts of a sweep may still be started; `None` for any number, or if it does not live.
    pub fn allowance(&self, id: SweepId) -> Option<u64> {
        self.sweeps.get(&id)?.spec.allowance
    }

    /// Whether a session is open.
    pub fn knows_session(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Trials that have not ended. One that several sweeps need counts in each.
    pub fn live_trials(&self) -> u64 {
        self.sweeps.values().map(|sweep| sweep.totals.queued + sweep.totals.running).sum()
    }

    /// Trials in queues. One that several sweeps need counts in each.
    pub fn queue_depth(&self) -> usize {
        self.sweeps.values().map(|sweep| sweep.queue.len()).sum()
    }

    /// The live attempt of a trial's open round.
    pub fn live_attempt(&self, trial: TrialId) -> Option<Lease> {
        let round = self.trials.get(&trial)?.open.as_ref()?;
        match round.state {
            RoundState::Running { attempt, .. } => Some(Lease { trial, round: round.number, attempt }),
            RoundState::Queued | RoundState::Delayed { .. } => None,
        }
    }
}
