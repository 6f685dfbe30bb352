//! Progress of live sweeps, for metrics. It is only in memory and starts again after a restart.

use std::collections::HashSet;
use std::time::Instant;

use sweep_scheduler::SweepId;
use sweep_spec::TrialId;

use crate::engine::messages::views::ProgressGauges;
use crate::engine::owner::driver::Driver;
use crate::engine::state::progress::CachedForecast;

impl Driver {
    /// Records the start of an attempt.
    pub(crate) fn started(&mut self, trial: TrialId) {
        let sweeps = self.live.sweeps.values_mut().filter(|sweep| sweep.trials.contains_key(&trial));
        let now = self.parts.clock.now();
        sweeps.for_each(|sweep| sweep.pace.started(now));
    }

    /// Records that epochs of these trials were reported.
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

    /// The progress of every live sweep, by number.
    pub(crate) fn paces(&mut self) -> Vec<ProgressGauges> {
        let mut sweeps: Vec<SweepId> = self.live.sweeps.keys().copied().collect();
        sweeps.sort_unstable();
        sweeps.into_iter().filter_map(|id| self.pace(id)).collect()
    }

    fn pace(&mut self, id: SweepId) -> Option<ProgressGauges> {
        let now = self.parts.clock.now();
        let sweep = self.live.sweeps.get(&id)?;
        let end = match &sweep.pace.end {
            Some(kept) if kept.is_fresh(now) => kept.clone(),
            Some(_) | None => {
                let begun = Instant::now();
                let end = self.cost(sweep).end;
                CachedForecast { made: now, took: begun.elapsed(), end }
            }
        };
        let view = self.scheduler.sweep(id)?;
        let waits = view.counts.queued > 0;
        let pace = &mut self.live.sweeps.get_mut(&id)?.pace;
        let waited = now.saturating_duration_since(pace.started).as_secs_f64();
        let remaining = end.remaining(now);
        pace.end = Some(end);
        Some(ProgressGauges {
            sweep: id,
            progress_at: pace.progress_ms as f64 / 1000.0,
            waits_seconds: if waits { waited } else { 0.0 },
            rests: view.rests,
            held_back: view.held.map_or(0, |held| held.trials),
            remaining,
        })
    }
}
