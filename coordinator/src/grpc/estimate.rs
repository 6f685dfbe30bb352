//! The cost of a spec that has not been submitted.

use sweep_proto::v1;

use super::cost_messages::plan_cost;
use super::sweep::Sweeps;
use super::sweep_questions::submission;
use crate::engine::Error;

impl Sweeps {
    pub(super) async fn estimate_one(&self, request: v1::EstimateRequest) -> Result<v1::EstimateResponse, Error> {
        let v1::EstimateRequest { spec, overrides, trial_limit } = request;
        let submit = submission(v1::SubmitRequest { spec, overrides, trial_limit, ..Default::default() })?;
        let cost = self.engine.estimate(submit).await?;
        Ok(v1::EstimateResponse { warnings: self.engine.warnings().await?, ..plan_cost(cost) })
    }
}
