//! `keep: best` and `keep: best_if_significant`: when such a stage has ended and is committed, its winner is computed from the
//! store. The choice is committed together with the stages that it opens.

use std::collections::HashMap;

use sweep_analysis::choice::{Choice, best_if_significant};
use sweep_analysis::number;
use sweep_scheduler::SweepId;
use sweep_spec::plan::{self, Candidate, Plan, Winner};
use sweep_spec::spec::Keep;
use sweep_store::codes::{StageState, SweepState};
use sweep_store::record::{ConfigurationRecord, SweepRecord};
use sweep_store::write::StageChange;
use tracing::info;

use crate::engine::background::open_stages::Decided;
use crate::engine::blocking::blocking;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::query::study::reported;
use crate::engine::stored_plan;
use crate::engine::submission::expansion::Expansion;

/// The choice of a stage, and its consequences.
struct Decision {
    choice: StageChange,
    winners: Vec<Winner>,
    open: Vec<usize>,
    fail: Vec<(u32, String)>,
}

/// Values of the objective, by configuration and seed.
type Values = HashMap<(u32, u64), f64>;

impl Handle {
    pub(super) async fn choose(&self, sweep: SweepId, stage: u32) -> Result<Decided, Error> {
        let Some(record) = self.store.sweep(sweep).await? else { return Ok(Decided::Done) };
        // A stage that was reopened since then gets another follow-up when it ends.
        let undecided = record
            .stages
            .get(stage as usize)
            .is_some_and(|row| row.keep_best && row.choice.is_empty() && row.state == StageState::Ended);
        if !undecided || record.state == SweepState::Cancelled {
            return Ok(Decided::Done);
        }
        let configurations = self.store.configurations(sweep).await?;
        let plan = self.plan(&record).await?;
        let values = self.values(&plan, sweep, stage, &configurations).await?;
        let decision = decision(&plan, &record, stage, &configurations, &values);
        info!(sweep_id = %sweep, stage, choice = decision.choice.choice, "a stage has chosen");
        let (winners, open) = (decision.winners, decision.open);
        let costs = self.costs.clone();
        let expansion = blocking(move || Expansion::chosen((sweep, &plan), &winners, &open, &costs)).await?;
        self.open(expansion, decision.choice, decision.fail).await
    }

    /// Values of a stage's configurations, under the seeds that choose.
    async fn values(
        &self,
        plan: &Plan,
        sweep: SweepId,
        stage: u32,
        configurations: &[ConfigurationRecord],
    ) -> Result<Values, Error> {
        let spec = plan.spec();
        let of_stage = configurations.iter().filter(|configuration| configuration.stages.contains(&stage));
        let params: HashMap<u32, u64> = of_stage.map(|row| (row.position, row.params)).collect();
        let seeds = spec.chose_on(stage as usize);
        let mut values = Values::new();
        let mut rows = self.rows(sweep).await?;
        while let Some(row) = rows.next().await? {
            let Some(params) = params.get(&row.configuration).filter(|_| seeds.contains(&row.seed)) else { continue };
            let value = reported(spec, &row).and_then(|epoch| spec.objective.metric.value(epoch, *params));
            values.extend(value.map(|value| ((row.configuration, row.seed), value)));
        }
        Ok(values)
    }
}

fn decision(
    plan: &Plan,
    record: &SweepRecord,
    stage: u32,
    configurations: &[ConfigurationRecord],
    values: &Values,
) -> Decision {
    let decided = record.stages.iter().filter_map(|row| row.decided).max().unwrap_or(0) + 1;
    let waiting = |index: usize| record.stages.get(index).is_some_and(|row| row.state == StageState::Waiting);
    let change = |choice: String, winner: Option<u32>| StageChange {
        sweep: record.id,
        stage,
        state: None,
        choice,
        winner,
        decided: Some(decided),
    };
    let mut winners = stored_plan::winners(record, configurations);
    match winner(plan, &winners, stage, (configurations, values)) {
        Ok((found, choice)) => {
            winners.push(Winner { stage: stage as usize, configuration: found.configuration.clone() });
            let open = plan.released(&winners).groups().iter().copied().filter(|group| waiting(*group)).collect();
            Decision { choice: change(choice, Some(found.position)), winners, open, fail: Vec::new() }
        }
        Err(none) => {
            let name = record.stages.get(stage as usize).map_or("", |row| row.name.as_str());
            let reason = format!("stage `{name}` found no winner: {none}");
            let behind = plan.behind(stage as usize).into_iter().filter(|group| waiting(*group));
            let fail = behind.filter_map(|group| Some((u32::try_from(group).ok()?, reason.clone()))).collect();
            Decision { choice: change(reason.clone(), None), winners: Vec::new(), open: Vec::new(), fail }
        }
    }
}

/// The winner of a stage, with a sentence about the choice, or the reason why there is none.
fn winner<'a>(
    plan: &Plan,
    winners: &[Winner],
    stage: u32,
    (configurations, values): (&'a [ConfigurationRecord], &Values),
) -> Result<(&'a ConfigurationRecord, String), String> {
    let spec = plan.spec();
    let rows: Vec<&ConfigurationRecord> =
        configurations.iter().filter(|configuration| configuration.stages.contains(&stage)).collect();
    let stage = stage as usize;
    let value = |row: &ConfigurationRecord, seed: &u64| values.get(&(row.position, *seed)).copied();
    let candidate = |row: &&ConfigurationRecord| Candidate {
        ordinal: u64::from(row.position),
        params: row.params,
        values: spec.chose_on(stage).iter().map(|seed| value(row, seed)).collect(),
    };
    let candidates: Vec<Candidate> = rows.iter().map(candidate).collect();
    let goal = spec.objective.goal;
    let label = |row: &ConfigurationRecord| row.configuration.difference(&spec.baseline).to_string();
    let none = plan::NoWinner { candidates: candidates.len() };
    if spec.stages.get(stage).is_none_or(|stage| stage.keep != Keep::BestIfSignificant) {
        let best = plan::best(&candidates, goal).map_err(|none| none.to_string())?;
        let found = rows.get(best).copied().ok_or_else(|| none.to_string())?;
        return Ok((found, label(found)));
    }
    let released = plan.released(winners);
    let start = released.start(stage).and_then(|start| rows.iter().position(|row| row.configuration == *start));
    let choice = best_if_significant(&candidates, start, goal).map_err(|error| error.to_string())?;
    let found = rows.get(choice.index).copied().ok_or_else(|| none.to_string())?;
    let best = choice.tested.and_then(|tested| rows.get(tested.index)).map(|row| label(row)).unwrap_or_default();
    let start = start.and_then(|start| rows.get(start)).map(|row| label(row)).unwrap_or_default();
    Ok((found, significance(&choice, &best, &start)))
}

/// A sentence about a choice of `keep: best_if_significant`, with its reason.
fn significance(choice: &Choice, best: &str, start: &str) -> String {
    let Some(tested) = choice.tested else {
        return format!("{start}: no configuration is better than this starting point");
    };
    let found = format!(
        "by {} (p = {} over {}, Holm over {})",
        number::signed(tested.delta, 4),
        number::probability(tested.p),
        number::plural(tested.pairs as u64, "seed"),
        number::plural(tested.family as u64, "comparison")
    );
    if choice.index == tested.index {
        format!("{best}: better than {start} {found}")
    } else {
        format!("{start}: {best} differs {found}, which is not significant")
    }
}
