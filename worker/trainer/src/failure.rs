//! The failure of a command: a class that names the responsible part, and a message for people.

use std::error::Error;

use sweep_spec::FailureClass;
use sweep_spec::trainer::Failed;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// The part that is responsible.
    pub class: FailureClass,
    /// A message for people.
    pub reason: String,
    /// The cause, for the log.
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
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

    /// Adds the cause to the end of the message.
    pub(crate) fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.reason = format!("{}: {source}", self.reason);
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn into_event(self) -> Failed {
        Failed { class: self.class, reason: self.reason }
    }
}

/// Why a command stopped early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It failed; the trainer can run the next one.
    Failed(Failure),
    /// The trainer was asked to exit, or its stdout is closed.
    Left,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
