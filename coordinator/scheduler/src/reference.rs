//! A sweep's reference to a trial, the state of that reference, and how many references are in each state.

use std::cmp::Reverse;

use sweep_spec::{Outcome, TrialCounts};

use crate::id::StageIndex;
use crate::queue::Key;

/// A sweep's reference to a trial.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// Lower starts first, whatever the cost.
    pub(crate) rank: u32,
    /// The order in which trials of equal cost are taken.
    pub(crate) ordinal: u64,
    /// Memory that it needs, as it was predicted.
    pub(crate) memory_bytes: u64,
    /// The stages that it belongs to, each once.
    pub(crate) stages: Vec<StageIndex>,
    pub(crate) state: ReferenceState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceState {
    /// The data are not pinned, or the trial's open round is on other data.
    Unbound,
    /// It uses this open round.
    Bound { round: u32, running: bool },
    /// The round has ended.
    Ended { round: u32, reused: bool, end: ReferenceEnd },
}

/// The end of a referenced round, without its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceEnd {
    Succeeded(Outcome),
    Failed,
    Cancelled,
}

impl Reference {
    /// Its position in a queue.
    pub(crate) fn key(&self, cost: u64) -> Key {
        (self.rank, Reverse(cost), self.ordinal)
    }

    pub(crate) fn is_bound_to(&self, number: u32) -> bool {
        matches!(self.state, ReferenceState::Bound { round, .. } if round == number)
    }
}

impl ReferenceState {
    pub(crate) fn add_to(self, counts: &mut TrialCounts) {
        self.change(counts, |count| *count += 1);
    }

    pub(crate) fn remove_from(self, counts: &mut TrialCounts) {
        self.change(counts, |count| *count = count.saturating_sub(1));
    }

    fn change(self, counts: &mut TrialCounts, by_one: impl Fn(&mut u64)) {
        match self {
            Self::Unbound | Self::Bound { running: false, .. } => by_one(&mut counts.queued),
            Self::Bound { running: true, .. } => by_one(&mut counts.running),
            Self::Ended { end: ReferenceEnd::Failed, .. } => by_one(&mut counts.failed),
            Self::Ended { end: ReferenceEnd::Cancelled, .. } => by_one(&mut counts.cancelled),
            Self::Ended { end: ReferenceEnd::Succeeded(outcome), reused, .. } => {
                by_one(&mut counts.succeeded);
                if reused {
                    by_one(&mut counts.reused);
                }
                if outcome == Outcome::Diverged {
                    by_one(&mut counts.diverged);
                }
            }
        }
    }
}
