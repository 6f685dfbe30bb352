//! The behaviour of the scheduler, in short stories.

#![expect(clippy::wildcard_enum_match_arm, reason = "a story asks for one effect among all")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod budgets;
mod canaries;
mod cancels;
mod env;
mod faults;
mod known;
mod names;
mod people;
mod pins;
mod pools;
mod shares;
#[path = "../../simulation/mod.rs"]
mod simulation;
mod stories;
