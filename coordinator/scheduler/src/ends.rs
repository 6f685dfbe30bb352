//! How attempts, rounds and sweeps end. Data without behaviour; `completion` decides.

use sweep_spec::{Digest, FailureClass, Outcome};

/// How an attempt ended, by the worker's word or by the scheduler's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It answered the question.
    Succeeded {
        /// Whether it converged.
        outcome: Outcome,
        /// The content of the data that it was trained on.
        data_digest: Digest,
    },
    /// It did not.
    Failed {
        /// Whose fault.
        class: FailureClass,
        /// One sentence for people.
        reason: String,
    },
    /// It was told to stop, or its worker leaves: nobody's fault.
    Stopped,
    /// Its worker was not heard of until the deadline, or came back without it.
    Lost,
}

/// How a round ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RoundEnd {
    /// With an accepted result.
    Succeeded {
        /// The attempt that was accepted.
        attempt: u32,
        /// Whether it converged.
        outcome: Outcome,
    },
    /// Without, and no further try would help or is allowed.
    Failed {
        /// Whose fault the last failure was.
        class: FailureClass,
        /// One sentence for people.
        reason: String,
    },
    /// Nobody wanted it any more.
    Cancelled,
}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq)]
pub enum SweepEnd {
    /// Every trial succeeded.
    Succeeded,
    /// Some trial or stage failed.
    Failed {
        /// One sentence for people.
        reason: String,
    },
    /// By somebody's word.
    Cancelled,
    /// By a rule, before every trial had ended.
    Stopped {
        /// One sentence for people.
        reason: String,
    },
}
