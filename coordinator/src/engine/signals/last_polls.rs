//! When workers polled last, for polls that the owner task has not processed yet. The handle notes the time as a poll arrives,
//! so a slow commit or a long queue makes no worker look silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sweep_scheduler::SessionId;

/// Shared by the handle, which records polls, and the owner task, which takes them. It has one time per session.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastPolls(Arc<Mutex<HashMap<SessionId, Instant>>>);

impl LastPolls {
    /// Records a poll of this session.
    pub(crate) fn note(&self, session: SessionId, at: Instant) {
        // A panic elsewhere leaves a valid map, so poisoning is ignored.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session, at);
    }

    /// The polls since the last call.
    pub(crate) fn take(&self) -> HashMap<SessionId, Instant> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
