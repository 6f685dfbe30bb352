//! Reads the owner task's memory back from the store.

use std::collections::HashMap;

use sweep_scheduler::snapshot::{Snapshot, SweepSnapshot};
use sweep_scheduler::{SweepId, WorkerName};
use sweep_store::record::{self, Loaded};
use tracing::error;

use crate::clock::Clock;
use crate::engine::owner::live::Live;
use crate::engine::state::attempt::LiveAttempt;
use crate::engine::state::from_store;

/// Narrows the stages of every live sweep to their seeds.
pub(crate) fn narrow_all(live: &Live, snapshot: &mut Snapshot) {
    for snapshot in &mut snapshot.sweeps {
        if let Some(live) = live.sweeps.get(&snapshot.sweep.id) {
            from_store::narrow(live, snapshot);
        }
    }
}

/// Adds what the scheduler needs of every live sweep beside the rows of the store.
pub(crate) fn complete_all(live: &Live, snapshot: &mut Snapshot) {
    for snapshot in &mut snapshot.sweeps {
        if let Some(live) = live.sweeps.get(&snapshot.sweep.id) {
            live.complete(snapshot);
        }
    }
}

/// Restores the worker that last took each name.
pub(crate) fn names(live: &mut Live, loaded: &mut Loaded) {
    let names = std::mem::take(&mut loaded.names).into_iter();
    live.names = names.map(|row| (row.worker.clone(), row)).collect();
    let known = live.names.values().map(|row| (WorkerName(row.worker.clone()), row.instance, row.held));
    loaded.snapshot.names = known.collect();
}

/// The live sweeps that may get more seeds.
pub(crate) fn adaptive(live: &Live) -> impl Iterator<Item = SweepId> + '_ {
    live.sweeps.iter().filter(|(_, sweep)| sweep.plan.looks().next().is_some()).map(|(id, _)| *id)
}

/// Restores all live sweeps and their attempts.
pub(crate) fn live(loaded: &Loaded, clock: &Clock) -> Live {
    let mut live = Live::default();
    let snapshots: HashMap<SweepId, &SweepSnapshot> =
        loaded.snapshot.sweeps.iter().map(|snapshot| (snapshot.sweep.id, snapshot)).collect();
    for sweep in &loaded.sweeps {
        let Some(snapshot) = snapshots.get(&sweep.record.id) else { continue };
        match from_store::live_sweep(sweep, snapshot, clock) {
            Ok(found) => drop(live.sweeps.insert(sweep.record.id, found)),
            // Its trials stay in the scheduler and its results in the store; it gets no new assignment.
            Err(error) => error!(sweep_id = %sweep.record.id, error = %crate::chain(&error), "cannot resume a sweep"),
        }
    }
    for attempt in &loaded.attempts {
        live.attempts.insert(attempt.lease, live_attempt(attempt, clock));
        for sweep in live.sweeps.values_mut() {
            let seed = sweep.trials.get(&attempt.lease.trial).map(|(_, seed)| *seed);
            if let (Some(seed), Some(budget)) = (seed, &mut sweep.budget) {
                budget.begins(seed);
            }
        }
    }
    for attempt in &loaded.given_up {
        live.given_up.insert(attempt.lease.trial, (attempt.lease, live_attempt(attempt, clock)));
    }
    live
}

fn live_attempt(attempt: &record::LiveAttempt, clock: &Clock) -> LiveAttempt {
    let now = clock.now();
    let age = u64::try_from(clock.unix_ms().saturating_sub(attempt.assigned_ms)).unwrap_or(0);
    LiveAttempt {
        key: attempt.key,
        worker: attempt.worker.clone(),
        slot: attempt.slot,
        assigned_ms: attempt.assigned_ms,
        predicted: None,
        counted_ms: if attempt.ended_ms > 0 {
            u64::try_from(attempt.ended_ms.saturating_sub(attempt.assigned_ms)).unwrap_or(0)
        } else {
            0
        },
        sequence: attempt.stored_sequence,
        newest: attempt.newest,
        assigned: now.checked_sub(std::time::Duration::from_millis(age)).unwrap_or(now),
        told: true,
    }
}
