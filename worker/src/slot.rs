//! The task of one slot: it runs one trial at a time in a reused trainer process. The slot is free again when all
//! processes of the attempt are gone.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sweep_proto::v1::{ArtifactKind, AttemptPhases};
use sweep_spec::protocol::KeepWeights;
use sweep_spec::trainer::{Command, Described, EpochMetrics, Event, Failed, Finished, Train};
use sweep_spec::{Digest, FailureClass, Trial};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::artifact::{self, Artifact};
use crate::clock::{self, ClockReading, TrainerTimes};
use crate::log_tail::LogTail;
use crate::metrics::SlotState;
use crate::outbox::LogSender;
use crate::protocol::{Checker, Step};
use crate::trainer::{self, Threads};
use crate::trainer_process::{Shared, TrainerProcess, failed};
use crate::wire::Lease;

/// The shortest interval between two writes of the log to disk.
const LOG_INTERVAL: Duration = Duration::from_millis(500);

/// An attempt to run.
pub(crate) struct Job {
    pub(crate) lease: Lease,
    pub(crate) trial: Trial,
    /// Cancelled to stop the attempt.
    pub(crate) stop: CancellationToken,
}

/// Events that slots and the describer send to the agent.
pub(crate) enum SlotEvent {
    Point {
        lease: Lease,
        metrics: EpochMetrics,
    },
    /// An attempt has ended and its slot is free.
    Ended {
        slot: u32,
        lease: Lease,
        ended: Box<Ended>,
    },
    /// A data set was described.
    Described {
        key: Bytes,
        answer: Result<Described, Failed>,
    },
}

/// How an attempt ended.
pub(crate) struct Ended {
    pub(crate) how: AttemptEnd,
    pub(crate) phases: AttemptPhases,
    pub(crate) log_tail: String,
    pub(crate) artifacts: Vec<Artifact>,
}

pub(crate) enum AttemptEnd {
    Finished(Box<Finished>),
    Failed(Failed),
    Stopped,
}

pub(crate) struct SlotTask {
    index: u32,
    device: String,
    process: TrainerProcess,
    /// Notified when a checkpoint of the attempt is on disk.
    written: Arc<Notify>,
    /// The times that the trainer reported.
    times: TrainerTimes,
}

impl SlotTask {
    pub(crate) fn new(index: u32, device: String, shared: Arc<Shared>) -> Self {
        shared.metrics.slot_appears(index);
        let threads = if device == "cpu" { Threads::One } else { Threads::Any };
        Self {
            index,
            device,
            process: TrainerProcess::new(shared, threads, None),
            written: Arc::default(),
            times: TrainerTimes::default(),
        }
    }

    /// Runs until the agent drops the sender of `jobs`.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let job = tokio::select! {
                biased;
                job = jobs.recv() => job,
                () = self.process.watch_idle() => continue,
            };
            let Some(job) = job else { break };
            self.attempt(job).await;
        }
        self.process.close().await;
    }

    async fn attempt(&mut self, job: Job) {
        self.move_to(SlotState::Starting);
        let (begun, mut started) = (self.process.shared.clock.read(), None);
        self.times = TrainerTimes::default();
        // The log of the previous attempt is not this one's.
        self.process.log.clear();
        let keeping = keep_log(self.process.shared.log_sender.clone(), job.lease, self.process.log.clone());
        let checkpoints = Arc::clone(&self.process.shared.checkpoints);
        self.written = Arc::default();
        let written = Arc::clone(&self.written);
        let copying = checkpoints.keep_copying(&job.lease, &written);
        let trained = tokio::select! {
            biased;
            trained = self.train(&job, &mut started) => trained,
            never = keeping => match never {},
            never = copying => match never {},
        };
        let (how, artifacts) = match trained {
            Ok((finished, artifacts)) => (AttemptEnd::Finished(finished), artifacts),
            Err(ending) => {
                self.move_to(SlotState::Ending);
                self.process.interrupt().await;
                checkpoints.copy_last(&job.lease, self.process.shared.launcher.grace).await;
                (ending.map_or(AttemptEnd::Stopped, AttemptEnd::Failed), Vec::new())
            }
        };
        self.process.shared.metrics.speed_ends(self.index);
        let phases = clock::phases(begun, started, self.process.shared.clock.read(), self.times);
        let ended = Box::new(Ended { how, phases, log_tail: self.process.log.text(), artifacts });
        self.move_to(SlotState::Idle);
        let event = SlotEvent::Ended { slot: self.index, lease: job.lease, ended };
        // The agent has ended, so no task needs the event.
        drop(self.process.shared.events.send(event).await);
        if self.process.tasks >= self.process.shared.trials_per_trainer {
            self.process.close().await;
        }
    }

    /// Returns the result with its files, or the failure, or `None` if the attempt was stopped.
    async fn train(
        &mut self,
        job: &Job,
        started: &mut Option<ClockReading>,
    ) -> Result<(Box<Finished>, Vec<Artifact>), Option<Failed>> {
        let folder = artifact::folder(&self.process.shared.state_folder, &job.lease);
        if let Err(error) = tokio::fs::create_dir_all(&folder).await {
            let reason = format!("cannot create the folder {}: {error}", folder.display());
            return Err(Some(Failed { class: FailureClass::Machine, reason }));
        }
        let checkpoint_folder = self.checkpoint_folder(job).await?;
        let train = Train {
            trial_id: job.lease.trial_id,
            attempt: job.lease.attempt,
            trial: job.trial.clone(),
            device: self.device.clone(),
            folders: self.process.shared.folders.clone(),
            checkpoint_folder,
            checkpoint_every: self.process.shared.checkpoints.every,
            artifact_folder: Some(folder.to_string_lossy().into_owned()),
        };
        self.process.ready(&job.stop).await?;
        let (finished, digest) = tokio::select! {
            biased;
            () = job.stop.cancelled() => return Err(None),
            answer = self.converse(job.lease, &train, started) => answer.map_err(Some)?,
        };
        let artifacts = left_behind(&folder, &job.trial, job.lease, digest).await;
        Ok((finished, artifacts))
    }

    /// The folder for the attempt's checkpoints, as the trainer gets it, with those of earlier attempts.
    async fn checkpoint_folder(&self, job: &Job) -> Result<Option<String>, Option<Failed>> {
        let folder = tokio::select! {
            biased;
            () = job.stop.cancelled() => return Err(None),
            folder = self.process.shared.checkpoints.fetch(&job.lease) => folder,
        };
        match folder {
            Ok(folder) => Ok(folder.map(|folder| folder.to_string_lossy().into_owned())),
            Err(error) => {
                let reason = format!("cannot create the folder of checkpoints: {error}");
                Err(Some(Failed { class: FailureClass::Machine, reason }))
            }
        }
    }

    async fn converse(
        &mut self,
        lease: Lease,
        train: &Train,
        started: &mut Option<ClockReading>,
    ) -> Result<(Box<Finished>, Digest), Failed> {
        let mut checker = Checker::new(train);
        let mut first_epoch = 1;
        let silence = self.process.shared.silence;
        self.trainer()?.send(&Command::Train(Box::new(train.clone()))).await.map_err(|error| failed(&error))?;
        loop {
            let event = self.trainer()?.event_within(silence, "an event of the trial").await;
            let event = event.map_err(|error| failed(&error))?;
            if let Event::Started(started) = &event {
                first_epoch = started.first_epoch;
            }
            let step = checker.take(event).map_err(|what| failed(&trainer::Error::Protocol { what }))?;
            match step {
                Step::Started => {
                    *started = Some(self.process.shared.clock.read());
                    self.move_to(SlotState::Running);
                }
                Step::Point(metrics) => {
                    // Epochs from a checkpoint are repeated; an earlier attempt trained them.
                    if metrics.epoch >= first_epoch {
                        self.times.trained_seconds += metrics.seconds;
                    }
                    self.process.shared.metrics.speed(self.index, metrics.images_per_second);
                    // If the agent's queue is full, the trainer waits: nothing is dropped.
                    drop(self.process.shared.events.send(SlotEvent::Point { lease, metrics }).await);
                }
                Step::Checkpoint => self.written.notify_one(),
                Step::Finished(finished) => {
                    self.times.paused_seconds = finished.paused_seconds;
                    let digest = finished.provenance.data_digest;
                    return Ok((finished, digest));
                }
                Step::Failed(failed) => return Err(failed),
            }
        }
    }

    fn trainer(&mut self) -> Result<&mut trainer::Trainer, Failed> {
        let missing = || Failed { class: FailureClass::Machine, reason: "the slot has no trainer".to_owned() };
        self.process.trainer.as_mut().ok_or_else(missing)
    }

    fn move_to(&self, state: SlotState) {
        self.process.shared.metrics.slot_moves(self.index, state);
    }
}

/// The files that the trainer wrote and that the trial requests.
async fn left_behind(folder: &Path, trial: &Trial, lease: Lease, data_digest: Digest) -> Vec<Artifact> {
    let mut artifacts = Vec::new();
    for kind in [ArtifactKind::Weights, ArtifactKind::Thumbnails] {
        let unwanted = kind == ArtifactKind::Weights && trial.protocol.keep_weights == KeepWeights::None;
        let Some(name) = artifact::file_name(kind).filter(|_| !unwanted) else { continue };
        let path = folder.join(name);
        match artifact::synced(&path).await {
            Ok(()) => artifacts.push(Artifact { kind, path, lease, data_digest }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %path.display(), error = %error, "cannot upload an artifact"),
        }
    }
    artifacts
}

/// Keeps the end of the log on disk, so that it survives a trial that crashes its worker.
async fn keep_log(log_sender: LogSender, lease: Lease, log: LogTail) -> Infallible {
    loop {
        log.grown().await;
        log_sender.write(lease, log.text()).await;
        sleep(LOG_INTERVAL).await;
    }
}
