//! Sweeps that enter the engine: submitting and extending a spec, expanding its plan into rows, retrying failed trials,
//! reproducing one trial. The long work runs here; the owner task then begins the sweep in one commit.
//!
//! Code in this folder may use `query/`, and may not use the owner task's memory.

pub(in crate::engine) mod expansion;
pub(in crate::engine) mod extension;
pub(in crate::engine) mod reproduce;
pub(in crate::engine) mod retry;
pub(in crate::engine) mod submit;
