//! Dispatches each event to its handler, and handles the sessions of workers.

use sweep_spec::Digest;

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::{Effect, Ignored};
use crate::ends::{Ending, SweepEnd};
use crate::event::{Event, Registration};
use crate::id::{DatasetKey, Lease, SessionId, Timestamp};
use crate::session::{Knowledge, Session, SlotState, SlotUse};
use crate::trial::{Place, RoundState};

impl Scheduler {
    /// Applies `event` at `now`. Returns the effects in the order in which the driver carries them out.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        let mut effects = Vec::new();
        let result = match event {
            Event::SubmitSweep(sweep) => self.submit(sweep, &mut effects),
            Event::OpenStage { sweep, stage, trials } => self.open_stage(sweep, stage, trials, &mut effects),
            Event::FailStage { sweep, stage, reason } => self.fail_stage(sweep, stage, reason, &mut effects),
            Event::CancelSweep { sweep } => self.stop(sweep, SweepEnd::Cancelled, &mut effects),
            Event::PauseSweep { sweep, paused } => self.pause(sweep, paused, &mut effects),
            Event::SetAllowance { sweep, starts } => self.set_allowance(sweep, starts),
            Event::StopSweep { sweep, reason } => self.stop(sweep, SweepEnd::Stopped { reason }, &mut effects),
            Event::ReleaseMore => self.release_more(&mut effects),
            Event::SetPriority { sweep, priority } => self.set_priority(sweep, priority, &mut effects),
            Event::RetrySweep { sweep, ended } => self.retry(sweep, ended.as_deref(), &mut effects),
            Event::SetService { worker, service } => self.set_service(worker, service, &mut effects),
            Event::Register(registration) => self.register(registration, &mut effects),
            Event::Poll { session, held, draining } => self.poll(session, &held, draining, &mut effects),
            Event::Described { session, dataset, answer } => self.described(session, dataset, answer, &mut effects),
            Event::Finish { session, lease, ending } => self.finish(session, lease, ending, &mut effects),
            Event::Tick => Ok(()),
        };
        if let Err(ignored) = result {
            effects.push(Effect::Ignored(ignored));
        }
        self.expire(&mut effects);
        self.follow_majority(&mut effects);
        self.ask_about_data(&mut effects);
        self.assign(&mut effects);
        self.fail_unplaceable(&mut effects);
        effects
    }

    /// Renews the leases of a session whose poll came in at `heard` and is not applied yet. It does nothing else: no time
    /// passes for the others. The driver calls it for every poll that waits before it applies an event, so that its own
    /// delay expires no worker.
    pub fn renew(&mut self, heard: Timestamp, session: SessionId) {
        let deadline = heard.plus(self.config.lease_ttl_ms);
        if let Some(session) = self.sessions.get_mut(&session) {
            session.deadline = session.deadline.max(deadline);
        }
    }

    /// Whether this session may report for this lease.
    pub fn is_live(&self, session: SessionId, lease: Lease) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.holds(lease).is_some())
    }

    fn register(&mut self, registration: Registration, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        let Registration { worker, session: id, slots, live, instance, pool } = registration;
        if self.sessions.contains_key(&id) {
            return Err(Ignored::Repeated);
        }
        if self.holder(self.now, &worker, instance).is_some() {
            return Err(Ignored::NameHeld);
        }
        let arrival = self.take_name(&worker, instance, effects);
        self.welcome(&worker, arrival, effects);
        let deadline = self.now.plus(self.config.lease_ttl_ms);
        let mut session = Session { pool, ..Session::new(worker.clone(), slots, deadline) };
        let mut lost = Vec::new();
        for lease in self.attempts_of(&worker) {
            match session.occupy(lease, &live) {
                Some(slot) => {
                    self.move_attempt(lease, id, slot);
                    effects.push(Effect::AttemptAdopted { lease, session: id });
                }
                None => lost.push(lease),
            }
        }
        for (lease, _) in &live {
            if self.has_expired(*lease, &worker)
                && let Some(slot) = session.occupy(*lease, &live)
            {
                self.revive(*lease, (id, slot), effects);
            }
        }
        // The old session is removed before its attempts are lost, so that no slot of it is freed.
        if let Some(old) = self.workers.insert(worker, id) {
            self.votes_may_change(old);
            self.sessions.remove(&old);
            effects.push(Effect::Wake { session: old });
        }
        self.sessions.insert(id, session);
        for lease in lost {
            self.end_attempt(lease, Ending::Lost, effects);
            // The worker itself does not have it any more, so it cannot come back.
            self.never_revive(lease);
        }
        Ok(())
    }

    /// Whether this attempt was given up for its worker's silence, and no other has begun since.
    fn has_expired(&self, lease: Lease, worker: &crate::WorkerName) -> bool {
        let round = self.trials.get(&lease.trial).and_then(|trial| trial.open.as_ref());
        round.is_some_and(|round| {
            if self.has(Bug::RevivedTooLate) {
                return round.number == lease.round;
            }
            let waits = matches!(round.state, RoundState::Queued | RoundState::Delayed { .. });
            let expired = round.expired.as_ref();
            waits
                && round.number == lease.round
                && expired.is_some_and(|(attempt, on)| *attempt == lease.attempt && on == worker)
        })
    }

    fn never_revive(&mut self, lease: Lease) {
        if let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut())
            && round.number == lease.round
        {
            round.expired = None;
        }
    }

    /// Continues an expired attempt in the session and slot in which its worker still runs it.
    fn revive(&mut self, lease: Lease, (session, slot): (SessionId, u32), effects: &mut Vec<Effect>) {
        self.dequeue(lease.trial);
        let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut()) else { return };
        if let RoundState::Delayed { until } = round.state {
            self.delayed.remove(&(until, lease.trial));
        }
        round.expired = None;
        round.losses = round.losses.saturating_sub(1);
        round.state = RoundState::Running { attempt: lease.attempt, place: Place::Session { session, slot } };
        self.count_running(lease.trial, true);
        effects.push(Effect::AttemptRevived { lease, session });
    }

    /// Live attempts that the scheduler believes on a worker of this name.
    fn attempts_of(&self, worker: &crate::WorkerName) -> Vec<Lease> {
        let session = self.workers.get(worker).and_then(|id| self.sessions.get(id));
        let busy = session.into_iter().flat_map(|session| &session.slots).filter_map(|slot| match slot.use_ {
            SlotUse::Busy(lease) => Some(lease),
            SlotUse::Free | SlotUse::Stopping(_) => None,
        });
        let awaited = self.awaited.keys().copied().filter(|lease| {
            self.trials.get(&lease.trial).and_then(|trial| trial.open.as_ref()).is_some_and(|round| {
                matches!(&round.state, RoundState::Running { place: Place::Awaited { worker: on, .. }, .. } if on == worker)
            })
        });
        busy.chain(awaited).collect()
    }

    fn move_attempt(&mut self, lease: Lease, session: SessionId, slot: u32) {
        self.awaited.remove(&lease);
        if let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut()) {
            round.state = RoundState::Running { attempt: lease.attempt, place: Place::Session { session, slot } };
        }
    }

    fn poll(
        &mut self,
        id: SessionId,
        held: &[Lease],
        draining: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        let leaks = self.has(Bug::LeakedSlot);
        let session = self.sessions.get_mut(&id).ok_or(Ignored::UnknownSession)?;
        session.deadline = self.now.plus(self.config.lease_ttl_ms);
        session.draining = draining;
        session.keep_handed_in(held);
        for slot in session.slots.iter_mut().filter(|_| !leaks) {
            if matches!(slot.use_, SlotUse::Stopping(lease) if !held.contains(&lease)) {
                slot.use_ = SlotUse::Free;
            }
        }
        let leaves = draining && held.is_empty();
        let worker = session.worker.clone();
        if std::mem::replace(&mut session.left, leaves) != leaves {
            self.votes_may_change(id);
            self.leave_name(&worker, leaves, effects);
        }
        if leaves {
            self.take_back_unreceived(id, effects);
        }
        Ok(())
    }

    /// Takes back assigned attempts that a draining worker without leases has not received, so that other workers run
    /// them at once.
    fn take_back_unreceived(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let busy = |slot: &SlotState| match slot.use_ {
            SlotUse::Busy(lease) => Some(lease),
            SlotUse::Free | SlotUse::Stopping(_) => None,
        };
        let slots = self.sessions.get(&id).into_iter().flat_map(|session| &session.slots);
        for lease in slots.filter_map(busy).collect::<Vec<_>>() {
            self.end_attempt(lease, Ending::Stopped, effects);
        }
    }

    fn described(
        &mut self,
        id: SessionId,
        dataset: DatasetKey,
        answer: Result<Digest, String>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        let ask_again = self.now.plus(self.config.describe_again_ms);
        let session = self.sessions.get_mut(&id).ok_or(Ignored::UnknownSession)?;
        let asked = |known: &&mut Knowledge| matches!(known, Knowledge::Asked | Knowledge::AskedAgain { .. });
        let knowledge = session.data.get_mut(&dataset).filter(asked).ok_or(Ignored::Repeated)?;
        self.votes_changed.insert(dataset);
        let digest = match answer {
            Err(reason) => {
                *knowledge = Knowledge::Absent { reason, ask_again };
                return Ok(());
            }
            Ok(digest) => digest,
        };
        *knowledge = Knowledge::Present(digest);
        let unpinned: Vec<_> = self
            .sweeps
            .iter()
            .filter(|(_, sweep)| sweep.pin.is_none() && sweep.spec.dataset == dataset && sweep.stopping.is_none())
            .map(|(id, _)| *id)
            .collect();
        for sweep in unpinned {
            self.pin(sweep, digest, effects);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        id: SessionId,
        lease: Lease,
        ending: Ending,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        let session = self.sessions.get_mut(&id).ok_or(Ignored::UnknownSession)?;
        for slot in &mut session.slots {
            if slot.use_ == SlotUse::Stopping(lease) {
                slot.use_ = SlotUse::Free;
            }
        }
        session.hand_in(lease);
        if session.holds(lease).is_none() {
            return self.stale(lease, ending, effects);
        }
        let worker_reports_loss = ending == Ending::Lost;
        self.end_attempt(lease, ending, effects);
        if worker_reports_loss {
            self.never_revive(lease);
        }
        Ok(())
    }

    /// A report for a stale lease changes nothing.
    fn stale(&mut self, lease: Lease, ending: Ending, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        if self.has(Bug::UnfencedLease)
            && let Some(current) = self.live_attempt(lease.trial)
        {
            self.end_attempt(current, ending, effects);
            return Ok(());
        }
        Err(Ignored::StaleLease)
    }

    /// Everything whose moment has come.
    fn expire(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let gone: Vec<_> = self.sessions.iter().filter(|(_, s)| s.deadline <= now).map(|(id, _)| *id).collect();
        for id in gone {
            let silent = self.sessions.get(&id).filter(|session| !session.draining);
            effects.extend(silent.map(|session| Effect::WorkerLost { worker: session.worker.clone() }));
            self.end_session(id, effects);
        }
        self.free_unclaimed_names(effects);
        let forgetful = self.has(Bug::ForgottenDeadline);
        let unheard = self.awaited.iter().filter(|(_, deadline)| !forgetful && **deadline <= now);
        let unheard: Vec<_> = unheard.map(|(lease, _)| *lease).collect();
        for lease in unheard {
            self.expire_attempt(lease, effects);
        }
        while let Some((until, trial)) = self.delayed.first().copied().filter(|(until, _)| *until <= now) {
            self.delayed.remove(&(until, trial));
            self.enqueue(trial);
        }
        for (id, session) in &mut self.sessions {
            for known in session.data.values_mut() {
                if let Knowledge::Absent { reason, ask_again } = known
                    && *ask_again <= now
                {
                    *known = Knowledge::AskedAgain { reason: std::mem::take(reason) };
                    effects.push(Effect::Wake { session: *id });
                }
            }
        }
    }

    fn end_session(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let busy = session.slots.iter().filter_map(|slot| match slot.use_ {
            SlotUse::Busy(lease) => Some(lease),
            SlotUse::Free | SlotUse::Stopping(_) => None,
        });
        for lease in busy.collect::<Vec<_>>() {
            self.expire_attempt(lease, effects);
        }
        self.votes_may_change(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        if self.workers.get(&session.worker) == Some(&id) {
            self.workers.remove(&session.worker);
            self.free_name(&session.worker, effects);
        }
        effects.push(Effect::Wake { session: id });
    }

    /// Ends an attempt whose worker was not heard of. It may come back with it.
    fn expire_attempt(&mut self, lease: Lease, effects: &mut Vec<Effect>) {
        let worker = self.worker_of(lease);
        self.end_attempt(lease, Ending::Lost, effects);
        if let Some(round) = self.trials.get_mut(&lease.trial).and_then(|trial| trial.open.as_mut())
            && round.number == lease.round
        {
            round.expired = worker.map(|worker| (lease.attempt, worker));
        }
    }

    /// The worker that runs an attempt.
    fn worker_of(&self, lease: Lease) -> Option<crate::WorkerName> {
        let round = self.trials.get(&lease.trial)?.open.as_ref()?;
        let RoundState::Running { attempt, place } = &round.state else { return None };
        match place {
            _ if *attempt != lease.attempt || round.number != lease.round => None,
            Place::Session { session, .. } => self.sessions.get(session).map(|session| session.worker.clone()),
            Place::Awaited { worker, .. } => Some(worker.clone()),
        }
    }

    /// Trials that wait on workers which can never run them fail, once the grace is over.
    fn fail_unplaceable(&mut self, effects: &mut Vec<Effect>) {
        let ids: Vec<_> = self.sweeps.keys().copied().collect();
        for id in ids {
            let unplaceable = self.unplaceable(id);
            let now = self.now;
            let Some(sweep) = self.sweeps.get_mut(&id) else { continue };
            let Some(unplaceable) = unplaceable else {
                sweep.unplaceable_since = None;
                continue;
            };
            let since = *sweep.unplaceable_since.get_or_insert(now);
            if since.plus(self.config.unplaceable_grace_ms) <= now {
                sweep.unplaceable_since = None;
                self.fail_waiting(id, unplaceable.class, &unplaceable.to_string(), effects);
            }
        }
    }
}
