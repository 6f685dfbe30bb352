//! Complete systems of real processes, with misbehaving trainers and with faults of machines and networks.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod behaviours;
mod disk;
mod endings;
mod env;
mod links;
mod names;
mod small;
