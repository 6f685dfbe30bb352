//! Runs a trial again, and compares the new result with the old one.

use sweep_proto::v1;

use super::Sweeps;
use crate::convert::{self, Invalid, MAX_NAME_BYTES, bytes, metrics_message, outcome_message, provenance_message};
use crate::engine::epoch;
use crate::engine::{Answered, Error, Outline};
use crate::reproduction::TOLERANCE;

impl Sweeps {
    pub(crate) async fn reproduce(
        &self,
        request: v1::ReproduceTrialRequest,
    ) -> Result<v1::ReproduceTrialResponse, Error> {
        let trial = self.trial_named(&request.trial).await?;
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let begun = self.engine.reproduce(trial, user, request.priority).await?;
        Ok(v1::ReproduceTrialResponse {
            sweep: Some(self.status(begun.sweep).await?),
            trial_id: bytes(begun.trial.as_bytes()),
            round: begun.old.lease.round,
            attempt: begun.old.lease.attempt,
        })
    }

    pub(crate) async fn reproduction(
        &self,
        request: v1::GetReproductionRequest,
    ) -> Result<v1::GetReproductionResponse, Error> {
        let sweep = self.find(request.sweep).await?;
        let tolerance = if request.tolerance == 0.0 { TOLERANCE } else { request.tolerance };
        if !(tolerance.is_finite() && tolerance > 0.0) {
            return Err(Invalid { field: "tolerance", problem: "not a number above 0".into() }.into());
        }
        let (old, new, found) = self.engine.reproduction(sweep, tolerance).await?;
        let outline = self.engine.outline(sweep).await?;
        let (largest_difference, largest_at) = found.largest.unwrap_or_default();
        Ok(v1::GetReproductionResponse {
            trial_id: bytes(new.attempt.lease.trial.as_bytes()),
            same: found.same,
            exactly: found.exactly,
            tolerance: found.tolerance,
            reason: found.reason,
            largest_difference,
            largest_at,
            predictions_changed: found.predictions_changed,
            predictions: found.predictions,
            numbers: found.numbers,
            numbers_changed: found.numbers_changed,
            mismatches: found.mismatches,
            old: Some(answer(&outline, &old)),
            new: Some(answer(&outline, &new)),
        })
    }
}

fn answer(outline: &Outline, answered: &Answered) -> v1::Answer {
    let result = &answered.result;
    v1::Answer {
        round: answered.attempt.lease.round,
        attempt: answered.attempt.lease.attempt,
        outcome: outcome_message(result.outcome).into(),
        reported: epoch(outline.plan.spec(), result).map(metrics_message),
        provenance: Some(provenance_message(&result.provenance)),
    }
}
