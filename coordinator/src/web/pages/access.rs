//! Who asks, and what they may.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::query::Query;
use crate::access::{Caller, Role};

/// What an address says, and what whoever asks may change.
pub(super) struct Asked {
    pub(super) query: Query,
    /// Sweeps.
    pub(super) may_change: bool,
    /// Which workers serve.
    pub(super) may_serve: bool,
    /// A token was shown.
    pub(super) signed_in: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = Query::of(parts.uri.query().unwrap_or_default());
        let signed_in = parts.extensions.get::<Caller>().is_some_and(|caller| caller.role.is_some());
        Ok(Self { query, may_change: may_change(parts), may_serve: may_serve(parts), signed_in })
    }
}

/// Whether whoever asks may change sweeps.
fn may_change(parts: &Parts) -> bool {
    may(parts, Role::Submit)
}

/// Whether whoever asks may take workers out of service.
fn may_serve(parts: &Parts) -> bool {
    may(parts, Role::Admin)
}

/// The door before all pages has said who asks; it also refuses what a page should not have offered.
fn may(parts: &Parts, role: Role) -> bool {
    parts.extensions.get::<Caller>().is_some_and(|caller| caller.may(role))
}

/// Whether a form was sent by a page of this very coordinator: what a browser says of its origin is not another one's.
/// Programs say nothing of it, and carry no cookie that somebody could borrow.
pub(super) fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    match (text(header::ORIGIN.as_str()), text(header::HOST.as_str())) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, rest)| rest == host),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        for ours in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:7734"), ("host", "127.0.0.1:7734")],
        ] {
            assert!(is_ours(&headers(ours)), "{ours:?}");
        }
        for other in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "http://a"), ("host", "a")],
            &[("origin", "http://evil.example"), ("host", "127.0.0.1:7734")],
            &[("origin", "null"), ("host", "127.0.0.1:7734")],
            &[("origin", "http://127.0.0.1:7734")],
        ] {
            assert!(!is_ours(&headers(other)), "{other:?}");
        }
    }
}
