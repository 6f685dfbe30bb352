//! The handle of the engine.

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

/// Questions at a time that read all trials of a sweep. A file has four connections for reading.
pub(super) const CONCURRENT_READS: usize = 2;

/// Analyses at a time. Each has all results of a sweep in memory, from its first row until it is made.
pub(super) const CONCURRENT_ANALYSES: usize = 2;

/// A cheap handle of the engine: it asks the owner task, and answers questions from the store.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) heard: LastPolls,
    pub(super) store: Arc<dyn Store>,
    pub(super) artifacts: Folder,
    /// One sweep is expanded at a time, which bounds memory and gives choices their order.
    pub(super) expansions: Arc<tokio::sync::Mutex<()>>,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) touched: SweepChanges,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) trouble: watch::Receiver<Trouble>,
    pub(super) last_sweep: Arc<AtomicU64>,
    /// Sweeps whose next stage waits for room, and how many trials it has.
    pub(super) waiting_stages: Arc<Mutex<HashMap<SweepId, u64>>>,
    /// Summaries of sweeps.
    pub(super) summaries: Arc<Mutex<SummaryCache>>,
    /// Sweeps that are being counted.
    pub(super) summing: SingleFlight<SweepId>,
    pub(super) plans: Arc<Mutex<PlanCache>>,
    /// One spec is expanded at a time.
    pub(super) planning: Arc<tokio::sync::Mutex<()>>,
    /// Questions that read all trials of a sweep: a few at a time, so that short ones find a connection to the store.
    pub(super) readings: Arc<Semaphore>,
    /// Analyses: a few at a time, which bounds memory. A permit of these comes before one of `readings`, never after it.
    pub(super) computing: Arc<Semaphore>,
    pub(super) analyses: Arc<Mutex<AnalysisCache>>,
    /// Analyses that are being made.
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

    /// Why no answer is possible now.
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

    /// Waits until there is something to do, at most `wait`; then the answer is empty.
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

    /// How long a session lives that does not poll, in milliseconds.
    pub fn lease_ttl_ms(&self) -> u64 {
        self.lease_ttl_ms
    }

    /// Records the description of a data set; false if no sweep asked for it.
    ///
    /// # Errors
    /// The session is unknown, or the commit failed.
    pub async fn describe(&self, request: Describe) -> Result<bool, Error> {
        self.ask(|reply| Command::Describe(request, reply)).await
    }

    /// Stores points; returns the leases that have expired.
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
        // The worker repeats a call whose answer was lost: the store has this attempt as accepted.
        if verdict == Finished::Stale && self.store.attempt(lease).await?.is_some_and(|attempt| attempt.state == wanted)
        {
            return Ok(Finished::Accepted { stored_sequence: last });
        }
        Ok(verdict)
    }

    /// Ends a sweep.
    ///
    /// # Errors
    /// The sweep has ended, or the commit failed.
    pub async fn cancel(&self, sweep: SweepId, actor: &str) -> Result<(), Error> {
        let asked = self.ask(|reply| Command::Cancel(sweep, actor.to_owned(), reply)).await;
        self.told_how_it_ended(asked).await
    }

    /// Pauses or resumes a sweep. Running trials finish.
    ///
    /// # Errors
    /// The sweep has ended, or the commit failed.
    pub async fn pause(&self, sweep: SweepId, paused: bool, actor: &str) -> Result<(), Error> {
        let asked = self.ask(|reply| Command::Pause((sweep, paused), actor.to_owned(), reply)).await;
        self.told_how_it_ended(asked).await
    }

    /// Sets the priority of a sweep.
    ///
    /// # Errors
    /// There is no such priority, the sweep has ended, or the commit failed.
    pub async fn set_priority(&self, sweep: SweepId, priority: i32, actor: &str) -> Result<(), Error> {
        check_priority(priority)?;
        let asked = self.ask(|reply| Command::SetPriority((sweep, priority), actor.to_owned(), reply)).await;
        self.told_how_it_ended(asked).await
    }

    /// Adds to the error of an ended sweep how and when it ended.
    async fn told_how_it_ended(&self, asked: Result<(), Error>) -> Result<(), Error> {
        let Err(Error::Ended { sweep, .. }) = asked else { return asked };
        let record = self.store.sweep(sweep).await?.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
        let verb = match record.state {
            SweepState::Succeeded => "it succeeded",
            SweepState::Failed => "it failed",
            SweepState::Cancelled => "it was cancelled",
            // What ended it is on its way to the store.
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

    /// Why a trial waits, or where it runs; empty when no live sweep waits for it.
    ///
    /// # Errors
    /// The coordinator is leaving.
    pub async fn explain(&self, trial: TrialId) -> Result<Vec<String>, Error> {
        self.ask(|reply| Command::Explain(trial, reply)).await
    }

    /// The connected workers.
    ///
    /// # Errors
    /// The coordinator is leaving.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, Error> {
        self.ask(Command::Workers).await
    }

    /// What may go wrong with any sweep as things are, in sentences.
    ///
    /// # Errors
    /// The coordinator is leaving.
    pub async fn warnings(&self) -> Result<Vec<String>, Error> {
        self.ask(Command::Warnings).await
    }

    /// What the gauges show.
    ///
    /// # Errors
    /// The coordinator is leaving.
    pub async fn gauges(&self) -> Result<Gauges, Error> {
        self.ask(Command::Gauges).await
    }

    /// The progress of live sweeps. It includes a forecast of their end, so it costs more than the gauges.
    ///
    /// # Errors
    /// The engine has left.
    pub async fn paces(&self) -> Result<Vec<ProgressGauges>, Error> {
        self.ask(Command::Paces).await
    }

    /// Rises with every commit that changed some sweep.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Rises with every commit that changed this sweep.
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

    /// What was kept of a sweep that goes on is no longer so.
    pub(super) fn forget(&self, sweep: SweepId) {
        if let Ok(mut summaries) = self.summaries.lock() {
            summaries.remove(sweep);
        }
        if let Ok(mut cache) = self.analyses.lock() {
            cache.invalidate(sweep);
        }
    }
}
