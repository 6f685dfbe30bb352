//! Who asks, and what they may.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::query::Query;
use crate::access::{Caller, Role};

/// Who changed something on a page, where no token has a name.
const PAGE: &str = "page";

/// What an address says, and what whoever asks may change.
pub(super) struct Asked {
    pub(super) query: Query,
    /// Sweeps.
    pub(super) may_change: bool,
    /// Which workers serve.
    pub(super) may_serve: bool,
    /// A token was shown.
    pub(super) signed_in: bool,
    caller: Option<Caller>,
    /// Who is written into the audit log.
    pub(super) actor: String,
}

impl Asked {
    /// The caller of the request.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Whether the caller may delete a sweep of this submitter.
    pub(super) fn may_delete(&self, submitter: &str) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may_delete(submitter))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = Query::of(parts.uri.query().unwrap_or_default());
        // The door before all pages has said who asks; it also refuses what a page should not have offered.
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
