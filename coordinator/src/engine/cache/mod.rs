//! Bounded caches of plans, summaries and analyses, and the lock that computes each of them once for all concurrent
//! callers.
//!
//! Code in this folder may not read the store or use a handle: `query/` fills these caches.

pub(in crate::engine) mod analyses;
pub(in crate::engine) mod plans;
pub(in crate::engine) mod single_flight;
pub(in crate::engine) mod summaries;
