//! What whole-system tests and benchmarks share: a worker that trains nothing, a trainer that follows a script, a fleet of
//! real processes, the chaos that befalls it, and a proxy that stands in the way.

pub mod bench;
pub mod chaos;
pub mod fleet;
pub mod hostile;
pub mod proxy;
pub mod random;
pub mod scripted;
