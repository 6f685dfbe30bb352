//! The wake-up of the task that removes deleted sweeps, and its progress.

use tokio::sync::{Notify, watch};

/// Wakes the task that removes deleted sweeps (`due`), and the callers that wait for it (`progress`).
#[derive(Debug)]
pub(in crate::engine) struct Deletions {
    pub(in crate::engine) due: Notify,
    pub(in crate::engine) progress: watch::Sender<u64>,
}

impl Default for Deletions {
    fn default() -> Self {
        Self { due: Notify::new(), progress: watch::Sender::new(0) }
    }
}
