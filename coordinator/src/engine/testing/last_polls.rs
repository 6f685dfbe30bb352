//! A worker whose poll waits for the owner task is not expired.

use std::time::Duration;

use futures::FutureExt;
use sweep_scheduler::{Config, Event};

use crate::engine::messages::worker::Poll;
use crate::engine::testing::driver::TestDriver;

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
