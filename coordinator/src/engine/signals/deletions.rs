//! The wake-up of the task that removes deleted sweeps, and its progress.

use tokio::sync::{Notify, watch};

/// What the task that removes things waits for, and what others wait for.
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
