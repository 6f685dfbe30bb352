//! The small numbers that stand for states and classes in the tables. They are never renumbered.

use sweep_spec::{FailureClass, Outcome};

use super::Error;

macro_rules! code {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// As the tables have it.
            pub const fn code(self) -> i64 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// From the tables.
            ///
            /// # Errors
            /// The number stands for nothing.
            pub fn of(code: i64) -> Result<Self, Error> {
                match code {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(Error::damaged(format!(concat!(stringify!($name), " {}"), code))),
                }
            }
        }
    };
}

code! {
    /// Where a sweep stands.
    SweepState {
        /// Its rows are being written; nobody has been told of it.
        Preparing = 0,
        /// It has begun.
        Running = 1,
        /// Every trial succeeded.
        Succeeded = 2,
        /// It ended with failed trials or stages.
        Failed = 3,
        /// By somebody's word.
        Cancelled = 4,
    }
}

code! {
    /// Where a stage stands.
    StageState {
        /// Its trials are not known yet.
        Waiting = 0,
        /// Its trials are known.
        Open = 1,
        /// Its trials have ended.
        Ended = 2,
        /// It could not be opened.
        Failed = 3,
    }
}

code! {
    /// Where a round stands.
    RoundState {
        /// It goes on.
        Open = 0,
        /// With an accepted result.
        Succeeded = 1,
        /// Without one.
        Failed = 2,
        /// Nobody wanted it any more.
        Cancelled = 3,
    }
}

code! {
    /// Where an attempt stands.
    AttemptState {
        /// A worker runs it.
        Live = 0,
        /// It answered.
        Succeeded = 1,
        /// It did not.
        Failed = 2,
        /// It was told to stop.
        Stopped = 3,
        /// Its worker was lost.
        Expired = 4,
    }
}

impl AttemptState {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
        }
    }
}

/// An outcome as the tables have it.
pub const fn outcome_code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Converged => 1,
        Outcome::Diverged => 2,
    }
}

/// An outcome from the tables.
///
/// # Errors
/// The number stands for nothing.
pub fn outcome_of(code: i64) -> Result<Outcome, Error> {
    match code {
        1 => Ok(Outcome::Converged),
        2 => Ok(Outcome::Diverged),
        _ => Err(Error::damaged(format!("outcome {code}"))),
    }
}

/// A failure's class as the tables have it.
pub const fn class_code(class: FailureClass) -> i64 {
    match class {
        FailureClass::Spec => 1,
        FailureClass::Data => 2,
        FailureClass::OutOfMemory => 3,
        FailureClass::DeviceUnavailable => 4,
        FailureClass::DeviceLost => 5,
        FailureClass::Trainer => 6,
        FailureClass::Machine => 7,
        FailureClass::Coordinator => 8,
    }
}

/// A failure's class from the tables.
///
/// # Errors
/// The number stands for nothing.
pub fn class_of(code: i64) -> Result<FailureClass, Error> {
    let found = FailureClass::ALL.into_iter().find(|class| class_code(*class) == code);
    found.ok_or_else(|| Error::damaged(format!("failure class {code}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for class in FailureClass::ALL {
            assert_eq!(class_of(class_code(class)).unwrap(), class);
        }
        for outcome in [Outcome::Converged, Outcome::Diverged] {
            assert_eq!(outcome_of(outcome_code(outcome)).unwrap(), outcome);
        }
        for code in 0..5 {
            assert_eq!(SweepState::of(code).unwrap().code(), code);
            assert_eq!(AttemptState::of(code).unwrap().code(), code);
        }
        assert!(StageState::of(4).is_err() && RoundState::of(-1).is_err() && class_of(0).is_err());
    }
}
