//! When workers polled last, for polls that the owner task has not processed yet. The handle notes the time as a poll arrives,
//! so a slow commit or a long queue makes no worker look silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sweep_scheduler::SessionId;

/// Shared by the handle, which notes, and the owner task, which takes. It holds one moment a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastPolls(Arc<Mutex<HashMap<SessionId, Instant>>>);

impl LastPolls {
    /// A poll of this session came in.
    pub(crate) fn note(&self, session: SessionId, at: Instant) {
        // A panic elsewhere leaves a map of moments as good as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session, at);
    }

    /// What was noted since this was asked last.
    pub(crate) fn take(&self) -> HashMap<SessionId, Instant> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
