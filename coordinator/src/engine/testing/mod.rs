//! For tests: a driver that a test runs step by step, a store with a large sweep, and tests that need a whole engine.

pub(in crate::engine) mod driver;
mod large_store;
mod last_polls;
mod reading_permits;
