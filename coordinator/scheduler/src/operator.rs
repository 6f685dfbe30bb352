//! Actions of users on a sweep: pause, resume, change the priority or the allowance, and retry failed trials.

use sweep_spec::TrialId;

use crate::Scheduler;
use crate::effect::{Effect, Ignored};
use crate::id::{StageIndex, SweepId};
use crate::reference::{ReferenceEnd, ReferenceState};
use crate::snapshot::SweepSnapshot;
use crate::sweep::Stage;

impl Scheduler {
    pub(crate) fn pause(&mut self, id: SweepId, paused: bool, effects: &mut Vec<Effect>) -> Result<(), Ignored> {
        let sweep = self.living(id)?;
        let repeated = sweep.spec.paused == paused;
        if !repeated {
            sweep.spec.paused = paused;
            sweep.unplaceable_since = None;
            effects.push(Effect::SweepPaused { sweep: id, paused });
        }
        // Resuming also releases trials that are held back.
        let released = !paused && self.release_hold(id, effects);
        if repeated && !released { Err(Ignored::Repeated) } else { Ok(()) }
    }

    pub(crate) fn set_allowance(&mut self, id: SweepId, starts: Option<u64>) -> Result<(), Ignored> {
        let sweep = self.living(id)?;
        sweep.spec.allowance = starts;
        Ok(())
    }

    pub(crate) fn set_priority(
        &mut self,
        id: SweepId,
        priority: i32,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        let sweep = self.living(id)?;
        if sweep.spec.priority == priority {
            return Err(Ignored::Repeated);
        }
        sweep.spec.priority = priority;
        effects.push(Effect::PriorityChanged { sweep: id, priority });
        Ok(())
    }

    /// Opens new rounds for failed trials, in a live sweep, or in an ended one from its stored state.
    pub(crate) fn retry(
        &mut self,
        id: SweepId,
        ended: Option<&SweepSnapshot>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ignored> {
        if self.is_stopping(id) {
            return Err(Ignored::UnknownSweep);
        }
        let lived = self.sweeps.contains_key(&id);
        if !lived {
            let snapshot = ended.filter(|snapshot| snapshot.sweep.id == id).ok_or(Ignored::UnknownSweep)?;
            self.restore_sweep(snapshot);
            self.restore_references(snapshot);
            // Its pin did not follow the workers after it had ended.
            self.votes_changed.insert(snapshot.sweep.dataset);
            self.close_ended_stages(id);
        }
        let failed = self.failed_trials(id);
        if failed.is_empty() {
            if lived && self.release_hold(id, effects) {
                return Ok(());
            }
            if !lived {
                self.forget(id);
            }
            return Err(Ignored::NothingFailed);
        }
        if !lived {
            effects.push(Effect::SweepReopened { sweep: id });
        }
        self.release_hold(id, effects);
        let stages = self.sweeps.get_mut(&id).map(|sweep| std::mem::take(&mut sweep.failed_stages)).unwrap_or_default();
        for stage in stages {
            self.reopen_stage(id, stage, Stage::Unopened, effects);
        }
        for trial in &failed {
            self.unbind(id, *trial, effects);
        }
        if let Some(sweep) = self.sweeps.get_mut(&id) {
            sweep.failure = None;
        }
        for trial in failed {
            self.bind(id, trial, effects);
        }
        Ok(())
    }

    /// The stages of a sweep that had ended have ended, and the store knows it.
    fn close_ended_stages(&mut self, id: SweepId) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        for stage in sweep.stages.iter_mut().filter(|stage| **stage == Stage::Open { remaining: 0 }) {
            *stage = Stage::Ended;
        }
    }

    /// The failed trials of a sweep, in the order of the spec.
    fn failed_trials(&self, id: SweepId) -> Vec<TrialId> {
        let references = self.sweeps.get(&id).into_iter().flat_map(|sweep| &sweep.references);
        let failed = references.filter(|(_, reference)| {
            matches!(reference.state, ReferenceState::Ended { end: ReferenceEnd::Failed, .. })
        });
        let mut failed: Vec<_> = failed.map(|(trial, reference)| (reference.ordinal, *trial)).collect();
        failed.sort_unstable();
        failed.into_iter().map(|(_, trial)| trial).collect()
    }

    /// A reference has no answer any more, and its stages wait for one.
    fn unbind(&mut self, id: SweepId, trial: TrialId, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        sweep.set_state(trial, ReferenceState::Unbound);
        let stages = sweep.references.get(&trial).map(|reference| reference.stages.clone()).unwrap_or_default();
        for stage in stages {
            let state = self.sweeps.get(&id).and_then(|sweep| sweep.stages.get(stage as usize)).copied();
            let remaining = match state {
                Some(Stage::Open { remaining }) => remaining,
                Some(Stage::Ended | Stage::Unopened) | None => 0,
            };
            self.reopen_stage(id, stage, Stage::Open { remaining: remaining + 1 }, effects);
        }
    }

    fn reopen_stage(&mut self, id: SweepId, stage: StageIndex, to: Stage, effects: &mut Vec<Effect>) {
        let Some(sweep) = self.sweeps.get_mut(&id) else { return };
        let Some(state) = sweep.stages.get_mut(stage as usize) else { return };
        if *state == Stage::Ended {
            effects.push(Effect::StageReopened { sweep: id, stage, open: to != Stage::Unopened });
        }
        *state = to;
    }

    /// Undoes `restore_sweep` for a sweep in which nothing is to be done.
    fn forget(&mut self, id: SweepId) {
        let Some(sweep) = self.remove_sweep(id) else { return };
        for trial_id in sweep.references.keys() {
            let Some(trial) = self.trials.get_mut(trial_id) else { continue };
            trial.wanted_by.remove(&id);
            if trial.wanted_by.is_empty() && trial.open.is_none() {
                self.trials.remove(trial_id);
            }
        }
    }
}
