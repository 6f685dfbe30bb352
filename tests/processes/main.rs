//! Whole systems of real processes: a coordinator, workers, trainers, and the command line, all of them one binary.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![expect(clippy::print_stderr, reason = "logs of a failed test are for the person who reads it")]

mod doctor;
mod env;
mod faults;
mod hostile;
#[expect(unreachable_pub, reason = "it is part of a library too")]
#[path = "../src/hostile/mod.rs"]
mod hostile_bytes;
mod leading;
mod local;
mod local_store;
mod main_job;
mod private;
#[expect(unreachable_pub, dead_code, reason = "it is part of a library too")]
#[path = "../src/random.rs"]
mod random;
mod refusals;
mod two_machines;
mod unreadable;
mod upkeep;
