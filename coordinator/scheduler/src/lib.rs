//! The one state machine of sweeps, trials, attempts, leases and workers. Pure: no async, no IO, no clock, no random
//! numbers, no globals. Time is an argument, effects are values, and one driver carries them out.
//!
//! What may not enter: anything that waits, anything that a store or a network knows.

pub mod effect;
pub mod event;
pub mod id;
pub mod snapshot;
