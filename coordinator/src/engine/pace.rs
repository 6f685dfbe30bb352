//! How live sweeps come on: when something of each happened last, how long it has waited for a slot, when it is expected
//! to end. Of this memory alone: a restart begins to count anew.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sweep_analysis::cost::Prediction;
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;

use super::command::PaceGauges;
use super::driver::Driver;
use crate::clock::Clock;

/// When a sweep is expected to end is made anew only when this many times what making it took has passed: of a hundred
/// thousand trials it takes a while, and everybody waits meanwhile.
const PATIENCE: u32 = 50;

/// When something of a live sweep happened last.
#[derive(Debug)]
pub(crate) struct Pace {
    progress_ms: i64,
    started: Instant,
    end: Option<KeptEnd>,
}

/// An expectation and when it was made.
#[derive(Debug, Clone)]
struct KeptEnd {
    made: Instant,
    took: Duration,
    end: Option<Prediction>,
}

impl Pace {
    pub(crate) fn begun(clock: &Clock) -> Self {
        Self { progress_ms: clock.unix_ms(), started: clock.now(), end: None }
    }

    /// It took an epoch's numbers, or the end of a trial.
    pub(crate) fn progressed(&mut self, unix_ms: i64) {
        self.progress_ms = unix_ms;
    }

    fn started(&mut self, now: Instant) {
        self.started = now;
    }
}

impl KeptEnd {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) < self.took * PATIENCE
    }

    /// The rest of it: what has passed since is no longer to come.
    fn remaining(&self, now: Instant) -> Option<Prediction> {
        let passed = now.saturating_duration_since(self.made).as_secs_f64();
        let less = |seconds: f64| (seconds - passed).max(0.0);
        self.end.map(|end| Prediction { expected: less(end.expected), low: less(end.low), high: less(end.high) })
    }
}

impl Driver {
    /// An attempt of a trial began.
    pub(crate) fn started(&mut self, trial: TrialId) {
        let sweeps = self.live.sweeps.values_mut().filter(|sweep| sweep.trials.contains_key(&trial));
        let now = self.parts.clock.now();
        sweeps.for_each(|sweep| sweep.pace.started(now));
    }

    /// Epochs of these trials were taken.
    pub(crate) fn progressed(&mut self, trials: &HashSet<TrialId>) {
        if trials.is_empty() {
            return;
        }
        for sweep in self.live.sweeps.values_mut() {
            if trials.iter().any(|trial| sweep.trials.contains_key(trial)) {
                sweep.pace.progressed(self.parts.clock.unix_ms());
            }
        }
    }

    /// Of every live sweep, by number.
    pub(crate) fn paces(&mut self) -> Vec<PaceGauges> {
        let mut sweeps: Vec<SweepId> = self.live.sweeps.keys().copied().collect();
        sweeps.sort_unstable();
        sweeps.into_iter().filter_map(|id| self.pace(id)).collect()
    }

    fn pace(&mut self, id: SweepId) -> Option<PaceGauges> {
        let now = self.parts.clock.now();
        let sweep = self.live.sweeps.get(&id)?;
        let end = match &sweep.pace.end {
            Some(kept) if kept.is_fresh(now) => kept.clone(),
            Some(_) | None => {
                let begun = Instant::now();
                let end = self.cost(sweep).end;
                KeptEnd { made: now, took: begun.elapsed(), end }
            }
        };
        let view = self.scheduler.sweep(id)?;
        let waits = view.counts.queued > 0;
        let pace = &mut self.live.sweeps.get_mut(&id)?.pace;
        let waited = now.saturating_duration_since(pace.started).as_secs_f64();
        let remaining = end.remaining(now);
        pace.end = Some(end);
        Some(PaceGauges {
            sweep: id,
            progress_at: pace.progress_ms as f64 / 1000.0,
            waits_seconds: if waits { waited } else { 0.0 },
            rests: view.rests,
            held_back: view.held.map_or(0, |held| held.trials),
            remaining,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_kept_for_a_while_and_counts_down() {
        let made = Instant::now();
        let end = Some(Prediction { expected: 60.0, low: 5.0, high: 100.0 });
        let kept = KeptEnd { made, took: Duration::from_secs(1), end };
        let later = made + Duration::from_secs(10);
        assert!(kept.is_fresh(later));
        assert_eq!(kept.remaining(later), Some(Prediction { expected: 50.0, low: 0.0, high: 90.0 }));
        assert!(!kept.is_fresh(made + Duration::from_secs(50)));
        assert_eq!(KeptEnd { end: None, ..kept }.remaining(later), None);
    }
}
