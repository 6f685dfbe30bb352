//! The coordinator: expands sweeps to trials, distributes them to workers, keeps every metric in the store, and
//! analyses the results. It is a separate program, or is embedded in another process by [`start`].

pub mod access;
mod backup;
pub mod clock;
pub mod config;
pub mod convert;
pub mod engine;
pub mod grpc;
pub mod health;
pub mod leadership;
pub mod listen;
pub mod metrics;
pub mod offline;
pub mod program;
pub mod reproduction;
pub mod restore;
pub mod role;
pub mod server;
pub mod service;
pub mod services;
pub mod untrusted;
pub mod web;

pub use config::{Args, Config};
pub use program::main_with;
pub use server::{Handle, start, start_at};
pub use sweep_store as store;
pub use sweep_store::chain;

pub(crate) use sweep_store::unix_ms;
