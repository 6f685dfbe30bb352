//! Extractors of a request: the name in its path, its query, its body, its caller. Each one limits and checks its input, and
//! rejects an invalid one with problem details.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::access::Caller;
use crate::convert::MAX_NAME_BYTES;
use crate::service::MAX_REQUEST_BYTES;
use crate::web::problem::Problem;

/// The longest query of an address, in bytes.
const MAX_QUERY_BYTES: usize = 8 * 1024;
/// Timeout for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The parameters of the query.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY_BYTES {
            return Err(Problem::invalid("parameters", format!("longer than {MAX_QUERY_BYTES} bytes")));
        }
        let read = serde_urlencoded::from_str(query);
        read.map(Self).map_err(|error| Problem::invalid("parameters", error.to_string()))
    }
}

/// The name in a path.
pub(super) struct PathName(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let nothing = || Problem::new(StatusCode::NOT_FOUND, "the name is invalid");
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| nothing())?;
        // An invalid name is a 404, because no resource has it.
        let sound = name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
        if sound { Ok(Self(name)) } else { Err(nothing()) }
    }
}

/// The caller, as `access::http::guard` authenticated it.
pub(super) struct OptionalCaller(pub(super) Option<Caller>);

impl<S: Sync> FromRequestParts<S> for OptionalCaller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}

/// The operator behind a request, for the audit log.
pub(super) struct Operator(Option<Caller>);

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}

impl Operator {
    /// The operator's name: the name of the token, or the one in the request if the token has none.
    pub(super) fn user(self, said: Option<String>) -> Result<String, Problem> {
        let said = text("user", said, 64)?;
        Ok(match self.0 {
            Some(caller) => caller.operator(said),
            None => said,
        })
    }
}

/// The body of a request that changes something.
///
/// The content type is required: a page of another site can send these types only after a CORS preflight, which fails.
pub(super) enum Content {
    Json(Bytes),
    Yaml(Bytes),
}

impl<S: Send + Sync> FromRequest<S> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let wrap: fn(Bytes) -> Self = match content_type(request.headers()).as_deref() {
            Some("application/json") => Self::Json,
            Some("application/yaml" | "application/x-yaml" | "text/yaml") => Self::Yaml,
            _ => return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is not supported")),
        };
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {MAX_REQUEST_BYTES} bytes"));
        let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if said.is_some_and(|length: usize| length > MAX_REQUEST_BYTES) {
            return Err(too_large());
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_REQUEST_BYTES)).await;
        let body = body.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body was not received in time"))?;
        body.map(wrap).map_err(|_| too_large())
    }
}

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Content::from_request(request, state).await? {
            Content::Json(body) => json(&body).map(Self),
            Content::Yaml(_) => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json")),
        }
    }
}

/// Checks a text: at most `most` characters, no control characters. An absent one is empty.
pub(super) fn text(field: &'static str, said: Option<String>, most: usize) -> Result<String, Problem> {
    let said = said.unwrap_or_default();
    if said.chars().count() > most {
        return Err(Problem::invalid(field, format!("longer than {most} characters")));
    }
    if said.chars().any(char::is_control) {
        return Err(Problem::invalid(field, "control characters"));
    }
    Ok(said)
}

pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::invalid("body", error.to_string()))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let other_text = parameters.to_ascii_lowercase().contains("charset")
        && !parameters.to_ascii_lowercase().replace('"', "").contains("charset=utf-8");
    (!other_text).then(|| kind.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_in_another_charset_is_not_accepted() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, text.parse().unwrap());
            content_type(&headers)
        };
        assert_eq!(of("Application/JSON; charset=\"UTF-8\"").as_deref(), Some("application/json"));
        assert_eq!(of("application/json; charset=latin-1"), None);
        assert_eq!(content_type(&HeaderMap::new()), None);
    }
}
