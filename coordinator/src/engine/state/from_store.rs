//! A live sweep, rebuilt from its rows in the store.

use std::collections::HashSet;
use std::sync::Arc;

use sweep_scheduler::effect::RoundEnd;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_spec::count::Input;
use sweep_store::record;

use crate::clock::Clock;
use crate::engine::error::Error;
use crate::engine::state::sweep::{LiveConfiguration, LiveSweep};
use crate::engine::stored_plan;

pub(crate) fn live_sweep(
    sweep: &record::LiveSweep,
    snapshot: &SweepSnapshot,
    clock: &Clock,
) -> Result<LiveSweep, Error> {
    let plan = Arc::new(stored_plan::read(&sweep.record, &sweep.spec)?);
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

/// Keeps the trials of each stage with the seeds of that stage: the store has the configurations of a stage, and the
/// plan has its seeds.
pub(crate) fn narrow(live: &LiveSweep, snapshot: &mut SweepSnapshot) {
    if live.plan.has_one_list_of_seeds() {
        return;
    }
    for (stage, trials) in &mut snapshot.stages {
        let seeds: HashSet<u64> = live.plan.seeds(*stage as usize).iter().copied().collect();
        trials.retain(|wanted| live.trials.get(&wanted.id).is_some_and(|(_, seed)| seeds.contains(seed)));
    }
}

/// Whether no trainer of this release can run the trials of a sweep.
pub(crate) fn is_of_other_semantics(sweep: &LiveSweep) -> bool {
    sweep.trials.iter().next().is_some_and(|(id, (position, seed))| {
        let found = sweep.configurations.get(position);
        found
            .is_some_and(|found| stored_plan::asks_for_other_semantics(&sweep.plan, &found.configuration, (*id, *seed)))
    })
}

/// The number of failed trials of a sweep.
pub(crate) fn failed(snapshot: &SweepSnapshot) -> u64 {
    snapshot.bound.iter().filter(|bound| matches!(bound.end, Some(RoundEnd::Failed { .. }))).count() as u64
}
