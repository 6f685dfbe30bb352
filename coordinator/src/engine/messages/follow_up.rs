//! Work for the background task that a commit leaves.

use sweep_scheduler::SweepId;

/// Work that becomes due when results are committed. Most of it is a decision that depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowUp {
    /// Choose the winner of this stage, which has ended.
    Winner(SweepId, u32),
    /// Give more seeds to undecided comparisons, if all earlier stages have ended.
    MoreSeeds(SweepId),
    /// Choose which weights of this sweep are kept, because it has ended.
    Weights(SweepId),
    /// Count the trials of this sweep, which has ended, and store the summary. This decides nothing: later queries read
    /// the summary instead of the trials.
    Summary(SweepId),
    /// Remove the files of contents that no artifact has any more. This decides nothing; the owner task requests it
    /// after every load of the store.
    Files,
}
