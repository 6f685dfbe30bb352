//! Identifiers and times. All are small and cheap to copy, except the name of a worker.

use std::fmt;

use sweep_spec::{Digest, TrialId};

/// Milliseconds since a fixed moment that the driver chooses. It never runs backwards within one scheduler: an event
/// with an earlier time is taken as happening at the latest time seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment, `milliseconds` later.
    pub const fn plus(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

/// The number of a sweep, given by the driver, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(pub u64);

impl fmt::Display for SweepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a worker's session, given by the driver, never used twice, not even over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The name that a worker gave itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerName(pub String);

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a pool of workers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolName(pub String);

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash of a reference to a data set: its canonical JSON's, not its content's.
pub type DatasetKey = Digest;

/// The place of a stage in its sweep, counted from 0.
pub type StageIndex = u32;

/// The right of one attempt to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    pub trial: TrialId,
    /// The effort to answer it, counted from 1 within the trial.
    pub round: u32,
    /// Counted from 1 within the trial, over all rounds.
    pub attempt: u32,
}
