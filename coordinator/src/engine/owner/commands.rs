//! Commands of workers and submissions: each becomes an event for the scheduler, and is answered after the commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use sweep_analysis::cost::Size;
use sweep_scheduler::event::{Ending, Registration, Slot};
use sweep_scheduler::{Event, Ignored, Outlook, PoolName, SessionId, WorkerName};
use sweep_spec::TrialId;
use sweep_spec::trainer::Origin;
use sweep_store::codes::{AuditAction, StageState};
use sweep_store::write::{AuditRow, PointRow, StageChange, WorkerRow};
use tracing::{info, warn};

use crate::convert::Invalid;
use crate::engine::audit::audit;
use crate::engine::error::Error;
use crate::engine::messages::command::{Begin, Command, Ticket};
use crate::engine::messages::worker::{
    Describe, Finish, FinishEnding, Finished, Register, Registered, Report, Reported,
};
use crate::engine::owner::driver::Driver;
use crate::engine::owner::live::Session;
use crate::engine::reply::Reply;
use crate::engine::state::sweep::LiveSweep;

impl Driver {
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Register(request, reply) => self.register(request, reply),
            Command::Poll(poll, reply) => self.poll(poll, reply),
            Command::Describe(request, reply) => self.describe(request, reply),
            Command::Report(request, reply) => self.report(request, reply),
            Command::Finish(request, reply) => self.finish(*request, reply),
            Command::Room(asked, reply) => self.room(asked, reply),
            Command::Ticket(reply) => self.ticket(reply),
            Command::Begin(begin, reply) => self.begin(*begin, reply),
            Command::Outlook(sweep, reply) => {
                let outlook = self.scheduler.outlook(sweep);
                self.batch.say(reply, Ok(outlook));
            }
            Command::Cancel(sweep, actor, reply) => self.cancel(sweep, &actor, reply),
            Command::Pause(change, actor, reply) => self.pause(change, &actor, reply),
            Command::SetPriority(change, actor, reply) => self.set_priority(change, &actor, reply),
            Command::Retry(retry, reply) => self.retry(*retry, reply),
            Command::Delete(sweep, audit, reply) => self.delete(sweep, *audit, reply),
            Command::Forget(trials, reply) => {
                for trial in &trials {
                    self.journal.entries.remove(trial);
                }
                drop(reply.send(Ok(())));
            }
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
            Command::Warnings(reply) => {
                let warnings = self.warnings();
                self.batch.say(reply, Ok(warnings));
            }
            Command::Workers(reply) => {
                let workers = self.worker_views();
                self.batch.say(reply, Ok(workers));
            }
            // Gauges may be one commit ahead: no decision depends on them, and a scrape must not wait for a slow disk.
            Command::Gauges(reply) => drop(reply.send(Ok(self.gauges()))),
            Command::Paces(reply) => drop(reply.send(Ok(self.paces()))),
        }
    }

    /// Applies an event and stores its effects in the batch.
    pub(crate) fn event(&mut self, event: Event) -> Vec<Ignored> {
        let effects = self.apply(event);
        self.carry_out(effects, None)
    }

    fn register(&mut self, request: Register, reply: Reply<Registered>) {
        if let Err(error) = self.room_for(&request.worker) {
            return drop(reply.send(Err(error)));
        }
        if let Err(error) = self.name_for(&request) {
            return drop(reply.send(Err(error)));
        }
        self.remember_name(&request);
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
            at_ms: self.parts.clock.unix_ms(),
        });
        let known = |bytes: u64| (bytes > 0).then_some(bytes);
        let slot =
            |slot: sweep_store::write::SlotRow| Slot { device: slot.device, memory_bytes: known(slot.memory_bytes) };
        let device_names = request.slots.iter().map(|slot| slot.device_name.clone()).collect();
        let slots: Vec<Slot> = request.slots.into_iter().map(slot).collect();
        info!(worker_id = request.worker, session = session.0, slots = slots.len(), "a worker registered");
        if let Some(pool) = request.pool.as_ref().filter(|pool| !self.declares(pool)) {
            warn!(worker_id = request.worker, %pool, "a worker names a pool that the configuration does not declare (`pools`)");
        }
        let (worker, instance, pool) = (WorkerName(request.worker), request.instance, request.pool.clone());
        let offers = slots.clone();
        self.live.sessions.insert(
            session,
            Session {
                seen_ms: self.parts.clock.unix_ms(),
                offers,
                device_names,
                pool: request.pool,
                shares_checkpoints: request.shares_checkpoints,
                ..Session::default()
            },
        );
        let live = request.live.clone();
        let registration = Registration { worker: worker.clone(), session, slots, live: request.live, instance, pool };
        self.event(Event::Register(registration));
        let mut leases = live.into_iter().map(|(lease, _)| lease);
        let stop = leases.by_ref().filter(|lease| !self.scheduler.is_live(session, *lease)).collect();
        self.forget_old_sessions();
        let service = self.scheduler.service(&worker);
        if let Some(live) = self.live.sessions.get_mut(&session) {
            live.service = service.clone();
        }
        self.batch.say(reply, Ok(Registered { session, stop, service }));
    }

    fn declares(&self, pool: &PoolName) -> bool {
        self.parts.scheduler.pools.iter().any(|declared| declared.name == *pool)
    }

    /// Forgets sessions that the scheduler has ended, and answers their parked polls.
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

    fn describe(&mut self, request: Describe, reply: Reply<bool>) {
        if let Some(session) = self.live.sessions.get_mut(&request.session) {
            session.describes.remove(&request.dataset);
        }
        let answer = match request.answer {
            Ok(found) => {
                let digest = found.digest;
                // If no sweep asks for this data set, its description is not kept.
                let asked = self.scheduler.asks(request.session, request.dataset);
                if asked && self.live.dataset(request.dataset).is_some() {
                    let size = Size { train: found.train_images.into(), test: found.test_images.into() };
                    self.costs.get().described(request.dataset, size);
                    self.batch.commit.descriptions.push((request.dataset, found));
                }
                Ok(digest)
            }
            Err((class, reason)) => {
                warn!(session = request.session.0, class = class.name(), reason, "a worker cannot read a data set");
                Err(reason)
            }
        };
        let read = answer.is_ok();
        let event = Event::Described { session: request.session, dataset: request.dataset, answer };
        let ignored = self.event(event);
        // A worker that could not read the data set has been logged above.
        for one in self.left_out(request.session).iter().filter(|_| read && ignored.is_empty()) {
            let (sweep_id, worker_id, reason) = (one.sweep.0, one.worker.0.as_str(), one.reason.as_str());
            warn!(sweep_id, worker_id, reason, "a sweep does not use a worker");
        }
        let unknown = ignored.contains(&Ignored::UnknownSession);
        self.batch.say(reply, if unknown { Err(Error::UnknownSession) } else { Ok(ignored.is_empty()) });
    }

    fn report(&mut self, request: Report, reply: Reply<Reported>) {
        if !self.scheduler.knows_session(request.session) {
            return self.batch.say(reply, Err(Error::UnknownSession));
        }
        let (mut stop, mut touched) = (Vec::new(), HashSet::new());
        let (mut taken, mut invalid) = (0, None);
        for (lease, sequence, metrics) in request.points {
            let live = self.scheduler.is_live(request.session, lease);
            let attempt = self.live.attempts.get(&lease).filter(|_| live);
            let Some(attempt) = attempt else {
                if !stop.contains(&lease) {
                    stop.push(lease);
                }
                continue;
            };
            // An earlier point is stored or in this batch. After a gap no point is accepted; `Finish` will ask for the
            // missing ones.
            if sequence != attempt.sequence + 1 {
                continue;
            }
            let key = attempt.key;
            if let Some((sweep, ..)) = self.live.find(lease.trial) {
                let epochs = sweep.plan.spec().protocol.epochs;
                if sequence > u64::from(epochs) || metrics.epoch > epochs {
                    let problem = format!("more than the {epochs} epochs of trial {}", lease.trial.short());
                    invalid.get_or_insert(Invalid { field: "points", problem });
                    continue;
                }
                self.batch.changed.insert(sweep.record.id);
            }
            if let Some(attempt) = self.live.attempts.get_mut(&lease) {
                attempt.sequence = sequence;
                attempt.newest = Some(metrics);
            }
            taken += 1;
            touched.insert(lease.trial);
            self.batch.commit.points.push(PointRow { attempt: key, sequence, metrics });
        }
        self.parts.metrics.points(taken);
        self.progressed(&touched);
        self.batch.say(reply, invalid.map_or(Ok(Reported { stop, taken }), |invalid| Err(invalid.into())));
    }

    /// Adds the coordinator's part of a result's origin: the oldest live sweep that waits for the trial, and its
    /// submission.
    fn complete(&self, trial: TrialId, origin: &mut Origin) {
        origin.coordinator_version = sweep_spec::build::version(env!("CARGO_PKG_VERSION"));
        let asking = self.live.sweeps.values().filter(|sweep| sweep.trials.contains_key(&trial));
        let Some(sweep) = asking.min_by_key(|sweep| sweep.record.id) else { return };
        origin.sweep = Some(sweep.record.id.0);
        origin.spec_digest = Some(sweep.record.spec_digest);
        origin.revision.clone_from(&sweep.record.submission.revision);
        origin.protocol_digest = Some(sweep.protocol_digest);
    }

    fn finish(&mut self, mut request: Finish, reply: Reply<Finished>) {
        if !self.scheduler.knows_session(request.session) {
            return self.batch.say(reply, Err(Error::UnknownSession));
        }
        let attempt = self.live.attempts.get(&request.lease);
        let stored_sequence = attempt.map_or(0, |attempt| attempt.sequence);
        let live = attempt.is_some() && self.scheduler.is_live(request.session, request.lease);
        if live && request.last_sequence > stored_sequence {
            return self.batch.say(reply, Ok(Finished::PointsMissing { stored_sequence }));
        }
        if let FinishEnding::Result(result, _) = &mut request.ending {
            self.complete(request.lease.trial, &mut result.provenance.origin);
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
        let effects = self.apply(event);
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

    /// Begins a sweep or opens stages. Their rows have been written already.
    fn begin(&mut self, mut begin: Begin, reply: Reply<Outlook>) {
        if begin.ticket.generation != self.generation {
            return self.batch.say(reply, Err(Error::Unavailable));
        }
        for (_, trials) in &mut begin.open {
            trials.iter_mut().for_each(|wanted| self.journal.bring_up_to_date(wanted));
        }
        let sweep = begin.sweep;
        let asked: HashSet<TrialId> =
            begin.open.iter().flat_map(|(_, trials)| trials).map(|wanted| wanted.id).collect();
        self.batch.changed.insert(sweep);
        if let Some(choice) = begin.choice.take() {
            let detail = format!("stage {}: {}", choice.stage, choice.choice);
            self.note(AuditRow { sweep: Some(sweep), detail, ..audit(&begin.actor, AuditAction::StageDecided) });
            self.batch.commit.stages.push(choice);
        }
        let begun = Instant::now();
        if let Some((event, live)) = begin.new.take() {
            let detail = match begin.extends {
                Some(from) => format!("{}, extends sweep {from}", live.record.name),
                None => live.record.name.clone(),
            };
            self.note(AuditRow { sweep: Some(sweep), detail, ..audit(&begin.actor, AuditAction::Submitted) });
            self.live.sweeps.insert(sweep, live);
            self.batch.commit.sweeps_begun.push(sweep);
            self.event(Event::SubmitSweep(event));
        }
        // A sweep that is being cancelled opens no more stages.
        let goes_on = !self.scheduler.is_stopping(sweep);
        if let Some(live) = self.live.sweeps.get_mut(&sweep).filter(|_| goes_on) {
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
        // The sweep has ended at once, because every trial has a known result.
        let all_known = Outlook { known: asked.len() as u64, ..Outlook::default() };
        let outlook = self.scheduler.outlook(sweep).unwrap_or(all_known);
        self.batch.say(reply, Ok(outlook));
    }
}

impl LiveSweep {
    /// Adds the opened stages to the live sweep.
    fn extend(&mut self, begin: &mut Begin) {
        self.configurations.extend(std::mem::take(&mut begin.configurations));
        for (trial, place) in std::mem::take(&mut begin.trials) {
            self.add_trial(trial, place);
        }
    }
}
