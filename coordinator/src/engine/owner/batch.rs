//! The changes since the last commit began: the rows to write, and the answers to send after the commit.

use std::collections::BTreeSet;

use sweep_scheduler::{SessionId, SweepId};
use sweep_store::write::Commit;

use crate::engine::error::Error;
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::reply::Reply;

/// An answer to send after a commit; `false` if the commit failed.
pub(crate) type Saying = Box<dyn FnOnce(bool) + Send>;

#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) commit: Commit,
    pub(crate) sayings: Vec<Saying>,
    /// Sessions whose parked polls may get an answer.
    pub(crate) wake: BTreeSet<SessionId>,
    /// Work for the background task after the commit.
    pub(crate) follow_ups: Vec<FollowUp>,
    /// Sweeps whose status has changed.
    pub(crate) changed: BTreeSet<SweepId>,
}

impl Batch {
    pub(crate) fn numbered(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commit.rows() == 0 && self.sayings.is_empty() && self.wake.is_empty()
    }

    /// Answers with `value` after all earlier changes are committed.
    pub(crate) fn say<T: Send + 'static>(&mut self, reply: Reply<T>, value: Result<T, Error>) {
        self.sayings.push(Box::new(move |committed| {
            // The caller may have disconnected; the decision remains valid.
            let _ = reply.send(if committed { value } else { Err(Error::Unavailable) });
        }));
    }
}
