//! A sweep as it is submitted: its settings, the trials that its stages need, and their earlier results. Data without
//! behaviour.

use sweep_spec::retry::Changes;
use sweep_spec::{Digest, Outcome, TrialId};

use crate::id::{DatasetKey, SweepId};

#[derive(Debug, Clone, PartialEq)]
pub struct NewSweep {
    pub id: SweepId,
    /// Higher starts first.
    pub priority: i32,
    /// Its share of slots among sweeps of one priority and one owner; 0 counts as 1.
    pub weight: u32,
    /// The user. Slots are shared among users first.
    pub owner: String,
    /// Nothing of it is started.
    pub paused: bool,
    /// The spec's changes to the retry rules.
    pub retry: Changes,
    /// The reference that all of its trials share.
    pub dataset: DatasetKey,
    /// The content that the spec or an earlier worker pinned.
    pub pin: Option<Digest>,
    /// The user asked for the pin, so workers cannot change it.
    pub settled: bool,
    /// The sweep ends when all of its stages have ended.
    pub stages: u32,
    /// Known results do not answer its trials: each gets a round that ends while the sweep lives.
    pub fresh: bool,
    /// It repeats trials that have results. A round that only such sweeps wait for does not become the known result.
    pub reproduces: bool,
    /// Attempts that may start before the next `SetAllowance`; `None` for no limit.
    pub allowance: Option<u64>,
}

/// A trial that a stage needs.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedTrial {
    pub id: TrialId,
    /// How long it will take, in milliseconds or any unit that is the same for all: longer goes first.
    pub cost: u64,
    /// Memory that it will need on its slot.
    pub memory_bytes: u64,
    pub history: History,
    /// Lower ranks start first in their sweep, regardless of their cost.
    pub rank: u32,
}

/// The stored history of a trial.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    pub rounds: u32,
    /// Attempts so far, over all rounds.
    pub attempts: u32,
    /// The newest accepted result.
    pub known: Option<Known>,
}

/// An accepted result.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The round that it answered.
    pub round: u32,
    /// The content of the data that it was trained on.
    pub data_digest: Digest,
    pub outcome: Outcome,
}
