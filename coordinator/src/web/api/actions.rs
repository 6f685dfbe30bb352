//! Requests that change something: submit, cancel, delete, pause, resume, retry, set a priority.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use sweep_proto::v1;
use sweep_shapes::{Deletion, GarbageList, Override, Retried, Submitted, Sweep};
use utoipa::ToSchema;

use super::extractors::{Content, Json, Operator, OptionalCaller, PathName, json, text};
use super::parameters::{MOST_AN_INTEGER, SweepPath};
use super::{ApiResult, Leader, ROOT, answer, status};
use crate::web::problem::Problem;

/// An action and the user behind it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    /// The user, for the audit log.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    user: Option<String>,
}

/// A deletion and the user behind it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteAction {
    /// Only lists what would be deleted.
    #[serde(default)]
    dry_run: bool,
    /// The user, for the audit log.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    user: Option<String>,
}

/// Which unreferenced data to delete.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CollectAction {
    /// Only lists what would be deleted.
    #[serde(default)]
    dry_run: bool,
    /// Keeps trials whose last attempt ended within this time. Trials without an attempt are deleted.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(maximum = 9007199254740991_u64)]
    older_than_ms: u64,
    /// The user, for the audit log.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    user: Option<String>,
}

/// An integer as JSON Schema defines it: `416.0` is one. It is at most `MOST_AN_INTEGER`.
fn whole_number<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    whole(f64::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An optional integer as JSON Schema defines it.
fn whole_number_or_none<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    number.map(whole).transpose().map_err(D::Error::custom)
}

fn whole<T: TryFrom<i64>>(number: f64) -> Result<T, String> {
    const MOST: f64 = MOST_AN_INTEGER as f64;
    let sound = number.fract() == 0.0 && (-MOST..=MOST).contains(&number);
    let found = if sound { T::try_from(number as i64).ok() } else { None };
    found.ok_or_else(|| format!("expected a whole number in its range, found {number}"))
}

/// A change of priority.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriorityAction {
    /// Sweeps with a higher priority run first; the default is 0.
    #[serde(deserialize_with = "whole_number")]
    #[schema(minimum = -1000, maximum = 1000)]
    priority: i32,
    /// The user, for the audit log.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    user: Option<String>,
}

/// An action on a worker, and its reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceAction {
    /// The reason, for the audit log and the worker.
    #[schema(max_length = 1000, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub(super) reason: Option<String>,
    /// The user, for the audit log.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub(super) user: Option<String>,
}

/// A spec and its options.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    /// The YAML text.
    spec: String,
    /// Overrides that are applied before the spec is read.
    #[serde(default)]
    #[schema(max_items = 1000)]
    overrides: Vec<Override>,
    /// Replaces the spec's name.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: Option<String>,
    /// The maximum number of trials; a larger sweep is refused.
    #[serde(default, deserialize_with = "whole_number_or_none")]
    #[schema(maximum = 9007199254740991_u64)]
    trial_limit: Option<u64>,
    /// Sweeps of a higher priority go first; 0 leaves it to the spec.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = -1000, maximum = 1000)]
    priority: i32,
    /// Resumes an unfinished sweep with the same spec, if there is one.
    #[serde(default)]
    resume: bool,
    /// Runs every trial again, without reusing known results.
    #[serde(default)]
    fresh: bool,
    /// The user, for the provenance.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    user: Option<String>,
    /// The git revision that the spec came from, for the provenance.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    revision: Option<String>,
    /// The sweep that this one extends.
    #[schema(max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    extends: Option<String>,
}

impl TryFrom<Submission> for v1::SubmitRequest {
    type Error = Problem;

    fn try_from(submission: Submission) -> Result<Self, Problem> {
        if submission.trial_limit.is_some_and(|limit| limit > MOST_AN_INTEGER) {
            return Err(Problem::invalid("trial_limit", "too large"));
        }
        let pair = |pair: Override| v1::Override { key: pair.key, value: pair.value };
        let extends = text("extends", submission.extends, 64)?;
        Ok(Self {
            spec: submission.spec.into(),
            overrides: submission.overrides.into_iter().map(pair).collect(),
            name: text("name", submission.name, 64)?,
            trial_limit: submission.trial_limit.unwrap_or(0),
            priority: submission.priority,
            resume: submission.resume,
            user: text("user", submission.user, 64)?,
            fresh: submission.fresh,
            revision: text("revision", submission.revision, 64)?,
            extends: (!extends.is_empty()).then_some(v1::SweepReference { text: extends }),
        })
    }
}

/// Submits a spec, as YAML alone or in JSON with more settings.
#[utoipa::path(post, path = "/sweeps", operation_id = "submitSweep", tag = "sweeps",
    request_body(content((Submission = "application/json"), (String = "application/yaml"))),
    responses(
        (status = 201, description = "A new sweep", body = Submitted, headers(("Location" = String, description = "The address of the sweep"))),
        (status = 200, description = "An unfinished sweep is resumed", body = Submitted)))]
pub(super) async fn submit(Leader(service): Leader, operator: Operator, content: Content) -> ApiResult {
    let mut request: v1::SubmitRequest = match content {
        Content::Json(body) => json::<Submission>(&body)?.try_into()?,
        Content::Yaml(spec) => v1::SubmitRequest { spec, ..Default::default() },
    };
    let user = operator.user(Some(std::mem::take(&mut request.user)))?;
    let request = v1::SubmitRequest { user, ..request };
    let submitted = service.submit(request).await?;
    if submitted.resumed {
        return answer(&submitted);
    }
    let place = HeaderValue::try_from(format!("{ROOT}/sweeps/{}", submitted.sweep.id));
    let mut response = status(StatusCode::CREATED, &submitted)?;
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response.into_response())
}

/// Cancels a sweep. A sweep that has ended stays as it is.
#[utoipa::path(post, path = "/sweeps/{sweep}/cancel", operation_id = "cancelSweep", tag = "sweeps",
    params(SweepPath), request_body = Action, responses((status = 200, description = "The sweep", body = Sweep)))]
pub(super) async fn cancel(
    Leader(service): Leader,
    operator: Operator,
    PathName(sweep): PathName,
    Json(action): Json<Action>,
) -> ApiResult {
    answer(&service.cancel(&sweep, operator.user(action.user)?).await?)
}

/// Deletes a sweep that has ended, and what only it refers to: with an admin's token, or the one that submitted it.
///
/// After the response, no request finds the sweep. The same request with its number returns the progress of the removal.
#[utoipa::path(post, path = "/sweeps/{sweep}/delete", operation_id = "deleteSweep", tag = "sweeps",
    params(SweepPath), request_body = DeleteAction,
    responses((status = 200, description = "What is or was deleted", body = Deletion)))]
pub(super) async fn delete(
    Leader(service): Leader,
    (operator, asked): (Operator, OptionalCaller),
    PathName(sweep): PathName,
    Json(action): Json<DeleteAction>,
) -> ApiResult {
    let request = v1::DeleteSweepRequest {
        user: operator.user(action.user)?,
        dry_run: action.dry_run,
        ..v1::DeleteSweepRequest::default()
    };
    answer(&service.delete(&sweep, request, asked.0.as_ref()).await?)
}

/// Deletes data that no sweep refers to.
#[utoipa::path(post, path = "/garbage/collect", operation_id = "collectGarbage", tag = "store",
    request_body = CollectAction, responses((status = 200, description = "The data that was found", body = GarbageList)))]
pub(super) async fn collect(
    Leader(service): Leader,
    operator: Operator,
    Json(action): Json<CollectAction>,
) -> ApiResult {
    let request = v1::CollectGarbageRequest {
        dry_run: action.dry_run,
        older_than_ms: action.older_than_ms,
        user: operator.user(action.user)?,
    };
    answer(&service.collect(request).await?)
}

/// Pauses a sweep. Running trials finish.
#[utoipa::path(post, path = "/sweeps/{sweep}/pause", operation_id = "pauseSweep", tag = "sweeps",
    params(SweepPath), request_body = Action, responses((status = 200, description = "The sweep", body = Sweep)))]
pub(super) async fn pause(
    Leader(service): Leader,
    operator: Operator,
    PathName(sweep): PathName,
    Json(action): Json<Action>,
) -> ApiResult {
    answer(&service.pause(&sweep, true, operator.user(action.user)?).await?)
}

/// Resumes a paused sweep.
#[utoipa::path(post, path = "/sweeps/{sweep}/resume", operation_id = "resumeSweep", tag = "sweeps",
    params(SweepPath), request_body = Action, responses((status = 200, description = "The sweep", body = Sweep)))]
pub(super) async fn resume(
    Leader(service): Leader,
    operator: Operator,
    PathName(sweep): PathName,
    Json(action): Json<Action>,
) -> ApiResult {
    answer(&service.pause(&sweep, false, operator.user(action.user)?).await?)
}

/// Retries the failed trials of a sweep.
#[utoipa::path(post, path = "/sweeps/{sweep}/retry", operation_id = "retrySweep", tag = "sweeps",
    params(SweepPath), request_body = Action, responses((status = 200, description = "The sweep and the number of trials that are retried", body = Retried)))]
pub(super) async fn retry(
    Leader(service): Leader,
    operator: Operator,
    PathName(sweep): PathName,
    Json(action): Json<Action>,
) -> ApiResult {
    answer(&service.retry(&sweep, operator.user(action.user)?).await?)
}

/// Changes the priority of a sweep.
#[utoipa::path(post, path = "/sweeps/{sweep}/priority", operation_id = "prioritiseSweep", tag = "sweeps",
    params(SweepPath), request_body = PriorityAction, responses((status = 200, description = "The sweep", body = Sweep)))]
pub(super) async fn priority(
    Leader(service): Leader,
    operator: Operator,
    PathName(sweep): PathName,
    Json(action): Json<PriorityAction>,
) -> ApiResult {
    answer(&service.prioritise(&sweep, action.priority, operator.user(action.user)?).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_that_json_holds() {
        let read = |text: &str| serde_json::from_str::<CollectAction>(text).map(|action| action.older_than_ms);
        assert_eq!(read(r#"{"older_than_ms": 416.0}"#).unwrap(), 416);
        assert_eq!(read(r#"{"older_than_ms": 9007199254740991}"#).unwrap(), 9_007_199_254_740_991);
        assert_eq!(read("{}").unwrap(), 0);
        for wrong in ["9007199254740992", "-1", "0.5", "\"1\"", "null"] {
            assert!(read(&format!(r#"{{"older_than_ms": {wrong}}}"#)).is_err(), "{wrong}");
        }
        let submission = |text: &str| serde_json::from_str::<Submission>(text);
        let read = submission(r#"{"spec": "", "trial_limit": 5.0, "priority": -333.0}"#).unwrap();
        assert_eq!((read.trial_limit, read.priority), (Some(5), -333));
        assert_eq!(submission(r#"{"spec": "", "trial_limit": null}"#).unwrap().trial_limit, None);
        assert!(submission(r#"{"spec": "", "priority": 4294967296}"#).is_err());
    }
}
