//! The agent: the one task that owns the session, the attempts and the outbox. It starts calls to the coordinator and
//! reacts to their answers, to events of the slots and to requests to stop.
//!
//! ```text
//!   Register ──> session ──> Poll, one at a time ──> start, stop, describe, drain
//!      ^                      Report, one at a time ──> acknowledged points
//!      └── session lost ────  Finish, Describe, PutArtifact, several at a time
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sweep_proto::v1;
use sweep_spec::Digest;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::artifact::Artifact;
use crate::calls::{self, Answer, Backoff, Endpoints};
use crate::checkpoints::Checkpoints;
use crate::describer;
use crate::metrics::Metrics;
use crate::outbox::{Journal, Outbox, Recovered};
use crate::slot::{Job, SlotEvent};
use crate::wire::Lease;
use crate::{Ending, Error};

mod answers;
mod attempts;

pub(crate) use attempts::{MAX_DESCRIBES, unflatten};

/// The most endings of attempts that are reported at the same time.
const MAX_FINISHES: usize = 32;

/// Time limit for reporting the last endings after the last trainer has stopped.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for writing the journal to disk at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for the final call that announces the worker's exit.
const EXIT_CALL_TIMEOUT: Duration = Duration::from_millis(500);

/// The dependencies from which an agent is built.
pub(crate) struct Parts {
    pub(crate) registration: v1::RegisterRequest,
    pub(crate) endpoints: Endpoints,
    pub(crate) slot_handles: Vec<SlotHandle>,
    pub(crate) events: mpsc::Receiver<SlotEvent>,
    pub(crate) describer: mpsc::Sender<describer::Task>,
    /// Stops the task that describes data sets.
    pub(crate) describer_end: CancellationToken,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) registered: watch::Sender<bool>,
    pub(crate) state_folder: std::path::PathBuf,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) report_batch_points: usize,
    pub(crate) retry_max: Duration,
    pub(crate) shutdown_limit: Duration,
    /// Cancelled when the worker drains: it accepts no new trials, and running trials finish.
    pub(crate) drain: CancellationToken,
    /// Idle time after which the worker exits; `None` disables it.
    pub(crate) idle_exit: Option<Duration>,
}

/// The agent's side of one slot.
pub(crate) struct SlotHandle {
    jobs: mpsc::Sender<Job>,
    /// The attempt that the slot runs.
    running: Option<Lease>,
    /// Jobs that wait: the coordinator may count a slot as free before the previous trainer has exited.
    waiting: VecDeque<Job>,
}

impl SlotHandle {
    pub(crate) fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self { jobs, running: None, waiting: VecDeque::new() }
    }
}

/// An attempt of this worker that is running, or has ended and is not reported yet.
struct Attempt {
    slot: u32,
    stop: CancellationToken,
    /// The reason, if the attempt was stopped.
    stopped: Option<String>,
    /// The reason, if the coordinator rejects all further reports of the attempt.
    refused: Option<String>,
    /// Files to upload before the ending is reported.
    uploads: VecDeque<Artifact>,
    uploading: bool,
}

impl Attempt {
    fn new(slot: u32, stop: CancellationToken) -> Self {
        Self { slot, stop, stopped: None, refused: None, uploads: VecDeque::new(), uploading: false }
    }
}

struct Session {
    id: u64,
    poll_wait: Duration,
    max_artifact_bytes: u64,
    since: Instant,
    /// Reasons already logged why sweeps do not use this worker.
    left_out: BTreeSet<String>,
}

impl Session {
    fn new(response: &v1::RegisterResponse) -> Self {
        Self {
            id: response.session,
            poll_wait: Duration::from_millis(response.poll_wait_ms),
            // A coordinator that sends no limit rejects files that are too large itself.
            max_artifact_bytes: Some(response.max_artifact_bytes).filter(|limit| *limit > 0).unwrap_or(u64::MAX),
            since: Instant::now(),
            left_out: BTreeSet::new(),
        }
    }
}

/// The description of a data set that the coordinator requested.
enum Describing {
    Working,
    Answered(v1::DescribeRequest),
    Sending(v1::DescribeRequest),
}

/// Progress of the idle exit. The worker announces its exit in a poll and waits for the answer, so that a trial which
/// was assigned at the same moment is not lost.
#[derive(Debug, Clone, Copy)]
enum Idle {
    /// The worker has been idle since this moment.
    Since(Instant),
    /// Poll number `poll` announces the exit; its answer is pending. Without an answer the worker exits at `until`.
    Asking { poll: u64, until: Instant },
    /// The coordinator has answered that poll.
    Heard,
}

pub(crate) struct Agent {
    parts: Parts,
    outbox: Outbox,
    attempts: BTreeMap<Lease, Attempt>,
    describing: BTreeMap<Bytes, Describing>,
    thumbnails_sent: BTreeSet<Digest>,
    session: Option<Session>,
    /// The highest answer number of a poll in this session.
    seen: u64,
    calls: JoinSet<Answer>,
    /// Folder removals that run beside the loop.
    cleaning: TaskTracker,
    registering: bool,
    polling: Option<AbortHandle>,
    poll_serial: u64,
    reporting: bool,
    finishing: usize,
    /// Set after a batch of points was rejected: points are then sent one by one to find the invalid one.
    one_by_one: bool,
    control: Backoff,
    reports: Backoff,
    endings: Backoff,
    /// Backoff of writes to the journal.
    disk: Backoff,
    /// Whether some record could not be written to disk and is in memory only.
    unwritten: bool,
    /// Why the coordinator assigns nothing to this worker; empty if it does.
    out_of_service: String,
    /// Consecutive polls that returned at once and without content.
    unparked_polls: u32,
    poll_not_before: Option<Instant>,
    /// Whether a call has failed since the last successful one.
    away: bool,
    draining: bool,
    idle: Idle,
    /// Deadline of the shutdown, once it has begun.
    shutdown_deadline: Option<Instant>,
    /// Deadline for reporting endings, once no trainer runs.
    report_deadline: Option<Instant>,
    fatal: Option<Error>,
}

impl Agent {
    /// `journal` persists unreported points and endings; `recovered` comes from the journal of an earlier run.
    pub(crate) fn new(parts: Parts, journal: Journal, recovered: Vec<Recovered>) -> Self {
        let backoff = || Backoff::new(parts.retry_max);
        let mut outbox = Outbox::kept(journal);
        let mut attempts = BTreeMap::new();
        for attempt in recovered {
            let kept = Attempt::new(attempt.slot, CancellationToken::new());
            attempts.insert(attempt.lease, Attempt { uploads: attempt.artifacts.iter().cloned().collect(), ..kept });
            outbox.restore(attempt);
        }
        Self {
            outbox,
            attempts,
            describing: BTreeMap::new(),
            thumbnails_sent: BTreeSet::new(),
            session: None,
            seen: 0,
            calls: JoinSet::new(),
            cleaning: TaskTracker::new(),
            registering: false,
            polling: None,
            poll_serial: 0,
            reporting: false,
            finishing: 0,
            one_by_one: false,
            control: backoff(),
            reports: backoff(),
            endings: backoff(),
            disk: backoff(),
            unwritten: false,
            out_of_service: String::new(),
            unparked_polls: 0,
            poll_not_before: None,
            away: false,
            draining: false,
            idle: Idle::Since(Instant::now()),
            shutdown_deadline: None,
            report_deadline: None,
            fatal: None,
            parts,
        }
    }

    /// Runs until `shutdown` is cancelled, the worker is drained, or the coordinator rejects it.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<Ending, Error> {
        while !self.is_done() {
            self.exit_if_idle();
            self.start_calls();
            self.write_again();
            let wake = self.next_wake();
            let may_listen = self.outbox.has_room() || self.shutdown_deadline.is_some();
            tokio::select! {
                () = shutdown.cancelled(), if self.shutdown_deadline.is_none() => self.leave("the worker is shutting down"),
                () = self.parts.drain.cancelled(), if !self.draining => self.drain(),
                Some(answer) = self.calls.join_next() => self.answered(answer),
                Some(event) = self.parts.events.recv(), if may_listen => self.slot_event(event),
                () = self.outbox.journal_changed() => self.journal_changed(),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
            self.parts.metrics.points_waiting.set(self.outbox.waiting_points() as i64);
            self.parts.metrics.outbox_bytes.set(self.outbox.health().bytes.cast_signed());
        }
        self.announce_exit().await;
        match self.fatal {
            Some(error) => Err(error),
            None if shutdown.is_cancelled() => Ok(Ending::Stopped),
            None => Ok(Ending::Drained),
        }
    }

    fn is_idle(&self) -> bool {
        self.parts.slot_handles.iter().all(|handle| handle.running.is_none() && handle.waiting.is_empty())
    }

    fn is_done(&mut self) -> bool {
        let now = Instant::now();
        match self.shutdown_deadline {
            None => {
                let waits = matches!(self.idle, Idle::Asking { until, .. } if until > now);
                self.draining && self.attempts.is_empty() && self.is_idle() && !waits
            }
            Some(by) if by <= now => {
                tracing::warn!(
                    attempts = self.attempts.len(),
                    "shutdown takes too long, abandoning the remaining reports"
                );
                true
            }
            Some(by) if self.is_idle() => {
                // No trainer runs; only endings remain to be reported, within a deadline.
                let report_deadline = *self.report_deadline.get_or_insert(now + REPORT_TIMEOUT);
                self.shutdown_deadline = Some(by.min(report_deadline));
                self.attempts.is_empty() || self.fatal.is_some()
            }
            Some(_) => false,
        }
    }

    /// Accepts no new trials; running trials finish.
    fn drain(&mut self) {
        tracing::info!(attempts = self.attempts.len(), "draining after a signal");
        self.draining = true;
        // The next poll announces it.
        self.end_poll();
    }

    /// Exits after the configured idle time.
    fn exit_if_idle(&mut self) {
        let Some(limit) = self.parts.idle_exit.filter(|_| self.counts_idle_time()) else { return };
        let now = Instant::now();
        if self.idle_since(now) + limit > now {
            return;
        }
        // An answer that has already arrived may assign a trial.
        while let Some(answer) = self.calls.try_join_next() {
            self.answered(answer);
        }
        if self.draining || self.idle_since(now) + limit > now {
            return;
        }
        tracing::info!(seconds = limit.as_secs_f64(), "draining after the idle time (idle_exit)");
        self.draining = true;
        self.idle = if self.session.is_some() {
            Idle::Asking { poll: self.poll_serial + 1, until: now + self.parts.shutdown_limit }
        } else {
            Idle::Heard
        };
        // The next poll announces the exit, and its answer shows that no trial was assigned.
        self.end_poll();
    }

    /// A worker that is registering is not idle: it first gets the chance to receive a trial.
    fn counts_idle_time(&self) -> bool {
        !self.draining && !self.registering
    }

    /// The start of the idle time, or `now` if the worker is busy.
    fn idle_since(&mut self, now: Instant) -> Instant {
        if !self.is_idle() || !self.attempts.is_empty() || !self.describing.is_empty() {
            self.idle = Idle::Since(now);
        }
        match self.idle {
            Idle::Since(since) => since,
            Idle::Asking { .. } | Idle::Heard => now,
        }
    }

    /// The moment at which the idle time is over.
    fn idle_until(&self) -> Option<Instant> {
        match self.idle {
            Idle::Since(since) => self.parts.idle_exit.filter(|_| self.counts_idle_time()).map(|limit| since + limit),
            Idle::Asking { until, .. } => Some(until),
            Idle::Heard => None,
        }
    }

    /// Accepts no new trials and stops the running ones.
    fn leave(&mut self, reason: &str) {
        tracing::info!(attempts = self.attempts.len(), "shutting down");
        self.draining = true;
        self.shutdown_deadline = Some(Instant::now() + self.parts.shutdown_limit);
        let leases: Vec<_> = self.attempts.keys().copied().collect();
        for lease in &leases {
            self.outbox.stopping(*lease, reason);
            self.stop(lease, reason);
        }
        self.parts.describer_end.cancel();
        // The next poll announces the exit.
        self.end_poll();
    }

    fn end_poll(&mut self) {
        if let Some(poll) = self.polling.take() {
            poll.abort();
        }
    }

    /// The next moment at which a backoff or a deadline ends.
    fn next_wake(&self) -> Option<Instant> {
        let retries = [&self.control, &self.reports, &self.endings, &self.disk].into_iter().filter_map(Backoff::until);
        let pacing = self.poll_not_before.filter(|at| *at > Instant::now());
        retries.chain(pacing).chain(self.shutdown_deadline).chain(self.idle_until()).min()
    }

    fn start_calls(&mut self) {
        let Some(session) = self.session.as_ref().map(|session| session.id) else {
            if !self.registering && self.fatal.is_none() && self.control.is_ready() {
                self.register();
            }
            return;
        };
        self.start_poll();
        if !self.reporting && self.outbox.has_points() && self.reports.is_ready() {
            let limit = if self.one_by_one { 1 } else { self.parts.report_batch_points };
            let points = self.outbox.next_batch(limit);
            self.reporting = true;
            let request = v1::ReportRequest { session, points };
            self.calls.spawn(calls::report(self.parts.endpoints.client(), request));
        }
        if self.endings.is_ready() {
            self.start_endings(session);
        }
    }

    fn register(&mut self) {
        let live =
            |(lease, attempt): (&Lease, &Attempt)| v1::LiveAttempt { lease: Some(lease.to_wire()), slot: attempt.slot };
        let live_attempts = self.attempts.iter().map(live).collect();
        let request = v1::RegisterRequest { live_attempts, ..self.parts.registration.clone() };
        self.registering = true;
        self.calls.spawn(calls::register(self.parts.endpoints.client(), request));
    }

    fn start_poll(&mut self) {
        let Some(session) = &self.session else { return };
        let paced = self.poll_not_before.is_none_or(|at| at <= Instant::now());
        if self.polling.is_none() && paced && self.control.is_ready() {
            let request = v1::PollRequest {
                session: session.id,
                held: self.attempts.keys().map(|lease| lease.to_wire()).collect(),
                draining: self.draining,
                seen: self.seen,
            };
            self.poll_serial += 1;
            let poll = calls::poll(self.parts.endpoints.client(), request, session.poll_wait, self.poll_serial);
            self.polling = Some(self.calls.spawn(poll));
        }
    }

    fn start_endings(&mut self, session: u64) {
        for (key, describing) in &mut self.describing {
            if let Describing::Answered(request) = describing {
                let request = v1::DescribeRequest { session, dataset_key: key.clone(), answer: request.answer.take() };
                self.calls.spawn(calls::describe(self.parts.endpoints.client(), request.clone()));
                *describing = Describing::Sending(request);
            }
        }
        let limit = self.session.as_ref().map_or(u64::MAX, |session| session.max_artifact_bytes);
        for attempt in self.attempts.values_mut().filter(|attempt| !attempt.uploading) {
            if let Some(artifact) = attempt.uploads.front() {
                attempt.uploading = true;
                self.calls.spawn(calls::upload(self.parts.endpoints.client(), session, limit, artifact.clone()));
            }
        }
        while self.finishing < MAX_FINISHES
            && let Some((lease, request)) = self.outbox.next_finish()
        {
            self.finishing += 1;
            let request = v1::FinishRequest { session, ..request };
            self.calls.spawn(calls::finish(self.parts.endpoints.client(), request, lease));
        }
    }

    /// Handles a change of the journal's health: a write failed, or a later write succeeded.
    fn journal_changed(&mut self) {
        let failed = self.outbox.health().failed;
        self.parts.metrics.outbox_unwritten.set(failed.len() as i64);
        match failed.values().next() {
            Some(reason) if !self.unwritten => {
                tracing::error!(
                    reason,
                    "cannot write unreported results to disk: they stay in memory, and training continues"
                );
                self.unwritten = true;
                self.disk.fail();
            }
            None if self.unwritten => {
                tracing::info!("unreported results are on disk again");
                self.unwritten = false;
                self.disk.succeed();
            }
            Some(_) | None => {}
        }
    }

    fn write_again(&mut self) {
        if self.unwritten && self.disk.is_ready() {
            self.outbox.write_again();
            // Backs off until the journal reports success.
            self.disk.fail();
        }
    }

    /// Announces the exit, so that the coordinator assigns nothing to slots that are gone. If the call fails, the
    /// leases expire.
    async fn announce_exit(&mut self) {
        self.end_poll();
        if let Some(session) = self.session.take() {
            let request = v1::PollRequest { session: session.id, held: Vec::new(), draining: true, seen: self.seen };
            drop(
                timeout(EXIT_CALL_TIMEOUT, calls::poll(self.parts.endpoints.client(), request, EXIT_CALL_TIMEOUT, 0))
                    .await,
            );
        }
        if timeout(FLUSH_TIMEOUT, self.outbox.flush()).await.is_err() {
            tracing::warn!("the disk is too slow: results that it has not stored are lost unless they were reported");
        }
        self.cleaning.close();
        // A folder that remains is removed at the next start.
        drop(timeout(EXIT_CALL_TIMEOUT, self.cleaning.wait()).await);
        self.parts.registered.send_replace(false);
        self.parts.metrics.connected.set(0);
    }
}
