//! Translates effects of the scheduler to rows of the store. No other file does this.

use std::collections::HashMap;

use sweep_scheduler::effect::{RoundEnd, SweepEnd};
use sweep_scheduler::event::{Ending, Known};
use sweep_scheduler::{Effect, Ignored, Lease, SessionId, SweepId};
use sweep_spec::protocol::KeepWeights;
use sweep_spec::{Digest, FailureClass, TrialId};
use sweep_store::codes::{AttemptState, AuditAction, RoundState, StageState, SweepState};
use sweep_store::record::AttemptKey;
use sweep_store::write::{AttemptEnd, AttemptStart, AuditRow, Bound, ResultRow, RoundEndRow, StageChange, SweepEndRow};
use tracing::{error, info, warn};

use crate::convert::sentence;
use crate::engine::audit::{COORDINATOR, audit};
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::messages::worker::{Finish, FinishEnding};
use crate::engine::owner::driver::Driver;
use crate::engine::owner::observe::prediction_row;
use crate::engine::state::attempt::LiveAttempt;
use crate::metrics::LOST;

/// The most lines of a log in a reason, and their greatest length in bytes.
const QUOTED_LINES: usize = 5;
const QUOTED_BYTES: usize = 1000;

/// An attempt whose worker is gone, and its last report.
struct Lost {
    lease: Lease,
    worker: String,
    log_tail: String,
}

/// The class of an attempt's failure, for metrics; `None` if it did not fail.
fn failure_of(ending: &Ending) -> Option<&'static str> {
    match ending {
        Ending::Failed { class, .. } => Some(class.name()),
        Ending::Lost => Some(LOST),
        Ending::Succeeded { .. } | Ending::Stopped => None,
    }
}

/// The last lines of a log that are not empty, joined to one line.
fn last_lines(log: &str) -> String {
    let mut lines: Vec<&str> =
        log.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(QUOTED_LINES).collect();
    lines.reverse();
    sentence(&lines.join(" | "), QUOTED_BYTES)
}

impl Driver {
    /// Stores all `effects` in the batch; `finish` is the worker's report on the attempt that ends. Returns why
    /// events were ignored.
    pub(crate) fn carry_out(&mut self, effects: Vec<Effect>, finish: Option<Finish>) -> Vec<Ignored> {
        self.carry_out_for(effects, finish, COORDINATOR)
    }

    /// The same for an action of a user.
    pub(crate) fn carry_out_for(
        &mut self,
        effects: Vec<Effect>,
        mut finish: Option<Finish>,
        actor: &str,
    ) -> Vec<Ignored> {
        let mut reasons = Vec::new();
        let mut answered: Option<(TrialId, Digest)> = None;
        let mut lost = HashMap::new();
        let mut failures: HashMap<TrialId, &'static str> = HashMap::new();
        for effect in effects {
            self.parts.metrics.effect(effect.name());
            reasons.extend(ignored(&effect));
            match effect {
                Effect::DataPinned { sweep, digest } => {
                    self.batch.commit.pins.push((sweep, digest));
                    if let Some(live) = self.live.sweeps.get_mut(&sweep) {
                        live.record.pin = Some(digest);
                    }
                    info!(sweep_id = %sweep, digest = digest.short(), "the data are pinned");
                    let detail = digest.short();
                    self.note(AuditRow { sweep: Some(sweep), detail, ..audit(actor, AuditAction::DataPinned) });
                }
                Effect::TrialBound { sweep, trial, round, reused } => {
                    self.trial_bound(sweep, trial, round, reused);
                    if reused {
                        self.parts.metrics.trial_reused();
                        self.count_ended(sweep, trial);
                    }
                }
                Effect::RoundOpened { trial, round } => {
                    self.batch.commit.rounds_opened.push((trial, round, self.parts.clock.unix_ms()));
                    self.remember(trial, |history| history.rounds = history.rounds.max(round));
                }
                Effect::AttemptStarted { lease, worker, session, slot } => {
                    self.attempt_started(lease, worker.0, session, slot);
                }
                Effect::AttemptAdopted { lease, session } => {
                    let key = self.live.attempts.get(&lease).map(|attempt| attempt.key);
                    self.batch.commit.attempts_adopted.retain(|(adopted, _)| Some(*adopted) != key);
                    self.batch.commit.attempts_adopted.extend(key.map(|key| (key, session.0)));
                    self.note_attempt(lease, AuditAction::AttemptAdopted, actor);
                }
                Effect::AttemptRevived { lease, session } => {
                    self.attempt_revived(lease, session);
                    self.note_attempt(lease, AuditAction::AttemptRevived, actor);
                }
                Effect::SweepPaused { sweep, paused } => {
                    self.batch.commit.paused.push((sweep, paused));
                    self.batch.changed.insert(sweep);
                }
                Effect::HoldChanged { sweep, hold } => self.hold_changed(sweep, hold, actor),
                Effect::PriorityChanged { sweep, priority } => {
                    self.batch.commit.priorities.push((sweep, priority));
                    self.batch.changed.insert(sweep);
                }
                Effect::SweepReopened { sweep } => {
                    self.batch.commit.sweeps_reopened.push(sweep);
                    self.batch.changed.insert(sweep);
                }
                Effect::StageReopened { sweep, stage, open } => self.stage_reopened(sweep, stage, open),
                Effect::ServiceChanged { worker, service } => self.service_changed(worker.0, service, actor),
                Effect::AttemptEnded { lease, ending } => {
                    if let Ending::Succeeded { data_digest, .. } = &ending {
                        answered = Some((lease.trial, *data_digest));
                    }
                    failures.extend(failure_of(&ending).map(|class| (lease.trial, class)));
                    let said =
                        if finish.as_ref().is_some_and(|said| said.lease == lease) { finish.take() } else { None };
                    if ending == Ending::Lost {
                        let worker = self.live.attempts.get(&lease).map(|attempt| attempt.worker.clone());
                        let log_tail = said.as_ref().map(|said| said.log_tail.clone());
                        let (worker, log_tail) = (worker.unwrap_or_default(), log_tail.unwrap_or_default());
                        lost.insert(lease.trial, Lost { lease, worker, log_tail });
                    }
                    self.attempt_ended(lease, ending, said);
                }
                Effect::RoundEnded { trial, round, mut end } => {
                    failures.remove(&trial);
                    if let Some(lost) = lost.remove(&trial) {
                        self.note_quarantine(&lost, &mut end);
                    }
                    let digest = answered.filter(|(found, _)| *found == trial).map(|(_, digest)| digest);
                    self.round_ended(trial, round, end, digest);
                }
                Effect::StageEnded { sweep, stage } => self.stage_ended(sweep, stage),
                Effect::SweepEnded { sweep, end } => self.sweep_ended(sweep, end),
                Effect::NameTaken { worker, instance } => self.name_taken(&worker.0, instance),
                Effect::NameFreed { worker } => self.name_freed(&worker.0),
                Effect::WorkerLost { worker } => {
                    self.parts.metrics.worker_lost();
                    warn!(worker_id = worker.0, "a worker's lease has expired");
                }
                Effect::Wake { session } => {
                    self.batch.wake.insert(session);
                }
                Effect::Ignored(_) => {}
            }
        }
        // A failed attempt whose round continues is retried.
        failures.into_values().for_each(|class| self.parts.metrics.retry(class));
        reasons
    }

    fn trial_bound(&mut self, sweep: SweepId, trial: TrialId, round: u32, reused: bool) {
        let live = self.live.sweeps.get(&sweep).and_then(|live| live.trials.get(&trial));
        let Some((configuration, seed)) = live.copied() else {
            error!(sweep_id = %sweep, trial_id = %trial, "a trial was bound that its sweep does not have");
            return;
        };
        self.batch.commit.bound.push(Bound { sweep, configuration, seed, trial, round, reused });
        self.batch.changed.insert(sweep);
    }

    fn attempt_started(&mut self, lease: Lease, worker: String, session: SessionId, slot: u32) {
        let key = AttemptKey(self.next_attempt);
        self.next_attempt += 1;
        let offers = self.live.sessions.get(&session).map(|session| &session.offers);
        let offer = offers.and_then(|offers| offers.get(slot as usize));
        let device = offer.map(|offer| offer.device.clone()).unwrap_or_default();
        let slot_memory_bytes = offer.and_then(|offer| offer.memory_bytes);
        self.live.given_up.remove(&lease.trial);
        let at_ms = self.parts.clock.unix_ms();
        self.batch.commit.attempts_started.push(AttemptStart {
            key,
            lease,
            worker: worker.clone(),
            session: session.0,
            slot,
            device,
            slot_memory_bytes,
            at_ms,
        });
        let (sequence, newest, told) = (0, None, false);
        let predicted = self.expect(lease, session, slot);
        self.batch.commit.predictions.extend(predicted.map(|estimate| prediction_row(key, &estimate)));
        let attempt = LiveAttempt {
            key,
            worker,
            slot,
            sequence,
            newest,
            assigned: self.parts.clock.now(),
            assigned_ms: at_ms,
            predicted,
            counted_ms: 0,
            told,
        };
        self.live.attempts.insert(lease, attempt);
        self.started(lease.trial);
        self.uncommitted.insert(lease, self.batch.number);
        self.batch.wake.insert(session);
        self.remember(lease.trial, |history| history.attempts = history.attempts.max(lease.attempt));
        self.mark_changed(lease.trial);
    }

    fn attempt_ended(&mut self, lease: Lease, ending: Ending, said: Option<Finish>) {
        self.uncommitted.insert(lease, self.batch.number);
        let Some(mut attempt) = self.live.attempts.remove(&lease) else { return };
        let (key, may_come_back) = (attempt.key, ending == Ending::Lost);
        let (state, failure) = match &ending {
            Ending::Succeeded { .. } => (AttemptState::Succeeded, None),
            Ending::Failed { class, reason } => (AttemptState::Failed, Some((*class, reason.clone()))),
            Ending::Stopped => (AttemptState::Stopped, None),
            Ending::Lost => {
                let own_word = said.as_ref().and_then(|said| match &said.ending {
                    FinishEnding::Lost(reason) => Some((FailureClass::Machine, reason.clone())),
                    FinishEnding::Result(..) | FinishEnding::Failure(..) | FinishEnding::Stopped => None,
                });
                (AttemptState::Expired, own_word)
            }
        };
        self.parts.metrics.attempt(state, failure_of(&ending));
        let (start_seconds, run_seconds, log_tail) = said
            .as_ref()
            .map_or((0.0, 0.0, String::new()), |said| (said.start_seconds, said.run_seconds, said.log_tail.clone()));
        let at_ms = self.parts.clock.unix_ms();
        let whole_ms = u64::try_from(at_ms.saturating_sub(attempt.assigned_ms)).unwrap_or(0);
        // Time in which the attempt did not run is not cost. A worker cannot have paused for longer than the attempt
        // took.
        let paused_ms = said.as_ref().map_or(0, |said| (said.paused_seconds * 1000.0) as u64).min(whole_ms);
        if paused_ms > 0 {
            self.batch.commit.pauses.push((key, paused_ms));
        }
        attempt.counted_ms = whole_ms - paused_ms;
        self.spend(lease, attempt.counted_ms as i64);
        self.batch.commit.attempts_ended.push(AttemptEnd {
            key,
            lease,
            state,
            failure,
            at_ms,
            start_seconds,
            run_seconds,
            log_tail,
        });
        let answer = said.map(|said| said.ending).filter(|_| state == AttemptState::Succeeded);
        if let Some(FinishEnding::Result(result, said)) = answer {
            self.learn(lease, &attempt, &result, run_seconds);
            self.batch.commit.results.push(ResultRow { attempt: key, result: *result, said });
        }
        if may_come_back {
            self.live.given_up.insert(lease.trial, (lease, attempt));
        }
        self.mark_changed(lease.trial);
    }

    /// An attempt that was given up continues, with its earlier points.
    fn attempt_revived(&mut self, lease: Lease, session: SessionId) {
        let Some((given_up, mut attempt)) = self.live.given_up.remove(&lease.trial) else { return };
        if given_up != lease {
            error!(trial_id = %lease.trial, attempt = lease.attempt, "an attempt goes on that was not given up");
            return;
        }
        let counted = std::mem::take(&mut attempt.counted_ms);
        self.spend(lease, -(counted as i64));
        // If it was given up in this very batch, the row of its end is removed.
        let ended = &mut self.batch.commit.attempts_ended;
        let before = ended.len();
        ended.retain(|row| row.key != attempt.key);
        if ended.len() < before {
            self.batch.commit.attempts_adopted.push((attempt.key, session.0));
        } else {
            self.batch.commit.attempts_revived.push((attempt.key, lease, session.0));
        }
        self.uncommitted.insert(lease, self.batch.number);
        self.live.attempts.insert(lease, attempt);
        self.mark_changed(lease.trial);
    }

    fn note_attempt(&mut self, lease: Lease, action: AuditAction, actor: &str) {
        let worker = self.live.attempts.get(&lease).map(|attempt| attempt.worker.clone()).unwrap_or_default();
        let (trial, attempt) = (Some(lease.trial), Some(lease.attempt));
        self.note(AuditRow { trial, attempt, worker, ..audit(actor, action) });
    }

    /// A round that fails because its attempt was lost: the trial is quarantined, with the last lines of its log.
    fn note_quarantine(&mut self, lost: &Lost, end: &mut RoundEnd) {
        let RoundEnd::Failed { class: FailureClass::Machine, reason } = end else { return };
        let lines = last_lines(&lost.log_tail);
        if !lines.is_empty() {
            *reason = format!("{reason}; the log of the last attempt ended: {lines}");
        }
        let (trial, attempt) = (Some(lost.lease.trial), Some(lost.lease.attempt));
        let (worker, detail) = (lost.worker.clone(), reason.clone());
        self.note(AuditRow { trial, attempt, worker, detail, ..audit(COORDINATOR, AuditAction::Quarantined) });
    }

    fn round_ended(&mut self, trial: TrialId, round: u32, end: RoundEnd, digest: Option<Digest>) {
        let (state, accepted, failure) = match end {
            RoundEnd::Succeeded { attempt, outcome } => {
                if let Some(data_digest) = digest.filter(|_| !self.only_reproduces(trial, round)) {
                    let known = Known { round, data_digest, outcome };
                    self.remember(trial, |history| history.known = Some(known));
                }
                (RoundState::Succeeded, Some((attempt, outcome)), None)
            }
            RoundEnd::Failed { class, reason } => {
                self.parts.metrics.trial_failed(class.name());
                (RoundState::Failed, None, Some((class, reason)))
            }
            RoundEnd::Cancelled => (RoundState::Cancelled, None, None),
        };
        let at_ms = self.parts.clock.unix_ms();
        self.live.given_up.remove(&trial);
        self.batch.commit.rounds_ended.push(RoundEndRow { trial, round, state, accepted, failure, at_ms });
        let sweeps: Vec<SweepId> = self.live.sweeps.keys().copied().collect();
        for sweep in sweeps {
            self.count_ended(sweep, trial);
        }
    }

    /// Whether only sweeps that reproduce a result wait for this round, which has just ended: then the known result
    /// stays the earlier one. A sweep that ended with this round is no longer live.
    fn only_reproduces(&self, trial: TrialId, round: u32) -> bool {
        let wanting = self.live.sweeps.iter().filter(|(_, sweep)| sweep.trials.contains_key(&trial));
        let mut bound = wanting.filter(|(id, _)| self.scheduler.uses(**id, trial, round).unwrap_or(true)).peekable();
        bound.peek().is_some() && bound.all(|(_, sweep)| sweep.record.submission.reproduces.is_some())
    }

    fn count_ended(&mut self, sweep: SweepId, trial: TrialId) {
        let Some(live) = self.live.sweeps.get_mut(&sweep) else { return };
        if !live.trials.contains_key(&trial) {
            return;
        }
        live.one_less(trial);
        live.pace.progressed(self.parts.clock.unix_ms());
        self.batch.changed.insert(sweep);
    }

    fn mark_changed(&mut self, trial: TrialId) {
        let sweeps = self.live.sweeps.iter().filter(|(_, sweep)| sweep.trials.contains_key(&trial));
        self.batch.changed.extend(sweeps.map(|(id, _)| *id));
    }

    fn stage_ended(&mut self, sweep: SweepId, stage: u32) {
        let (state, choice) = (Some(StageState::Ended), String::new());
        self.batch.commit.stages.push(StageChange { sweep, stage, state, choice, winner: None, decided: None });
        self.batch.changed.insert(sweep);
        let Some(live) = self.live.sweeps.get(&sweep) else { return };
        let keeps = live.record.stages.get(stage as usize).is_some_and(|row| row.keep_best);
        if keeps {
            self.batch.follow_ups.push(FollowUp::Winner(sweep, stage));
        }
        if live.plan.looks().next().is_some() {
            self.batch.follow_ups.push(FollowUp::MoreSeeds(sweep));
        }
    }

    fn sweep_ended(&mut self, sweep: SweepId, end: SweepEnd) {
        let (state, reason) = match end {
            SweepEnd::Succeeded => (SweepState::Succeeded, String::new()),
            SweepEnd::Failed { reason } => (SweepState::Failed, reason),
            SweepEnd::Cancelled => (SweepState::Cancelled, String::new()),
            SweepEnd::Stopped { reason } => (SweepState::Cancelled, reason),
        };
        info!(sweep_id = %sweep, ?state, reason, "a sweep ended");
        let at_ms = self.parts.clock.unix_ms();
        self.batch.commit.sweeps_ended.push(SweepEndRow { sweep, state, reason, at_ms });
        self.batch.changed.insert(sweep);
        self.batch.follow_ups.push(FollowUp::Summary(sweep));
        let mut ended = self.live.sweeps.remove(&sweep);
        for reply in ended.iter_mut().flat_map(|ended| std::mem::take(&mut ended.cancels)) {
            self.batch.say(reply, Ok(()));
        }
        if ended.is_some_and(|ended| ended.plan.spec().protocol.keep_weights == KeepWeights::Winner) {
            self.batch.commit.weights_due.push((sweep, at_ms));
            self.batch.follow_ups.push(FollowUp::Weights(sweep));
        }
    }

    /// Records a change of a trial, while a ticket exists.
    fn remember(&mut self, trial: TrialId, change: impl FnOnce(&mut sweep_scheduler::event::History)) {
        if self.journal.tickets.iter().any(|ticket| ticket.strong_count() > 0) {
            change(self.journal.entries.entry(trial).or_default());
        }
    }
}

/// The reasons why an event changed nothing.
pub(crate) fn ignored(effect: &Effect) -> Option<Ignored> {
    match effect {
        Effect::Ignored(reason) => Some(*reason),
        _ => None,
    }
}
