//! Errors of the engine.

use sweep_scheduler::SweepId;
use sweep_spec::Problems;
use sweep_store as store;

use crate::convert::Invalid;
use crate::engine::name_held::NameHeld;

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The message makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The spec is wrong.
    #[error("the spec is invalid")]
    Spec(Problems),
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// There is no such configuration, or several.
    #[error(transparent)]
    Configuration(#[from] sweep_analysis::resolve::NotFound),
    /// Two configurations cannot be compared.
    #[error(transparent)]
    Refused(#[from] sweep_analysis::analyse::Refused),
    /// Nothing can be done to a sweep that is over.
    #[error("sweep {sweep} has ended{how}")]
    Ended {
        /// Which.
        sweep: SweepId,
        /// `: it was cancelled at 2026-11-25 14:03 UTC`; empty where only the scheduler was asked.
        how: String,
    },
    /// Only a sweep that has ended can be deleted.
    #[error("sweep {sweep} has not ended: cancel it first (`sweepctl cancel {sweep}`)")]
    StillRuns {
        /// Which.
        sweep: SweepId,
    },
    /// Another user submitted it.
    #[error("{}", not_yours(*.sweep, .submitter))]
    NotYours {
        /// Which.
        sweep: SweepId,
        /// Who submitted it; empty where that is not known.
        submitter: String,
    },
    /// Its trials belong to another trainer semantics, which no worker of this release has.
    #[error(
        "the trials of sweep {sweep} need trainer semantics other than {}, the version of this release's workers: \
        submit the sweep again",
        sweep_spec::TRAINER_SEMANTICS
    )]
    OtherSemantics {
        /// Which.
        sweep: SweepId,
    },
    /// A cancelled sweep is not taken up again.
    #[error("sweep {sweep} was cancelled: submit it again; known results are reused")]
    Cancelled {
        /// Which.
        sweep: SweepId,
    },
    /// A sweep that is to go on from another one would lack some of its trials.
    #[error("this is not an extension of sweep {sweep}: {lost} of its {of} trials would be lost: {examples}; {hint}")]
    NotAnExtension {
        /// Of which.
        sweep: SweepId,
        /// How many.
        lost: usize,
        /// Of how many.
        of: usize,
        /// Some of them.
        examples: String,
        /// What is different, or what to do.
        hint: String,
    },
    /// Another live worker has the name.
    #[error("{0}")]
    NameHeld(Box<NameHeld>),
    /// Another token or certificate has opened the worker's session, which lives.
    #[error(
        "`{worker}` is connected with another token or certificate: try again when it has left or its lease has expired"
    )]
    Held {
        /// The name.
        worker: String,
    },
    /// There is no room for more.
    #[error("{what}")]
    TooMany {
        /// Of what, and how many there may be.
        what: String,
    },
    /// So many of its kind are under way that no more is begun.
    #[error("{what}; try again in a moment")]
    Busy {
        /// Of what, and how many there may be.
        what: String,
    },
    /// The session has ended or never was.
    #[error("the session is unknown; register again")]
    UnknownSession,
    /// The trainer would give other results.
    #[error("trainer semantics {found}, but this coordinator needs {expected}: use a worker of the same version")]
    Semantics {
        /// The worker's.
        found: u32,
        /// The coordinator's.
        expected: u32,
    },
    /// The worker is of another major version.
    #[error("this coordinator has version {ours}, the worker {found}: use a worker of the same major version")]
    Version {
        /// The worker's.
        found: String,
        /// The coordinator's.
        ours: &'static str,
    },
    /// A commit failed, or the coordinator is starting or leaving: the caller can retry.
    #[error("the coordinator cannot commit now: try again")]
    Unavailable,
    /// The store cannot be written now: the caller can retry later.
    #[error("the coordinator cannot commit now: {why}")]
    Troubled {
        /// Why not.
        why: String,
    },
    /// The store failed on a read.
    #[error("the store failed")]
    Store(#[from] store::Error),
    /// Something that cannot be was found.
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
