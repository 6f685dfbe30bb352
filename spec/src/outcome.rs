//! How an attempt or a trial can end, structured: whose fault, and whether another try can help.

use serde::{Deserialize, Serialize};

/// The outcome of a trial that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every loss was finite.
    Converged,
    /// A loss was not finite; the epochs before it are kept. A result, never retried.
    Diverged,
}

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The spec is impossible: it would fail on every machine.
    Spec,
    /// The data are missing or damaged, or differ from the spec.
    Data,
    /// The device or the machine had too little memory.
    OutOfMemory,
    /// There is no such device here, or no driver for it.
    DeviceUnavailable,
    /// The device went away in the middle.
    DeviceLost,
    /// The trainer crashed, hung or broke its protocol.
    Trainer,
    /// The machine or the agent on it went away.
    Machine,
    /// The coordinator's own fault.
    Coordinator,
}

impl FailureClass {
    /// Every class, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Spec,
        Self::Data,
        Self::OutOfMemory,
        Self::DeviceUnavailable,
        Self::DeviceLost,
        Self::Trainer,
        Self::Machine,
        Self::Coordinator,
    ];

    /// The class as messages, tables and metric labels write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Data => "data",
            Self::OutOfMemory => "out_of_memory",
            Self::DeviceUnavailable => "device_unavailable",
            Self::DeviceLost => "device_lost",
            Self::Trainer => "trainer",
            Self::Machine => "machine",
            Self::Coordinator => "coordinator",
        }
    }

    /// Whether another attempt, perhaps elsewhere, may end otherwise.
    pub const fn may_be_retried(self) -> bool {
        match self {
            Self::Spec => false,
            Self::Data
            | Self::OutOfMemory
            | Self::DeviceUnavailable
            | Self::DeviceLost
            | Self::Trainer
            | Self::Machine
            | Self::Coordinator => true,
        }
    }
}
