//! The engine's memory of a live sweep beside the scheduler: its plan, configurations and trials, its budget, and its
//! progress. A restart rebuilds all of it from the store.
//!
//! Code in this folder may not use the owner task or a handle.

pub(in crate::engine) mod attempt;
pub(in crate::engine) mod budget;
pub(in crate::engine) mod from_store;
pub(in crate::engine) mod progress;
pub(in crate::engine) mod sweep;
