//! Checkpoints of one trial in its own folder. A checkpoint only saves work: one that cannot be written or read costs
//! time but never fails the trial. The newest two are kept, so that there is a fallback.

mod bytes;
mod file;
mod format;
mod refusal;
mod tensors;
mod untrusted;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use untrusted::protocol as stored_protocol;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::DispatchDevice;

use self::file::Position;
use self::format::Contents;
pub(super) use self::format::Fit;
use self::refusal::Refusal;
pub use self::untrusted::checkpoint;
use super::state::State;

/// The number of checkpoints that are kept.
const KEPT: usize = 2;

/// The checkpoints of one trial.
#[derive(Debug)]
pub(super) struct Checkpoints<'a> {
    folder: PathBuf,
    /// Epochs between two checkpoints.
    every: u32,
    fit: Fit<'a>,
    /// Those known to be complete, the newest last.
    whole: Vec<(Position, PathBuf)>,
}

impl<'a> Checkpoints<'a> {
    pub(super) fn new(folder: &str, every: u32, fit: Fit<'a>) -> Self {
        Self { folder: PathBuf::from(folder), every: every.max(1), fit, whole: Vec::new() }
    }

    /// Loads the newest valid checkpoint into `state`, which must be that of a trial that has not begun. Refused
    /// checkpoints are renamed. Without a valid one, `state` does not change.
    pub(super) fn resume(&mut self, state: &mut State, device: &DispatchDevice) {
        if let Err(error) = file::remove_unfinished(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot remove an unfinished checkpoint");
        }
        let found = file::list(&self.folder).unwrap_or_else(|error| {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot list the checkpoints, starting from the \
                beginning");
            Vec::new()
        });
        let shapes = tensors::shapes(&state.network);
        for (position, path) in found {
            match self.read(&path, &shapes) {
                Ok(contents) => {
                    restore(state, contents, device);
                    let epochs = state.progress.epochs();
                    tracing::info!(path = %path.display(), epochs, steps = state.partial.steps, "the trial resumes \
                        from a checkpoint");
                    self.whole.push((position, path));
                    return;
                }
                Err(refusal) => refuse(&path, &refusal),
            }
        }
    }

    fn read(&self, path: &Path, shapes: &[Vec<usize>]) -> Result<Contents, Refusal> {
        let mut file = file::open(path).map_err(Refusal::Unreadable)?;
        format::read(&mut file, &self.fit, shapes)
    }

    /// After an epoch: writes a checkpoint if one is due, and returns its path.
    pub(super) fn after_epoch(&mut self, state: &State) -> Option<PathBuf> {
        if state.progress.epochs().is_multiple_of(self.every) { self.before_leaving(state) } else { None }
    }

    /// Before the trainer exits: writes a checkpoint if there is progress since the newest, and returns its path.
    pub(super) fn before_leaving(&mut self, state: &State) -> Option<PathBuf> {
        let position = Position { epochs: state.progress.epochs(), steps: state.partial.steps };
        let newest = self.whole.last().map_or(Position { epochs: 0, steps: 0 }, |(position, _)| *position);
        if position <= newest || position.epochs >= self.fit.protocol.epochs {
            return None;
        }
        let path = self.folder.join(position.name());
        if let Err(error) = file::write(&path, |out| format::write(state, &self.fit, out)) {
            tracing::warn!(%error, path = %path.display(), "cannot write a checkpoint, training continues without it");
            return None;
        }
        self.whole.push((position, path.clone()));
        let old = self.whole.len().saturating_sub(KEPT);
        self.whole.drain(..old);
        if let Err(error) = self.remove_others() {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot remove an old checkpoint");
        }
        Some(path)
    }

    fn remove_others(&self) -> io::Result<()> {
        for (position, path) in file::list(&self.folder)? {
            if self.whole.iter().all(|(whole, _)| *whole != position) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn restore(state: &mut State, contents: Contents, device: &DispatchDevice) {
    tensors::restore(state, contents.tensors, device);
    for metrics in contents.history {
        state.observe(metrics);
    }
    state.partial = contents.partial;
    state.progress.validation = contents.validation;
    state.progress.tested = contents.tested;
    state.progress.weights = contents.weights;
    state.progress.seconds = contents.seconds;
    state.progress.training_seconds = contents.training_seconds;
    state.progress.trained_images = contents.trained_images;
}

fn refuse(path: &Path, refusal: &Refusal) {
    let ending = if refusal.is_damage() { ".damaged" } else { ".refused" };
    match file::put_aside(path, ending) {
        Ok(aside) => {
            tracing::warn!(path = %path.display(), reason = %refusal, now = %aside.display(), "a checkpoint is refused")
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), reason = %refusal, %error, "a checkpoint is refused and cannot be \
                renamed");
        }
    }
}
