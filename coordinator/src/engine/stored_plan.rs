//! Plans of stored sweeps: made from the spec, the winners of the stages, and the seeds that still wait.

use std::collections::HashSet;

use sweep_spec::plan::Winner;
use sweep_spec::spec::Limits;
use sweep_spec::{Configuration, Digest, Plan, Spec, Trial, TrialId};
use sweep_store::codes::StageState;
use sweep_store::record::{self, SweepRecord};

use crate::engine::error::Error;

/// The plan of a stored sweep, from the text of its spec.
pub(crate) fn read(record: &SweepRecord, spec: &[u8]) -> Result<Plan, Error> {
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

/// Seeds whose replicates are prepared and not opened yet: the results have not decided which configurations get them.
pub(crate) fn waiting_seeds(plan: &Plan, record: &SweepRecord) -> HashSet<u64> {
    let waits = |look: &usize| record.stages.get(*look).is_none_or(|row| row.state == StageState::Waiting);
    plan.looks().filter(waits).flat_map(|look| plan.seeds(look)).copied().collect()
}

/// Whether a stored trial belongs to another trainer semantics: then its plan gives it another id today.
pub(crate) fn asks_for_other_semantics(plan: &Plan, configuration: &Configuration, (id, seed): (TrialId, u64)) -> bool {
    plan.trial(configuration, seed).id().is_ok_and(|today| today != id)
}

/// The hash of a reference to a data set.
pub(crate) fn dataset_key(trial: &Trial) -> Result<Digest, Error> {
    let text = sweep_spec::canonical::to_string(&trial.dataset).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Digest::of(text.as_bytes()))
}
