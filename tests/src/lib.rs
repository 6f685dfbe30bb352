//! Shared parts of whole-system tests and benchmarks: a worker that trains nothing, a trainer that follows a script, a
//! fleet of real processes, faults for it, and a proxy that disturbs connections.

pub mod bench;
pub mod chaos;
pub mod fleet;
pub mod hostile;
pub mod proxy;
pub mod random;
pub mod scripted;
