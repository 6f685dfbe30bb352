//! Trials: the list of a sweep, and the details, epochs and log of one.

use axum::http::header;
use axum::response::IntoResponse;
use sweep_proto::v1;
use sweep_shapes::{AuditPage, Curve, Detail, EpochPage, Explanation, TrialPage};

use super::extractors::{OptionalCaller, Parameters, PathName};
use super::parameters::{
    AuditParameters, ListParameters, LogParameters, PointsParameters, SweepPath, TrialPath, TrialsParameters, limit,
};
use super::service::{self, ApiService};
use super::sweeps::audit_of;
use super::{ApiResult, Leader, answer, table};
use crate::web::problem::Problem;

/// The most trials of a page.
const MOST_TRIALS: u32 = 1000;
/// The largest seed that a JSON number holds exactly.
const LARGEST_SEED: u64 = (1 << 53) - 1;
/// The most trials of a page of epochs.
const MOST_CURVES: u32 = 100;

/// The position of a page; empty for the first page.
fn position(after: Option<String>) -> Result<String, Problem> {
    match after {
        Some(after) if after.is_empty() => Err(Problem::invalid("after", "empty")),
        after => Ok(after.unwrap_or_default()),
    }
}

/// The trials of a sweep, in the order of its spec.
#[utoipa::path(get, path = "/sweeps/{sweep}/trials", operation_id = "listTrials", tag = "trials",
    params(SweepPath, TrialsParameters),
    responses((status = 200, description = "One page", content((TrialPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn list(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<TrialsParameters>,
) -> ApiResult {
    if parameters.configuration.as_deref() == Some("") {
        return Err(Problem::invalid("configuration", "empty"));
    }
    if parameters.seed.is_some_and(|seed| seed > LARGEST_SEED) {
        return Err(Problem::invalid("seed", "larger than 9007199254740991"));
    }
    let asked = service::TrialsQuery {
        states: parameters.state.into_iter().map(v1::TrialState::from).collect(),
        configuration: parameters.configuration.unwrap_or_default(),
        seed: parameters.seed,
    };
    let most = limit::<MOST_TRIALS>(parameters.limit)?;
    if let Some(permit) = table::export_permit(&service, parameters.format, &caller)? {
        let found = service.sweep(&sweep).await?;
        // An invalid filter is reported before the response begins.
        service.trials(&found.id.to_string(), &asked, ("", 1)).await?;
        let name = format!("{}-{}-trials", found.name, found.id);
        let pages = move || {
            let about = (service.clone(), found.id.to_string(), asked.clone());
            table::paged(
                about,
                |(service, sweep, asked): (ApiService, String, service::TrialsQuery), after: String| async move {
                    let page = service.trials(&sweep, &asked, (&after, MOST_TRIALS)).await?;
                    Ok((page.trials, page.next))
                },
            )
        };
        return Ok(table::csv(&name, permit, pages, true));
    }
    let after = position(parameters.after)?;
    answer(&service.trials(&sweep, &asked, (&after, most)).await?)
}

/// The epochs of a sweep's trials, one row per epoch, in pages of trials.
#[utoipa::path(get, path = "/sweeps/{sweep}/points", operation_id = "listPoints", tag = "trials",
    params(SweepPath, PointsParameters),
    responses((status = 200, description = "One page", content((EpochPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn points(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(sweep): PathName,
    Parameters(parameters): Parameters<PointsParameters>,
) -> ApiResult {
    let most = limit::<MOST_CURVES>(parameters.limit)?;
    if let Some(permit) = table::export_permit(&service, parameters.format, &caller)? {
        let found = service.sweep(&sweep).await?;
        let name = format!("{}-{}-points", found.name, found.id);
        let pages = move || {
            let about = (service.clone(), found.id.to_string());
            table::paged(about, |(service, sweep): (ApiService, String), after: String| async move {
                let page = service.epochs(&sweep, (&after, MOST_CURVES)).await?;
                Ok((page.points, page.next))
            })
        };
        return Ok(table::csv(&name, permit, pages, false));
    }
    answer(&service.epochs(&sweep, (&position(parameters.after)?, most)).await?)
}

/// A trial: settings, result, provenance, attempts, epochs, predictions.
#[utoipa::path(get, path = "/trials/{trial}", operation_id = "getTrial", tag = "trials", params(TrialPath),
    responses((status = 200, description = "The trial", body = Detail)))]
pub(super) async fn one(Leader(service): Leader, PathName(trial): PathName) -> ApiResult {
    answer(&service.trial(&trial).await?)
}

/// A trial's learning curve.
#[utoipa::path(get, path = "/trials/{trial}/points", operation_id = "getCurve", tag = "trials",
    params(TrialPath, ListParameters),
    responses((status = 200, description = "Its epochs", content((Curve = "application/json"), (String = "text/csv")))))]
pub(super) async fn curve(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(trial): PathName,
    Parameters(parameters): Parameters<ListParameters>,
) -> ApiResult {
    let file = table::export_permit(&service, parameters.format, &caller)?;
    let found = service.curve(&trial).await?;
    match file {
        None => answer(&found),
        Some(permit) => {
            let name = format!("{}-points", found.trial_id.get(..12).unwrap_or_default());
            Ok(table::csv(&name, permit, move || table::one_page(found.rows()), false))
        }
    }
}

/// The end of the trainer's log of a trial, as text.
#[utoipa::path(get, path = "/trials/{trial}/log", operation_id = "getLog", tag = "trials",
    params(TrialPath, LogParameters), responses((status = 200, description = "The last lines", body = String, content_type = "text/plain")))]
pub(super) async fn log(
    Leader(service): Leader,
    PathName(trial): PathName,
    Parameters(parameters): Parameters<LogParameters>,
) -> ApiResult {
    if parameters.attempt == Some(0) {
        return Err(Problem::invalid("attempt", "attempts are counted from 1"));
    }
    let found = service.log(&trial, parameters.attempt).await?;
    // A log is untrusted, so it is sent as plain text.
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], found.text).into_response())
}

/// Explains the state of a trial.
#[utoipa::path(get, path = "/trials/{trial}/explanation", operation_id = "explainTrial", tag = "trials",
    params(TrialPath), responses((status = 200, description = "Sentences and events", body = Explanation)))]
pub(super) async fn explanation(Leader(service): Leader, PathName(trial): PathName) -> ApiResult {
    answer(&service.explanation(&trial).await?)
}

/// The audit log of a trial.
#[utoipa::path(get, path = "/trials/{trial}/audit", operation_id = "listAuditOfTrial", tag = "trials",
    params(TrialPath, AuditParameters),
    responses((status = 200, description = "The newest entries", content((AuditPage = "application/json"), (String = "text/csv")))))]
pub(super) async fn audit(
    Leader(service): Leader,
    caller: OptionalCaller,
    PathName(trial): PathName,
    Parameters(parameters): Parameters<AuditParameters>,
) -> ApiResult {
    let of = service::AuditQuery { trial, ..service::AuditQuery::default() };
    audit_of(&service, &caller, of, parameters).await
}
