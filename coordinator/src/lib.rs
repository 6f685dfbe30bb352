//! The coordinator: expands sweeps to trials, shards them across workers, keeps every metric in the store, and answers
//! what the study was for. A program of its own, or embedded in another process by [`start`].

mod about;
pub mod access;
mod backup;
pub mod clock;
pub mod config;
pub mod convert;
pub mod engine;
pub mod grpc;
pub mod health;
pub mod leading;
pub mod listen;
pub mod metrics;
pub mod offline;
pub mod program;
pub mod reproduction;
pub mod restore;
pub mod server;
pub mod store;
pub mod streams;
pub mod untrusted;
pub mod web;

pub use config::{Args, Config};
pub use program::main_with;
pub use server::{Handle, start, start_at};

/// Milliseconds since 1970 by this machine's clock, for people and the store; never for decisions of the scheduler.
pub(crate) fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors already say what caused them.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
