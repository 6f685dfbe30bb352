//! Two answers to one question, side by side.

use serde::Serialize;
use sweep_proto::v1;

use super::sweep::some_text;
use super::{Metrics, Provenance};
use crate::text::hex;

/// What the comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Reproduction {
    pub(crate) trial_id: String,
    /// The sweep that ran it again.
    pub(crate) sweep: u64,
    /// The new answer is the old one, as exactly as was asked.
    pub(crate) same: bool,
    /// Bit for bit; otherwise within `tolerance`.
    pub(crate) exactly: bool,
    pub(crate) tolerance: f64,
    /// Why it was compared like that.
    pub(crate) reason: String,
    pub(crate) largest_difference: f64,
    /// Which number that is.
    pub(crate) largest_at: Option<String>,
    pub(crate) numbers: u64,
    /// Those that do not agree to the last bit.
    pub(crate) numbers_changed: u64,
    pub(crate) predictions: u64,
    pub(crate) predictions_changed: u64,
    /// What cannot be compared at all.
    pub(crate) mismatches: Vec<String>,
    pub(crate) old: Option<Answer>,
    pub(crate) new: Option<Answer>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Answer {
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) outcome: Option<&'static str>,
    /// Of the epoch that the protocol reports.
    pub(crate) reported: Option<Metrics>,
    pub(crate) provenance: Option<Provenance>,
}

impl Reproduction {
    pub(crate) fn new(sweep: u64, answer: v1::GetReproductionResponse) -> Self {
        Self {
            trial_id: hex(&answer.trial_id),
            sweep,
            same: answer.same,
            exactly: answer.exactly,
            tolerance: answer.tolerance,
            reason: answer.reason,
            largest_difference: answer.largest_difference,
            largest_at: some_text(answer.largest_at),
            numbers: answer.numbers,
            numbers_changed: answer.numbers_changed,
            predictions: answer.predictions,
            predictions_changed: answer.predictions_changed,
            mismatches: answer.mismatches,
            old: answer.old.map(Answer::from),
            new: answer.new.map(Answer::from),
        }
    }
}

impl From<v1::Answer> for Answer {
    fn from(answer: v1::Answer) -> Self {
        let outcome = match answer.outcome() {
            v1::Outcome::Unspecified => None,
            v1::Outcome::Converged => Some("converged"),
            v1::Outcome::Diverged => Some("diverged"),
        };
        Self {
            round: answer.round,
            attempt: answer.attempt,
            outcome,
            reported: answer.reported.map(Metrics::from),
            provenance: answer.provenance.map(Provenance::from),
        }
    }
}
