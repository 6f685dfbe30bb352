//! Whole systems of real processes, with trainers that misbehave, and faults that befall all of them.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod behaviours;
mod disk;
mod endings;
mod env;
mod links;
mod names;
mod small;
