//! When workers were last heard of whose polls the owner task has not taken yet. The handle notes it the moment a poll comes
//! in, whatever waits before it, so that a slow commit or a long queue makes no worker look silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sweep_scheduler::SessionId;

/// Shared by the handle, which notes, and the owner task, which takes. It holds one moment a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<HashMap<SessionId, Instant>>>);

impl Heard {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use sweep_scheduler::{Config, Event};

    use super::super::command::Poll;
    use super::super::test_driver::TestDriver;

    #[tokio::test]
    async fn a_worker_whose_poll_waits_for_the_owner_task_is_not_expired() {
        let mut test = TestDriver::new().await;
        let lease = Duration::from_millis(Config::default().lease_ttl_ms);
        let (polls, silent) = (test.worker("polls", 1), test.worker("silent", 1));
        test.clock.advance(lease * 2 / 3);
        // The owner task is busy: the poll waits in the queue.
        let handle = test.handle.clone();
        let poll = Poll { session: polls, held: Vec::new(), draining: false, seen: 0 };
        let mut poll = std::pin::pin!(handle.poll(poll, Duration::from_secs(3_600)));
        assert!(poll.as_mut().now_or_never().is_none());
        test.clock.advance(lease * 2 / 3);
        test.driver.event(Event::Tick);
        let known = |test: &TestDriver| [polls, silent].map(|session| test.driver.scheduler.knows_session(session));
        assert_eq!(known(&test), [true, false], "one was heard of, the other was not");
        test.clock.advance(lease * 2 / 3);
        test.driver.event(Event::Tick);
        assert_eq!(known(&test), [false, false], "its lease counts from when the poll came in");
    }
}
