//! Whole systems of real processes: a coordinator, workers, trainers, and the command line, all of them one binary.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![expect(clippy::print_stderr, reason = "logs of a failed test are for the person who reads it")]

mod env;
mod faults;
mod leading;
mod local;
mod main_job;
#[path = "../../coordinator/tests/postgres_server/mod.rs"]
mod postgres_server;
mod refusals;
