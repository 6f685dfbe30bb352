//! Counts the trials of a sweep by where their results come from: known results, attempts of other sweeps, or its own.

use crate::Scheduler;
use crate::id::SweepId;
use crate::reference::{Reference, ReferenceState};
use crate::trial::Trial;

/// The trials of the opened stages of a sweep. The three numbers add up to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Their results are known.
    pub known: u64,
    /// Another live sweep has them under way and shares its attempts.
    pub shared: u64,
    /// The other trials.
    pub to_run: u64,
    /// The data are not pinned yet: known and shared results count only if the pin will match theirs.
    pub at_most: bool,
}

impl Scheduler {
    /// The counts of a live sweep, as of now.
    pub fn outlook(&self, id: SweepId) -> Option<Outlook> {
        let sweep = self.sweeps.get(&id)?;
        let mut outlook = Outlook::default();
        for (trial_id, reference) in &sweep.references {
            let Some(trial) = self.trials.get(trial_id) else { continue };
            let count = match reference.state {
                ReferenceState::Ended { reused: true, .. } => &mut outlook.known,
                ReferenceState::Unbound if !sweep.spec.fresh && trial.history.known.is_some() => &mut outlook.known,
                ReferenceState::Unbound if trial.open.is_some() => &mut outlook.shared,
                ReferenceState::Bound { round, .. } if self.others_wait(id, trial_id, trial, round) => {
                    &mut outlook.shared
                }
                ReferenceState::Unbound | ReferenceState::Bound { .. } | ReferenceState::Ended { .. } => {
                    &mut outlook.to_run
                }
            };
            *count += 1;
        }
        outlook.at_most = sweep.pin.is_none() && outlook.known + outlook.shared > 0;
        Some(outlook)
    }

    /// Whether another live sweep is bound to this round.
    fn others_wait(&self, id: SweepId, trial_id: &sweep_spec::TrialId, trial: &Trial, round: u32) -> bool {
        trial.wanted_by.iter().filter(|other| **other != id).any(|other| {
            let reference: Option<&Reference> = self.sweeps.get(other).and_then(|sweep| sweep.references.get(trial_id));
            reference.is_some_and(|reference| reference.is_bound_to(round))
        })
    }
}
