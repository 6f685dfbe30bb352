//! A sweep as it is submitted: its settings, the trials that its stages need, and their earlier results. Data without
//! behaviour.

use sweep_spec::retry::Changes;
use sweep_spec::{Digest, Outcome, TrialId};

use crate::id::{DatasetKey, SweepId};

/// A sweep to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSweep {
    /// Its number.
    pub id: SweepId,
    /// Higher goes first.
    pub priority: i32,
    /// Its share of slots among sweeps of one priority and one owner; 0 counts as 1.
    pub weight: u32,
    /// Whose it is: slots are shared among owners first.
    pub owner: String,
    /// Nothing of it is started.
    pub paused: bool,
    /// Which failures its spec wants treated otherwise.
    pub retry: Changes,
    /// The reference that all of its trials share.
    pub dataset: DatasetKey,
    /// The content that the spec or an earlier worker pinned.
    pub pin: Option<Digest>,
    /// The pin was asked for, so no worker's word changes it.
    pub settled: bool,
    /// How many stages it has; it ends when all have ended.
    pub stages: u32,
    /// Known results do not answer its trials: each gets a round that ends while the sweep lives.
    pub fresh: bool,
    /// It asks again what has an answer. A round that only such sweeps wait for does not become the known answer.
    pub reproduces: bool,
    /// How many attempts may be started before `SetAllowance` says otherwise; `None` for any number.
    pub allowance: Option<u64>,
}

/// A trial that a stage needs.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedTrial {
    /// The question.
    pub id: TrialId,
    /// How long it will take, in milliseconds or any unit that is the same for all: longer goes first.
    pub cost: u64,
    /// Memory that it will need on its slot.
    pub memory_bytes: u64,
    /// What the store knows of it.
    pub history: History,
    /// In its sweep, lower ranks go first, whatever they cost.
    pub rank: u32,
}

/// What the store knows of a trial.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Rounds so far.
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
    /// How it came out.
    pub outcome: Outcome,
}
