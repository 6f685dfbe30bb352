//! Sweeps: the list, their status, their specs, their artifacts, their audit log.

use sweep_shapes::{ArtifactList, AuditPage, Specification, Sweep, SweepPage};

use super::extractors::{OptionalCaller, Parameters, PathName, text};
use super::parameters::{AuditParameters, ListParameters, MOST_AN_INTEGER, SweepPath, SweepsParameters, limit};
use super::service;
use super::{ApiResult, Leader, answer, table};
use crate::web::problem::Problem;

/// The most sweeps of a page.
const MOST_SWEEPS: u32 = 100;
/// The most audit entries of a page.
const MOST_ENTRIES: u32 = 1000;
/// The most audit entries of a file.
const MOST_ENTRIES_OF_A_FILE: u32 = 100_000;

/// Lists sweeps, newest first.
#[utoipa::path(get, path = "/sweeps", operation_id = "listSweeps", tag = "sweeps", params(SweepsParameters),
    responses((status = 200, description = "One page", content((SweepPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn list(
    Leader(service): Leader,
    caller: OptionalCaller,
    Parameters(parameters): Parameters<SweepsParameters>,
) -> ApiResult {
    if parameters.after.is_some_and(|after| !(1..=MOST_AN_INTEGER).contains(&after)) {
        return Err(Problem::invalid("after", "expected the value of a previous page"));
    }
    let most = limit::<MOST_SWEEPS>(parameters.limit)?;
    if let Some(permit) = table::export_permit(&service, parameters.format, &caller)? {
        let pages = move || {
            table::paged(service.clone(), |service: service::ApiService, before: Option<u64>| async move {
                let page = service.sweeps(before, MOST_SWEEPS).await?;
                Ok((page.sweeps, page.next.and_then(|next| next.parse().ok()).map(Some)))
            })
        };
        return Ok(table::csv("sweeps", permit, pages, false));
    }
    answer(&service.sweeps(parameters.after, most).await?)
}

/// The status of a sweep.
#[utoipa::path(get, path = "/sweeps/{sweep}", operation_id = "getSweep", tag = "sweeps", params(SweepPath),
    responses((status = 200, description = "The sweep", body = Sweep)))]
pub(super) async fn one(Leader(service): Leader, PathName(sweep): PathName) -> ApiResult {
    answer(&service.sweep(&sweep).await?)
}

/// The spec of a sweep as it was submitted.
#[utoipa::path(get, path = "/sweeps/{sweep}/specification", operation_id = "getSpecification", tag = "sweeps",
    params(SweepPath), responses((status = 200, description = "The sweep with its spec", body = Specification)))]
pub(super) async fn specification(Leader(service): Leader, PathName(sweep): PathName) -> ApiResult {
    answer(&service.specification(&sweep).await?)
}

/// The artifacts of a sweep: logs, weights, pictures of the validation images.
#[utoipa::path(get, path = "/sweeps/{sweep}/artifacts", operation_id = "listArtifacts", tag = "sweeps",
    params(SweepPath, ListParameters),
    responses((status = 200, description = "The whole analysis", content((ArtifactList = "application/json"), (String = "text/csv")))))]
pub(super) async fn artifacts(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<ListParameters>,
) -> ApiResult {
    let file = table::export_permit(&service, parameters.format, &caller)?;
    let found = service.artifacts(&sweep).await?;
    match file {
        None => answer(&found),
        Some(permit) => {
            let pages = move || table::one_page(found.artifacts.clone());
            Ok(table::csv(&format!("{sweep}-artifacts"), permit, pages, false))
        }
    }
}

/// The audit log of a sweep and its trials.
#[utoipa::path(get, path = "/sweeps/{sweep}/audit", operation_id = "listAuditOfSweep", tag = "sweeps",
    params(SweepPath, AuditParameters),
    responses((status = 200, description = "The newest entries", content((AuditPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn audit(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<AuditParameters>,
) -> ApiResult {
    let of = service::AuditQuery { sweep, ..service::AuditQuery::default() };
    audit_of(&service, &caller, of, parameters).await
}

/// The audit log, filtered by `of` and by the parameters.
pub(super) async fn audit_of(
    service: &service::ApiService,
    caller: &OptionalCaller,
    of: service::AuditQuery,
    parameters: AuditParameters,
) -> ApiResult {
    let since = parameters.since.unwrap_or(0);
    if !(0..=MOST_AN_INTEGER as i64).contains(&since) {
        return Err(Problem::invalid("since", "not milliseconds since 1970"));
    }
    let most = limit::<MOST_ENTRIES>(parameters.limit)?;
    let file = table::export_permit(service, parameters.format, caller)?;
    let asked = service::AuditQuery {
        worker: text("worker", parameters.worker, 64)?,
        since_unix_ms: since,
        after: parameters.after,
        limit: if file.is_some() { MOST_ENTRIES_OF_A_FILE } else { most },
        ..of
    };
    let found = service.audit(&asked).await?;
    if let Some(permit) = file {
        return Ok(table::csv("audit", permit, move || table::one_page(found.entries.clone()), false));
    }
    answer(&found)
}
