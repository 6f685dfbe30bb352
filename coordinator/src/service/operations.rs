//! Operator actions on sweeps and workers, explanations of trials, and the audit log.

use sweep_proto::v1;
use sweep_scheduler::event::{Service, Until};
use sweep_store::record::AuditFilter;
use sweep_store::write::AuditRow;

use super::{Sweeps, sweep_messages as messages};
use crate::convert::{self, Invalid, MAX_NAME_BYTES, MAX_TEXT_BYTES, bytes};
use crate::engine::Error;

/// Entries of the audit log in one answer: the default, and the maximum.
const DEFAULT_AUDIT: u32 = 100;
const MAX_AUDIT: u32 = 10_000;

impl Sweeps {
    pub(crate) async fn cancel(&self, request: v1::CancelSweepRequest) -> Result<v1::CancelSweepResponse, Error> {
        let (id, user) = (self.find(request.sweep).await?, user(request.user)?);
        self.engine.cancel(id, &user).await?;
        Ok(v1::CancelSweepResponse { sweep: Some(self.status(id).await?) })
    }

    pub(crate) async fn pause(&self, request: v1::PauseSweepRequest) -> Result<v1::PauseSweepResponse, Error> {
        let (id, user) = (self.find(request.sweep).await?, user(request.user)?);
        self.engine.pause(id, request.paused, &user).await?;
        Ok(v1::PauseSweepResponse { sweep: Some(self.status(id).await?) })
    }

    pub(crate) async fn prioritise(&self, request: v1::SetPriorityRequest) -> Result<v1::SetPriorityResponse, Error> {
        let (id, user) = (self.find(request.sweep).await?, user(request.user)?);
        self.engine.set_priority(id, request.priority, &user).await?;
        Ok(v1::SetPriorityResponse { sweep: Some(self.status(id).await?) })
    }

    pub(crate) async fn retry(&self, request: v1::RetrySweepRequest) -> Result<v1::RetrySweepResponse, Error> {
        let (id, user) = (self.find(request.sweep).await?, user(request.user)?);
        let trials = self.engine.retry(id, &user).await?;
        Ok(v1::RetrySweepResponse { sweep: Some(self.status(id).await?), trials })
    }

    pub(crate) async fn explain(&self, text: &str) -> Result<v1::ExplainTrialResponse, Error> {
        let (_, row, board) = self.trial_row(text).await?;
        let store = self.engine.store();
        let attempts = store.attempts(row.trial).await?;
        let filter = AuditFilter { trial: Some(row.trial), limit: DEFAULT_AUDIT, ..AuditFilter::default() };
        let events = store.audit(&filter).await?;
        Ok(v1::ExplainTrialResponse {
            now: self.engine.explain(row.trial).await?,
            trial: Some(messages::trial(&board, &row)?),
            attempts: attempts.iter().map(messages::attempt).collect(),
            events: events.into_iter().map(entry).collect(),
        })
    }

    pub(crate) async fn audit(&self, request: v1::ListAuditRequest) -> Result<v1::ListAuditResponse, Error> {
        let page = audit_page(&request)?;
        let sweep = match request.sweep.filter(|sweep| !sweep.text.is_empty()) {
            Some(sweep) => Some(self.find(Some(sweep)).await?),
            None => None,
        };
        let trial = match request.trial.as_str() {
            "" => None,
            text => Some(self.trial_named(text).await?),
        };
        let filter = AuditFilter { sweep, trial, ..page };
        let entries = self.engine.store().audit(&filter).await?;
        Ok(v1::ListAuditResponse { entries: entries.into_iter().map(entry).collect() })
    }

    pub(crate) async fn serve(
        &self,
        request: v1::SetWorkerServiceRequest,
    ) -> Result<v1::SetWorkerServiceResponse, Error> {
        let (worker, service, user) = service(request)?;
        self.engine.set_service(&worker, service, &user).await?;
        let workers = self.workers().await?.workers;
        Ok(v1::SetWorkerServiceResponse { worker: workers.into_iter().find(|found| found.name == worker) })
    }
}

/// The worker of a request, its new state of service, and the operator.
pub(crate) fn service(request: v1::SetWorkerServiceRequest) -> Result<(String, Service, String), Error> {
    let reason = convert::name("reason", request.reason, MAX_TEXT_BYTES)?;
    let (worker, user) = (convert::name("worker", request.worker, MAX_NAME_BYTES)?, user(request.user)?);
    let service = match v1::WorkerServiceState::try_from(request.service) {
        Ok(v1::WorkerServiceState::Active) => Service::Active,
        Ok(v1::WorkerServiceState::Draining) => Service::Draining,
        Ok(v1::WorkerServiceState::Leaving) => Service::Leaving,
        Ok(v1::WorkerServiceState::Suspended) => {
            let by = |user: &str| format!("suspended by {}", if user.is_empty() { "a person" } else { user });
            let reason = if reason.is_empty() { by(&user) } else { reason };
            Service::Suspended { reason, until: Until::Return }
        }
        Ok(v1::WorkerServiceState::Unspecified) | Err(_) => {
            return Err(Invalid { field: "service", problem: "absent or unknown".into() }.into());
        }
    };
    Ok((worker, service, user))
}

/// The filter of a request, without its sweep and its trial, which have to be looked up.
pub(crate) fn audit_page(request: &v1::ListAuditRequest) -> Result<AuditFilter, Error> {
    let worker = convert::name("worker", request.worker.clone(), MAX_NAME_BYTES)?;
    let limit = if request.limit == 0 { DEFAULT_AUDIT } else { request.limit.min(MAX_AUDIT) };
    let worker = (!worker.is_empty()).then_some(worker);
    Ok(AuditFilter { worker, since_ms: request.since_unix_ms, limit, ..AuditFilter::default() })
}

/// The name of an operator, for the audit log.
pub(super) fn user(user: String) -> Result<String, Invalid> {
    convert::name("user", user, MAX_NAME_BYTES)
}

pub(crate) fn entry(row: AuditRow) -> v1::AuditEntry {
    v1::AuditEntry {
        at_unix_ms: row.at_ms,
        actor: row.actor,
        action: row.action.name().to_owned(),
        sweep: row.sweep.map_or(0, |sweep| sweep.0),
        trial_id: row.trial.map(|trial| bytes(trial.as_bytes())).unwrap_or_default(),
        attempt: row.attempt.unwrap_or(0),
        worker: row.worker,
        detail: row.detail,
    }
}
