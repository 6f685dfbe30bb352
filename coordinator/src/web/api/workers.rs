//! Workers, and the audit log of the whole coordinator.

use sweep_proto::v1;
use sweep_shapes::{AuditPage, Worker, WorkerList};

use super::actions::ServiceAction;
use super::extractors::{Json, Operator, OptionalCaller, Parameters, PathName, text};
use super::parameters::{AuditParameters, ListParameters, WorkerPath};
use super::service::{self, ApiService};
use super::sweeps::audit_of;
use super::{ApiResult, Leader, answer, table};

/// Lists the known workers with their slots and the running trials.
#[utoipa::path(get, path = "/workers", operation_id = "listWorkers", tag = "workers", params(ListParameters),
    responses((status = 200, description = "All workers", content((WorkerList = "application/json"), (String = "text/csv")))))]
pub(super) async fn list(
    Leader(service): Leader,
    caller: OptionalCaller,
    Parameters(parameters): Parameters<ListParameters>,
) -> ApiResult {
    let file = table::export_permit(&service, parameters.format, &caller)?;
    let found = service.workers().await?;
    match file {
        None => answer(&found),
        Some(permit) => Ok(table::csv("workers", permit, move || table::one_page(found.workers.clone()), false)),
    }
}

/// Drains a worker: it gets no more trials, and its running trials finish.
#[utoipa::path(post, path = "/workers/{worker}/drain", operation_id = "drainWorker", tag = "workers",
    params(WorkerPath), request_body = ServiceAction, responses((status = 200, description = "The worker", body = Worker)))]
pub(super) async fn drain(
    Leader(service): Leader,
    operator: Operator,
    PathName(worker): PathName,
    Json(action): Json<ServiceAction>,
) -> ApiResult {
    serve(&service, &worker, v1::WorkerServiceState::Draining, (operator, action)).await
}

/// Puts a worker back into service.
#[utoipa::path(post, path = "/workers/{worker}/resume", operation_id = "resumeWorker", tag = "workers",
    params(WorkerPath), request_body = ServiceAction, responses((status = 200, description = "The worker", body = Worker)))]
pub(super) async fn resume(
    Leader(service): Leader,
    operator: Operator,
    PathName(worker): PathName,
    Json(action): Json<ServiceAction>,
) -> ApiResult {
    serve(&service, &worker, v1::WorkerServiceState::Active, (operator, action)).await
}

async fn serve(
    service: &ApiService,
    worker: &str,
    state: v1::WorkerServiceState,
    (operator, action): (Operator, ServiceAction),
) -> ApiResult {
    let (reason, user) = (text("reason", action.reason, 1000)?, operator.user(action.user)?);
    answer(&service.serve(worker, state, (reason, user)).await?)
}

/// The audit log, newest entries first.
#[utoipa::path(get, path = "/audit", operation_id = "listAudit", tag = "workers", params(AuditParameters),
    responses((status = 200, description = "The newest entries", content((AuditPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn audit(
    Leader(service): Leader,
    caller: OptionalCaller,
    Parameters(parameters): Parameters<AuditParameters>,
) -> ApiResult {
    audit_of(&service, &caller, service::AuditQuery::default(), parameters).await
}
