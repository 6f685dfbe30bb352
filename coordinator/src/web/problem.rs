//! The errors of HTTP: problem details (RFC 9457), made from the kinds of failure of the service.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sweep_shapes::Incomplete;
use sweep_store::leadership::Waiting;
use utoipa::ToSchema;

use crate::convert::Invalid;
use crate::engine::Error;
use crate::role;
use crate::service::failure::{Failure, Kind};

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// The seconds of `Retry-After`, which every 503 has.
pub(crate) const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// Problem details as RFC 9457 has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The problem as a sentence; for a spec, one line per problem.
    detail: String,
    /// The gRPC address of the leader, if this coordinator is a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
}

impl Problem {
    /// A problem with this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), leader: None }
    }

    /// A parameter is invalid.
    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Error::from(Invalid { field, problem: problem.into() }).into()
    }

    /// This coordinator does not lead.
    pub(crate) fn standby(waiting: &Waiting) -> Self {
        let leader = match waiting {
            Waiting::Led { address } => Some(address.clone()),
            Waiting::Looking | Waiting::Unreachable { .. } => None,
        };
        Self { leader, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, role::reason(waiting)) }
    }

    /// The status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem as a sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotFound(_) => StatusCode::NOT_FOUND,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            // TooMany too: the same request would fail until something is deleted.
            Kind::Precondition | Kind::NameHeld(_) | Kind::TooMany => StatusCode::CONFLICT,
            Kind::Busy | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failure.message)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Error::from(invalid).into()
    }
}

impl From<sweep_store::Error> for Problem {
    fn from(error: sweep_store::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Incomplete> for Problem {
    fn from(incomplete: Incomplete) -> Self {
        Error::Internal(incomplete.to_string()).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // Serialization of strings and numbers cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}
