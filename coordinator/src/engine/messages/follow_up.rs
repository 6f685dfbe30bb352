//! Work that a commit leaves for the background task.

use sweep_scheduler::SweepId;

/// Something that results have to decide, once they are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowUp {
    /// What a stage that has ended hands on.
    Winner(SweepId, u32),
    /// What gets more seeds, if everything before has ended.
    MoreSeeds(SweepId),
    /// Whose weights a sweep that has ended keeps.
    Weights(SweepId),
    /// Nothing: what a sweep that has ended came to is counted once, and kept.
    Summary(SweepId),
    /// Nothing: files that nothing refers to any more are to be removed.
    Files,
}
