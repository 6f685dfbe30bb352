//! Where the engine reads the time that its decisions, leases and costs rest on: one clock a coordinator, passed by value. The
//! machine's own in production; in tests one that a test advances, so that what a trial cost does not depend on how busy
//! the machine is.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::unix_ms;

/// A clock. Clones of one show the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock(Kind);

#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Machine,
    Manual(Manual),
}

/// A clock that shows one time until it is advanced.
#[derive(Debug, Clone)]
pub struct Manual {
    begun: Instant,
    begun_unix_ms: i64,
    passed: watch::Sender<Duration>,
}

impl Manual {
    /// One that begins with the machine's present time.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now(), begun_unix_ms: unix_ms(), passed: watch::Sender::new(Duration::ZERO) }
    }

    /// Lets time pass; what waits for a moment that has come by then goes on.
    pub fn advance(&self, by: Duration) {
        self.passed.send_modify(|passed| *passed = passed.saturating_add(by));
    }

    fn passed(&self) -> Duration {
        *self.passed.borrow()
    }
}

impl From<Manual> for Clock {
    fn from(manual: Manual) -> Self {
        Self(Kind::Manual(manual))
    }
}

impl Clock {
    /// Now, for durations and deadlines.
    pub(crate) fn now(&self) -> Instant {
        match &self.0 {
            Kind::Machine => Instant::now(),
            Kind::Manual(manual) => manual.begun + manual.passed(),
        }
    }

    /// Milliseconds since 1970, for people and the store.
    pub(crate) fn unix_ms(&self) -> i64 {
        match &self.0 {
            Kind::Machine => unix_ms(),
            Kind::Manual(manual) => {
                let passed = i64::try_from(manual.passed().as_millis()).unwrap_or(i64::MAX);
                manual.begun_unix_ms.saturating_add(passed)
            }
        }
    }

    /// Returns when the clock shows `at`, or later.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        match &self.0 {
            Kind::Machine => tokio::time::sleep_until(at.into()).await,
            Kind::Manual(manual) => {
                let wait = at.saturating_duration_since(manual.begun);
                // The sender is in `self`, so it outlives the wait.
                let _ = manual.passed.subscribe().wait_for(|passed| *passed >= wait).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_stands_until_it_is_advanced() {
        let manual = Manual::begin();
        let clock = Clock::from(manual.clone());
        let (now, unix_ms) = (clock.now(), clock.unix_ms());
        let at = now + Duration::from_secs(3);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(at).await }
        });
        manual.advance(Duration::from_secs(2));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!((clock.now() - now, clock.unix_ms() - unix_ms), (Duration::from_secs(2), 2000));
        manual.advance(Duration::from_secs(1));
        waiting.await.unwrap();
        clock.sleep_until(now).await;
    }
}
