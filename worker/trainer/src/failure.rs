//! How a command ends badly: a class that says whose fault it was, and one sentence for people.

use std::error::Error;

use sweep_spec::FailureClass;
use sweep_spec::trainer::Failed;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Whose fault it was.
    pub class: FailureClass,
    /// One sentence for people.
    pub reason: String,
    /// What lies behind it, for the log.
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of `class`, for `reason`.
    pub fn new(class: FailureClass, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), source: None }
    }

    pub(crate) fn spec(reason: impl Into<String>) -> Self {
        Self::new(FailureClass::Spec, reason)
    }

    pub(crate) fn data(reason: impl Into<String>) -> Self {
        Self::new(FailureClass::Data, reason)
    }

    pub(crate) fn machine(reason: impl Into<String>) -> Self {
        Self::new(FailureClass::Machine, reason)
    }

    /// The same failure, with what lies behind it told at the end of the sentence.
    pub(crate) fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.reason = format!("{}: {source}", self.reason);
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn into_event(self) -> Failed {
        Failed { class: self.class, reason: self.reason }
    }
}

/// Why a command stopped before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It failed; the trainer is ready for the next one.
    Failed(Failure),
    /// The trainer was asked to leave, or nobody listens any more.
    Left,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
