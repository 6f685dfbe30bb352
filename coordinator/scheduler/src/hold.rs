//! The failures of a sweep's first trials, and why its other trials are held back. `canary` decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sweep_spec::{FailureClass, TrialId};

use crate::id::WorkerName;
use crate::queue::Key;

/// Why the rest of a sweep is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// How many trials failed in the same way.
    pub failed: u32,
    /// The class of these failures.
    pub class: FailureClass,
    /// The reason of the first failure.
    pub reason: String,
    /// The trials that run anyway.
    pub canaries: Vec<TrialId>,
}

/// A sweep that is held back, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    pub hold: Hold,
    /// Trials that are held back.
    pub trials: u64,
    /// Trials that run or are tried again: if one succeeds, the others follow.
    pub tried: u64,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, reason) = (self.class.name(), &self.reason);
        match self.failed {
            1 => write!(f, "the first trial failed: {class}: {reason}"),
            failed => write!(f, "the first {failed} trials failed in the same way: {class}: {reason}"),
        }
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trials, are) = if self.trials == 1 { ("trial", "is") } else { ("trials", "are") };
        write!(f, "{} {trials} {are} held back: {}", self.trials, self.hold)
    }
}

/// The first failures of a sweep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canary {
    /// A trial succeeded in this sweep: nothing of it is ever held back again.
    pub(crate) proven: bool,
    /// The failures before that, by kind.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) held: Option<Held>,
}

/// Failures with the same class and pattern.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) class: FailureClass,
    pub(crate) pattern: String,
    /// Of the first failure.
    pub(crate) reason: String,
    /// The first trials that failed so, each once.
    pub(crate) trials: Vec<TrialId>,
    pub(crate) workers: BTreeSet<WorkerName>,
}

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) hold: Hold,
    /// The positions that waiting canaries have in the queue.
    pub(crate) keys: BTreeMap<Key, TrialId>,
    /// Workers on which the trials failed: canaries run on others first. A restart forgets them.
    pub(crate) workers: BTreeSet<WorkerName>,
}

impl Canary {
    pub(crate) fn hold(&self) -> Option<&Hold> {
        self.held.as_ref().map(|held| &held.hold)
    }

    /// Forgets the failures. Returns whether the sweep was held back.
    pub(crate) fn release(&mut self) -> bool {
        self.kinds.clear();
        self.held.take().is_some()
    }
}
