//! The owner task: the one task that owns the scheduler and the live sweeps, and that writes their changes to the store.
//!
//! Code in this folder may not read the trials of a sweep, wait for a handle, or run a long computation: every answer of the
//! coordinator waits for this task.

pub(in crate::engine) mod batch;
pub(in crate::engine) mod budget;
pub(in crate::engine) mod capacity;
pub(in crate::engine) mod commands;
pub(in crate::engine) mod driver;
pub(in crate::engine) mod effects;
pub(in crate::engine) mod forecast;
pub(in crate::engine) mod journal;
pub(in crate::engine) mod live;
pub(in crate::engine) mod observe;
pub(in crate::engine) mod operations;
pub(in crate::engine) mod poll;
pub(in crate::engine) mod progress;
pub(in crate::engine) mod restore;
pub(in crate::engine) mod views;
pub(in crate::engine) mod worker_names;
