//! A spec to submit, and its sweep.

use sweep_scheduler::{Outlook, SweepId};
use sweep_spec::Digest;
use sweep_store::record::AttemptKey;

/// A spec to submit.
#[derive(Debug, Clone, Default)]
pub struct Submit {
    /// The YAML text.
    pub spec: Vec<u8>,
    /// Overrides that are applied to the spec before it is read.
    pub overrides: Vec<(String, String)>,
    /// Replaces the spec's name if not empty.
    pub name: String,
    /// The limit for the number of trials; 0 means the default.
    pub trial_limit: u64,
    /// Sweeps with a higher priority run first; 0 leaves it to the spec. One of `PRIORITIES`.
    pub priority: i32,
    /// Resumes an unfinished sweep with the same spec, if there is one.
    pub resume: bool,
    /// The user, for the provenance.
    pub user: String,
    /// The sweep that this one extends: every trial of it must also be in this one. Without a spec, the extended
    /// sweep's spec is used, with its overrides before these.
    pub extends: Option<SweepId>,
    /// Does not reuse known results.
    pub fresh: bool,
    /// The git revision of the folder with the spec, for the provenance.
    pub revision: String,
    /// The attempt whose result the sweep reproduces, and the content of its data.
    pub reproduces: Option<(AttemptKey, Digest)>,
}

/// The result of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its number.
    pub sweep: SweepId,
    /// Whether an unfinished sweep was resumed.
    pub resumed: bool,
    /// Known and new trials of its open stages; absent for a resumed sweep.
    pub outlook: Option<Outlook>,
}
