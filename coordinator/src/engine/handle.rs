//! The handle of the engine: it sends commands to the owner task, and reads the store.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sweep_report::parts::number::moment;
use sweep_scheduler::SweepId;
use sweep_scheduler::event::Service;
use sweep_spec::TrialId;
use sweep_store::Store;
use sweep_store::artifacts::Folder;
use sweep_store::codes::{AttemptState, SweepState};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::engine::cache::analyses::{AnalysisCache, AnalysisKey};
use crate::engine::cache::plans::PlanCache;
use crate::engine::cache::single_flight::SingleFlight;
use crate::engine::cache::summaries::SummaryCache;
use crate::engine::cost::model::Shared;
use crate::engine::error::Error;
use crate::engine::messages::command::Command;
use crate::engine::messages::views::{Gauges, ProgressGauges, WorkerView};
use crate::engine::messages::worker::{
    Describe, Finish, FinishEnding, Finished, Poll, PollReply, Register, Registered, Report, Reported,
};
use crate::engine::reply::Reply;
use crate::engine::settings::{Limits, check_priority};
use crate::engine::signals::deletions::Deletions;
use crate::engine::signals::last_polls::LastPolls;
use crate::engine::signals::sweep_changes::SweepChanges;
use crate::engine::signals::trouble::Trouble;

/// Concurrent queries that read all trials of a sweep. A SQLite file has four connections for reading.
pub(super) const CONCURRENT_READS: usize = 2;

/// Concurrent analyses. Each keeps all results of a sweep in memory until it is complete.
pub(super) const CONCURRENT_ANALYSES: usize = 2;

/// A cheap handle of the engine: it sends commands to the owner task, and answers queries from the store.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) heard: LastPolls,
    pub(super) store: Arc<dyn Store>,
    pub(super) artifacts: Folder,
    /// One sweep is expanded at a time, which bounds memory and orders the choices.
    pub(super) expansions: Arc<tokio::sync::Mutex<()>>,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) touched: SweepChanges,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) trouble: watch::Receiver<Trouble>,
    pub(super) last_sweep: Arc<AtomicU64>,
    /// Sweeps whose next stage waits for capacity, with the number of its trials.
    pub(super) waiting_stages: Arc<Mutex<HashMap<SweepId, u64>>>,
    pub(super) summaries: Arc<Mutex<SummaryCache>>,
    /// Sweeps whose trials are being counted.
    pub(super) summing: SingleFlight<SweepId>,
    pub(super) plans: Arc<Mutex<PlanCache>>,
    /// One spec is expanded at a time, which bounds memory.
    pub(super) planning: Arc<tokio::sync::Mutex<()>>,
    /// Limits queries that read all trials of a sweep, so that short queries find a free connection to the store.
    pub(super) readings: Arc<Semaphore>,
    /// Limits analyses, which bounds memory. Acquire this permit before one of `readings`, never after it.
    pub(super) computing: Arc<Semaphore>,
    pub(super) analyses: Arc<Mutex<AnalysisCache>>,
    pub(super) analysing: SingleFlight<AnalysisKey>,
    pub(super) lease_ttl_ms: u64,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) costs: Shared,
    pub(super) deleting: Arc<Deletions>,
}

impl Handle {
    pub(super) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| self.refusal())?;
        match answer.await {
            Ok(Err(Error::Unavailable)) | Err(_) => Err(self.refusal()),
            Ok(answered) => answered,
        }
    }

    /// Waits for its turn to read all trials of a sweep.
    pub(super) async fn reading(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.readings.acquire().await.map_err(|_| Error::Unavailable)
    }

    /// Waits for its turn to analyse a sweep.
    pub(super) async fn computing(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.computing.acquire().await.map_err(|_| Error::Unavailable)
    }

    /// The error while no answer is possible.
    pub(super) fn refusal(&self) -> Error {
        match &*self.trouble.borrow() {
            Trouble::None => Error::Unavailable,
            Trouble::Passing(why) | Trouble::Damage(why) => Error::Troubled { why: why.clone() },
        }
    }

    /// Whether the store can be written.
    pub fn trouble(&self) -> watch::Receiver<Trouble> {
        self.trouble.clone()
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The commit failed.
    pub async fn register(&self, request: Register) -> Result<Registered, Error> {
        self.ask(|reply| Command::Register(request, reply)).await
    }

    /// Waits for work, at most `wait`; then the answer is empty.
    ///
    /// # Errors
    /// The session is unknown.
    pub async fn poll(&self, request: Poll, wait: Duration) -> Result<PollReply, Error> {
        self.heard.note(request.session, self.clock.now());
        let answer = tokio::time::timeout(wait, self.ask(|reply| Command::Poll(request, reply)));
        answer.await.unwrap_or_else(|_| Ok(PollReply::default()))
    }

    /// The longest that a poll waits: a third of the lease.
    pub fn poll_wait(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_ms / 3)
    }

    /// Milliseconds without a poll after which a session ends.
    pub fn lease_ttl_ms(&self) -> u64 {
        self.lease_ttl_ms
    }

    /// Records the description of a data set. Returns false if no sweep asked for it.
    ///
    /// # Errors
    /// The session is unknown, or the commit failed.
    pub async fn describe(&self, request: Describe) -> Result<bool, Error> {
        self.ask(|reply| Command::Describe(request, reply)).await
    }

    /// Stores points. Returns the leases that have expired.
    ///
    /// # Errors
    /// The session is unknown, a trial has no such epochs, or the commit failed.
    pub async fn report(&self, request: Report) -> Result<Reported, Error> {
        self.ask(|reply| Command::Report(request, reply)).await
    }

    /// Ends an attempt.
    ///
    /// # Errors
    /// The session is unknown, or the commit failed.
    pub async fn finish(&self, request: Finish) -> Result<Finished, Error> {
        let lease = request.lease;
        let wanted = match request.ending {
            FinishEnding::Result(..) => AttemptState::Succeeded,
            FinishEnding::Failure(..) => AttemptState::Failed,
            FinishEnding::Stopped => AttemptState::Stopped,
            FinishEnding::Lost(_) => AttemptState::Expired,
        };
        let last = request.last_sequence;
        let verdict = self.ask(|reply| Command::Finish(Box::new(request), reply)).await?;
        // The worker repeats a call whose response was lost: in the store this attempt is accepted.
        if verdict == Finished::Stale && self.store.attempt(lease).await?.is_some_and(|attempt| attempt.state == wanted)
        {
            return Ok(Finished::Accepted { stored_sequence: last });
        }
        Ok(verdict)
    }

    /// Cancels a sweep.
    ///
    /// # Errors
    /// The sweep has ended, or the commit failed.
    pub async fn cancel(&self, sweep: SweepId, actor: &str) -> Result<(), Error> {
        let asked = self.ask(|reply| Command::Cancel(sweep, actor.to_owned(), reply)).await;
        self.with_how_it_ended(asked).await
    }

    /// Pauses or resumes a sweep. Running trials finish.
    ///
    /// # Errors
    /// The sweep has ended, or the commit failed.
    pub async fn pause(&self, sweep: SweepId, paused: bool, actor: &str) -> Result<(), Error> {
        let asked = self.ask(|reply| Command::Pause((sweep, paused), actor.to_owned(), reply)).await;
        self.with_how_it_ended(asked).await
    }

    /// Sets the priority of a sweep.
    ///
    /// # Errors
    /// There is no such priority, the sweep has ended, or the commit failed.
    pub async fn set_priority(&self, sweep: SweepId, priority: i32, actor: &str) -> Result<(), Error> {
        check_priority(priority)?;
        let asked = self.ask(|reply| Command::SetPriority((sweep, priority), actor.to_owned(), reply)).await;
        self.with_how_it_ended(asked).await
    }

    /// Adds to the error about an ended sweep how and when it ended.
    async fn with_how_it_ended(&self, asked: Result<(), Error>) -> Result<(), Error> {
        let Err(Error::Ended { sweep, .. }) = asked else { return asked };
        let record = self.store.sweep(sweep).await?.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
        let verb = match record.state {
            SweepState::Succeeded => "it succeeded",
            SweepState::Failed => "it failed",
            SweepState::Cancelled => "it was cancelled",
            // The end of the sweep is not in the store yet.
            SweepState::Preparing | SweepState::Running => return Err(Error::Ended { sweep, how: String::new() }),
        };
        let when = moment(record.ended_ms);
        Err(Error::Ended { sweep, how: format!(": {verb} at {when} UTC") })
    }

    /// Suspends a worker, or returns it to service.
    ///
    /// # Errors
    /// There is no such worker, or the commit failed.
    pub async fn set_service(&self, worker: &str, service: Service, actor: &str) -> Result<(), Error> {
        self.ask(|reply| Command::SetService((worker.to_owned(), service), actor.to_owned(), reply)).await
    }

    /// Why a trial waits, or where it runs; empty if no live sweep waits for it.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub async fn explain(&self, trial: TrialId) -> Result<Vec<String>, Error> {
        self.ask(|reply| Command::Explain(trial, reply)).await
    }

    /// The connected workers.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, Error> {
        self.ask(Command::Workers).await
    }

    /// Sentences about risks that concern every sweep at present.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub async fn warnings(&self) -> Result<Vec<String>, Error> {
        self.ask(Command::Warnings).await
    }

    /// The values of the gauges.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub async fn gauges(&self) -> Result<Gauges, Error> {
        self.ask(Command::Gauges).await
    }

    /// The progress of live sweeps. It includes a forecast of their ends, so it costs more than the gauges.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn paces(&self) -> Result<Vec<ProgressGauges>, Error> {
        self.ask(Command::Paces).await
    }

    /// A number that grows with every commit that changed a sweep.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// A number that grows with every commit that changed this sweep.
    pub(crate) fn changes_of(&self, sweep: SweepId) -> watch::Receiver<u64> {
        self.touched.of(sweep)
    }

    /// Whether the engine has read the store.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// The store, for reads.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Invalidates the caches of a sweep that runs again.
    pub(super) fn forget(&self, sweep: SweepId) {
        if let Ok(mut summaries) = self.summaries.lock() {
            summaries.remove(sweep);
        }
        if let Ok(mut cache) = self.analyses.lock() {
            cache.invalidate(sweep);
        }
    }
}
