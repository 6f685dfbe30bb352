//! Runs one trial: data, network, epochs, result. The training depends only on the trial; events go to a `Listener`.

mod adam;
mod batches;
mod checkpoint;
mod epoch;
mod phases;
mod schedule;
mod score;
mod state;

#[cfg(test)]
mod tests;

use std::fs;
use std::mem;
use std::path::Path;

use burn::module::Module;
use sweep_spec::plan::LoneBatch;
use sweep_spec::protocol::{KeepWeights, Report};
use sweep_spec::trainer::{Checkpoint, Epoch, EpochMetrics, Event, Finished, Started, Tested, Train, Validation};
use sweep_spec::{Outcome, TRAINER_SEMANTICS};

use self::batches::Batches;
use self::checkpoint::{Checkpoints, Fit};
use self::epoch::Epochs;
use self::score::Score;
use self::state::{Partial, State};
use crate::clock::Clock;
use crate::data::{Images, Split, write_thumbnails};
use crate::device::{ComputeDevice, Training};
use crate::failure::{Failure, Stop};
use crate::network::{Build, Input};
use crate::provenance;

pub use self::checkpoint::checkpoint as untrusted_checkpoint;
pub use self::phases::Phases;

/// Receives the events of a trial, and may end it.
pub(crate) trait Listener {
    /// Receives an event.
    fn send(&mut self, event: Event) -> Result<(), Stop>;

    /// Checked between two steps.
    fn wants_to_leave(&self) -> bool;
}

/// Trains a trial, from its newest checkpoint if there is one. All events but the last go to the listener.
pub(crate) fn train(request: &Train, listener: &mut dyn Listener) -> Result<(Finished, Phases), Stop> {
    check(request)?;
    let clock = Clock::start();
    provenance::forget_peak_memory();
    let trial = &request.trial;
    let device = ComputeDevice::open(&request.device)?;
    let images = Images::open(&trial.dataset, &request.folders)?;
    let split = Split::new(&images, trial)?;
    let split_digest = split.digest(&images);
    let batches = Batches::new(&images, &split, &trial.protocol, trial.seed)?;
    let input = Input {
        image_size: images.shape.size,
        channels: images.shape.channels,
        classes: images.contents.classes.len() as u32,
    };
    let build = Build::<Training>::new(trial.seed, &trial.protocol, device.burn());
    let network = build.network(&trial.configuration, input)?;
    let images_to_train = split.train.len() as u64;
    if let Some(lone) = LoneBatch::of(&trial.configuration, images_to_train, trial.protocol.batch_size) {
        tracing::warn!("{lone}; {}", LoneBatch::ADVICE);
    }
    let params = network.num_params() as u64;
    let mut state = State::new(network, &trial.protocol)?;
    let fit = Fit {
        trial_id: request.trial_id,
        split_digest,
        instruction_set: &device.instruction_set,
        protocol: &trial.protocol,
        train_images: split.train.len(),
        validation_images: split.validation.len(),
        test_images: split.test.len(),
        classes: input.classes as usize,
        keeps_weights: keeps_weights(request),
    };
    let checkpoints = request.checkpoint_folder.as_deref();
    let mut checkpoints = checkpoints.map(|folder| Checkpoints::new(folder, request.checkpoint_every, fit));
    if let Some(checkpoints) = &mut checkpoints {
        checkpoints.resume(&mut state, device.burn());
    }
    listener.send(Event::Started(Started {
        trial_id: request.trial_id,
        attempt: request.attempt,
        device: device.name.clone(),
        params,
        data: images.describe(),
        first_epoch: state.progress.epochs() + 1,
    }))?;
    let epochs = Epochs::new(trial, &device, &split, &batches, input.classes as usize);
    let mut trial_run = TrialRun { request, epochs, checkpoints, clock };
    let outcome = trial_run.run(&mut state, listener)?;
    leave_artifacts(request, &images, &split, &state)?;
    let phases = trial_run.epochs.phases;
    let progress = state.progress;
    let provenance = provenance::of(params, &progress_rates(&progress), (images.digest, split_digest), &device);
    let finished = Finished {
        trial_id: request.trial_id,
        attempt: request.attempt,
        outcome,
        last: progress.last(),
        best: progress.best,
        validation: progress.validation,
        test: progress.tested,
        paused_seconds: trial_run.clock.paused().as_secs_f64(),
        provenance,
    };
    Ok((finished, phases))
}

/// The parts of a trial that do not change between epochs, and its checkpoints.
struct TrialRun<'a> {
    request: &'a Train,
    epochs: Epochs<'a>,
    checkpoints: Option<Checkpoints<'a>>,
    clock: Clock,
}

impl TrialRun<'_> {
    /// Reports the completed epochs and trains the remaining ones. Writes a checkpoint before an early exit.
    fn run(&mut self, state: &mut State, listener: &mut dyn Listener) -> Result<Outcome, Stop> {
        let ended = self.run_epochs(state, listener);
        if let (Err(Stop::Left), Some(checkpoints)) = (&ended, &mut self.checkpoints)
            && let Some(path) = checkpoints.before_leaving(state)
        {
            // If the listener is gone, the file still counts.
            listener.send(self.checkpoint(state, &path))?;
        }
        ended
    }

    fn run_epochs(&mut self, state: &mut State, listener: &mut dyn Listener) -> Result<Outcome, Stop> {
        for metrics in &state.progress.history {
            listener.send(self.epoch(*metrics))?;
        }
        while state.progress.epochs() < self.request.trial.protocol.epochs {
            let Some(metrics) = self.run_epoch(state, listener)? else { return Ok(Outcome::Diverged) };
            listener.send(self.epoch(metrics))?;
            if let Some(checkpoints) = &mut self.checkpoints
                && let Some(path) = checkpoints.after_epoch(state)
            {
                listener.send(self.checkpoint(state, &path))?;
            }
        }
        Ok(Outcome::Converged)
    }

    /// Runs one epoch, or the rest of one; returns `None` if its loss was not finite.
    fn run_epoch(&mut self, state: &mut State, listener: &dyn Listener) -> Result<Option<EpochMetrics>, Stop> {
        let epoch = state.progress.epochs() + 1;
        let learning_rate = state.schedule.learning_rate();
        let started = self.clock.ran();
        let trained = self.epochs.train(state, epoch, learning_rate, listener);
        state.partial.training_seconds += (self.clock.ran() - started).as_secs_f64();
        trained?;
        let started = self.clock.ran();
        let answered = self.evaluate(epoch, state, listener);
        state.partial.validation_seconds += (self.clock.ran() - started).as_secs_f64();
        let (validated, validation, tested) = answered?;
        let Partial { score: trained, training_seconds, validation_seconds, .. } = mem::take(&mut state.partial);
        let seconds = training_seconds + validation_seconds;
        let images = self.epochs.images_per_epoch();
        state.progress.training_seconds += training_seconds;
        state.progress.seconds += seconds;
        state.progress.trained_images += images;
        if !trained.is_finite() || !validated.is_finite() {
            tracing::info!(epoch, "the loss is not finite, the trial has diverged");
            return Ok(None);
        }
        let metrics = EpochMetrics {
            epoch,
            train_loss: trained.loss(),
            train_accuracy: trained.accuracy(),
            val_loss: validated.loss(),
            val_accuracy: validated.accuracy(),
            learning_rate,
            seconds,
            images_per_second: rate(images, training_seconds),
        };
        let said = (validation, tested);
        state.end_epoch(metrics, said, self.request.trial.protocol.report, keeps_weights(self.request))?;
        Ok(Some(metrics))
    }

    /// Evaluates the validation images and, if this epoch may be the reported one, the test part beside a holdout. The
    /// test part is evaluated after the choice and influences nothing.
    fn evaluate(
        &self,
        epoch: u32,
        state: &State,
        listener: &dyn Listener,
    ) -> Result<(Score, Validation, Option<Tested>), Stop> {
        let (validated, validation) = self.epochs.validate(state, listener)?;
        let protocol = &self.request.trial.protocol;
        let may_be_reported = match protocol.report {
            Report::Best => state.progress.is_best(validated.accuracy()),
            Report::Last => epoch == protocol.epochs,
        };
        let finite = state.partial.score.is_finite() && validated.is_finite();
        let tested = if may_be_reported && finite { self.epochs.test(epoch, state, listener)? } else { None };
        Ok((validated, validation, tested))
    }

    fn epoch(&self, metrics: EpochMetrics) -> Event {
        Event::Epoch(Epoch { trial_id: self.request.trial_id, attempt: self.request.attempt, metrics })
    }

    fn checkpoint(&self, state: &State, path: &Path) -> Event {
        Event::Checkpoint(Checkpoint {
            trial_id: self.request.trial_id,
            attempt: self.request.attempt,
            epoch: state.progress.epochs(),
            path: path.to_string_lossy().into_owned(),
        })
    }
}

/// Whether the weights of the reported epoch are kept.
fn keeps_weights(request: &Train) -> bool {
    request.artifact_folder.is_some() && request.trial.protocol.keep_weights != KeepWeights::None
}

/// Rejects values that a checked spec cannot have.
fn check(request: &Train) -> Result<(), Failure> {
    let trial = &request.trial;
    if trial.semantics != TRAINER_SEMANTICS {
        return Err(Failure::spec(format!(
            "the trial needs trainer semantics {}, but this trainer has {TRAINER_SEMANTICS}",
            trial.semantics
        )));
    }
    if trial.protocol.epochs == 0 || trial.protocol.batch_size == 0 {
        return Err(Failure::spec("protocol.epochs and protocol.batch_size must be at least 1"));
    }
    Ok(())
}

fn leave_artifacts(request: &Train, images: &Images, split: &Split, state: &State) -> Result<(), Failure> {
    let Some(folder) = &request.artifact_folder else { return Ok(()) };
    let folder = Path::new(folder);
    let unwritten =
        |error| Failure::machine(format!("cannot write artifacts into {}", folder.display())).because(error);
    fs::create_dir_all(folder).map_err(unwritten)?;
    if let Some(weights) = &state.progress.weights {
        fs::write(folder.join("weights.safetensors"), weights).map_err(unwritten)?;
    }
    // All trials of a data set share one sheet; there is none if each seed has its own validation images.
    if !request.trial.protocol.split.is_fixed() {
        return Ok(());
    }
    write_thumbnails(images, &split.validation, folder)
}

fn progress_rates(progress: &state::Progress) -> provenance::Speed {
    provenance::Speed {
        seconds: progress.seconds,
        images_per_second: rate(progress.trained_images, progress.training_seconds),
    }
}

fn rate(images: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { images as f64 / seconds } else { 0.0 }
}
