//! Why a checkpoint is not taken, each with its own sentence.

use std::io;

use sweep_spec::TRAINER_SEMANTICS;

use super::format::{VERSION, WITH_TEST};

/// Why a checkpoint is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it is no checkpoint")]
    NoCheckpoint,
    #[error("it has {bytes} bytes, and a checkpoint of this trial has {limit} at most")]
    TooLong { bytes: u64, limit: u64 },
    #[error("it ends early")]
    EndsEarly,
    #[error("its digest is wrong: it was cut or changed after it was written")]
    Digest,
    #[error("its contents are wrong: {0}")]
    Contents(&'static str),
    #[error("it has format {0}, and this trainer reads format {VERSION}, or {WITH_TEST} of a trial with a holdout")]
    Version(u32),
    #[error("it is of trial {0}")]
    Trial(String),
    #[error("it has trainer semantics {0}, and this trainer has {TRAINER_SEMANTICS}")]
    Semantics(u32),
    #[error("it was made with instruction set {found:?}, and this machine has {here:?}: bits would differ")]
    InstructionSet { found: String, here: String },
    #[error("it was made with other images, or another split of them")]
    Data,
    #[error("it lacks the weights that are to be kept now, or has them in the form of an earlier release")]
    Weights,
}

impl Refusal {
    /// Whether the file is not what somebody wrote; otherwise it may be whole, and of use elsewhere.
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
