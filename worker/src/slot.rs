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
use crate::clock::{self, Mark, Told};
use crate::conversation::{Conversation, Step};
use crate::log_tail::LogTail;
use crate::metrics::SlotState;
use crate::outbox::LogBook;
use crate::seat::{Seat, Workplace, failed};
use crate::trainer::{self, Threads};
use crate::wire::Lease;

/// The shortest interval between two writes of the log to disk.
const LOG_PAUSE: Duration = Duration::from_millis(500);

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
    pub(crate) how: How,
    pub(crate) phases: AttemptPhases,
    pub(crate) log_tail: String,
    pub(crate) artifacts: Vec<Artifact>,
}

pub(crate) enum How {
    Finished(Box<Finished>),
    Failed(Failed),
    Stopped,
}

pub(crate) struct SlotTask {
    index: u32,
    device: String,
    seat: Seat,
    /// Notified when a checkpoint of the attempt is on disk.
    written: Arc<Notify>,
    /// The times that the trainer reported.
    told: Told,
}

impl SlotTask {
    pub(crate) fn new(index: u32, device: String, place: Arc<Workplace>) -> Self {
        place.metrics.slot_appears(index);
        let threads = if device == "cpu" { Threads::One } else { Threads::Any };
        Self { index, device, seat: Seat::new(place, threads, None), written: Arc::default(), told: Told::default() }
    }

    /// Runs until the agent drops the sender of `jobs`.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let job = tokio::select! {
                biased;
                job = jobs.recv() => job,
                () = self.seat.watch_idle() => continue,
            };
            let Some(job) = job else { break };
            self.attempt(job).await;
        }
        self.seat.let_go().await;
    }

    async fn attempt(&mut self, job: Job) {
        self.move_to(SlotState::Starting);
        let (begun, mut started) = (self.seat.place.clock.mark(), None);
        self.told = Told::default();
        // The log of the previous attempt is not this one's.
        self.seat.log.clear();
        let keeping = keep_log(self.seat.place.log_book.clone(), job.lease, self.seat.log.clone());
        let checkpoints = Arc::clone(&self.seat.place.checkpoints);
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
            Ok((finished, artifacts)) => (How::Finished(finished), artifacts),
            Err(ending) => {
                self.move_to(SlotState::Ending);
                self.seat.interrupt().await;
                checkpoints.copy_last(&job.lease, self.seat.place.launcher.grace).await;
                (ending.map_or(How::Stopped, How::Failed), Vec::new())
            }
        };
        self.seat.place.metrics.speed_ends(self.index);
        let phases = clock::phases(begun, started, self.seat.place.clock.mark(), self.told);
        let ended = Box::new(Ended { how, phases, log_tail: self.seat.log.text(), artifacts });
        self.move_to(SlotState::Idle);
        let event = SlotEvent::Ended { slot: self.index, lease: job.lease, ended };
        // The agent has ended, so no task needs the event.
        drop(self.seat.place.events.send(event).await);
        if self.seat.tasks >= self.seat.place.trials_per_trainer {
            self.seat.let_go().await;
        }
    }

    /// Returns the result with its files, or the failure, or `None` if the attempt was stopped.
    async fn train(
        &mut self,
        job: &Job,
        started: &mut Option<Mark>,
    ) -> Result<(Box<Finished>, Vec<Artifact>), Option<Failed>> {
        let folder = artifact::folder(&self.seat.place.state_folder, &job.lease);
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
            folders: self.seat.place.folders.clone(),
            checkpoint_folder,
            checkpoint_every: self.seat.place.checkpoints.every,
            artifact_folder: Some(folder.to_string_lossy().into_owned()),
        };
        self.seat.ready(&job.stop).await?;
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
            folder = self.seat.place.checkpoints.fetch(&job.lease) => folder,
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
        started: &mut Option<Mark>,
    ) -> Result<(Box<Finished>, Digest), Failed> {
        let mut conversation = Conversation::new(train);
        let mut first_epoch = 1;
        let silence = self.seat.place.silence;
        self.trainer()?.send(&Command::Train(Box::new(train.clone()))).await.map_err(|error| failed(&error))?;
        loop {
            let event = self.trainer()?.event_within(silence, "an event of the trial").await;
            let event = event.map_err(|error| failed(&error))?;
            if let Event::Started(started) = &event {
                first_epoch = started.first_epoch;
            }
            let step = conversation.take(event).map_err(|what| failed(&trainer::Error::Protocol { what }))?;
            match step {
                Step::Started => {
                    *started = Some(self.seat.place.clock.mark());
                    self.move_to(SlotState::Running);
                }
                Step::Point(metrics) => {
                    // Epochs from a checkpoint are repeated; an earlier attempt trained them.
                    if metrics.epoch >= first_epoch {
                        self.told.trained_seconds += metrics.seconds;
                    }
                    self.seat.place.metrics.speed(self.index, metrics.images_per_second);
                    // If the agent's queue is full, the trainer waits: nothing is dropped.
                    drop(self.seat.place.events.send(SlotEvent::Point { lease, metrics }).await);
                }
                Step::Checkpoint => self.written.notify_one(),
                Step::Finished(finished) => {
                    self.told.paused_seconds = finished.paused_seconds;
                    let digest = finished.provenance.data_digest;
                    return Ok((finished, digest));
                }
                Step::Failed(failed) => return Err(failed),
            }
        }
    }

    fn trainer(&mut self) -> Result<&mut trainer::Trainer, Failed> {
        let missing = || Failed { class: FailureClass::Machine, reason: "the slot has no trainer".to_owned() };
        self.seat.trainer.as_mut().ok_or_else(missing)
    }

    fn move_to(&self, state: SlotState) {
        self.seat.place.metrics.slot_moves(self.index, state);
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
async fn keep_log(log_book: LogBook, lease: Lease, log: LogTail) -> Infallible {
    loop {
        log.grown().await;
        log_book.write(lease, log.text()).await;
        sleep(LOG_PAUSE).await;
    }
}
