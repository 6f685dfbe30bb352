//! The kinds of failures that users see. gRPC maps them to codes, HTTP to status codes; both show the same message.

use sweep_store as store;
use tracing::error;

use crate::engine::{Error, NameHeld};

/// A failure as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is invalid.
    Invalid,
    /// There is no such thing. The text names what kind of thing: `sweep`, `trial`, `worker`, `configuration`; it may be empty.
    NotFound(String),
    /// The caller may not do this, now or later.
    Forbidden,
    /// The present state does not allow this.
    Precondition,
    /// Another worker has the name.
    NameHeld(Box<NameHeld>),
    /// A limit on what the coordinator keeps is reached.
    TooMany,
    /// A limit on concurrent requests is reached. The same request may succeed soon.
    Busy,
    /// The coordinator cannot answer now. The same request may succeed soon, here or at another coordinator.
    Unavailable,
    /// The coordinator failed. The cause is in its log.
    Internal,
}

impl From<Error> for Failure {
    /// Causes inside the coordinator are logged, not shown.
    fn from(error: Error) -> Self {
        let failure = |kind, message| Self { kind, message };
        let kind = match error {
            Error::Invalid(_) | Error::NotAnExtension { .. } => Kind::Invalid,
            // Every problem on a line of its own: `line:column: path: message`.
            Error::Spec(problems) => return failure(Kind::Invalid, problems.to_string()),
            Error::Configuration(_) => Kind::NotFound("configuration".to_owned()),
            // It begins with its kind: "sweep `x`".
            Error::NotFound { ref what } => Kind::NotFound(what.split(' ').next().unwrap_or_default().to_owned()),
            Error::UnknownSession => Kind::NotFound(String::new()),
            // Not a precondition: a worker that registers again is refused again.
            Error::Semantics { .. } | Error::Version { .. } | Error::NotYours { .. } => Kind::Forbidden,
            Error::StillRuns { .. }
            | Error::Refused(_)
            | Error::Ended { .. }
            | Error::Cancelled { .. }
            | Error::OtherSemantics { .. } => Kind::Precondition,
            Error::NameHeld(held) => {
                let message = held.to_string();
                return failure(Kind::NameHeld(held), message);
            }
            Error::TooMany { .. } => Kind::TooMany,
            Error::Busy { .. } => Kind::Busy,
            Error::Unavailable | Error::Troubled { .. } | Error::Held { .. } => Kind::Unavailable,
            Error::Store(ref error @ store::Error::Deposed { .. }) => {
                return failure(Kind::Unavailable, error.to_string());
            }
            Error::Store(ref error) if error.is_unreachable() => {
                let message = format!("the store cannot be reached: {}", crate::chain(error));
                return failure(Kind::Unavailable, message);
            }
            Error::Store(ref error @ store::Error::Full(_)) => {
                let message = format!("the coordinator cannot commit now: {}", crate::chain(error));
                return failure(Kind::Unavailable, message);
            }
            Error::Store(_) | Error::Internal(_) => {
                error!(error = %crate::chain(&error), "a request failed");
                return failure(Kind::Internal, "the coordinator failed: see its log".to_owned());
            }
        };
        failure(kind, error.to_string())
    }
}
