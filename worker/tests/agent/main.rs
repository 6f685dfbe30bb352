//! Tests of the agent between a scripted trainer and a test coordinator.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what tests share is a test too")]

mod coordinator;
mod env;
mod leaving;
mod links;
mod restarts;
mod secrets;
mod trainers;
mod trials;
