//! Sweeps: which there are, where they stand, what was submitted, what they left.

use sweep_shapes::{ArtifactList, AuditPage, Specification, Sweep, SweepPage};

use super::parameters::{AuditQuestion, ListQuestion, MOST_AN_INTEGER, SweepPath, SweepsQuestion, limit};
use super::question::{Asker, Named, Parameters, text};
use super::{Answered, Open, answer, table};
use crate::web::desk;
use crate::web::problem::Problem;

/// Sweeps of one page.
const MOST_SWEEPS: u32 = 100;
/// Lines of the audit log of one page.
const MOST_LINES: u32 = 1000;
/// Lines of the audit log that a file has at most.
const MOST_LINES_OF_A_FILE: u32 = 100_000;

/// Lists sweeps, newest first.
#[utoipa::path(get, path = "/sweeps", operation_id = "listSweeps", tag = "sweeps", params(SweepsQuestion),
    responses((status = 200, description = "One page", content((SweepPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn list(Open(desk): Open, asker: Asker, Parameters(question): Parameters<SweepsQuestion>) -> Answered {
    if question.after.is_some_and(|after| !(1..=MOST_AN_INTEGER).contains(&after)) {
        return Err(Problem::invalid("after", "expected the value of a previous page"));
    }
    let most = limit::<MOST_SWEEPS>(question.limit)?;
    if let Some(permit) = table::permit(&desk, question.format, &asker)? {
        let pages = move || {
            table::unfolded(desk.clone(), |desk: desk::Desk, before: Option<u64>| async move {
                let page = desk.sweeps(before, MOST_SWEEPS).await?;
                Ok((page.sweeps, page.next.and_then(|next| next.parse().ok()).map(Some)))
            })
        };
        return Ok(table::csv("sweeps", permit, pages, false));
    }
    answer(&desk.sweeps(question.after, most).await?)
}

/// The status of a sweep.
#[utoipa::path(get, path = "/sweeps/{sweep}", operation_id = "getSweep", tag = "sweeps", params(SweepPath),
    responses((status = 200, description = "The sweep", body = Sweep)))]
pub(super) async fn one(Open(desk): Open, Named(sweep): Named) -> Answered {
    answer(&desk.sweep(&sweep).await?)
}

/// The spec of a sweep as it was submitted.
#[utoipa::path(get, path = "/sweeps/{sweep}/specification", operation_id = "getSpecification", tag = "sweeps",
    params(SweepPath), responses((status = 200, description = "The sweep with its spec", body = Specification)))]
pub(super) async fn specification(Open(desk): Open, Named(sweep): Named) -> Answered {
    answer(&desk.specification(&sweep).await?)
}

/// The artifacts of a sweep: logs, weights, pictures of the validation images.
#[utoipa::path(get, path = "/sweeps/{sweep}/artifacts", operation_id = "listArtifacts", tag = "sweeps",
    params(SweepPath, ListQuestion),
    responses((status = 200, description = "The whole analysis", content((ArtifactList = "application/json"), (String = "text/csv")))))]
pub(super) async fn artifacts(
    Open(desk): Open,
    asker: Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<ListQuestion>,
) -> Answered {
    let file = table::permit(&desk, question.format, &asker)?;
    let found = desk.artifacts(&sweep).await?;
    match file {
        None => answer(&found),
        Some(permit) => {
            let pages = move || table::at_hand(found.artifacts.clone());
            Ok(table::csv(&format!("{sweep}-artifacts"), permit, pages, false))
        }
    }
}

/// The audit log of a sweep and its trials.
#[utoipa::path(get, path = "/sweeps/{sweep}/audit", operation_id = "listAuditOfSweep", tag = "sweeps",
    params(SweepPath, AuditQuestion),
    responses((status = 200, description = "The newest entries", content((AuditPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn audit(
    Open(desk): Open,
    asker: Asker,
    Named(sweep): Named,
    Parameters(question): Parameters<AuditQuestion>,
) -> Answered {
    let of = desk::AuditQuestion { sweep, ..desk::AuditQuestion::default() };
    audit_of(&desk, &asker, of, question).await
}

/// The audit log of something.
pub(super) async fn audit_of(
    desk: &desk::Desk,
    asker: &Asker,
    of: desk::AuditQuestion,
    question: AuditQuestion,
) -> Answered {
    let since = question.since.unwrap_or(0);
    if !(0..=MOST_AN_INTEGER as i64).contains(&since) {
        return Err(Problem::invalid("since", "not milliseconds since 1970"));
    }
    let most = limit::<MOST_LINES>(question.limit)?;
    let file = table::permit(desk, question.format, asker)?;
    let asked = desk::AuditQuestion {
        worker: text("worker", question.worker, 64)?,
        since_unix_ms: since,
        after: question.after,
        limit: if file.is_some() { MOST_LINES_OF_A_FILE } else { most },
        ..of
    };
    let found = desk.audit(&asked).await?;
    if let Some(permit) = file {
        return Ok(table::csv("audit", permit, move || table::at_hand(found.entries.clone()), false));
    }
    answer(&found)
}
