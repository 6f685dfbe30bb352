//! The extractor of every page: the query of the address, and the permissions of the caller.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::query::Query;
use crate::access::{Caller, Role};

/// The operator in the audit log if the token has no name.
const PAGE: &str = "page";

/// The query of a request and the permissions of its caller.
pub(super) struct PageRequest {
    pub(super) query: Query,
    /// Whether the caller may change sweeps.
    pub(super) may_change: bool,
    /// Whether the caller may drain, suspend and resume workers.
    pub(super) may_serve: bool,
    /// Whether the caller is signed in with a token.
    pub(super) signed_in: bool,
    caller: Option<Caller>,
    /// The operator for the audit log.
    pub(super) actor: String,
}

impl PageRequest {
    /// The caller of the request.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Whether the caller may delete a sweep of this submitter.
    pub(super) fn may_delete(&self, submitter: &str) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may_delete(submitter))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = Query::of(parts.uri.query().unwrap_or_default());
        // The layer `access::http::guard` has set the caller. It also refuses requests that the caller may not make.
        let caller = parts.extensions.get::<Caller>();
        let may = |role| caller.is_some_and(|caller| caller.may(role));
        Ok(Self {
            query,
            may_change: may(Role::Submit),
            may_serve: may(Role::Admin),
            signed_in: caller.is_some_and(|caller| caller.role.is_some()),
            caller: caller.cloned(),
            actor: caller.map_or_else(|| PAGE.to_owned(), |caller| caller.operator(PAGE.to_owned())),
        })
    }
}
