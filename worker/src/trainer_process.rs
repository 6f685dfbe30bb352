//! A trainer process that is reused over tasks: started on demand, stopped when idle, and replaced when it misbehaves.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_spec::FailureClass;
use sweep_spec::trainer::{Failed, Folders};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::checkpoints::Checkpoints;
use crate::clock::Clock;
use crate::log_tail::LogTail;
use crate::metrics::Metrics;
use crate::outbox::LogSender;
use crate::slot::SlotEvent;
use crate::trainer::{self, Launcher, Threads, Trainer};

/// Settings and handles that all trainer processes of a worker share.
pub(crate) struct Shared {
    pub(crate) launcher: Launcher,
    pub(crate) folders: Folders,
    pub(crate) state_folder: PathBuf,
    /// The trainer semantics with which the worker registered.
    pub(crate) semantics: u32,
    pub(crate) idle: Duration,
    pub(crate) silence: Duration,
    pub(crate) trials_per_trainer: u32,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: mpsc::Sender<SlotEvent>,
    pub(crate) log_sender: LogSender,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) clock: Clock,
}

/// A trainer process that is not started, idle, or running a command.
pub(crate) struct TrainerProcess {
    pub(crate) shared: Arc<Shared>,
    threads: Threads,
    pub(crate) log: LogTail,
    pub(crate) trainer: Option<Trainer>,
    /// Commands that this process has received.
    pub(crate) tasks: u32,
}

impl TrainerProcess {
    pub(crate) fn new(shared: Arc<Shared>, threads: Threads, trainer: Option<Trainer>) -> Self {
        let log = trainer.as_ref().map(|trainer| trainer.log().clone()).unwrap_or_default();
        Self { shared, threads, log, trainer, tasks: 0 }
    }

    /// Returns a trainer that is ready for a command. `Err(None)` if `stop` was cancelled first.
    pub(crate) async fn ready(&mut self, stop: &CancellationToken) -> Result<&mut Trainer, Option<Failed>> {
        self.log.clear();
        if self.trainer.is_none() {
            let started = self.shared.launcher.start(self.threads, self.log.clone(), stop).await;
            let trainer = started.map_err(|error| error.map(|error| failed(&error)))?;
            self.tasks = 0;
            let semantics = trainer.hello().semantics;
            if semantics != self.shared.semantics {
                trainer.kill().await;
                let registered = self.shared.semantics;
                let reason =
                    format!("the trainer's semantics changed from {registered} to {semantics}: restart the worker");
                return Err(Some(Failed { class: FailureClass::Machine, reason }));
            }
            self.trainer = Some(trainer);
        }
        self.tasks = self.tasks.saturating_add(1);
        self.trainer.as_mut().ok_or(None)
    }

    /// Returns when an idle trainer was stopped, or sent output or exited unexpectedly. Never returns without a
    /// trainer. Cancelling it only restarts the idle time.
    pub(crate) async fn watch_idle(&mut self) {
        let Some(trainer) = &mut self.trainer else { return std::future::pending().await };
        let end = tokio::select! {
            () = sleep(self.shared.idle) => None,
            spoken = trainer.event() => Some(spoken),
        };
        // No await from here on, so that cancellation cannot happen half-way: the trainer is taken, and stopping it is
        // a task.
        let Some(trainer) = self.trainer.take() else { return };
        match end {
            None => drop(tokio::spawn(trainer.leave())),
            Some(spoken) => {
                let what = spoken.map_or_else(|error| error.to_string(), |event| trainer::name_of(&event).to_owned());
                tracing::warn!(what, "an idle trainer sent output or exited");
                drop(tokio::spawn(trainer.interrupt()));
            }
        }
    }

    /// Stops the trainer, if there is one, with SIGTERM first. Returns when it is gone.
    pub(crate) async fn interrupt(&mut self) {
        if let Some(trainer) = self.trainer.take() {
            trainer.interrupt().await;
        }
    }

    /// Closes the trainer's stdin so that it exits by itself. Returns when it is gone.
    pub(crate) async fn close(&mut self) {
        if let Some(trainer) = self.trainer.take() {
            trainer.leave().await;
        }
    }
}

/// Converts a trainer's error to the failure of its task.
pub(crate) fn failed(error: &trainer::Error) -> Failed {
    let class = match error {
        trainer::Error::Start { .. } => FailureClass::Machine,
        trainer::Error::Silent { .. }
        | trainer::Error::Ended { .. }
        | trainer::Error::Protocol { .. }
        | trainer::Error::Pipe { .. } => FailureClass::Trainer,
    };
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Failed { class, reason }
}
