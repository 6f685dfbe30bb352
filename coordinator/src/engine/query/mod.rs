//! Queries that a handle answers from the store, the caches and the owner task's memory: status, summaries, analyses,
//! reports, estimates.
//!
//! Code in this folder changes nothing: no submission, no decision, no deletion.

pub(in crate::engine) mod analysis;
pub(in crate::engine) mod capacity;
pub(in crate::engine) mod estimate;
pub(in crate::engine) mod noise_floor;
pub(in crate::engine) mod plans;
pub(in crate::engine) mod predictions;
pub(in crate::engine) mod report;
pub(in crate::engine) mod reproductions;
pub(in crate::engine) mod status;
pub(in crate::engine) mod study;
pub(in crate::engine) mod summary;
pub(in crate::engine) mod weights;
