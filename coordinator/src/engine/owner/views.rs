//! Snapshots of the owner task's memory for status, pages and metrics.

use std::sync::Arc;

use sweep_scheduler::{LeftOut, SessionId, SweepId};
use sweep_spec::TrialCounts;

use crate::engine::messages::capacity::Unended;
use crate::engine::messages::views::{Gauges, LiveStatus, Running, WorkerView};
use crate::engine::owner::driver::Driver;
use crate::engine::state::sweep::LiveSweep;

/// The most running trials that one status lists.
const MAX_RUNNING: usize = 256;
/// The most workers of a sweep, and sweeps of a worker, that one answer lists as left out.
pub(in crate::engine) const MAX_LEFT_OUT: usize = 20;

impl Driver {
    pub(crate) fn status(&self, id: SweepId) -> Option<LiveStatus> {
        let view = self.scheduler.sweep(id)?;
        let sweep = self.live.sweeps.get(&id)?;
        let mut running = self.running_of(sweep);
        let cost = self.cost(sweep);
        let running_epochs = running.iter().filter_map(|row| row.newest).map(|newest| u64::from(newest.epoch)).sum();
        running.truncate(MAX_RUNNING);
        let waits = view.counts.queued > 0 && view.counts.running == 0;
        let waiting_for = if waits || view.held.is_some() { self.scheduler.waiting_for(id) } else { Vec::new() };
        let unplaceable = if waits { self.scheduler.unplaceable(id) } else { None };
        let mut leaves_out = self.scheduler.leaves_out(id);
        leaves_out.truncate(MAX_LEFT_OUT);
        let suspended = self.scheduler.suspended();
        let own = view.counts.queued + view.counts.running;
        Some(LiveStatus {
            plan: Arc::clone(&sweep.plan),
            asked: Arc::clone(&sweep.asked),
            counts: view.counts,
            stages: view.stages,
            running,
            cost,
            running_epochs,
            unended: Unended { own, others: self.scheduler.live_trials().saturating_sub(own) },
            waiting_for,
            unplaceable,
            leaves_out,
            out_of_service: suspended.map(|(worker, service)| (worker.0.clone(), service.clone())).collect(),
            held: view.held,
        })
    }

    fn running_of(&self, sweep: &LiveSweep) -> Vec<Running> {
        let mut running: Vec<_> = self
            .live
            .attempts
            .iter()
            .filter_map(|(lease, attempt)| {
                let (configuration, seed) = *sweep.trials.get(&lease.trial)?;
                Some(Running {
                    lease: *lease,
                    sweep: sweep.record.id,
                    configuration: sweep.configurations.get(&configuration)?.label.clone(),
                    seed,
                    worker: attempt.worker.clone(),
                    slot: attempt.slot,
                    epochs: sweep.plan.spec().protocol.epochs,
                    newest: attempt.newest,
                })
            })
            .collect();
        running.sort_by(|a, b| (&a.worker, a.slot).cmp(&(&b.worker, b.slot)));
        running
    }

    pub(crate) fn worker_views(&self) -> Vec<WorkerView> {
        let views = self.scheduler.workers().into_iter().map(|worker| {
            let slots = worker.slots.iter().map(|(_, lease)| {
                let lease = (*lease)?;
                let (sweep, configuration, _) = self.live.find(lease.trial)?;
                let label = sweep.configurations.get(&configuration)?.label.clone();
                Some((lease.trial, label, sweep.record.id))
            });
            WorkerView {
                slots: slots.collect(),
                left_out: self.left_out(worker.session),
                name: worker.name.0,
                session: worker.session,
                draining: worker.draining,
                left: worker.left,
                service: worker.service,
                seen_ms: self.live.sessions.get(&worker.session).map_or(0, |session| session.seen_ms),
            }
        });
        views.collect()
    }

    /// Sweeps that assign no trials to the worker of a session.
    pub(crate) fn left_out(&self, session: SessionId) -> Vec<LeftOut> {
        let mut left_out = self.scheduler.left_out(session);
        left_out.truncate(MAX_LEFT_OUT);
        left_out
    }

    /// Warnings about pools whose workers come and go, and keep checkpoints where no other worker finds them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for pool in &self.parts.scheduler.pools {
            let sessions = self.live.sessions.values().filter(|session| session.pool.as_ref() == Some(&pool.name));
            let (mut connected, mut alone) = (0_u64, 0_u64);
            for session in sessions {
                connected += 1;
                alone += u64::from(!session.shares_checkpoints);
            }
            if alone > 0 {
                warnings.push(format!(
                    "workers of pool `{}` can leave at any time, and {alone} of its {connected} connected workers do \
                    not share their checkpoints: a trial that loses its worker starts from the beginning; set \
                    `checkpoint_store` in the workers' configuration",
                    pool.name
                ));
            }
        }
        warnings
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let workers = self.scheduler.workers();
        let busy = workers.iter().flat_map(|worker| &worker.slots).filter(|(_, lease)| lease.is_some()).count();
        let slots: usize = workers.iter().map(|worker| worker.slots.len()).sum();
        let draining = workers.iter().filter(|worker| worker.draining).count();
        let mut sweeps: Vec<_> = self.live.sweeps.values().collect();
        sweeps.sort_by_key(|sweep| sweep.record.id);
        let mut gauges = Gauges {
            queue_depth: self.scheduler.queue_depth(),
            workers: (workers.len() - draining, draining),
            slots: (busy, slots - busy),
            pools: self.scheduler.pools(),
            ..Gauges::default()
        };
        for sweep in sweeps {
            let view = self.scheduler.sweep(sweep.record.id);
            let counts = view.as_ref().map_or_else(TrialCounts::default, |view| view.counts);
            let stages = view.map(|view| view.stages).unwrap_or_default();
            let to_come = to_come(sweep, &stages);
            gauges.sweeps.push((sweep.record.id, sweep.record.name.clone(), counts, to_come));
            gauges.running.extend(self.running_of(sweep));
            gauges.spent.push((sweep.record.id, self.spent_seconds(sweep)));
        }
        gauges
    }
}

/// The most trials that stages which are not open yet may add.
fn to_come(sweep: &LiveSweep, stages: &[Option<TrialCounts>]) -> u64 {
    let unopened = sweep.record.stages.iter().zip(stages).filter(|(_, counts)| counts.is_none());
    unopened.map(|(stage, _)| stage.trials_at_most).sum()
}
