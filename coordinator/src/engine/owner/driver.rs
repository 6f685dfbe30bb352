//! The loop of the owner task. It takes commands, applies events to the scheduler, and collects the changes in a batch.
//! While one commit runs, it collects the next batch, so there is no timer. No answer is sent before its commit. If the
//! outcome of a commit is unknown, the task drops its memory and reads it back from the store.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_scheduler::{Effect, Event, Lease, Scheduler, SessionId, Timestamp};
use sweep_spec::TRAINER_SEMANTICS;
use sweep_store::codes::AuditAction;
use sweep_store::observed::Observed;
use sweep_store::record::Loaded;
use sweep_store::write::{AuditRow, Bound, Commit};
use sweep_store::{self as store, Store};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::engine::audit::{COORDINATOR, audit};
use crate::engine::cost::model::{READ, Shared};
use crate::engine::messages::command::Command;
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::owner::batch::Batch;
use crate::engine::owner::journal::Journal;
use crate::engine::owner::live::Live;
use crate::engine::owner::restore;
use crate::engine::settings::Limits;
use crate::engine::signals::last_polls::LastPolls;
use crate::engine::signals::sweep_changes::SweepChanges;
use crate::engine::signals::trouble::Trouble;
use crate::engine::state::from_store;
use crate::metrics::Metrics;

/// The most commands that are taken before a commit begins.
const MAX_COMMANDS: usize = 4096;
/// The most rows that a batch collects while a commit runs; then commands wait in their queue.
const MAX_ROWS: usize = 100_000;
/// Delay before the first retry of a reload. It doubles up to the longest delay.
const RELOAD_WAIT: Duration = Duration::from_millis(100);
const LONGEST_RELOAD_WAIT: Duration = Duration::from_secs(10);
/// A commit that takes this long is logged, at most once in `SLOW_AGAIN`.
const SLOW: Duration = Duration::from_secs(1);
const SLOW_AGAIN: Duration = Duration::from_secs(30);

/// The parts that `start` passes to the owner task.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) scheduler: sweep_scheduler::Config,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    /// Whether the engine was started for one question: then the audit log gets no row about the start.
    pub(crate) asked_once: bool,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) heard: LastPolls,
    pub(crate) follow_ups: mpsc::Sender<FollowUp>,
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) touched: SweepChanges,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) trouble: watch::Sender<Trouble>,
    pub(crate) last_sweep: Arc<std::sync::atomic::AtomicU64>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) costs: Shared,
}

pub(crate) struct Driver {
    pub(crate) parts: Parts,
    pub(crate) scheduler: Scheduler,
    pub(crate) live: Live,
    pub(crate) batch: Batch,
    /// Leases that began or ended in a batch that is not committed yet, with the number of the batch.
    pub(crate) uncommitted: HashMap<Lease, u64>,
    pub(crate) journal: Journal,
    pub(crate) costs: Shared,
    /// Follow-ups that did not fit into their queue. While there are some, no sweep begins (`room_for_a_sweep`), so the
    /// stages of the running sweeps bound their number.
    pub(crate) unsent: VecDeque<FollowUp>,
    /// Incremented by every reload; tickets of earlier generations are invalid.
    pub(crate) generation: u64,
    pub(crate) next_attempt: i64,
    pub(crate) next_session: u64,
    pub(crate) started: Instant,
    in_flight: Option<InFlight>,
    committed: u64,
    stopping: bool,
    slow_said: Option<Instant>,
}

struct InFlight {
    batch: Batch,
    task: JoinHandle<(Result<(), store::Error>, Duration)>,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let scheduler = Scheduler::new(parts.scheduler.clone());
        Self {
            costs: parts.costs.clone(),
            scheduler,
            live: Live::default(),
            batch: Batch::numbered(1),
            uncommitted: HashMap::new(),
            journal: Journal::default(),
            unsent: VecDeque::new(),
            generation: 0,
            next_attempt: 0,
            next_session: 0,
            started: parts.clock.now(),
            in_flight: None,
            committed: 0,
            stopping: false,
            slow_said: None,
            parts,
        }
    }

    /// Runs until the token is cancelled and the last batch is committed.
    pub(crate) async fn run(mut self) {
        if !self.reload().await {
            return;
        }
        loop {
            self.begin_commit();
            let deadline = self.scheduler.next_deadline().and_then(|at| self.instant(at));
            let gathered = self.batch.commit.rows() >= MAX_ROWS;
            let may_release = !gathered && !self.stopping && self.scheduler.has_more_to_release();
            tokio::select! {
                biased;
                done = finished(&mut self.in_flight) => {
                    if !self.committed(done).await {
                        return;
                    }
                }
                () = self.parts.shutdown.cancelled(), if !self.stopping => self.stop(),
                command = self.parts.commands.recv(), if !gathered && !self.stopping => match command {
                    Some(command) => {
                        self.take(command);
                        // Many commands do not delay the sweeps that are being cancelled.
                        if may_release {
                            self.event(Event::ReleaseMore);
                        }
                    }
                    None => self.stop(),
                },
                () = has_room(&self.parts.follow_ups), if !self.unsent.is_empty() && !self.stopping => {
                    self.send_follow_ups();
                }
                () = std::future::ready(()), if may_release => drop(self.event(Event::ReleaseMore)),
                () = wait(&self.parts.clock, deadline), if !self.stopping => {
                    self.event(Event::Tick);
                    self.mind_budgets();
                }
            }
            if self.stopping && self.in_flight.is_none() && self.batch.is_empty() {
                return;
            }
        }
    }

    /// Takes a command and the commands that wait behind it.
    fn take(&mut self, first: Command) {
        let mut commands = vec![first];
        while commands.len() < MAX_COMMANDS
            && let Ok(command) = self.parts.commands.try_recv()
        {
            commands.push(command);
        }
        for command in commands {
            self.command(command);
        }
        self.mind_budgets();
    }

    /// Applies an event at the present time. First it renews the leases of workers whose polls have arrived and not
    /// been processed yet: only a worker's own silence may expire its lease.
    pub(crate) fn apply(&mut self, event: Event) -> Vec<Effect> {
        let now = self.now();
        for (session, heard) in self.parts.heard.take() {
            self.scheduler.renew(self.timestamp(heard), session);
        }
        self.scheduler.apply(now, event)
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.parts.ready.send_replace(false);
        for session in self.live.sessions.values_mut() {
            session.parked = None;
        }
    }

    fn begin_commit(&mut self) {
        if self.in_flight.is_some() || self.batch.is_empty() {
            return;
        }
        let next = Batch::numbered(self.batch.number + 1);
        let mut batch = std::mem::replace(&mut self.batch, next);
        let mut commit = std::mem::take(&mut batch.commit);
        // In the order of the keys, each page of the table is written once.
        commit.rounds_opened.sort_unstable();
        keep_newest(&mut commit.bound);
        let rows = commit.rows();
        let store = Arc::clone(&self.parts.store);
        if rows > 0 {
            self.parts.metrics.commit_rows(rows);
        }
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            let result = if rows > 0 { store.commit(&commit).await } else { Ok(()) };
            (result, begun.elapsed())
        });
        self.in_flight = Some(InFlight { batch, task });
    }

    /// Handles the end of a commit. After success it sends the answers and follow-ups of the batch; after a failure it
    /// refuses them and reloads. Returns false if the owner task must stop.
    async fn committed(&mut self, result: Result<Duration, String>) -> bool {
        let Some(InFlight { batch, .. }) = self.in_flight.take() else { return true };
        match result {
            Ok(took) => {
                self.parts.metrics.commit_took(took);
                self.note_slowness(took);
                self.speak(batch);
                true
            }
            Err(error) => {
                error!(error, "a commit failed, its outcome is unknown: reading everything back from the store");
                self.parts.metrics.commit_failed();
                self.parts.trouble.send_replace(Trouble::Passing(error));
                batch.sayings.into_iter().for_each(|say| say(false));
                std::mem::take(&mut self.batch.sayings).into_iter().for_each(|say| say(false));
                !self.stopping && self.writable().await && self.reload().await
            }
        }
    }

    fn speak(&mut self, batch: Batch) {
        self.committed = batch.number;
        self.uncommitted.retain(|_, number| *number > batch.number);
        batch.sayings.into_iter().for_each(|say| say(true));
        for session in batch.wake {
            self.answer_parked(session);
        }
        self.unsent.extend(batch.follow_ups);
        self.send_follow_ups();
        if !batch.changed.is_empty() {
            self.parts.touched.touch(&batch.changed);
            self.parts.changes.send_modify(|count| *count += 1);
        }
    }

    /// Sends follow-ups while their queue has room. The background task waits for answers of this task, so this task may not
    /// wait for it.
    pub(crate) fn send_follow_ups(&mut self) {
        while let Some(next) = self.unsent.front() {
            match self.parts.follow_ups.try_send(*next) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(TrySendError::Full(_)) => return,
                // The background task ends only with the coordinator.
                Err(TrySendError::Closed(_)) => self.unsent.clear(),
            }
        }
    }

    fn note_slowness(&mut self, took: Duration) {
        let lately = self.slow_said.is_some_and(|said| said.elapsed() < SLOW_AGAIN);
        if took >= SLOW && !lately {
            self.slow_said = Some(Instant::now());
            warn!(ms = took.as_millis(), "the store is slow: every answer waits for a commit");
        }
    }

    /// Waits until the store accepts a write again. Commands during the wait are refused. Returns false if the owner
    /// task must stop.
    async fn writable(&mut self) -> bool {
        self.parts.ready.send_replace(false);
        let probe = Commit { last_session: Some(self.next_session.saturating_sub(1)), ..Commit::default() };
        let mut wait = RELOAD_WAIT;
        while let Err(error) = self.parts.store.commit(&probe).await {
            let why = crate::chain(&error);
            if error.is_gone() {
                self.parts.trouble.send_replace(Trouble::Damage(why));
                return false;
            }
            warn!(error = why, "the store cannot be written; workers keep their reports");
            self.parts.trouble.send_replace(Trouble::Passing(why));
            if !self.refuse_for(wait).await {
                return false;
            }
            wait = (wait * 2).min(LONGEST_RELOAD_WAIT);
        }
        true
    }

    /// Refuses all commands for this long. Returns false if the owner task must stop.
    async fn refuse_for(&mut self, wait: Duration) -> bool {
        let until = tokio::time::sleep(wait);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = self.parts.shutdown.cancelled() => return false,
                () = &mut until => return true,
                // Dropping a command refuses it.
                command = self.parts.commands.recv() => if command.is_none() { return false },
            }
        }
    }

    /// Drops the memory and reads it back from the store. Returns false if the owner task must stop.
    async fn reload(&mut self) -> bool {
        self.parts.ready.send_replace(false);
        self.generation += 1;
        self.live = Live::default();
        self.batch = Batch::numbered(self.batch.number + 1);
        self.uncommitted.clear();
        // The store lists the decisions that are due. Summaries are not due: the first query counts them.
        self.unsent.clear();
        self.journal = Journal::default();
        let mut wait = RELOAD_WAIT;
        let (mut loaded, observed) = loop {
            match read_back(self.parts.store.as_ref()).await {
                Ok(read) => break read,
                Err(error) if error.is_damage() => {
                    self.parts.trouble.send_replace(Trouble::Damage(crate::chain(&error)));
                    return false;
                }
                Err(error) => {
                    let why = crate::chain(&error);
                    warn!(error = why, "cannot read the store");
                    self.parts.trouble.send_replace(Trouble::Passing(why));
                }
            }
            if !self.refuse_for(wait).await {
                return false;
            }
            wait = (wait * 2).min(LONGEST_RELOAD_WAIT);
        };
        self.costs.replace(observed);
        self.parts.trouble.send_replace(Trouble::None);
        self.next_attempt = loaded.last_attempt + 1;
        self.next_session = loaded.last_session + 1;
        self.parts.last_sweep.fetch_max(loaded.last_sweep, std::sync::atomic::Ordering::SeqCst);
        let (sweeps, attempts) = (loaded.sweeps.len(), loaded.attempts.len());
        self.live = restore::live(&loaded, &self.parts.clock);
        restore::narrow_all(&self.live, &mut loaded.snapshot);
        restore::complete_all(&self.live, &mut loaded.snapshot);
        restore::names(&mut self.live, &mut loaded);
        let (scheduler, effects) = Scheduler::restore(self.parts.scheduler.clone(), self.now(), loaded.snapshot);
        self.scheduler = scheduler;
        self.carry_out(effects, None);
        self.stop_sweeps_of_other_semantics();
        self.mind_budgets();
        self.batch.follow_ups.extend(loaded.undecided.into_iter().map(|(sweep, stage)| FollowUp::Winner(sweep, stage)));
        self.batch.follow_ups.extend(restore::adaptive(&self.live).map(FollowUp::MoreSeeds));
        self.batch.follow_ups.extend(loaded.weights_due.into_iter().map(FollowUp::Weights));
        self.batch.follow_ups.push(FollowUp::Files);
        self.batch.wake.insert(SessionId(0));
        if !self.parts.asked_once {
            self.note(audit(COORDINATOR, AuditAction::CoordinatorStarted));
        }
        info!(sweeps, attempts, "read the store");
        self.parts.ready.send_replace(true);
        true
    }

    /// Stops sweeps whose trials need other trainer semantics. Every worker of this release has the newest semantics,
    /// so their unfinished trials would only fail one by one.
    fn stop_sweeps_of_other_semantics(&mut self) {
        let live = self.live.sweeps.iter();
        let mut found: Vec<_> =
            live.filter(|(_, sweep)| from_store::is_of_other_semantics(sweep)).map(|(id, _)| *id).collect();
        found.sort_unstable();
        for id in found {
            let reason = format!(
                "trainers of this release have trainer semantics {TRAINER_SEMANTICS}, but the trials of this sweep \
                need another version: submit the sweep again"
            );
            warn!(sweep_id = %id, reason, "a sweep with other trainer semantics stops");
            self.note(AuditRow {
                sweep: Some(id),
                detail: reason.clone(),
                ..audit(COORDINATOR, AuditAction::Cancelled)
            });
            self.event(Event::StopSweep { sweep: id, reason });
        }
    }

    /// Milliseconds since this task began.
    pub(crate) fn now(&self) -> Timestamp {
        self.timestamp(self.parts.clock.now())
    }

    fn timestamp(&self, at: Instant) -> Timestamp {
        let passed = at.saturating_duration_since(self.started);
        Timestamp(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }

    /// `None` if the time is later than this machine can represent.
    fn instant(&self, at: Timestamp) -> Option<Instant> {
        self.started.checked_add(Duration::from_millis(at.0))
    }
}

/// Reads all live sweeps, and the measured costs of finished trials.
async fn read_back(store: &dyn Store) -> Result<(Loaded, Observed), store::Error> {
    let mut loaded = store.load().await?;
    for attempt in &mut loaded.given_up {
        let ended = store.attempt(attempt.lease).await?;
        attempt.ended_ms = ended.map_or(0, |ended| ended.ended_ms);
    }
    Ok((loaded, store.observed(READ).await?))
}

/// Sorts by position in the spec. If a trial was bound twice, the newer binding is kept.
fn keep_newest(bound: &mut Vec<Bound>) {
    let place = |row: &Bound| (row.sweep, row.configuration, row.seed);
    bound.reverse();
    bound.sort_by_key(place);
    bound.dedup_by_key(|row| place(row));
}

/// Returns at the deadline; never without one.
async fn wait(clock: &Clock, deadline: Option<Instant>) {
    match deadline {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Returns when the queue has a free place or is closed.
async fn has_room(queue: &mpsc::Sender<FollowUp>) {
    let _ = queue.reserve().await;
}

async fn finished(in_flight: &mut Option<InFlight>) -> Result<Duration, String> {
    match in_flight {
        None => std::future::pending().await,
        Some(in_flight) => match (&mut in_flight.task).await {
            Ok((Ok(()), took)) => Ok(took),
            Ok((Err(error), _)) => Err(crate::chain(&error)),
            Err(error) => Err(error.to_string()),
        },
    }
}
