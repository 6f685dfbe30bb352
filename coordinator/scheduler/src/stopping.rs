//! How sweeps are cancelled: so many trials at a time, so that events of others come between and no batch is larger than
//! a store can take. A sweep that is being cancelled starts nothing, and lives until none of its trials is left.
//!
//! Nothing has to be stored about it: only a sweep that is being cancelled has a trial whose round was cancelled. After a
//! restart its cancellation goes on.

use std::ops::Bound;

use sweep_spec::TrialId;

use crate::Scheduler;
use crate::effect::{Effect, Ignored, SweepEnd};
use crate::id::SweepId;
use crate::sweep::{ReferenceEnd, ReferenceState, Stage, Sweep};

/// A sweep on its way to its end.
#[derive(Debug, Clone)]
pub(crate) struct Stopping {
    end: SweepEnd,
    /// The trial that was released last; they go in the order of their ids.
    last: Option<TrialId>,
}

impl Stopping {
    /// Where the trials begin that are not released.
    fn rest(&self) -> (Bound<TrialId>, Bound<TrialId>) {
        (self.last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }
}

impl Sweep {
    /// Whether one that is being cancelled has trials left to let go.
    pub(crate) fn can_go_on(&self) -> bool {
        self.stopping.as_ref().is_none_or(|stopping| self.references.range(stopping.rest()).next().is_some())
    }
}

impl Scheduler {
    /// Whether a sweep is being cancelled and not all of its trials are released.
    pub fn is_stopping(&self, id: SweepId) -> bool {
        self.sweeps.get(&id).is_some_and(|sweep| sweep.stopping.is_some())
    }

    /// Whether `Event::ReleaseMore` does something.
    pub fn has_more_to_release(&self) -> bool {
        self.sweeps.values().any(|sweep| sweep.stopping.is_some())
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
        sweep.stopping = Some(Stopping { end, last: None });
        self.release_some(id, effects);
        Ok(())
    }

    /// After a restart: the sweep was being cancelled when the coordinator ended.
    pub(crate) fn go_on_stopping(&mut self, id: SweepId) {
        if let Some(sweep) = self.sweeps.get_mut(&id) {
            let reason = "it was being cancelled when the coordinator ended, and the restarted one went on; the audit \
                          log says why";
            sweep.stopping = Some(Stopping { end: SweepEnd::Stopped { reason: reason.to_owned() }, last: None });
        }
    }

    /// Releases more trials of one sweep that is being cancelled.
    pub(crate) fn release_more(&mut self, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        let stopping = self.sweeps.iter().find(|(_, sweep)| sweep.stopping.is_some()).map(|(id, _)| *id);
        self.release_some(stopping.ok_or(Ignored::Repeated)?, effects);
        Ok(())
    }

    /// Its rounds go on only where another live sweep wants them.
    fn release_some(&mut self, id: SweepId, effects: &mut Vec<Effect>) {
        let batch = self.config.release_batch.max(1);
        let Some(sweep) = self.sweeps.get(&id) else { return };
        let Some(stopping) = &sweep.stopping else { return };
        let rest = sweep.references.range(stopping.rest());
        let trials: Vec<TrialId> = rest.take(batch).map(|(trial, _)| *trial).collect();
        for trial in &trials {
            self.release(id, *trial, effects);
            self.note_released(id, *trial);
        }
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        let Some(stopping) = &mut sweep.stopping else { return };
        stopping.last = trials.last().copied().or(stopping.last);
        let end = stopping.end.clone();
        if sweep.can_go_on() {
            return;
        }
        self.remove_sweep(id);
        effects.push(Effect::SweepEnded { sweep: id, end });
    }

    /// Counts a trial that its sweep has let go.
    fn note_released(&mut self, id: SweepId, trial: TrialId) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        let Some(reference) = sweep.references.get(&trial) else { return };
        let round = match reference.state {
            ReferenceState::Ended { .. } => return,
            ReferenceState::Bound { round, .. } => round,
            ReferenceState::Unbound => 0,
        };
        let stages = reference.stages.clone();
        sweep.set_state(trial, ReferenceState::Ended { round, reused: false, end: ReferenceEnd::Cancelled });
        for stage in stages {
            if let Some(Stage::Open { remaining }) = sweep.stages.get_mut(stage as usize) {
                *remaining = remaining.saturating_sub(1);
            }
        }
    }
}
