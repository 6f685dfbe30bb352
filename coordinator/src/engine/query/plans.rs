//! Plans of stored sweeps and of specs. The plan of a stored sweep is expanded once and cached.

use std::sync::Arc;

use sweep_scheduler::SweepId;
use sweep_spec::spec::Limits;
use sweep_spec::{Plan, Spec};
use sweep_store::record::SweepRecord;

use crate::convert::Invalid;
use crate::engine::blocking::blocking;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::submission::Submit;
use crate::engine::settings::check_priority;
use crate::engine::stored_plan;

/// A sweep and its plan: enough to show a trial of it.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The sweep as submitted.
    pub record: SweepRecord,
    pub plan: Arc<Plan>,
}

impl Handle {
    /// A sweep and its plan.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn outline(&self, id: SweepId) -> Result<Outline, Error> {
        let record = self.record(id).await?;
        let plan = self.plan(&record).await?;
        Ok(Outline { record, plan })
    }

    /// The sweep as submitted.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn record(&self, id: SweepId) -> Result<SweepRecord, Error> {
        self.store.sweep(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))
    }

    /// The text of a sweep's spec.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn spec(&self, id: SweepId) -> Result<Vec<u8>, Error> {
        self.store.spec(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))
    }

    /// The plan of a sweep.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub(crate) async fn plan(&self, record: &SweepRecord) -> Result<Arc<Plan>, Error> {
        let id = record.id;
        if let Some(plan) = self.plan_at_hand(id) {
            return Ok(plan);
        }
        // One spec is expanded at a time, however many callers wait: an expansion takes a multiple of the spec's size.
        let _alone = self.planning.lock().await;
        if let Some(plan) = self.plan_at_hand(id) {
            return Ok(plan);
        }
        let (spec, record) = (self.spec(id).await?, record.clone());
        let bytes = spec.len();
        let plan = Arc::new(blocking(move || stored_plan::read(&record, &spec)).await?);
        if let Ok(mut plans) = self.plans.lock() {
            plans.keep(id, &plan, bytes);
        }
        Ok(plan)
    }

    fn plan_at_hand(&self, id: SweepId) -> Option<Arc<Plan>> {
        self.plans.lock().ok()?.get(id)
    }

    /// The limit for the number of trials: the submitter's, at most the coordinator's.
    fn limits_of(&self, request: &Submit) -> Result<Limits, Error> {
        let most = self.limits.trials;
        check_priority(request.priority)?;
        if request.trial_limit > most {
            let problem = format!("{} is more than {most}, the maximum of this coordinator", request.trial_limit);
            return Err(Invalid { field: "trial_limit", problem }.into());
        }
        let trials = if request.trial_limit == 0 { Limits::default().trials.min(most) } else { request.trial_limit };
        Ok(Limits { trials })
    }

    /// Parses a spec and makes its plan.
    pub(in crate::engine) async fn parse(&self, request: Submit) -> Result<(Submit, Arc<Plan>, Limits), Error> {
        let limits = self.limits_of(&request)?;
        blocking(move || {
            let spec = Spec::parse(&request.spec, &request.overrides, &limits).map_err(Error::Spec)?;
            Ok((request, Arc::new(Plan::new(&spec)), limits))
        })
        .await
    }
}
