//! How attempts, rounds and sweeps end. Data without behaviour; `completion` decides.

use sweep_spec::{Digest, FailureClass, Outcome};

/// How an attempt ended, as its worker or the scheduler reports it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Succeeded {
        /// Whether it converged.
        outcome: Outcome,
        /// The content of the data that it was trained on.
        data_digest: Digest,
    },
    Failed {
        class: FailureClass,
        /// One sentence for users.
        reason: String,
    },
    /// It was stopped, or its worker leaves. This counts as no failure.
    Stopped,
    /// Its worker was not heard of until the deadline, or came back without it.
    Lost,
}

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
        /// The class of the last failure.
        class: FailureClass,
        /// One sentence for users.
        reason: String,
    },
    /// No sweep needs it any more.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SweepEnd {
    /// Every trial succeeded.
    Succeeded,
    /// Some trial or stage failed.
    Failed {
        /// One sentence for users.
        reason: String,
    },
    /// By a user.
    Cancelled,
    /// By a rule, before every trial had ended.
    Stopped {
        /// One sentence for users.
        reason: String,
    },
}
