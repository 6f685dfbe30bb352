//! Submitting a sweep, and the cost of one that is not submitted.

use sweep_proto::v1;

use super::cost_messages::plan_cost;
use super::requests::submission;
use super::{Sweeps, sweep_messages as messages};
use crate::engine::{Error, Submit};

impl Sweeps {
    pub(crate) async fn submit(&self, request: v1::SubmitRequest) -> Result<v1::SubmitResponse, Error> {
        let extends = match request.extends.clone() {
            Some(reference) => Some(self.find(Some(reference)).await?),
            None => None,
        };
        let submit = Submit { extends, ..submission(request)? };
        let submitted = self.engine.submit(submit).await?;
        let sweep = self.status(submitted.sweep).await?;
        let outlook = submitted.outlook.map(messages::outlook);
        let warnings = self.engine.warnings().await?;
        Ok(v1::SubmitResponse { sweep: Some(sweep), resumed: submitted.resumed, outlook, warnings })
    }

    pub(crate) async fn estimate(&self, request: v1::EstimateRequest) -> Result<v1::EstimateResponse, Error> {
        let v1::EstimateRequest { spec, overrides, trial_limit } = request;
        let submit = submission(v1::SubmitRequest { spec, overrides, trial_limit, ..Default::default() })?;
        let cost = self.engine.estimate(submit).await?;
        Ok(v1::EstimateResponse { warnings: self.engine.warnings().await?, ..plan_cost(cost) })
    }
}
