//! What whole-system tests and benchmarks share: a worker that trains nothing, and a coordinator in its own process.

pub mod bench;
