//! What trials cost: the cost model and its measurements, the trials of stages that are not open yet, and the seeds that fit
//! a budget. Code in this folder may not use the owner task, a handle or a live sweep.

pub(crate) mod model;
pub(crate) mod pending_stages;
pub(crate) mod trim_seeds;
