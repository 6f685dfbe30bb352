//! Messages between the handles, the owner task and the background tasks.
//!
//! Data only: code in this folder may not act on a message, and may not use the owner task or a handle.

pub(in crate::engine) mod capacity;
pub(in crate::engine) mod command;
pub(in crate::engine) mod follow_up;
pub(in crate::engine) mod submission;
pub(in crate::engine) mod views;
pub(in crate::engine) mod worker;
