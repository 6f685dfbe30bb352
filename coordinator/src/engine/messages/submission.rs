//! A spec to submit, and its sweep.

use sweep_scheduler::{Outlook, SweepId};
use sweep_spec::Digest;
use sweep_store::record::AttemptKey;

/// A spec to submit.
#[derive(Debug, Clone, Default)]
pub struct Submit {
    /// The YAML text.
    pub spec: Vec<u8>,
    /// Applied to the spec before it is read.
    pub overrides: Vec<(String, String)>,
    /// Replaces the spec's name if not empty.
    pub name: String,
    /// Larger grids are refused; 0 means the default.
    pub trial_limit: u64,
    /// Higher goes first; 0 leaves it to the spec. One of `PRIORITIES`.
    pub priority: i32,
    /// Takes up an unfinished sweep with the same spec.
    pub resume: bool,
    /// For the provenance.
    pub user: String,
    /// A sweep that this one goes on from: every trial of it has to be in this one. Without a spec, that sweep's is taken,
    /// with its overrides before these.
    pub extends: Option<SweepId>,
    /// Results that are known do not count.
    pub fresh: bool,
    /// The git revision of the folder that the spec came from, for the provenance.
    pub revision: String,
    /// The answer that the sweep is to give again: its attempt, and the content of the data.
    pub reproduces: Option<(AttemptKey, Digest)>,
}

/// A sweep that was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its number.
    pub sweep: SweepId,
    /// It was there before.
    pub resumed: bool,
    /// Known and new trials of its open stages; absent for a resumed sweep.
    pub outlook: Option<Outlook>,
}
