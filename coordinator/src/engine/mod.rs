//! The engine: one owner task holds the scheduler, everybody else holds a cheap `Handle`. Reads that need only the store
//! go past the owner task.

mod analysis;
mod apply;
mod batch;
mod budget;
pub mod command;
mod cost;
mod decide;
mod delete;
mod driver;
mod effects;
mod error;
mod expand;
mod extend;
mod flights;
mod forecast;
mod heard;
#[cfg(test)]
mod large;
mod learning;
mod live;
mod looks;
mod names;
mod noise;
pub mod offline;
mod outlook;
mod pace;
mod people;
mod plans;
mod poll;
mod report;
mod reproduce;
mod restore;
mod room;
mod single;
mod status;
mod study;
mod submit;
mod summary;
#[cfg(test)]
mod test_driver;
mod touched;
mod view;
mod weights;

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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use analysis::KEPT_TRIALS;
pub use analysis::{Analysed, Pairwise};
pub(crate) use budget::stopped_at_budget;
pub use command::{
    Assignment, Describe, Finish, FinishEnding, Finished, Gauges, LiveStatus, PaceGauges, Poll, PollReply, Register,
    Registered, Report, Reported, Running, WorkerView,
};
pub use delete::{Collected, Garbage};
pub use driver::Trouble;
pub use error::Error;
pub use forecast::PlanCost;
pub use names::NameHeld;
pub use noise::Noise;
pub use outlook::Cost;
pub(crate) use people::audit;
pub use plans::Outline;
pub(crate) use report::material;
pub use reproduce::{Answered, Reproducing};
pub use room::Unended;
pub use status::{StageStatus, Status};
pub(crate) use study::epoch;
pub use submit::{Submit, Submitted};
pub(crate) use touched::Touched;
pub(crate) use weights::FilesLeft;

use command::{Command, Ended, Reply, Retry};
use driver::{Driver, Parts};
use heard::Heard;

use crate::clock::Clock;
use crate::metrics::Metrics;

/// Commands that wait for the owner task; callers wait when there are more.
const QUEUE: usize = 8192;
/// Questions at a time that read all trials of a sweep. A file has four connections for reading.
const READINGS: usize = 2;
/// Analyses at a time. Each has all results of a sweep in memory, from its first row until it is made.
const ANALYSES: usize = 2;

/// What others hold of the engine.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    heard: Heard,
    store: Arc<dyn Store>,
    artifacts: Folder,
    /// One sweep is expanded at a time, which bounds memory and gives choices their order.
    expansions: Arc<tokio::sync::Mutex<()>>,
    changes: watch::Receiver<u64>,
    touched: Touched,
    ready: watch::Receiver<bool>,
    trouble: watch::Receiver<Trouble>,
    last_sweep: Arc<AtomicU64>,
    /// Sweeps whose next stage waits for room, and how many trials it has.
    waiting_stages: Arc<Mutex<HashMap<SweepId, u64>>>,
    /// What sweeps come to.
    summaries: Arc<Mutex<summary::Shelf>>,
    /// Sweeps that are being counted.
    summing: flights::Flights<SweepId>,
    plans: Arc<Mutex<plans::Plans>>,
    /// One spec is expanded at a time.
    planning: Arc<tokio::sync::Mutex<()>>,
    /// Questions that read all trials of a sweep: a few at a time, so that short ones find a connection to the store.
    readings: Arc<Semaphore>,
    /// Analyses: a few at a time, which bounds memory. A permit of these comes before one of `readings`, never after it.
    computing: Arc<Semaphore>,
    analyses: Arc<Mutex<analysis::Shelf>>,
    /// Analyses that are being made.
    analysing: flights::Flights<analysis::Key>,
    lease_ttl_ms: u64,
    limits: Limits,
    clock: Clock,
    costs: cost::model::Shared,
    deleting: Arc<delete::Deleting>,
}

/// How much there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Trials of one sweep.
    pub trials: u64,
    /// Trials of all sweeps together that have not ended.
    pub live_trials: u64,
    /// Sweeps that have not ended.
    pub sweeps: usize,
    /// Workers that are connected, and so parked polls.
    pub workers: usize,
}

/// What an engine goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The scheduler's numbers.
    pub scheduler: sweep_scheduler::Config,
    /// How much there may be at a time.
    pub limits: Limits,
    /// Where it reads the time.
    pub clock: Clock,
    /// It was started for one question, and leaves its start out of the audit log.
    pub asked_once: bool,
}

/// Starts the owner task and the one that decides by results; both end after `shutdown`, the last batch being on disk.
pub fn start(
    store: (Arc<dyn Store>, Folder),
    metrics: Arc<Metrics>,
    settings: Settings,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Handle {
    let (handle, parts, decisions) = parts(store, metrics, settings, shutdown);
    tasks.spawn(Driver::new(parts).run());
    tasks.spawn(delete::run(handle.clone(), shutdown.clone()));
    tasks.spawn(decide::run(handle.clone(), decisions, shutdown.clone()));
    handle
}

/// A handle, what its owner task is made of, and what is to be decided by results.
fn parts(
    (store, artifacts): (Arc<dyn Store>, Folder),
    metrics: Arc<Metrics>,
    Settings { scheduler, limits, clock, asked_once }: Settings,
    shutdown: &CancellationToken,
) -> (Handle, Parts, mpsc::UnboundedReceiver<batch::Decide>) {
    let (commands, receiver) = mpsc::channel(QUEUE);
    let (decide, decisions) = mpsc::unbounded_channel();
    let (changes, changed) = watch::channel(0);
    let (ready, is_ready) = watch::channel(false);
    let (trouble, troubled) = watch::channel(Trouble::None);
    let last_sweep = Arc::new(AtomicU64::new(0));
    let (costs, heard, touched) = (cost::model::Shared::default(), Heard::default(), Touched::default());
    let handle = Handle {
        commands,
        heard: heard.clone(),
        store: Arc::clone(&store),
        artifacts,
        expansions: Arc::default(),
        changes: changed,
        touched: touched.clone(),
        ready: is_ready,
        trouble: troubled,
        last_sweep: Arc::clone(&last_sweep),
        waiting_stages: Arc::default(),
        summaries: Arc::default(),
        summing: flights::Flights::default(),
        plans: Arc::default(),
        planning: Arc::default(),
        readings: Arc::new(Semaphore::new(READINGS)),
        computing: Arc::new(Semaphore::new(ANALYSES)),
        analyses: Arc::default(),
        analysing: flights::Flights::default(),
        lease_ttl_ms: scheduler.lease_ttl_ms,
        limits,
        clock: clock.clone(),
        costs: costs.clone(),
        deleting: Arc::default(),
    };
    let parts = Parts {
        store,
        metrics,
        scheduler,
        limits,
        clock,
        asked_once,
        commands: receiver,
        heard,
        decide,
        changes,
        touched,
        ready,
        trouble,
        last_sweep,
        shutdown: shutdown.clone(),
        costs,
    };
    (handle, parts, decisions)
}

impl Handle {
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| self.refusal())?;
        match answer.await {
            Ok(Err(Error::Unavailable)) | Err(_) => Err(self.refusal()),
            Ok(answered) => answered,
        }
    }

    /// Waits for its turn to read all trials of a sweep.
    async fn reading(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.readings.acquire().await.map_err(|_| Error::Unavailable)
    }

    /// Waits for its turn to analyse a sweep.
    async fn computing(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.computing.acquire().await.map_err(|_| Error::Unavailable)
    }

    /// Why nothing can be said now.
    fn refusal(&self) -> Error {
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

    /// Says what a worker found in a data set; false where nobody had asked.
    ///
    /// # Errors
    /// The session is unknown, or the commit failed.
    pub async fn describe(&self, request: Describe) -> Result<bool, Error> {
        self.ask(|reply| Command::Describe(request, reply)).await
    }

    /// Stores points; says which leases no longer hold.
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
        // Said again because the answer was lost: the store knows that this very attempt was accepted.
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

    /// Starts nothing of a sweep any more, or starts it again. What runs goes on.
    ///
    /// # Errors
    /// The sweep has ended, or the commit failed.
    pub async fn pause(&self, sweep: SweepId, paused: bool, actor: &str) -> Result<(), Error> {
        let asked = self.ask(|reply| Command::Pause((sweep, paused), actor.to_owned(), reply)).await;
        self.told_how_it_ended(asked).await
    }

    /// Gives a sweep another place among the others.
    ///
    /// # Errors
    /// There is no such priority, the sweep has ended, or the commit failed.
    pub async fn set_priority(&self, sweep: SweepId, priority: i32, actor: &str) -> Result<(), Error> {
        submit::check_priority(priority)?;
        let asked = self.ask(|reply| Command::SetPriority((sweep, priority), actor.to_owned(), reply)).await;
        self.told_how_it_ended(asked).await
    }

    /// An answer that a sweep has ended says how it ended, and when.
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

    /// Tries again what failed of a sweep, and nothing else. Says how many trials that are.
    ///
    /// # Errors
    /// There is no such sweep, it was cancelled, it asks for another trainer semantics, or the commit failed.
    pub async fn retry(&self, sweep: SweepId, actor: &str) -> Result<u64, Error> {
        let ticket = self.ask(Command::Ticket).await?;
        let record = self.store.sweep(sweep).await?.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
        if record.state == SweepState::Cancelled {
            return Err(Error::Cancelled { sweep });
        }
        if record.state != SweepState::Running {
            let wanted = room::Wanted::Sweep { trials: 0 };
            self.ask(|reply| Command::Room(wanted, reply)).await?;
        }
        let ended = match self.store.ended(sweep).await? {
            Some((row, mut snapshot)) => {
                let live = restore::live_sweep(&row, &snapshot, &self.clock)?;
                if restore::is_of_other_semantics(&live) {
                    return Err(Error::OtherSemantics { sweep });
                }
                restore::narrow(&live, &mut snapshot);
                Some(Ended { live, snapshot })
            }
            None => None,
        };
        let retry = Retry { ticket, sweep, ended, actor: actor.to_owned() };
        let trials = self.ask(|reply| Command::Retry(Box::new(retry), reply)).await?;
        self.forget(sweep);
        Ok(trials)
    }

    /// Takes a worker out of service, or puts it back.
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

    /// How live sweeps come on. When they are expected to end is worked out for it, so it costs more than the gauges.
    ///
    /// # Errors
    /// The engine has left.
    pub async fn paces(&self) -> Result<Vec<PaceGauges>, Error> {
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

    /// Whether the engine holds what the store holds.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// The store, for reads.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }
}
