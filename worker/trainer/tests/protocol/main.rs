//! The program as an agent sees it: lines in, lines out, how it leaves, and how it comes back.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod conversation;
mod killed;
mod stopped;
mod trainer;
