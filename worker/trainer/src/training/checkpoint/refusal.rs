//! The reasons why a checkpoint is refused, each with its own message.

use std::io;

use sweep_spec::TRAINER_SEMANTICS;

use super::format::{VERSION, WITH_TEST};

/// Why a checkpoint is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it is not a checkpoint")]
    NoCheckpoint,
    #[error("it has {bytes} bytes, but a checkpoint of this trial has at most {limit}")]
    TooLong { bytes: u64, limit: u64 },
    #[error("it ends early")]
    EndsEarly,
    #[error("its digest does not match: it was truncated or changed after it was written")]
    Digest,
    #[error("its contents are invalid: {0}")]
    Contents(&'static str),
    #[error("it has format {0}, but this trainer reads format {VERSION}, or {WITH_TEST} for a trial with a holdout")]
    Version(u32),
    #[error("it belongs to trial {0}")]
    Trial(String),
    #[error("it has trainer semantics {0}, but this trainer has {TRAINER_SEMANTICS}")]
    Semantics(u32),
    #[error("it was written with instruction set {found:?}, but this machine has {here:?}: bits would differ")]
    InstructionSet { found: String, here: String },
    #[error("it was written with other images or another split")]
    Data,
    #[error("it lacks the weights to keep, or has them in the format of an earlier release")]
    Weights,
}

impl Refusal {
    /// Whether the file is damaged; otherwise it may be valid for another trial or machine.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Unreadable(_)
            | Self::NoCheckpoint
            | Self::TooLong { .. }
            | Self::EndsEarly
            | Self::Digest
            | Self::Contents(_) => true,
            Self::Version(_)
            | Self::Trial(_)
            | Self::Semantics(_)
            | Self::InstructionSet { .. }
            | Self::Data
            | Self::Weights => false,
        }
    }
}
