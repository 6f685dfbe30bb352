//! Small values that the owner task, the handles and the background tasks share: the last polls of workers, the changes of
//! sweeps, the health of the store, and the deletions that are due.
//!
//! Code in this folder may not know a command, the owner task or a handle.

pub(in crate::engine) mod deletions;
pub(in crate::engine) mod last_polls;
pub(in crate::engine) mod sweep_changes;
pub(in crate::engine) mod trouble;
