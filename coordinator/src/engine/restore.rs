//! The side tables, read back from the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sweep_scheduler::effect::RoundEnd;
use sweep_scheduler::snapshot::{Snapshot, SweepSnapshot};
use sweep_scheduler::{SweepId, WorkerName};
use sweep_spec::count::Input;
use sweep_spec::plan::Winner;
use sweep_spec::spec::Limits;
use sweep_spec::{Configuration, Plan, Spec, TrialId};
use sweep_store::codes::StageState;
use sweep_store::record::{self, Loaded, SweepRecord};
use tracing::error;

use super::Error;
use super::live::{Live, LiveAttempt, LiveConfiguration, LiveSweep};
use crate::clock::Clock;

/// The plan of a sweep that was accepted once, from the text of its spec.
pub(crate) fn plan(record: &SweepRecord, spec: &[u8]) -> Result<Plan, Error> {
    let limits = Limits { trials: record.trial_limit };
    let spec = Spec::parse(spec, &record.overrides, &limits).map_err(Error::Spec)?;
    Ok(Plan::new(&spec))
}

/// The winners of a sweep's stages so far, in the order of their commits.
pub(crate) fn winners(record: &SweepRecord, configurations: &[record::ConfigurationRecord]) -> Vec<Winner> {
    let mut decided: Vec<_> = record
        .stages
        .iter()
        .enumerate()
        .filter_map(|(stage, row)| {
            let winner = row.winner?;
            let found = configurations.iter().find(|configuration| configuration.position == winner)?;
            Some((row.decided, Winner { stage, configuration: found.configuration.clone() }))
        })
        .collect();
    decided.sort_by_key(|(number, _)| *number);
    decided.into_iter().map(|(_, winner)| winner).collect()
}

/// The trials of each stage under the seeds of that stage: the store tells which configurations a stage has, and the plan
/// under which seeds.
pub(crate) fn narrow(live: &LiveSweep, snapshot: &mut SweepSnapshot) {
    if live.plan.has_one_list_of_seeds() {
        return;
    }
    for (stage, trials) in &mut snapshot.stages {
        let seeds: HashSet<u64> = live.plan.seeds(*stage as usize).iter().copied().collect();
        trials.retain(|wanted| live.trials.get(&wanted.id).is_some_and(|(_, seed)| seeds.contains(seed)));
    }
}

/// The same for every sweep that lives.
pub(crate) fn narrow_all(live: &Live, snapshot: &mut Snapshot) {
    for snapshot in &mut snapshot.sweeps {
        if let Some(live) = live.sweeps.get(&snapshot.sweep.id) {
            narrow(live, snapshot);
        }
    }
}

/// What the scheduler has to know of every sweep that lives and the store does not say.
pub(crate) fn complete_all(live: &Live, snapshot: &mut Snapshot) {
    for snapshot in &mut snapshot.sweeps {
        if let Some(live) = live.sweeps.get(&snapshot.sweep.id) {
            live.complete(snapshot);
        }
    }
}

/// Who took each name last.
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

/// Seeds whose replicates are prepared and not asked for yet: results have not decided who gets them.
pub(crate) fn waiting_seeds(plan: &Plan, record: &SweepRecord) -> HashSet<u64> {
    let waits = |look: &usize| record.stages.get(*look).is_none_or(|row| row.state == StageState::Waiting);
    plan.looks().filter(waits).flat_map(|look| plan.seeds(look)).copied().collect()
}

/// Whether a stored trial was asked of another trainer semantics: then its plan gives it another id today.
pub(crate) fn asks_for_other_semantics(plan: &Plan, configuration: &Configuration, (id, seed): (TrialId, u64)) -> bool {
    plan.trial(configuration, seed).id().is_ok_and(|today| today != id)
}

/// Whether no trainer of this release can run the trials of a sweep.
pub(crate) fn is_of_other_semantics(sweep: &LiveSweep) -> bool {
    sweep.trials.iter().next().is_some_and(|(id, (position, seed))| {
        let found = sweep.configurations.get(position);
        found.is_some_and(|found| asks_for_other_semantics(&sweep.plan, &found.configuration, (*id, *seed)))
    })
}

/// How many trials of a sweep failed.
pub(crate) fn failed(snapshot: &SweepSnapshot) -> u64 {
    snapshot.bound.iter().filter(|bound| matches!(bound.end, Some(RoundEnd::Failed { .. }))).count() as u64
}

/// Everything that lives.
pub(crate) fn live(loaded: &Loaded, clock: &Clock) -> Live {
    let mut live = Live::default();
    let snapshots: HashMap<SweepId, &SweepSnapshot> =
        loaded.snapshot.sweeps.iter().map(|snapshot| (snapshot.sweep.id, snapshot)).collect();
    for sweep in &loaded.sweeps {
        let Some(snapshot) = snapshots.get(&sweep.record.id) else { continue };
        match live_sweep(sweep, snapshot, clock) {
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

pub(crate) fn live_sweep(
    sweep: &record::LiveSweep,
    snapshot: &SweepSnapshot,
    clock: &Clock,
) -> Result<LiveSweep, Error> {
    let plan = Arc::new(plan(&sweep.record, &sweep.spec)?);
    let mut live = LiveSweep::new(sweep.record.clone(), plan, &sweep.spec, clock)?;
    let input = Input::from(&live.plan.spec().dataset);
    for row in &sweep.configurations {
        let found = LiveConfiguration::new(row.title().to_owned(), row.configuration.clone(), input);
        live.configurations.insert(row.position, found);
    }
    for (trial, configuration, seed) in &sweep.trials {
        live.add_trial(*trial, (*configuration, *seed));
    }
    for bound in snapshot.bound.iter().filter(|bound| bound.end.is_some()) {
        live.one_less(bound.trial);
        let seed = live.trials.get(&bound.trial).map(|(_, seed)| *seed).filter(|_| !bound.reused);
        if let (Some(seed), Some(budget)) = (seed, &mut live.budget) {
            budget.begins(seed);
        }
    }
    live.spent_ms = sweep.spent_ms;
    Ok(live)
}
