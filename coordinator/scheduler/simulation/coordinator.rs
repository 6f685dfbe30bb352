//! A coordinator: the real scheduler, an uncommitted batch, and a store. A message waits for the commit that it rests
//! on. A crash loses the batch and its messages.

use std::collections::{BTreeMap, BTreeSet};

use sweep_scheduler::event::{Ending, NewSweep, Registration};
use sweep_scheduler::{
    Config, Effect, Event, Ignored, Lease, PollAnswer, Scheduler, SessionId, StageIndex, SweepId, Timestamp, WorkerName,
};

use super::counts::Counts;
use super::holders::Holders;
use super::network::{Message, ToCoordinator, ToWorker};
use super::store::Store;
use super::study;

/// Something that waits for the next commit, in order.
enum Pending {
    Effect(Effect),
    Begin(NewSweep),
    Open(SweepId, StageIndex, Vec<u64>),
    Fail(SweepId, StageIndex),
    Say(Message),
}

/// A poll that waits for an answer.
struct Parked {
    worker: usize,
    serial: u64,
    held: Vec<Lease>,
}

pub(crate) struct Coordinator {
    pub(crate) scheduler: Scheduler,
    pub(crate) store: Store,
    config: Config,
    pending: Vec<Pending>,
    parked: BTreeMap<SessionId, Parked>,
    holders: Holders,
    /// Attempts whose end a worker has reported, by session.
    handed_in: BTreeSet<(SessionId, Lease)>,
    /// Sweeps whose cancellation had begun, and not ended, at the last commit.
    stopping: BTreeSet<SweepId>,
    last_session: u64,
    /// The stages of every sweep so far, as in its spec.
    studies: BTreeMap<SweepId, Vec<Vec<u64>>>,
    /// How attempts really ended.
    truth: BTreeMap<Lease, Ending>,
    pub(crate) counts: Counts,
}

impl Coordinator {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            scheduler: Scheduler::new(config.clone()),
            store: Store::default(),
            config,
            pending: Vec::new(),
            parked: BTreeMap::new(),
            holders: Holders::default(),
            handed_in: BTreeSet::new(),
            stopping: BTreeSet::new(),
            last_session: 0,
            studies: BTreeMap::new(),
            truth: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn happened(&mut self, lease: Lease, ending: Ending) {
        self.truth.insert(lease, ending);
    }

    /// Applies an event, checks every invariant, and compares ended attempts with what really happened.
    pub(crate) fn event(&mut self, now: Timestamp, event: Event) -> Result<Vec<Ignored>, String> {
        self.counts.events += 1;
        let effects = self.scheduler.apply(now, event.clone());
        self.scheduler.check_invariants().map_err(|violation| format!("after {event:?}: {violation}"))?;
        self.take(effects)
    }

    fn take(&mut self, effects: Vec<Effect>) -> Result<Vec<Ignored>, String> {
        let mut ignored = Vec::new();
        for effect in effects {
            match &effect {
                Effect::AttemptEnded { lease, ending } => self.check_ending(*lease, ending)?,
                Effect::AttemptStarted { lease, .. } if self.scheduler.is_held_back(lease.trial) => {
                    return Err(format!("{lease:?} begins although it is held back"));
                }
                Effect::HoldChanged { hold: Some(_), .. } => self.counts.held_back += 1,
                Effect::HoldChanged { hold: None, .. } => self.counts.released += 1,
                Effect::DataPinned { sweep, digest } => {
                    let before = self.store.live.get(sweep).and_then(|stored| stored.sweep.pin);
                    self.counts.pinned_anew += u64::from(before.is_some_and(|pin| pin != *digest));
                }
                Effect::SweepReopened { .. } => self.counts.reopened += 1,
                Effect::AttemptAdopted { .. } => self.counts.adopted += 1,
                Effect::AttemptRevived { .. } => self.counts.revived += 1,
                Effect::ServiceChanged { service: sweep_scheduler::event::Service::Suspended { .. }, .. } => {
                    self.counts.suspended += 1;
                }
                Effect::RoundEnded { end: sweep_scheduler::effect::RoundEnd::Failed { reason, .. }, .. } => {
                    let started = self.scheduler.pools().iter().any(|pool| pool.workers > 0);
                    if reason.starts_with("a trial needs at least ") && !started {
                        return Err(format!("a trial fails that a worker of a pool could run: {reason}"));
                    }
                    self.counts.quarantined += u64::from(reason.starts_with("quarantined"));
                }
                Effect::Ignored(reason) => ignored.push(*reason),
                _ => {}
            }
            self.pending.push(Pending::Effect(effect));
        }
        Ok(ignored)
    }

    /// A success or failure must be the real end of that attempt, on some worker.
    fn check_ending(&mut self, lease: Lease, ending: &Ending) -> Result<(), String> {
        let truth = self.truth.get(&lease);
        let right = match (ending, truth) {
            (Ending::Lost | Ending::Stopped, _) => true,
            (Ending::Succeeded { .. }, Some(Ending::Succeeded { .. })) => true,
            // Trained on other data than the sweep's: a failure by the scheduler's own word.
            (Ending::Failed { .. }, Some(Ending::Failed { .. } | Ending::Succeeded { .. })) => true,
            (Ending::Succeeded { .. } | Ending::Failed { .. }, _) => false,
        };
        self.counts.accepted += u64::from(matches!(ending, Ending::Succeeded { .. }));
        if right { Ok(()) } else { Err(format!("{lease:?} ended as {ending:?}; in truth {truth:?}")) }
    }

    pub(crate) fn receive(&mut self, now: Timestamp, worker: (usize, &str), said: ToCoordinator) -> Result<(), String> {
        let (index, name) = worker;
        let answer = match said {
            ToCoordinator::Register { serial, slots, live, instance } => {
                let (session, worker) = (self.next_session(), WorkerName(name.to_owned()));
                let named = live.clone();
                let pool = study::pool_of(name);
                let registration = Registration { worker, session, slots, live, instance, pool };
                let refused = self.event(now, Event::Register(registration))?.contains(&Ignored::NameHeld);
                let until = now.plus(self.config.lease_ttl_ms);
                self.holders.registers((now, until), name, instance, refused)?;
                self.counts.names_refused += u64::from(refused);
                let named = named.into_iter().map(|(lease, _)| lease);
                let stop = named.filter(|lease| !self.scheduler.is_live(session, *lease)).collect();
                (!refused).then_some(ToWorker::Registered { serial, session, stop })
            }
            ToCoordinator::Poll { serial, session, held, draining } => {
                let event = Event::Poll { session, held: held.clone(), draining };
                let leaves = draining && held.is_empty();
                let had = self.slots_in_use(session);
                let ignored = self.event(now, event)?;
                self.counts.taken_back += u64::from(leaves && had && !self.slots_in_use(session));
                if leaves && self.slots_in_use(session) {
                    return Err(format!("{session:?} has left, and a trial waits for it"));
                }
                if ignored.contains(&Ignored::UnknownSession) {
                    Some(ToWorker::UnknownSession { session })
                } else {
                    self.holders.polls(name, now.plus(self.config.lease_ttl_ms), draining && held.is_empty());
                    self.parked.insert(session, Parked { worker: index, serial, held });
                    None
                }
            }
            ToCoordinator::Describe { session, dataset, answer } => {
                self.event(now, Event::Described { session, dataset, answer })?;
                None
            }
            ToCoordinator::Finish { session, lease, ending } => {
                let ignored = self.event(now, Event::Finish { session, lease, ending })?;
                self.handed_in.insert((session, lease));
                Some(match ignored.first() {
                    None => ToWorker::Accepted { session, lease },
                    Some(Ignored::UnknownSession) => ToWorker::UnknownSession { session },
                    Some(_) => ToWorker::Stale { session, lease },
                })
            }
        };
        self.pending.extend(answer.map(|answer| Pending::Say(Message::Down(index, answer))));
        Ok(())
    }

    /// Whether a trial is live in a session.
    fn slots_in_use(&self, session: SessionId) -> bool {
        let is_live = |lease: Option<Lease>| lease.is_some_and(|lease| self.scheduler.is_live(session, lease));
        let mut workers = self.scheduler.workers().into_iter().filter(|worker| worker.session == session);
        workers.any(|worker| worker.slots.into_iter().any(|(_, lease)| is_live(lease)))
    }

    fn next_session(&mut self) -> SessionId {
        self.last_session += 1;
        SessionId(self.last_session)
    }

    pub(crate) fn has_uncommitted_work(&self) -> bool {
        let says_nothing =
            |effect: &Effect| matches!(effect, Effect::WorkerLost { .. } | Effect::Wake { .. } | Effect::Ignored(_));
        self.pending.iter().any(|pending| !matches!(pending, Pending::Effect(effect) if says_nothing(effect)))
    }

    /// Commits the batch, and returns the messages that may be sent now.
    pub(crate) fn commit(&mut self, now: Timestamp) -> Result<Vec<Message>, String> {
        let mut says = Vec::new();
        let waits = |id: SweepId| self.scheduler.awaited_pool(id).is_some();
        self.counts.waited_for_a_pool += u64::from(self.scheduler.live_sweeps().any(waits));
        if self.scheduler.has_more_to_release() {
            self.counts.cancelled_in_parts += 1;
            self.event(now, Event::ReleaseMore)?;
        }
        loop {
            let mut decide = Vec::new();
            for pending in std::mem::take(&mut self.pending) {
                match pending {
                    Pending::Begin(sweep) => self.store.begin(sweep),
                    Pending::Open(sweep, stage, trials) => {
                        let trials = trials.iter().map(|number| self.store.remembered(study::wanted(*number)));
                        let trials = trials.collect();
                        self.store.open_stage(sweep, stage, trials);
                    }
                    Pending::Fail(sweep, stage) => self.store.fail_stage(sweep, stage, "no winner".to_owned()),
                    Pending::Say(message) => says.push(message),
                    Pending::Effect(effect) => {
                        self.store.apply(&effect)?;
                        match effect {
                            Effect::StageEnded { sweep, stage } => decide.push((sweep, stage)),
                            Effect::StageReopened { sweep, stage, open: false } => {
                                decide.push((sweep, stage.saturating_sub(1)));
                            }
                            _ => {}
                        }
                    }
                }
            }
            if decide.is_empty() {
                break;
            }
            for (sweep, stage) in decide {
                self.decide(now, sweep, stage)?;
            }
        }
        let stopping = self.scheduler.live_sweeps().filter(|id| self.scheduler.is_stopping(*id));
        self.stopping = stopping.collect();
        for message in &says {
            self.check_promise(message)?;
        }
        says.extend(self.answers()?);
        Ok(says)
    }

    /// A success that is acknowledged is in the store.
    fn check_promise(&self, message: &Message) -> Result<(), String> {
        let Message::Down(_, ToWorker::Accepted { lease, .. }) = message else { return Ok(()) };
        let succeeded = matches!(self.truth.get(lease), Some(Ending::Succeeded { data_digest, .. })
            if *data_digest == study::content());
        let failed_all_the_same = !self.store.accepted.contains(lease);
        if succeeded && failed_all_the_same && self.store.is_pinned_to(*lease, study::content()) {
            return Err(format!("{lease:?} was acknowledged and is not in the store"));
        }
        Ok(())
    }

    /// Answers to parked polls that have something to tell.
    ///
    /// # Errors
    /// The coordinator stops an attempt that the worker has handed in within this session.
    fn answers(&mut self) -> Result<Vec<Message>, String> {
        let (mut says, mut wrong) = (Vec::new(), None);
        let (scheduler, handed_in) = (&self.scheduler, &self.handed_in);
        self.parked.retain(|session, parked| {
            let message = match scheduler.poll_answer(*session, &parked.held) {
                Err(_) => ToWorker::UnknownSession { session: *session },
                Ok(answer) if is_news(&answer) => {
                    let vain = answer.stop.iter().find(|lease| handed_in.contains(&(*session, **lease)));
                    wrong = wrong
                        .take()
                        .or(vain.map(|lease| format!("{session:?} is told to stop {lease:?}, which has ended")));
                    ToWorker::Answer { serial: parked.serial, answer }
                }
                Ok(_) => return true,
            };
            says.push(Message::Down(parked.worker, message));
            false
        });
        wrong.map_or(Ok(says), Err)
    }

    /// A stage has ended: the next is opened if anything of it succeeded.
    fn decide(&mut self, now: Timestamp, sweep: SweepId, stage: StageIndex) -> Result<(), String> {
        let next = stage + 1;
        let Some(view) = self.scheduler.sweep(sweep) else { return Ok(()) };
        let unopened = view.stages.get(next as usize).is_some_and(Option::is_none);
        if !view.ended_stages.contains(&stage) || !unopened || self.scheduler.is_stopping(sweep) {
            return Ok(());
        }
        let study = self.studies.get(&sweep).cloned().unwrap_or_default();
        let (Some(trials), Some(tried)) = (study.get(next as usize), study.get(stage as usize)) else { return Ok(()) };
        let stored = self.store.live.get(&sweep);
        let won = tried.iter().any(|number| {
            let end = stored.and_then(|stored| self.store.end_of(stored, study::trial(*number)));
            matches!(end, Some(sweep_scheduler::effect::RoundEnd::Succeeded { .. }))
        });
        if won {
            self.open(now, sweep, next, trials.clone())
        } else {
            self.pending.push(Pending::Fail(sweep, next));
            self.event(now, Event::FailStage { sweep, stage: next, reason: "no winner".to_owned() }).map(drop)
        }
    }

    fn open(&mut self, now: Timestamp, sweep: SweepId, stage: StageIndex, trials: Vec<u64>) -> Result<(), String> {
        let wanted = trials.iter().map(|number| self.store.remembered(study::wanted(*number))).collect();
        self.pending.push(Pending::Open(sweep, stage, trials));
        self.event(now, Event::OpenStage { sweep, stage, trials: wanted }).map(drop)
    }

    /// The batch must be empty, because the histories are read from the store.
    pub(crate) fn submit(
        &mut self,
        now: Timestamp,
        id: SweepId,
        stages: Vec<Vec<u64>>,
        priority: i32,
    ) -> Result<(), String> {
        let new = NewSweep {
            id,
            priority,
            weight: 1,
            owner: (id.0 % 3).to_string(),
            paused: false,
            retry: Default::default(),
            dataset: study::dataset(),
            pin: None,
            settled: false,
            stages: stages.len() as u32,
            fresh: false,
            reproduces: false,
            allowance: None,
        };
        let first = stages.first().cloned().unwrap_or_default();
        self.studies.insert(id, stages);
        self.pending.push(Pending::Begin(new.clone()));
        self.event(now, Event::SubmitSweep(new))?;
        self.open(now, id, 0, first)
    }

    pub(crate) fn retry(&mut self, now: Timestamp, sweep: SweepId) -> Result<(), String> {
        let ended = self.store.ended.get(&sweep).map(|ended| Box::new(self.store.recalled(ended)));
        self.event(now, Event::RetrySweep { sweep, ended }).map(drop)
    }

    /// Crashes, and restarts from the store.
    pub(crate) fn crash(&mut self, now: Timestamp) -> Result<(), String> {
        self.pending.clear();
        self.parked.clear();
        self.handed_in.clear();
        self.holders = Holders::returning(&self.store.names, now.plus(self.config.name_grace_ms));
        let (scheduler, effects) = Scheduler::restore(self.config.clone(), now, self.store.snapshot());
        self.scheduler = scheduler;
        self.scheduler.check_invariants().map_err(|violation| format!("after a restart: {violation}"))?;
        self.take(effects)?;
        self.check_cancellations()?;
        let live: Vec<SweepId> = self.scheduler.live_sweeps().collect();
        for sweep in live {
            let ended = self.scheduler.sweep(sweep).map(|view| view.ended_stages).unwrap_or_default();
            for stage in ended {
                self.decide(now, sweep, stage)?;
            }
        }
        Ok(())
    }

    /// A cancellation that was in progress at the last commit is in progress after a restart.
    fn check_cancellations(&mut self) -> Result<(), String> {
        let mut stopping = self.stopping.iter();
        if let Some(id) = stopping.find(|id| !self.scheduler.is_stopping(**id)) {
            return Err(format!("{id} was being cancelled, and a restart forgets it"));
        }
        self.counts.cancelled_over_a_restart += self.stopping.len() as u64;
        Ok(())
    }

    pub(crate) fn sweeps(&self) -> impl Iterator<Item = SweepId> + '_ {
        self.studies.keys().copied()
    }
}

fn is_news(answer: &PollAnswer) -> bool {
    !answer.is_empty() || answer.service != sweep_scheduler::event::Service::Active
}
