//! One trial from question to answer: data, network, epochs, result. What it does depends on the trial alone; what it
//! says goes to `Listener`.

mod adam;
mod batches;
mod epoch;
mod phases;
mod schedule;
mod score;
mod state;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use sweep_spec::protocol::KeepWeights;
use sweep_spec::trainer::{Epoch, EpochMetrics, Event, Finished, Started, Train};
use sweep_spec::{Outcome, TRAINER_SEMANTICS};

use self::batches::Batches;
use self::epoch::Epochs;
use self::state::State;
use crate::data::{Images, Split, write_thumbnails};
use crate::device::{Room, Training};
use crate::failure::{Failure, Stop};
use crate::network::{Build, Input};
use crate::provenance;

pub use self::phases::Phases;

/// Hears what a trial has to say, and may end it.
pub(crate) trait Listener {
    /// Takes an event.
    fn say(&mut self, event: Event) -> Result<(), Stop>;

    /// Looked at between two steps.
    fn wants_to_leave(&self) -> bool;
}

/// Trains a trial. Every event but the last goes to the listener.
pub(crate) fn train(request: &Train, listener: &mut dyn Listener) -> Result<(Finished, Phases), Stop> {
    check(request)?;
    provenance::forget_peak_memory();
    let trial = &request.trial;
    let room = Room::open(&request.device)?;
    let images = Images::open(&trial.dataset, &request.folders)?;
    let split = Split::new(&images, trial.protocol.holdout.as_ref())?;
    let batches = Batches::new(&images, &split, &trial.protocol, trial.seed)?;
    let input = Input {
        image_size: images.shape.size,
        channels: images.shape.channels,
        classes: images.contents.classes.len() as u32,
    };
    let build = Build::<Training>::new(trial.seed, &trial.protocol, room.device());
    let network = build.network(&trial.configuration, input)?;
    let params = network.num_params() as u64;
    let mut state = State::new(network, &trial.protocol)?;
    listener.say(Event::Started(Started {
        trial_id: request.trial_id,
        attempt: request.attempt,
        device: room.name.clone(),
        params,
        data: images.describe(),
        first_epoch: state.progress.epochs + 1,
    }))?;
    let mut epochs = Epochs::new(trial, &room, &split, &batches, input.classes as usize);
    let outcome = run(request, &mut state, &mut epochs, listener)?;
    leave_artifacts(request, &images, &split, &state)?;
    let phases = epochs.phases;
    let progress = state.progress;
    let provenance = provenance::of(params, &progress_rates(&progress), (images.digest, split.digest(&images)), &room);
    let finished = Finished {
        trial_id: request.trial_id,
        attempt: request.attempt,
        outcome,
        last: progress.last,
        best: progress.best,
        validation: progress.validation,
        provenance,
    };
    Ok((finished, phases))
}

fn run(
    request: &Train,
    state: &mut State,
    epochs: &mut Epochs<'_>,
    listener: &mut dyn Listener,
) -> Result<Outcome, Stop> {
    let protocol = &request.trial.protocol;
    let keep = request.artifact_folder.is_some() && protocol.keep_weights != KeepWeights::None;
    while state.progress.epochs < protocol.epochs {
        let epoch = state.progress.epochs + 1;
        let started = Instant::now();
        let learning_rate = state.pace.learning_rate();
        let trained = epochs.train(state, epoch, learning_rate, listener)?;
        let training_seconds = started.elapsed().as_secs_f64();
        let (validated, validation) = epochs.validate(state, listener)?;
        let seconds = started.elapsed().as_secs_f64();
        state.progress.training_seconds += training_seconds;
        state.progress.seconds += seconds;
        state.progress.trained_images += epochs.images_per_epoch();
        if !trained.is_finite() || !validated.is_finite() {
            tracing::info!(epoch, "the loss is not finite, the trial has diverged");
            return Ok(Outcome::Diverged);
        }
        let metrics = EpochMetrics {
            epoch,
            train_loss: trained.loss(),
            train_accuracy: trained.accuracy(),
            val_loss: validated.loss(),
            val_accuracy: validated.accuracy(),
            learning_rate,
            seconds,
            images_per_second: rate(epochs.images_per_epoch(), training_seconds),
        };
        state.end_epoch(metrics, validation, protocol.report, keep)?;
        listener.say(Event::Epoch(Epoch { trial_id: request.trial_id, attempt: request.attempt, metrics }))?;
    }
    Ok(Outcome::Converged)
}

/// Refuses what a checked spec cannot hold.
fn check(request: &Train) -> Result<(), Failure> {
    let trial = &request.trial;
    if trial.semantics != TRAINER_SEMANTICS {
        return Err(Failure::spec(format!(
            "the trial asks for trainer semantics {}, and this trainer has {TRAINER_SEMANTICS}",
            trial.semantics
        )));
    }
    if trial.protocol.epochs == 0 || trial.protocol.batch_size == 0 {
        return Err(Failure::spec("protocol.epochs and protocol.batch_size have to be at least 1"));
    }
    Ok(())
}

fn leave_artifacts(request: &Train, images: &Images, split: &Split, state: &State) -> Result<(), Failure> {
    let Some(folder) = &request.artifact_folder else { return Ok(()) };
    let folder = Path::new(folder);
    let unwritten =
        |error| Failure::machine(format!("artifacts cannot be left in {}", folder.display())).because(error);
    fs::create_dir_all(folder).map_err(unwritten)?;
    if let Some(weights) = &state.progress.weights {
        fs::write(folder.join("weights.bin"), weights).map_err(unwritten)?;
    }
    write_thumbnails(images, &split.validation, folder)
}

fn progress_rates(progress: &state::Progress) -> provenance::Pace {
    provenance::Pace {
        seconds: progress.seconds,
        images_per_second: rate(progress.trained_images, progress.training_seconds),
    }
}

fn rate(images: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { images as f64 / seconds } else { 0.0 }
}
