//! A worker as others see it: which process it is, its slots, and whether it gets trials. Data without behaviour.

/// Which worker it is, beyond its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instance {
    /// Of its state folder: the same after a restart.
    pub folder: u64,
    /// Of its process; 0 where it does not say.
    pub process: u64,
}

/// Whether a worker is given trials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Service {
    /// It is.
    #[default]
    Active,
    /// By somebody's word it gets nothing new, finishes what it runs, and leaves.
    Draining,
    /// By somebody's word it hands back what it runs, and leaves.
    Leaving,
    /// It gets nothing for now.
    Suspended {
        /// Why, as one sentence.
        reason: String,
        /// What ends it.
        until: Until,
    },
}

/// What ends a suspension, beside the word of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A new process of the worker.
    Restart,
    /// A worker of the same name with another state folder: another machine, as a rule.
    Replacement,
    /// Nothing else: a person said so.
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
