//! Tasks that run beside the owner task: they choose the winner of a stage, add seeds, choose which weights stay, and remove
//! deleted sweeps.
//!
//! Code in this folder may use `query/` and `submission/`. It reaches the owner task only through commands.

pub(in crate::engine) mod adaptive_seeds;
pub(in crate::engine) mod deletion;
pub(in crate::engine) mod follow_ups;
pub(in crate::engine) mod open_stages;
pub(in crate::engine) mod stage_winner;
pub(in crate::engine) mod weights;
