//! The worker agent: it polls the coordinator, owns slots, runs a trainer on each, and keeps unreported results. It
//! implements two protocols, the coordinator's and the trainer's, and contains neither models nor a database.
//!
//! One task, the agent, owns all state. One task per slot owns its trainer, and one task describes data sets. They use
//! bounded queues; when one is full, the trainer waits.

mod agent;
mod artifact;
mod calls;
mod checkpoints;
mod cli;
mod clock;
pub mod config;
pub mod credentials;
mod describer;
mod descriptors;
pub mod devices;
pub mod environment;
mod error;
mod files;
mod gpu;
mod hardening;
mod http;
mod lines;
mod log_tail;
mod machine;
pub mod metrics;
mod outbox;
mod protocol;
mod slot;
mod spawner;
mod start;
mod state_key;
pub mod trainer;
mod trainer_process;
pub mod untrusted;
mod version;
mod wire;

pub use cli::{Args, main_with};
pub use config::Config;
pub use error::Error;
pub use start::{Handle, cache, folders, run, slots, start};

/// How a worker ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A signal or the embedding program stopped it.
    Stopped,
    /// It was drained.
    Drained,
}
