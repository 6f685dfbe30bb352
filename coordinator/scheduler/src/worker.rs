//! A worker as others see it: which process it is, its slots, and whether it gets trials. Data without behaviour.

/// Tells apart workers of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instance {
    /// A number of its state folder: the same after a restart.
    pub folder: u64,
    /// A number of its process; 0 if unknown.
    pub process: u64,
}

/// Whether a worker is given trials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Service {
    #[default]
    Active,
    /// A user drains it: it gets no new trials, finishes its running ones, and leaves.
    Draining,
    /// A user sends it away: it hands its running trials back, and leaves.
    Leaving,
    /// It gets no trials until the suspension ends.
    Suspended {
        /// One sentence for users.
        reason: String,
        until: Until,
    },
}

/// The event that ends a suspension, besides a user's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A new process of the worker.
    Restart,
    /// A worker of the same name with another state folder, usually on another machine.
    Replacement,
    /// Only a user's command.
    Return,
}

/// A place where one trial can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Memory that a trial may use there; `None` where it is not known, and then everything fits.
    pub memory_bytes: Option<u64>,
}
