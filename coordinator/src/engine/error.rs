//! Errors of the engine.

use sweep_scheduler::SweepId;
use sweep_spec::Problems;
use sweep_store as store;

use crate::convert::Invalid;
use crate::engine::name_held::NameHeld;

/// An error of the engine: a refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the message is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The spec is invalid.
    #[error("the spec is invalid")]
    Spec(Problems),
    /// The object does not exist.
    #[error("there is no {what}")]
    NotFound {
        /// Its kind and its name.
        what: String,
    },
    /// There is no such configuration, or there are several.
    #[error(transparent)]
    Configuration(#[from] sweep_analysis::resolve::NotFound),
    /// Two configurations cannot be compared.
    #[error(transparent)]
    Refused(#[from] sweep_analysis::analyse::Refused),
    /// The sweep has ended, so this action is not possible.
    #[error("sweep {sweep} has ended{how}")]
    Ended {
        /// The sweep.
        sweep: SweepId,
        /// `: it was cancelled at 2026-11-25 14:03 UTC`; empty if only the scheduler was consulted.
        how: String,
    },
    /// Only a sweep that has ended can be deleted.
    #[error("sweep {sweep} has not ended: cancel it first (`sweepctl cancel {sweep}`)")]
    StillRuns {
        /// The sweep.
        sweep: SweepId,
    },
    /// Another user submitted the sweep.
    #[error("{}", not_yours(*.sweep, .submitter))]
    NotYours {
        /// The sweep.
        sweep: SweepId,
        /// The submitter; empty if unknown.
        submitter: String,
    },
    /// Its trials need another version of trainer semantics, which no worker of this release has.
    #[error(
        "the trials of sweep {sweep} need trainer semantics other than {}, the version of this release's workers: \
        submit the sweep again",
        sweep_spec::TRAINER_SEMANTICS
    )]
    OtherSemantics {
        /// The sweep.
        sweep: SweepId,
    },
    /// A cancelled sweep cannot be retried.
    #[error("sweep {sweep} was cancelled: submit it again; known results are reused")]
    Cancelled {
        /// The sweep.
        sweep: SweepId,
    },
    /// The extension would lack some trials of the sweep that it extends.
    #[error("this is not an extension of sweep {sweep}: {lost} of its {of} trials would be lost: {examples}; {hint}")]
    NotAnExtension {
        /// The sweep that it extends.
        sweep: SweepId,
        /// The number of missing trials.
        lost: usize,
        /// The number of trials of that sweep.
        of: usize,
        /// Some of the missing trials.
        examples: String,
        /// The difference between the two, or advice.
        hint: String,
    },
    /// Another live worker has the name.
    #[error("{0}")]
    NameHeld(Box<NameHeld>),
    /// Another token or certificate opened the worker's session, which is still live.
    #[error(
        "`{worker}` is connected with another token or certificate: try again when it has left or its lease has expired"
    )]
    Held {
        /// The name.
        worker: String,
    },
    /// A limit on what the coordinator keeps is reached.
    #[error("{what}")]
    TooMany {
        /// The limit, in words.
        what: String,
    },
    /// A limit on concurrent work is reached.
    #[error("{what}; try again in a moment")]
    Busy {
        /// The limit, in words.
        what: String,
    },
    /// The session has ended or never existed.
    #[error("the session is unknown; register again")]
    UnknownSession,
    /// The worker's trainer would give other results.
    #[error("trainer semantics {found}, but this coordinator needs {expected}: use a worker of the same version")]
    Semantics {
        /// The version of the worker.
        found: u32,
        /// The version of the coordinator.
        expected: u32,
    },
    /// The worker has another major version.
    #[error("this coordinator has version {ours}, the worker {found}: use a worker of the same major version")]
    Version {
        /// The version of the worker.
        found: String,
        /// The version of the coordinator.
        ours: &'static str,
    },
    /// A commit failed, or the coordinator is starting or stopping. The caller can retry.
    #[error("the coordinator cannot commit now: try again")]
    Unavailable,
    /// The store cannot be written at present. The caller can retry later.
    #[error("the coordinator cannot commit now: {why}")]
    Troubled {
        /// The cause.
        why: String,
    },
    /// A read from the store failed.
    #[error("the store failed")]
    Store(#[from] store::Error),
    /// An inconsistency inside the coordinator.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Whether the same request always fails in the same way, because the error is the caller's.
    pub(crate) const fn is_callers(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::Spec(_)
            | Self::NotAnExtension { .. }
            | Self::Configuration(_)
            | Self::Refused(_)
            | Self::NotFound { .. }
            | Self::Ended { .. }
            | Self::StillRuns { .. }
            | Self::NotYours { .. }
            | Self::Cancelled { .. }
            | Self::OtherSemantics { .. }
            | Self::NameHeld(_)
            | Self::TooMany { .. }
            | Self::UnknownSession
            | Self::Semantics { .. }
            | Self::Version { .. } => true,
            Self::Unavailable
            | Self::Busy { .. }
            | Self::Held { .. }
            | Self::Troubled { .. }
            | Self::Store(_)
            | Self::Internal(_) => false,
        }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }
}

fn not_yours(sweep: SweepId, submitter: &str) -> String {
    let whose = match submitter {
        "" => "its submitter is not known".to_owned(),
        name => format!("`{name}` submitted it"),
    };
    format!("sweep {sweep} cannot be deleted with this token: {whose}; use that token or one with the role admin")
}
