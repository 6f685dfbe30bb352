//! A trial as the scheduler keeps it, and the round that is open on it.
//!
//! ```text
//!               ┌───────────── stopped ─────────────┐
//!               ▼                                   │
//!   opened ─▶ queued ────────── assigned ───────▶ running ─▶ ended: succeeded | failed | cancelled
//!               ▲                                   │ ▲
//!               └── delayed ◀── failed, or lost ────┘ └── queued or delayed, and its worker came back with it
//! ```

use std::collections::BTreeSet;

use sweep_spec::Digest;

use crate::id::{SessionId, SweepId, Timestamp, WorkerName};
use crate::submission::{History, WantedTrial};

/// A trial that a live sweep wants.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    pub(crate) cost: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) history: History,
    pub(crate) open: Option<Round>,
    /// The live sweeps that have a reference to it.
    pub(crate) wanted_by: BTreeSet<SweepId>,
}

impl Trial {
    pub(crate) fn new(wanted: &WantedTrial) -> Self {
        let WantedTrial { cost, memory_bytes, history, .. } = wanted.clone();
        Self { cost, memory_bytes, history, open: None, wanted_by: BTreeSet::new() }
    }

    /// Memory that its slot must have: the prediction, or more than the memory that proved too small.
    pub(crate) fn needs_bytes(&self) -> u64 {
        let too_small = self.open.as_ref().and_then(|round| round.too_small);
        self.memory_bytes.max(too_small.map_or(0, |bytes| bytes.saturating_add(1)))
    }
}

/// An effort to answer a trial's question that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) number: u32,
    /// The content that it is trained on.
    pub(crate) pin: Digest,
    pub(crate) failures: u32,
    pub(crate) losses: u32,
    /// Workers on which it failed: others are tried first.
    pub(crate) avoid: BTreeSet<WorkerName>,
    /// The most memory of a slot on which it ran out of memory: it needs more.
    pub(crate) too_small: Option<u64>,
    /// The newest attempt, if it expired: it continues if its worker comes back with it before another attempt begins.
    pub(crate) expired: Option<(u32, WorkerName)>,
    pub(crate) state: RoundState,
}

impl Round {
    pub(crate) fn new(number: u32, pin: Digest) -> Self {
        let (avoid, state) = (BTreeSet::new(), RoundState::Queued);
        Self { number, pin, failures: 0, losses: 0, avoid, too_small: None, expired: None, state }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoundState {
    /// It is in the queue of every sweep that is bound to it.
    Queued,
    /// It is in no queue until then.
    Delayed { until: Timestamp },
    /// An attempt is live.
    Running { attempt: u32, place: Place },
}

/// Where a live attempt runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a slot of a session. The session's deadline applies.
    Session { session: SessionId, slot: u32 },
    /// On a worker that has not reconnected since the restart.
    Awaited { worker: WorkerName, slot: u32, deadline: Timestamp },
}
