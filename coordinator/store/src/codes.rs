//! The small numbers that stand for states and classes in the tables. They are never renumbered.

use sweep_scheduler::event::{Service, Until};
use sweep_spec::{FailureClass, Outcome, TrialId};

use super::Error;

/// The actor in the audit log of what the coordinator does on its own.
pub const COORDINATOR: &str = "coordinator";

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

code! {
    /// What an artifact is.
    ArtifactKind {
        /// A sheet of validation images, as PNG.
        Thumbnails = 1,
        /// The last lines that a trainer wrote to stderr in one attempt.
        Log = 2,
        /// A network's weights.
        Weights = 3,
    }
}

impl ArtifactKind {
    /// As people and programs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thumbnails => "thumbnails",
            Self::Log => "log",
            Self::Weights => "weights",
        }
    }
}

code! {
    /// What somebody did, or what happened.
    AuditAction {
        /// A sweep was submitted.
        Submitted = 1,
        /// A sweep was paused.
        Paused = 2,
        /// A paused sweep goes on.
        Resumed = 3,
        /// A sweep got another priority.
        PriorityChanged = 4,
        /// A sweep was cancelled.
        Cancelled = 5,
        /// What failed of a sweep runs again.
        Retried = 6,
        /// A worker gets nothing new, by somebody's word.
        WorkerDraining = 7,
        /// A worker hands back what it runs, by somebody's word.
        WorkerLeaving = 8,
        /// A worker gets nothing, for a reason.
        WorkerSuspended = 9,
        /// A worker is in service again.
        WorkerReturned = 10,
        /// An attempt goes on in a new session of its worker.
        AttemptAdopted = 11,
        /// An attempt that had expired goes on.
        AttemptRevived = 12,
        /// A sweep's data are settled.
        DataPinned = 13,
        /// A stage chose.
        StageDecided = 14,
        /// A coordinator took up the store.
        CoordinatorStarted = 15,
        /// Somebody chose to go on without what was damaged.
        LossAccepted = 16,
        /// A trial is not tried again, because it killed its workers.
        Quarantined = 17,
        /// Somebody made a token.
        TokenCreated = 18,
        /// Somebody revoked one.
        TokenRevoked = 19,
        /// A sweep that ended keeps some weights and removes the others.
        WeightsKept = 20,
        /// The rest of a sweep is held back, because its first trials failed alike.
        HeldBack = 21,
        /// A trial succeeded, and the rest of its sweep goes on.
        Released = 22,
        /// A sweep was deleted.
        Deleted = 30,
        /// What nothing refers to was removed.
        Collected = 31,
        /// A backup of the store was begun.
        BackedUp = 32,
        /// A round began. Read from the rounds, never written as a row of the audit log, as all that follow.
        RoundOpened = 100,
        /// An attempt was assigned to a slot.
        AttemptAssigned = 101,
        /// An attempt ended.
        AttemptEnded = 102,
        /// A round ended.
        RoundEnded = 103,
        /// A sweep ended.
        SweepEnded = 104,
    }
}

impl AuditAction {
    /// Whether it is an edge that rounds, attempts or sweeps keep: then no row of the audit log says it again.
    pub const fn is_kept_elsewhere(self) -> bool {
        self.code() >= 100
    }

    /// For people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::PriorityChanged => "priority_changed",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::WorkerDraining => "worker_draining",
            Self::WorkerLeaving => "worker_leaving",
            Self::WorkerSuspended => "worker_suspended",
            Self::WorkerReturned => "worker_returned",
            Self::AttemptAdopted => "attempt_adopted",
            Self::AttemptRevived => "attempt_revived",
            Self::DataPinned => "data_pinned",
            Self::StageDecided => "stage_decided",
            Self::CoordinatorStarted => "coordinator_started",
            Self::LossAccepted => "loss_accepted",
            Self::Quarantined => "quarantined",
            Self::TokenCreated => "token_created",
            Self::TokenRevoked => "token_revoked",
            Self::WeightsKept => "weights_kept",
            Self::HeldBack => "held_back",
            Self::Released => "released",
            Self::Deleted => "deleted",
            Self::Collected => "collected",
            Self::BackedUp => "backed_up",
            Self::RoundOpened => "round_opened",
            Self::AttemptAssigned => "attempt_assigned",
            Self::AttemptEnded => "attempt_ended",
            Self::RoundEnded => "round_ended",
            Self::SweepEnded => "sweep_ended",
        }
    }
}

/// Whether a worker is given trials, as the tables have it: a number, and the reason of a suspension.
pub fn service_code(service: &Service) -> (i64, &str) {
    match service {
        Service::Active => (0, ""),
        Service::Draining => (1, ""),
        Service::Leaving => (2, ""),
        Service::Suspended { reason, until: Until::Return } => (3, reason),
        Service::Suspended { reason, until: Until::Restart } => (4, reason),
        Service::Suspended { reason, until: Until::Replacement } => (5, reason),
    }
}

/// Whether a worker is given trials, from the tables. Releases before the eighth layout wrote 3 for every suspension; of
/// those, the ones by the coordinator's own word end with a restart.
///
/// # Errors
/// The number stands for nothing.
pub fn service_of(code: i64, reason: String, actor: &str) -> Result<Service, Error> {
    let until = match code {
        0 => return Ok(Service::Active),
        1 => return Ok(Service::Draining),
        2 => return Ok(Service::Leaving),
        3 if actor != COORDINATOR => Until::Return,
        3 | 4 => Until::Restart,
        5 => Until::Replacement,
        _ => return Err(Error::damaged(format!("service {code}"))),
    };
    Ok(Service::Suspended { reason, until })
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

/// Trials whose ids stand one behind the other.
pub(crate) fn canaries_of(bytes: &[u8]) -> Result<Vec<TrialId>, Error> {
    let (ids, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Error::damaged(format!("{} bytes are no ids of trials", bytes.len())));
    }
    Ok(ids.iter().map(|id| TrialId::from_bytes(*id)).collect())
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
        let suspended = |until| Service::Suspended { reason: "it fails".into(), until };
        let suspensions = [Until::Return, Until::Restart, Until::Replacement].map(suspended);
        for service in [Service::Active, Service::Draining, Service::Leaving].into_iter().chain(suspensions) {
            let (code, reason) = service_code(&service);
            assert_eq!(service_of(code, reason.to_owned(), "ann").unwrap(), service);
        }
        let by_itself = service_of(3, "it fails".into(), COORDINATOR).unwrap();
        assert_eq!(by_itself, suspended(Until::Restart), "as an earlier release wrote it");
        assert!(AuditAction::of(0).is_err() && service_of(6, String::new(), "ann").is_err());
        assert!(StageState::of(4).is_err() && RoundState::of(-1).is_err() && class_of(0).is_err());
    }
}
