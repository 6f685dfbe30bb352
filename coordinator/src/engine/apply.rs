//! Commands to events, and what is said in return.

use std::sync::Arc;
use std::time::Instant;

use sweep_analysis::cost::Size;
use sweep_scheduler::event::{Ending, Registration, Slot};
use sweep_scheduler::{Effect, Event, Ignored, SessionId, WorkerName};
use tracing::{info, warn};

use super::Error;
use super::command::{
    Begin, Command, Describe, Finish, FinishEnding, Finished, Register, Registered, Reply, Report, Ticket,
};
use super::driver::{Driver, unix_ms};
use super::live::Session;
use super::people::audit;
use crate::store::codes::{AuditAction, StageState};
use crate::store::write::{AuditRow, PointRow, StageChange, WorkerRow};

impl Driver {
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Register(request, reply) => self.register(request, reply),
            Command::Poll(poll, reply) => self.poll(poll, reply),
            Command::Describe(request, reply) => self.describe(request, reply),
            Command::Report(request, reply) => self.report(request, reply),
            Command::Finish(request, reply) => self.finish(*request, reply),
            Command::Ticket(reply) => self.ticket(reply),
            Command::Begin(begin, reply) => self.begin(*begin, reply),
            Command::Cancel(sweep, actor, reply) => self.cancel(sweep, &actor, reply),
            Command::Pause(change, actor, reply) => self.pause(change, &actor, reply),
            Command::SetPriority(change, actor, reply) => self.set_priority(change, &actor, reply),
            Command::Retry(retry, reply) => self.retry(*retry, reply),
            Command::SetService((worker, service), actor, reply) => self.set_service(worker, service, &actor, reply),
            Command::Explain(trial, reply) => {
                let said = self.scheduler.explain(trial);
                self.batch.say(reply, Ok(said));
            }
            Command::Sweep(sweep, reply) => {
                let status = self.status(sweep);
                self.batch.say(reply, Ok(status));
            }
            Command::Devices(reply) => {
                let devices = self.devices();
                self.batch.say(reply, Ok(devices));
            }
            Command::Workers(reply) => {
                let workers = self.worker_views();
                self.batch.say(reply, Ok(workers));
            }
            // Gauges may be a commit ahead: they promise nothing, and a scrape must not wait for a slow disk.
            Command::Gauges(reply) => drop(reply.send(Ok(self.gauges()))),
        }
    }

    /// Applies an event and carries its effects out.
    pub(crate) fn event(&mut self, event: Event) -> Vec<Ignored> {
        let effects = self.scheduler.apply(self.now(), event);
        self.carry_out(effects, None)
    }

    fn register(&mut self, request: Register, reply: Reply<Registered>) {
        let fresh = match self.instances.take(&request.worker, request.instance) {
            Some(fresh) => fresh,
            None => return drop(reply.send(Err(Error::NameTaken { worker: request.worker }))),
        };
        let session = SessionId(self.next_session);
        self.next_session += 1;
        self.batch.commit.last_session = Some(session.0);
        self.batch.commit.workers.push(WorkerRow {
            name: request.worker.clone(),
            host: request.host,
            version: request.version,
            session: session.0,
            slots: request.slots.clone(),
            labels: request.labels,
            at_ms: unix_ms(),
        });
        let known = |bytes: u64| (bytes > 0).then_some(bytes);
        let slot =
            |slot: crate::store::write::SlotRow| Slot { device: slot.device, memory_bytes: known(slot.memory_bytes) };
        let device_names = request.slots.iter().map(|slot| slot.device_name.clone()).collect();
        let slots: Vec<Slot> = request.slots.into_iter().map(slot).collect();
        info!(worker_id = request.worker, session = session.0, slots = slots.len(), "a worker registered");
        let worker = WorkerName(request.worker);
        let offers = slots.clone();
        self.live.sessions.insert(session, Session { seen_ms: unix_ms(), offers, device_names, ..Session::default() });
        let live = request.live.clone();
        self.event(Event::Register(Registration { worker: worker.clone(), session, slots, live: request.live, fresh }));
        let mut leases = live.into_iter().map(|(lease, _)| lease);
        let stop = leases.by_ref().filter(|lease| !self.scheduler.is_live(session, *lease)).collect();
        self.forget_old_sessions();
        let service = self.scheduler.service(&worker);
        if let Some(live) = self.live.sessions.get_mut(&session) {
            live.service = service.clone();
        }
        self.batch.say(reply, Ok(Registered { session, stop, service }));
    }

    /// Sessions that the scheduler has ended are forgotten; a poll that waits in one is told.
    pub(crate) fn forget_old_sessions(&mut self) {
        let scheduler = &self.scheduler;
        self.live.sessions.retain(|id, session| {
            let known = scheduler.knows_session(*id);
            if !known && let Some(parked) = session.parked.take() {
                let _ = parked.reply.send(Err(Error::UnknownSession));
            }
            known
        });
    }

    fn describe(&mut self, request: Describe, reply: Reply<()>) {
        if let Some(session) = self.live.sessions.get_mut(&request.session) {
            session.describes.remove(&request.dataset);
        }
        let answer = match request.answer {
            Ok(found) => {
                let digest = found.digest;
                let size = Size { train: found.train_images.into(), test: found.test_images.into() };
                self.costs.get().described(request.dataset, size);
                self.batch.commit.descriptions.push((request.dataset, found));
                Ok(digest)
            }
            Err((class, reason)) => {
                warn!(session = request.session.0, class = class.name(), reason, "a worker cannot read a data set");
                Err(reason)
            }
        };
        let event = Event::Described { session: request.session, dataset: request.dataset, answer };
        let ignored = self.event(event);
        let unknown = ignored.contains(&Ignored::UnknownSession);
        self.batch.say(reply, if unknown { Err(Error::UnknownSession) } else { Ok(()) });
    }

    fn report(&mut self, request: Report, reply: Reply<Vec<sweep_scheduler::Lease>>) {
        if !self.scheduler.knows_session(request.session) {
            return self.batch.say(reply, Err(Error::UnknownSession));
        }
        let mut stop = Vec::new();
        let mut taken = 0;
        for (lease, sequence, metrics) in request.points {
            let live = self.scheduler.is_live(request.session, lease);
            let attempt = self.live.attempts.get_mut(&lease).filter(|_| live);
            let Some(attempt) = attempt else {
                if !stop.contains(&lease) {
                    stop.push(lease);
                }
                continue;
            };
            // An earlier one is stored or in this batch; behind a gap nothing is taken, and `Finish` will ask for it.
            if sequence != attempt.sequence + 1 {
                continue;
            }
            attempt.sequence = sequence;
            attempt.newest = Some(metrics);
            taken += 1;
            self.batch.commit.points.push(PointRow { attempt: attempt.key, sequence, metrics });
            if let Some((sweep, ..)) = self.live.find(lease.trial) {
                self.batch.changed.insert(sweep.record.id);
            }
        }
        self.parts.metrics.points(taken);
        self.batch.say(reply, Ok(stop));
    }

    fn finish(&mut self, request: Finish, reply: Reply<Finished>) {
        if !self.scheduler.knows_session(request.session) {
            return self.batch.say(reply, Err(Error::UnknownSession));
        }
        let attempt = self.live.attempts.get(&request.lease);
        let stored_sequence = attempt.map_or(0, |attempt| attempt.sequence);
        let live = attempt.is_some() && self.scheduler.is_live(request.session, request.lease);
        if live && request.last_sequence > stored_sequence {
            return self.batch.say(reply, Ok(Finished::PointsMissing { stored_sequence }));
        }
        let ending = match &request.ending {
            FinishEnding::Result(result, _) => {
                Ending::Succeeded { outcome: result.outcome, data_digest: result.provenance.data_digest }
            }
            FinishEnding::Failure(class, reason) => Ending::Failed { class: *class, reason: reason.clone() },
            FinishEnding::Stopped => Ending::Stopped,
            FinishEnding::Lost(_) => Ending::Lost,
        };
        let event = Event::Finish { session: request.session, lease: request.lease, ending };
        let effects = self.scheduler.apply(self.now(), event);
        let ignored = self.carry_out(effects, Some(request));
        let verdict = match ignored.first() {
            None => Ok(Finished::Accepted { stored_sequence }),
            Some(Ignored::UnknownSession) => Err(Error::UnknownSession),
            Some(_) => Ok(Finished::Stale),
        };
        self.batch.say(reply, verdict);
    }

    fn ticket(&mut self, reply: Reply<Ticket>) {
        self.journal.tickets.retain(|ticket| ticket.strong_count() > 0);
        if self.journal.tickets.is_empty() {
            self.journal.entries.clear();
        }
        let alive = Arc::new(());
        self.journal.tickets.push(Arc::downgrade(&alive));
        let ticket = Ticket { generation: self.generation, _alive: alive };
        self.batch.say(reply, Ok(ticket));
    }

    /// Begins a sweep or opens stages whose rows are prepared.
    fn begin(&mut self, mut begin: Begin, reply: Reply<()>) {
        if begin.ticket.generation != self.generation {
            return self.batch.say(reply, Err(Error::Unavailable));
        }
        for (_, trials) in &mut begin.open {
            trials.iter_mut().for_each(|wanted| self.journal.bring_up_to_date(wanted));
        }
        let sweep = begin.sweep;
        self.batch.changed.insert(sweep);
        if let Some(choice) = begin.choice.take() {
            let detail = format!("stage {}: {}", choice.stage, choice.choice);
            self.note(AuditRow { sweep: Some(sweep), detail, ..audit(&begin.actor, AuditAction::StageDecided) });
            self.batch.commit.stages.push(choice);
        }
        let begun = Instant::now();
        if let Some((event, live)) = begin.new.take() {
            let detail = live.record.name.clone();
            self.note(AuditRow { sweep: Some(sweep), detail, ..audit(&begin.actor, AuditAction::Submitted) });
            self.live.sweeps.insert(sweep, live);
            self.batch.commit.sweeps_begun.push(sweep);
            self.event(Event::SubmitSweep(event));
        }
        if let Some(live) = self.live.sweeps.get_mut(&sweep) {
            live.extend(&mut begin);
            let state = |stage, state| StageChange {
                sweep,
                stage,
                state: Some(state),
                choice: String::new(),
                winner: None,
                decided: None,
            };
            let opened = begin.open.iter().map(|(stage, _)| state(*stage, StageState::Open));
            self.batch.commit.stages.extend(opened);
            for (stage, reason) in begin.fail {
                let failed = StageChange { choice: reason.clone(), ..state(stage, StageState::Failed) };
                self.batch.commit.stages.push(failed);
                self.event(Event::FailStage { sweep, stage, reason });
            }
            for (stage, trials) in begin.open {
                self.event(Event::OpenStage { sweep, stage, trials });
            }
        }
        info!(sweep_id = %sweep, ms = begun.elapsed().as_millis(), "stages opened");
        self.batch.say(reply, Ok(()));
    }
}

/// The reasons why an event changed nothing.
pub(crate) fn ignored(effect: &Effect) -> Option<Ignored> {
    match effect {
        Effect::Ignored(reason) => Some(*reason),
        _ => None,
    }
}
