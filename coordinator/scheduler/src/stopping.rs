//! Cancels sweeps in batches, so that other events come between and no batch is too large for the store. A sweep that
//! is being cancelled starts no trial, and lives until all of its trials are released.
//!
//! No row marks a sweep that is being cancelled. The store shows it nevertheless: only such a sweep is bound to a
//! cancelled round. Therefore the first batch continues until it has cancelled a round of the sweep or ended the sweep.
//! Trials without a round, ended trials, and trials that another sweep needs leave no trace in the store. After a
//! restart the cancellation continues.

use sweep_spec::TrialId;

use crate::Scheduler;
use crate::bug::Bug;
use crate::effect::{Effect, Ignored};
use crate::ends::SweepEnd;
use crate::id::SweepId;
use crate::reference::{ReferenceEnd, ReferenceState};
use crate::sweep::{Stage, Stopping, Sweep};

impl Scheduler {
    /// Whether a sweep is being cancelled and not all of its trials are released.
    pub fn is_stopping(&self, id: SweepId) -> bool {
        self.sweeps.get(&id).is_some_and(|sweep| sweep.stopping.is_some())
    }

    /// Whether `Event::ReleaseMore` does something.
    pub fn has_more_to_release(&self) -> bool {
        !self.stopping.is_empty()
    }

    /// A sweep that lives and is not being cancelled.
    pub(crate) fn living(&mut self, id: SweepId) -> Result<&mut Sweep, Ignored> {
        self.sweeps.get_mut(&id).filter(|sweep| sweep.stopping.is_none()).ok_or(Ignored::UnknownSweep)
    }

    /// Begins to end a sweep. A small one has ended when this returns.
    pub(crate) fn stop(&mut self, id: SweepId, end: SweepEnd, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        let sweep = self.sweeps.get_mut(&id).ok_or(Ignored::UnknownSweep)?;
        if sweep.stopping.is_some() {
            return Err(Ignored::Repeated);
        }
        sweep.stopping = Some(Stopping { end, shown: false, last: None });
        self.stopping.insert(id);
        self.release_some(id, effects);
        Ok(())
    }

    /// After a restart: the sweep was being cancelled when the coordinator ended.
    pub(crate) fn continue_stopping(&mut self, id: SweepId) {
        if let Some(sweep) = self.sweeps.get_mut(&id) {
            let reason = "the sweep was being cancelled when the coordinator stopped, and the restarted coordinator \
                          completed this; the audit log contains the reason";
            sweep.stopping =
                Some(Stopping { end: SweepEnd::Stopped { reason: reason.to_owned() }, shown: true, last: None });
            self.stopping.insert(id);
        }
    }

    /// Releases more trials of one sweep that is being cancelled.
    pub(crate) fn release_more(&mut self, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        let id = self.stopping.first().copied().ok_or(Ignored::Repeated)?;
        self.release_some(id, effects);
        Ok(())
    }

    /// Rounds that another live sweep needs continue.
    fn release_some(&mut self, id: SweepId, effects: &mut Vec<Effect>) {
        let batch = self.config.release_batch.max(1);
        let mut released = 0;
        while let Some(trial) = self.next_to_release(id, released < batch) {
            self.release(id, trial, effects);
            let cancelled = self.note_released(id, trial);
            released += 1;
            let Some(stopping) = self.sweeps.get_mut(&id).and_then(|sweep| sweep.stopping.as_mut()) else { return };
            stopping.last = Some(trial);
            stopping.shown |= cancelled;
        }
        let Some(sweep) = self.sweeps.get(&id) else { return };
        let Some(end) = sweep.stopping.as_ref().map(|stopping| stopping.end.clone()) else { return };
        if sweep.has_more_to_do() {
            return;
        }
        self.remove_sweep(id);
        effects.push(Effect::SweepEnded { sweep: id, end });
    }

    /// The trial that this batch releases next. A full batch continues while the store does not show the cancellation.
    fn next_to_release(&self, id: SweepId, has_room: bool) -> Option<TrialId> {
        let sweep = self.sweeps.get(&id)?;
        let stopping = sweep.stopping.as_ref()?;
        if !has_room && (stopping.shown || self.has(Bug::CancelForgotten)) {
            return None;
        }
        sweep.references.range(stopping.rest()).next().map(|(trial, _)| *trial)
    }

    /// Counts a released trial. Returns whether this has cancelled its round.
    fn note_released(&mut self, id: SweepId, trial: TrialId) -> bool {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return false };
        let Some(reference) = sweep.references.get(&trial) else { return false };
        let (round, cancelled) = match reference.state {
            ReferenceState::Ended { .. } => return false,
            ReferenceState::Unbound => (0, false),
            ReferenceState::Bound { round, .. } => {
                let open = self.trials.get(&trial).and_then(|trial| trial.open.as_ref());
                (round, open.is_none_or(|open| open.number != round))
            }
        };
        let stages = reference.stages.clone();
        sweep.set_state(trial, ReferenceState::Ended { round, reused: false, end: ReferenceEnd::Cancelled });
        for stage in stages {
            if let Some(Stage::Open { remaining }) = sweep.stages.get_mut(stage as usize) {
                *remaining = remaining.saturating_sub(1);
            }
        }
        cancelled
    }
}
