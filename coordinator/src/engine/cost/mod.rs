//! Costs of trials: the cost model and its measurements, the trials of stages that are not open yet, and the seeds that
//! fit a budget.
//!
//! Code in this folder may not use the owner task, a handle or a live sweep.

pub(in crate::engine) mod model;
pub(in crate::engine) mod pending_stages;
pub(in crate::engine) mod sweep_cost;
pub(in crate::engine) mod trim_seeds;
