//! The clock of the engine, for leases, deadlines and costs. It is passed by value. In production it is the clock of the machine;
//! in tests it is manual, so that results do not depend on how busy the machine is.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::unix_ms;

/// A clock. All clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock(Kind);

#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Machine,
    Manual(Manual),
}

/// A clock that stops until a test advances it.
#[derive(Debug, Clone)]
pub struct Manual {
    begun: Instant,
    begun_unix_ms: i64,
    passed: watch::Sender<Duration>,
}

impl Manual {
    /// A manual clock that starts at the current time of the machine.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now(), begun_unix_ms: unix_ms(), passed: watch::Sender::new(Duration::ZERO) }
    }

    /// Advances the clock, and wakes every task whose deadline is reached.
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
    /// The monotonic time, for durations and deadlines.
    pub(crate) fn now(&self) -> Instant {
        match &self.0 {
            Kind::Machine => Instant::now(),
            Kind::Manual(manual) => manual.begun + manual.passed(),
        }
    }

    /// The wall-clock time in milliseconds since 1970, for display and the store.
    pub(crate) fn unix_ms(&self) -> i64 {
        match &self.0 {
            Kind::Machine => unix_ms(),
            Kind::Manual(manual) => {
                let passed = i64::try_from(manual.passed().as_millis()).unwrap_or(i64::MAX);
                manual.begun_unix_ms.saturating_add(passed)
            }
        }
    }

    /// Waits until the clock shows `at`.
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
    async fn a_manual_clock_stops_until_it_is_advanced() {
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
