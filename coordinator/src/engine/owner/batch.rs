//! What has happened since the last commit began: the rows to write, and what to say once they are on disk.

use std::collections::BTreeSet;

use sweep_scheduler::{SessionId, SweepId};
use sweep_store::write::Commit;

use crate::engine::error::Error;
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::reply::Reply;

/// Something to say after a commit, or to take back if it fails.
pub(crate) type Saying = Box<dyn FnOnce(bool) + Send>;

#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) commit: Commit,
    pub(crate) sayings: Vec<Saying>,
    /// Sessions whose parked polls may have an answer.
    pub(crate) wake: BTreeSet<SessionId>,
    /// What results have to decide.
    pub(crate) decide: Vec<FollowUp>,
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

    /// Answers with `value` once everything that was decided before is on disk.
    pub(crate) fn say<T: Send + 'static>(&mut self, reply: Reply<T>, value: Result<T, Error>) {
        self.sayings.push(Box::new(move |committed| {
            // Nobody may be listening any more; what was decided stands all the same.
            let _ = reply.send(if committed { value } else { Err(Error::Unavailable) });
        }));
    }
}
