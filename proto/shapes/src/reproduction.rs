//! Two answers to one question, side by side.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::text::hex;
use crate::{Metrics, Provenance};

/// What the comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Reproduction {
    pub trial_id: String,
    /// The sweep that reproduced the trial.
    pub sweep: u64,
    /// The new answer is the old one, as exactly as was asked.
    pub same: bool,
    /// Bit for bit; otherwise within `tolerance`.
    pub exactly: bool,
    pub tolerance: f64,
    /// Why it was compared like that.
    pub reason: String,
    pub largest_difference: f64,
    /// Which number that is.
    pub largest_at: Option<String>,
    pub numbers: u64,
    /// Those that do not agree to the last bit.
    pub numbers_changed: u64,
    pub predictions: u64,
    pub predictions_changed: u64,
    /// What cannot be compared at all.
    pub mismatches: Vec<String>,
    pub old: Option<Answer>,
    pub new: Option<Answer>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Answer {
    pub round: u32,
    pub attempt: u32,
    pub outcome: Option<&'static str>,
    /// Of the epoch that the protocol reports.
    pub reported: Option<Metrics>,
    pub provenance: Option<Provenance>,
}

impl Reproduction {
    pub fn new(sweep: u64, answer: v1::GetReproductionResponse) -> Self {
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
