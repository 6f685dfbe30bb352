//! Workers, and what everybody did.

use sweep_proto::v1;
use sweep_shapes::{AuditPage, Worker, WorkerList};

use super::actions::ServiceAction;
use super::parameters::{AuditQuestion, ListQuestion, WorkerPath};
use super::question::{Asker, Json, Named, Parameters, Who, text};
use super::sweeps::audit_of;
use super::{Answered, Open, answer, table};
use crate::web::desk::{self, Desk};

/// Lists the known workers with their slots and the running trials.
#[utoipa::path(get, path = "/workers", operation_id = "listWorkers", tag = "workers", params(ListQuestion),
    responses((status = 200, description = "All workers", content((WorkerList = "application/json"), (String = "text/csv")))))]
pub(super) async fn list(Open(desk): Open, asker: Asker, Parameters(question): Parameters<ListQuestion>) -> Answered {
    let file = table::permit(&desk, question.format, &asker)?;
    let found = desk.workers().await?;
    match file {
        None => answer(&found),
        Some(permit) => Ok(table::csv("workers", permit, move || table::at_hand(found.workers.clone()), false)),
    }
}

/// Drains a worker: it gets no more trials, and its running trials finish.
#[utoipa::path(post, path = "/workers/{worker}/drain", operation_id = "drainWorker", tag = "workers",
    params(WorkerPath), request_body = ServiceAction, responses((status = 200, description = "The worker", body = Worker)))]
pub(super) async fn drain(
    Open(desk): Open,
    who: Who,
    Named(worker): Named,
    Json(action): Json<ServiceAction>,
) -> Answered {
    serve(&desk, &worker, v1::WorkerServiceState::Draining, (who, action)).await
}

/// Puts a worker back into service.
#[utoipa::path(post, path = "/workers/{worker}/resume", operation_id = "resumeWorker", tag = "workers",
    params(WorkerPath), request_body = ServiceAction, responses((status = 200, description = "The worker", body = Worker)))]
pub(super) async fn resume(
    Open(desk): Open,
    who: Who,
    Named(worker): Named,
    Json(action): Json<ServiceAction>,
) -> Answered {
    serve(&desk, &worker, v1::WorkerServiceState::Active, (who, action)).await
}

async fn serve(
    desk: &Desk,
    worker: &str,
    state: v1::WorkerServiceState,
    (who, action): (Who, ServiceAction),
) -> Answered {
    let (reason, user) = (text("reason", action.reason, 1000)?, who.user(action.user)?);
    answer(&desk.serve(worker, state, (reason, user)).await?)
}

/// The audit log, newest entries first.
#[utoipa::path(get, path = "/audit", operation_id = "listAudit", tag = "workers", params(AuditQuestion),
    responses((status = 200, description = "The newest entries", content((AuditPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn audit(Open(desk): Open, asker: Asker, Parameters(question): Parameters<AuditQuestion>) -> Answered {
    audit_of(&desk, &asker, desk::AuditQuestion::default(), question).await
}
