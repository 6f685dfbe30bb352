//! Extends a sweep: the same study with more seeds, levels, stages or configurations. The extension contains every trial of the
//! earlier sweep, so no result is lost and no trial runs twice.

use std::collections::{BTreeSet, HashMap};

use sweep_scheduler::SweepId;
use sweep_spec::plan::Winner;
use sweep_spec::{Plan, TRAINER_SEMANTICS, TrialId};
use sweep_store::record::{ConfigurationRecord, SweepRecord};

use crate::engine::blocking::blocking;
use crate::engine::cost::trim_seeds;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::submission::Submit;
use crate::engine::stored_plan;

/// The most missing trials that a refusal lists.
const NAMED: usize = 5;

impl Handle {
    /// Reads the extended sweep, and fills in the parts of the request that are missing.
    pub(super) async fn take_from(&self, from: SweepId, request: &mut Submit) -> Result<SweepRecord, Error> {
        let record = self.record(from).await?;
        if request.spec.is_empty() {
            request.spec = self.spec(from).await?;
            let more = std::mem::take(&mut request.overrides);
            let plan = self.plan(&record).await?;
            let own = trim_seeds::asked(&record, &plan);
            request.overrides = own.iter().cloned().chain(more).collect();
        }
        if request.name.is_empty() {
            request.name.clone_from(&record.name);
        }
        if request.trial_limit == 0 {
            request.trial_limit = record.trial_limit;
        }
        Ok(record)
    }

    /// Checks that every trial of the sweep `from` is in `plan`, with the winners that its stages have chosen.
    pub(super) async fn check_extension(&self, from: &SweepRecord, plan: &Plan) -> Result<(), Error> {
        let configurations = self.store.configurations(from.id).await?;
        let before = self.plan(from).await?;
        let waiting = stored_plan::waiting_seeds(&before, from);
        let mut lost: HashMap<TrialId, (u32, u64)> = HashMap::new();
        let mut rows = self.rows(from.id).await?;
        while let Some(row) = rows.next().await? {
            if !waiting.contains(&row.seed) {
                lost.insert(row.trial, (row.configuration, row.seed));
            }
        }
        drop(rows);
        let (from, plan) = (from.clone(), plan.clone());
        blocking(move || {
            let of = lost.len();
            let other_semantics = lost.iter().next().is_some_and(|(trial, (position, seed))| {
                let found = configurations.iter().find(|found| found.position == *position);
                found.is_some_and(|found| {
                    stored_plan::asks_for_other_semantics(&before, &found.configuration, (*trial, *seed))
                })
            });
            let winners = winners(&from, &configurations, &plan);
            asked_for(&plan, &winners, |id| {
                lost.remove(&id);
            })?;
            if lost.is_empty() {
                return Ok(());
            }
            let places: BTreeSet<(u32, u64)> = lost.into_values().collect();
            Err(Error::NotAnExtension {
                sweep: from.id,
                lost: places.len(),
                of,
                examples: examples(&places, &configurations),
                hint: if other_semantics {
                    format!(
                        "the sweep has trainer semantics other than {TRAINER_SEMANTICS}, so no trial is the same: \
                        submit the spec as a new sweep"
                    )
                } else {
                    hint(&before, &plan)
                },
            })
        })
        .await
    }
}

/// The winners of a sweep's stages, as winners of the stages with the same names in another plan.
fn winners(from: &SweepRecord, configurations: &[ConfigurationRecord], plan: &Plan) -> Vec<Winner> {
    let rename = |winner: Winner| {
        let name = &from.stages.get(winner.stage)?.name;
        let stage =
            plan.decisions().find(|stage| plan.groups().get(*stage).is_some_and(|group| group.name == *name))?;
        Some(Winner { stage, ..winner })
    };
    stored_plan::winners(from, configurations).into_iter().filter_map(rename).collect()
}

/// Every trial of a plan, including those that depend on results.
fn asked_for(plan: &Plan, winners: &[Winner], mut take: impl FnMut(TrialId)) -> Result<(), Error> {
    let released = plan.released(winners);
    let more = plan.spec().adaptive.as_ref().map_or(&[][..], |adaptive| adaptive.seeds());
    for group in released.groups() {
        let source = plan.groups().get(*group).is_some_and(|group| group.kind.is_source());
        let mut seeds = plan.seeds(*group).to_vec();
        seeds.extend(more.iter().filter(|_| source));
        for planned in released.points(*group) {
            let ids = plan.trial_ids_under(&planned.configuration, &seeds);
            ids.map_err(|error| Error::Internal(error.to_string()))?.into_iter().for_each(&mut take);
        }
    }
    Ok(())
}

fn examples(lost: &BTreeSet<(u32, u64)>, configurations: &[ConfigurationRecord]) -> String {
    let label = |position: u32| {
        let found = configurations.iter().find(|row| row.position == position);
        found.map_or("", ConfigurationRecord::title)
    };
    let named = lost.iter().take(NAMED).map(|(position, seed)| format!("{} under seed {seed}", label(*position)));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if lost.len() > NAMED {
        text = format!("{text}, ...");
    }
    text
}

/// The setting that changes every trial, or else advice.
fn hint(before: &Plan, plan: &Plan) -> String {
    let (before, spec) = (before.spec(), plan.spec());
    match (before.dataset == spec.dataset, before.protocol == spec.protocol) {
        (true, true) => "submit it as a new sweep, or keep the earlier values".to_owned(),
        (false, true) => "`dataset` differs, so no trial is the same".to_owned(),
        (true, false) => "`protocol` differs, so no trial is the same".to_owned(),
        (false, false) => "`dataset` and `protocol` differ, so no trial is the same".to_owned(),
    }
}
