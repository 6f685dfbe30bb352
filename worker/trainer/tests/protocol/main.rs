//! Tests of the program from the agent's side: lines in, lines out, exit and resume.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod conversation;
mod killed;
mod stopped;
mod trainer;
