//! How the agent handles the results and failures of its calls to the coordinator.

use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::{Agent, Describing, Idle, Session};
use crate::calls::{Answer, CallError};
use crate::wire::Lease;
use crate::{Error, version};

/// An empty poll answer that arrives sooner, in seconds, was not parked by the coordinator.
const PARKED_POLL_SECONDS: f64 = 0.02;

/// Consecutive unparked polls after which the next poll is delayed.
const MAX_UNPARKED_POLLS: u32 = 3;

/// A session that was lost sooner than this was probably taken over by another worker of the same name.
const SHORT_SESSION: Duration = Duration::from_secs(2);

/// Reasons why sweeps do not use this worker that one session logs at most.
const MAX_LOGGED_REASONS: usize = 1024;

/// The calls that share a backoff.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Control,
    Reports,
    Endings,
}

impl Agent {
    pub(super) fn answered(&mut self, answer: Result<Answer, JoinError>) {
        match answer {
            Ok(Answer::Registered { result, held }) => self.registered(result, held),
            Ok(Answer::Polled { serial, session, seconds, result }) => {
                if self.poll_serial == serial {
                    self.polling = None;
                }
                if matches!(self.idle, Idle::Asking { poll, .. } if result.is_ok() && serial >= poll) {
                    self.idle = Idle::Heard;
                }
                self.polled(session, seconds, result);
            }
            Ok(Answer::Reported { session, seconds, points, result }) => {
                self.parts.metrics.report_seconds.observe(seconds);
                self.reported(session, points, result);
            }
            Ok(Answer::Finished { session, lease, result }) => self.finished(session, lease, result),
            Ok(Answer::Described { session, key, result }) => {
                let Some(Describing::Sending(request)) = self.describing.remove(&key) else { return };
                match result {
                    Ok(()) => {}
                    Err(CallError::Refused(reason)) => {
                        tracing::error!(reason, "the coordinator refused the description of a data set")
                    }
                    Err(trouble) => {
                        self.describing.insert(key, Describing::Answered(request));
                        self.trouble(session, "describe", trouble, Kind::Endings);
                    }
                }
            }
            Ok(Answer::Uploaded { session, lease, result }) => self.uploaded(session, lease, result),
            // The agent cancelled this poll.
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                self.fatal = Some(Error::Internal { source: error });
                self.leave("the worker failed");
            }
        }
    }

    fn registered(&mut self, result: Result<v1::RegisterResponse, CallError>, held: Option<Box<v1::NameHeld>>) {
        self.registering = false;
        let result = result.and_then(|response| {
            let checked = version::check(env!("CARGO_PKG_VERSION"), &response.coordinator_version);
            checked.map(|()| response).map_err(CallError::Refused)
        });
        match result {
            Ok(response) => {
                tracing::info!(
                    session = response.session,
                    coordinator = self.parts.endpoints.address(),
                    coordinator_version = response.coordinator_version,
                    attempts = self.attempts.len(),
                    "registered"
                );
                self.session = Some(Session::new(&response));
                self.idle = Idle::Since(Instant::now());
                self.seen = 0;
                self.parts.metrics.sessions.inc();
                self.reached();
                self.parts.registered.send_replace(true);
                self.drop_expired(&response.stop);
                self.in_service(response.out_of_service);
            }
            Err(CallError::Refused(reason)) => {
                tracing::error!(reason, "the coordinator refused the registration");
                let address = self.parts.endpoints.address().to_owned();
                self.fatal = Some(match held {
                    Some(held) => {
                        let free_in = Duration::from_millis(held.free_in_ms);
                        Error::NameHeld { address, reason, free_in }
                    }
                    None => Error::Refused { address, reason },
                });
                self.leave("the coordinator refused the worker");
            }
            Err(CallError::SessionLost) => self.control.fail(),
            Err(CallError::Transient(reason)) => self.unreachable("register", &reason),
        }
    }

    fn polled(&mut self, session: u64, seconds: f64, result: Result<v1::PollResponse, CallError>) {
        if self.session.as_ref().is_none_or(|current| current.id != session) {
            // The answer belongs to an earlier session.
            return;
        }
        match result {
            Ok(response) => {
                self.reached();
                self.throttle_polls(seconds, &response);
                self.obey(response);
            }
            // A rejected poll is not fatal: another coordinator may accept it.
            Err(CallError::Refused(reason)) => self.unreachable("poll", &reason),
            Err(trouble) => self.trouble(session, "poll", trouble, Kind::Control),
        }
    }

    /// Delays the next poll if the coordinator answers polls at once and without content.
    fn throttle_polls(&mut self, seconds: f64, response: &v1::PollResponse) {
        let empty = response.start.is_empty() && response.stop.is_empty() && response.describe.is_empty();
        self.unparked_polls =
            if empty && seconds < PARKED_POLL_SECONDS { self.unparked_polls.saturating_add(1) } else { 0 };
        let excess = self.unparked_polls.saturating_sub(MAX_UNPARKED_POLLS).min(7);
        self.poll_not_before = (excess > 0).then(|| Instant::now() + Duration::from_millis(5 << excess));
    }

    fn obey(&mut self, response: v1::PollResponse) {
        for assignment in response.start {
            self.start(assignment);
        }
        for lease in &response.stop {
            match Lease::from_wire(lease) {
                Some(lease) => self.stop_requested(&lease),
                None => tracing::error!("the coordinator stopped a lease without a trial id"),
            }
        }
        let mut complete = true;
        for task in response.describe {
            complete &= self.describe(task);
        }
        if response.drain && !self.draining {
            tracing::info!(attempts = self.attempts.len(), "draining on the coordinator's request");
            self.draining = true;
        }
        if response.leave && self.shutdown_deadline.is_none() {
            self.leave("the coordinator requested the worker's exit");
        }
        // An answer without a number is empty: the poll timed out at the coordinator.
        if response.number > 0 {
            self.in_service(response.out_of_service);
        }
        self.left_out(response.left_out);
        if complete {
            self.seen = self.seen.max(response.number);
        }
    }

    /// `reason` is why the coordinator assigns nothing to this worker; empty if it does.
    fn in_service(&mut self, reason: String) {
        if reason == self.out_of_service {
            return;
        }
        self.parts.metrics.out_of_service.set(i64::from(!reason.is_empty()));
        match reason.as_str() {
            "" => tracing::info!("back in service"),
            reason => tracing::warn!(reason, "the coordinator took this worker out of service"),
        }
        self.out_of_service = reason;
    }

    /// Logs why sweeps do not use this worker, each reason once per session.
    fn left_out(&mut self, sentences: Vec<String>) {
        let Some(session) = &mut self.session else { return };
        for reason in sentences {
            if session.left_out.len() < MAX_LOGGED_REASONS && session.left_out.insert(reason.clone()) {
                tracing::warn!(reason, "a sweep does not use this worker");
            }
        }
    }

    fn reported(&mut self, session: u64, points: usize, result: Result<v1::ReportResponse, CallError>) {
        self.reporting = false;
        match result {
            Ok(response) => {
                self.outbox.batch_arrived();
                self.reports.succeed();
                self.parts.metrics.points_sent.inc_by(points as u64);
                self.one_by_one &= self.outbox.has_points();
                self.drop_expired(&response.stop);
            }
            Err(CallError::Refused(reason)) => {
                let leases = self.outbox.batch_leases();
                self.outbox.batch_failed();
                match leases.as_slice() {
                    [lease] => self.give_up(lease, format!("the coordinator refused its points: {reason}")),
                    // Sending the points one by one shows which attempt is invalid.
                    _ => self.one_by_one = true,
                }
            }
            Err(trouble) => {
                self.outbox.batch_failed();
                self.trouble(session, "report", trouble, Kind::Reports);
            }
        }
    }

    fn finished(&mut self, session: u64, lease: Lease, result: Result<v1::FinishResponse, CallError>) {
        self.finishing -= 1;
        let response = match result {
            Ok(response) => response,
            Err(CallError::Refused(reason)) => return self.finish_refused(&lease, reason),
            Err(trouble) => {
                self.outbox.finish_failed(&lease);
                return self.trouble(session, "finish", trouble, Kind::Endings);
            }
        };
        match response.verdict() {
            v1::FinishVerdict::Accepted => {
                self.endings.succeed();
                if self.outbox.has_result(&lease) {
                    let checkpoints = Arc::clone(&self.parts.checkpoints);
                    self.cleaning.spawn(async move { checkpoints.remove(lease).await });
                }
                self.ending_stored(&lease);
            }
            v1::FinishVerdict::Stale => {
                tracing::info!(trial_id = %lease.trial_id, attempt = lease.attempt, "the coordinator refused the attempt's ending: its lease has expired");
                self.endings.succeed();
                self.ending_stored(&lease);
            }
            v1::FinishVerdict::PointsMissing => {
                self.endings.fail();
                self.points_missing(&lease, response.stored_sequence);
            }
            v1::FinishVerdict::Unspecified => {
                self.outbox.finish_failed(&lease);
                self.trouble(session, "finish", CallError::Transient("unknown verdict".to_owned()), Kind::Endings);
            }
        }
    }

    fn uploaded(&mut self, session: u64, lease: Lease, result: Result<bool, CallError>) {
        let Some(attempt) = self.attempts.get_mut(&lease) else { return };
        attempt.uploading = false;
        match result {
            Err(CallError::Refused(reason)) => {
                tracing::warn!(reason, trial_id = %lease.trial_id, "the coordinator refused an artifact, skipping it");
                attempt.uploads.pop_front();
            }
            Err(trouble) => return self.trouble(session, "put_artifact", trouble, Kind::Endings),
            Ok(_) => {
                self.endings.succeed();
                let sent = attempt.uploads.pop_front();
                if let Some(artifact) = sent.filter(|sent| sent.kind == v1::ArtifactKind::Thumbnails) {
                    self.thumbnails_sent.insert(artifact.data_digest);
                }
            }
        }
        self.release_if_uploaded(&lease);
    }

    /// A call to the coordinator succeeded.
    fn reached(&mut self) {
        self.control.succeed();
        self.parts.metrics.connected.set(1);
        if self.away {
            self.away = false;
            self.parts.metrics.reconnects.inc();
            // Calls that were delayed because the coordinator was unreachable can start now.
            self.reports.succeed();
            self.endings.succeed();
        }
    }

    fn unreachable(&mut self, method: &'static str, reason: &str) {
        self.parts.metrics.calls_failed.with_label_values(&[method]).inc();
        let address = self.parts.endpoints.address();
        if self.away {
            tracing::debug!(address, method, reason, "still cannot reach the coordinator");
        } else {
            tracing::warn!(
                address,
                method,
                reason,
                attempts = self.attempts.len(),
                "cannot reach the coordinator, training continues"
            );
        }
        self.away = true;
        self.parts.metrics.connected.set(0);
        self.parts.registered.send_replace(false);
        self.control.fail();
        self.parts.endpoints.fail_over();
    }

    fn trouble(&mut self, session: u64, method: &'static str, trouble: CallError, kind: Kind) {
        match (trouble, kind) {
            (CallError::SessionLost, _) => self.session_lost(session, method),
            (CallError::Transient(reason) | CallError::Refused(reason), Kind::Control) => {
                self.unreachable(method, &reason)
            }
            (CallError::Transient(reason) | CallError::Refused(reason), Kind::Reports | Kind::Endings) => {
                self.parts.metrics.calls_failed.with_label_values(&[method]).inc();
                tracing::debug!(method, reason, "a call failed, retrying");
                match kind {
                    Kind::Reports => self.reports.fail(),
                    Kind::Endings | Kind::Control => self.endings.fail(),
                }
            }
        }
    }

    fn session_lost(&mut self, session: u64, method: &'static str) {
        self.parts.metrics.calls_failed.with_label_values(&[method]).inc();
        let Some(lost) = self.session.take_if(|current| current.id == session) else { return };
        tracing::warn!(
            session,
            attempts = self.attempts.len(),
            "the coordinator does not know the session, registering again"
        );
        self.end_poll();
        self.away = true;
        self.parts.metrics.connected.set(0);
        self.parts.registered.send_replace(false);
        if lost.since.elapsed() < SHORT_SESSION {
            let name = &self.parts.registration.worker;
            tracing::warn!(name, "the session was short: another worker may use this name");
            self.control.fail();
        }
    }
}
