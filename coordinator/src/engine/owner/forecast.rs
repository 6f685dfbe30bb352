//! Forecasts for a live sweep: of trials before they run, of running trials, and of the whole sweep.

use std::collections::{BTreeMap, HashMap};

use sweep_analysis::cost::Estimate;
use sweep_analysis::cost::schedule::{Batch, Forecast, Left, forecast};
use sweep_scheduler::Lease;

use crate::engine::cost::sweep_cost::{Cost, Devices};
use crate::engine::owner::driver::Driver;
use crate::engine::state::attempt::LiveAttempt;
use crate::engine::state::sweep::LiveSweep;

/// A running trial.
pub(crate) struct StillRunning {
    pub(crate) configuration: u32,
    /// Seconds since it was assigned.
    pub(crate) so_far: f64,
    /// Its predicted remaining cost.
    pub(crate) left: Estimate,
}

impl Driver {
    /// The devices of all slots that may get trials.
    pub(crate) fn devices(&self) -> Devices {
        let mut devices: BTreeMap<String, usize> = BTreeMap::new();
        for worker in self.scheduler.workers() {
            let serves = !worker.draining && worker.service == sweep_scheduler::event::Service::Active;
            let session = self.live.sessions.get(&worker.session).filter(|_| serves);
            for name in session.into_iter().flat_map(|session| &session.device_names) {
                *devices.entry(name.clone()).or_default() += 1;
            }
        }
        devices.into_iter().collect()
    }

    /// The predicted cost of a trial of a configuration.
    pub(crate) fn estimate(&self, sweep: &LiveSweep, configuration: u32, devices: &Devices) -> Option<Estimate> {
        let found = sweep.configurations.get(&configuration)?;
        let spec = sweep.plan.spec();
        let mut costs = self.costs.get();
        let work = costs.work(found.counts.as_ref()?, &spec.protocol, &spec.dataset)?;
        costs.predict(devices, &work)
    }

    /// The running trials of a sweep, with their remaining cost. If an attempt has reported an epoch, the prediction
    /// uses its own pace.
    pub(crate) fn still_running(&self, sweep: &LiveSweep, devices: &Devices) -> Vec<StillRunning> {
        let now = self.parts.clock.now();
        let of = |(lease, attempt): (&Lease, &LiveAttempt)| {
            let (configuration, _) = *sweep.trials.get(&lease.trial)?;
            let so_far = now.saturating_duration_since(attempt.assigned).as_secs_f64();
            let whole = attempt.predicted.or_else(|| self.estimate(sweep, configuration, devices));
            let left = left_of(attempt, sweep.plan.spec().protocol.epochs, so_far, whole);
            Some(StillRunning { configuration, so_far, left })
        };
        self.live.attempts.iter().filter_map(of).collect()
    }

    /// Slot-seconds so far.
    pub(crate) fn spent_seconds(&self, sweep: &LiveSweep) -> f64 {
        let now = self.parts.clock.now();
        let running = self.live.attempts.iter().filter(|(lease, _)| sweep.trials.contains_key(&lease.trial));
        let so_far = running.map(|(_, attempt)| now.saturating_duration_since(attempt.assigned).as_secs_f64());
        sweep.spent_ms as f64 / 1000.0 + so_far.sum::<f64>()
    }

    /// The cost of a sweep; the rest is predicted for its share of the connected slots.
    pub(crate) fn cost(&self, sweep: &LiveSweep) -> Cost {
        let devices = self.devices();
        let running = self.still_running(sweep, &devices);
        let so_far: f64 = running.iter().map(|one| one.so_far).sum();
        let forecast = self.left(sweep, &running, &devices).map(|left| forecast(&left, self.slots_of(sweep, &devices)));
        let slots = self.scheduler.workers().into_iter().flat_map(|worker| worker.slots);
        let (gpus, processors): (Vec<_>, Vec<_>) = slots.partition(|(slot, _)| slot.device != "cpu");
        Cost {
            spent_seconds: sweep.spent_ms as f64 / 1000.0 + so_far,
            left: forecast.map(|forecast: Forecast| forecast.slot_seconds),
            end: forecast.and_then(|forecast| forecast.end),
            budget_seconds: sweep.budget.as_ref().map(|budget| budget.seconds),
            left_out: sweep.budget.as_ref().map_or(0, |budget| budget.left_out),
            on_gpus: !gpus.is_empty() && processors.is_empty(),
        }
    }

    /// `None` without any measurement.
    fn left(&self, sweep: &LiveSweep, running: &[StillRunning], devices: &Devices) -> Option<Left> {
        let mut waits: HashMap<u32, u64> = sweep.left.clone();
        for one in running {
            if let Some(count) = waits.get_mut(&one.configuration) {
                *count = count.saturating_sub(1);
            }
        }
        let mut first = Vec::new();
        for (configuration, trials) in waits.into_iter().filter(|(_, trials)| *trials > 0) {
            first.push(Batch { trials, each: self.estimate(sweep, configuration, devices)? });
        }
        let mut steps = vec![first];
        let opened = self.scheduler.sweep(sweep.record.id).map(|view| view.stages).unwrap_or_default();
        for step in &sweep.to_come {
            let mut batches = Vec::new();
            for coming in step.iter().filter(|coming| opened.get(coming.group).is_some_and(Option::is_none)) {
                let mut costs = self.costs.get();
                let spec = sweep.plan.spec();
                let work = costs.work(&coming.counts, &spec.protocol, &spec.dataset)?;
                batches.push(Batch { trials: coming.trials, each: costs.predict(devices, &work)? });
            }
            if !batches.is_empty() {
                steps.push(batches);
            }
        }
        Some(Left { running: running.iter().map(|one| one.left).collect(), steps })
    }

    /// The number of slots that a sweep can expect. All slots are shared evenly among the users whose sweeps of its
    /// priority have queued trials, and by weight among the sweeps of each user.
    fn slots_of(&self, sweep: &LiveSweep, devices: &Devices) -> usize {
        let slots: usize = devices.iter().map(|(_, count)| count).sum();
        let busy = |other: &&LiveSweep| {
            other.record.priority == sweep.record.priority
                && self
                    .scheduler
                    .sweep(other.record.id)
                    .is_some_and(|view| view.counts.queued + view.counts.running > 0)
        };
        let mut weights: BTreeMap<&str, u64> = BTreeMap::new();
        for other in self.live.sweeps.values().filter(busy) {
            *weights.entry(&other.record.submitter).or_default() += u64::from(other.record.weight.max(1));
        }
        let own = u64::from(sweep.record.weight.max(1));
        let all = weights.get(sweep.record.submitter.as_str()).copied().unwrap_or(own).max(own);
        let share = slots as f64 / weights.len().max(1) as f64 * own as f64 / all as f64;
        if slots == 0 { 0 } else { (share.round() as usize).max(1) }
    }
}

/// The remaining cost of an attempt: by its own pace after its first reported epoch, before that by the prediction.
fn left_of(attempt: &LiveAttempt, epochs: u32, so_far: f64, whole: Option<Estimate>) -> Estimate {
    let nothing = Estimate { seconds: 0.0, own: 0.25, shared: 0.0, freedom: 2.0, memory_bytes: 0 };
    let expected = whole.map(|whole| Estimate { seconds: (whole.seconds - so_far).max(0.0), ..whole });
    match attempt.newest {
        Some(newest) if newest.seconds.is_finite() && newest.seconds > 0.0 => {
            let seconds = f64::from(epochs.saturating_sub(newest.epoch)) * newest.seconds;
            // The last point may be older, so at most one epoch is counted twice.
            Estimate { seconds, own: 0.01, ..expected.unwrap_or(nothing) }
        }
        Some(_) | None => expected.unwrap_or(nothing),
    }
}
