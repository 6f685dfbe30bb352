//! The predicted and the measured cost of attempts: it feeds the cost model, and charges the sweeps that waited for an attempt.

use sweep_analysis::cost::Estimate;
use sweep_scheduler::{Lease, SessionId, SweepId};
use sweep_store::record::{AttemptKey, ResultRecord};
use sweep_store::write::PredictionRow;

use crate::engine::cost::model::{self, Took};
use crate::engine::owner::driver::Driver;
use crate::engine::state::attempt::LiveAttempt;

pub(crate) fn prediction_row(attempt: AttemptKey, estimate: &Estimate) -> PredictionRow {
    let said = estimate.prediction();
    let (low, high) = (said.low, said.high);
    PredictionRow { attempt, seconds: said.expected, low, high, memory_bytes: estimate.memory_bytes }
}

impl Driver {
    /// The predicted cost of an attempt that begins on a slot. Marks the attempt's seed as begun in every sweep with a
    /// budget.
    pub(crate) fn expect(&mut self, lease: Lease, session: SessionId, slot: u32) -> Option<Estimate> {
        let names = self.live.sessions.get(&session).map(|session| &session.device_names);
        let name = names.and_then(|names| names.get(slot as usize)).cloned().unwrap_or_default();
        let (sweep, configuration, _) = self.live.find(lease.trial)?;
        let estimate = self.estimate(sweep, configuration, &vec![(name, 1)]);
        for sweep in self.live.sweeps.values_mut() {
            let seed = sweep.trials.get(&lease.trial).map(|(_, seed)| *seed);
            if let (Some(seed), Some(budget)) = (seed, &mut sweep.budget) {
                budget.begins(seed);
            }
        }
        estimate
    }

    /// Charges every sweep that waited for the attempt's round. A reused result costs a sweep nothing.
    pub(crate) fn spend(&mut self, lease: Lease, milliseconds: i64) {
        let pays = |id: &SweepId| self.scheduler.uses(*id, lease.trial, lease.round).unwrap_or(true);
        let sweeps: Vec<SweepId> = self
            .live
            .sweeps
            .iter()
            .filter(|(id, sweep)| sweep.trials.contains_key(&lease.trial) && pays(id))
            .map(|(id, _)| *id)
            .collect();
        for id in sweeps {
            if let Some(sweep) = self.live.sweeps.get_mut(&id) {
                sweep.spent_ms = sweep.spent_ms.saturating_add_signed(milliseconds);
            }
        }
    }

    /// Feeds the measured cost of an accepted attempt to the cost model.
    pub(crate) fn learn(&mut self, lease: Lease, attempt: &LiveAttempt, result: &ResultRecord, run_seconds: f64) {
        let Some((sweep, configuration, _)) = self.live.find(lease.trial) else { return };
        let spec = sweep.plan.spec();
        let counts = sweep.configurations.get(&configuration).and_then(|found| found.counts);
        let mut costs = self.costs.get();
        let Some(work) = counts.and_then(|counts| costs.work(&counts, &spec.protocol, &spec.dataset)) else { return };
        let said = attempt.predicted.map(|estimate| estimate.prediction());
        let took = Took {
            outcome: result.outcome,
            class: model::class(&result.provenance),
            seconds: result.provenance.seconds,
            run_seconds,
            slot_seconds: attempt.counted_ms as f64 / 1000.0,
            peak_memory_bytes: result.provenance.peak_memory_bytes,
            predicted: said.map(|said| (said.expected, said.low, said.high)),
        };
        if let (Some(said), actual) = (said, took.slot_seconds)
            && actual > 0.0
        {
            self.parts.metrics.predicted(&said, actual);
        }
        costs.learn(work, took);
    }
}
