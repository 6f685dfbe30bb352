//! When a live sweep last made progress, and when it is expected to end.

use std::time::{Duration, Instant};

use sweep_analysis::cost::Prediction;

use crate::clock::Clock;

/// A forecast is computed again only after this many times the duration of its last computation. For a hundred thousand
/// trials it takes a while, during which the owner task answers nothing.
const REFRESH_FACTOR: u32 = 50;

/// The last progress of a live sweep.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) progress_ms: i64,
    pub(crate) started: Instant,
    pub(crate) end: Option<CachedForecast>,
}

/// A forecast, and when it was computed.
#[derive(Debug, Clone)]
pub(crate) struct CachedForecast {
    pub(crate) made: Instant,
    pub(crate) took: Duration,
    pub(crate) end: Option<Prediction>,
}

impl Progress {
    pub(crate) fn begun(clock: &Clock) -> Self {
        Self { progress_ms: clock.unix_ms(), started: clock.now(), end: None }
    }

    /// Records that an epoch was reported or a trial has ended.
    pub(crate) fn progressed(&mut self, unix_ms: i64) {
        self.progress_ms = unix_ms;
    }

    pub(crate) fn started(&mut self, now: Instant) {
        self.started = now;
    }
}

impl CachedForecast {
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) < self.took * REFRESH_FACTOR
    }

    /// The remaining time: the forecast minus the time since it was computed.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Prediction> {
        let passed = now.saturating_duration_since(self.made).as_secs_f64();
        let less = |seconds: f64| (seconds - passed).max(0.0);
        self.end.map(|end| Prediction { expected: less(end.expected), low: less(end.low), high: less(end.high) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_kept_for_a_while_and_counts_down() {
        let made = Instant::now();
        let end = Some(Prediction { expected: 60.0, low: 5.0, high: 100.0 });
        let kept = CachedForecast { made, took: Duration::from_secs(1), end };
        let later = made + Duration::from_secs(10);
        assert!(kept.is_fresh(later));
        assert_eq!(kept.remaining(later), Some(Prediction { expected: 50.0, low: 0.0, high: 90.0 }));
        assert!(!kept.is_fresh(made + Duration::from_secs(50)));
        assert_eq!(CachedForecast { end: None, ..kept }.remaining(later), None);
    }
}
