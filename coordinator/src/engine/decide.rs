//! `keep: best` and `keep: best_if_significant`: when such a stage has ended and that is on disk, its winner is computed from
//! the store, and the choice is committed together with the stages that it opens. `looks.rs` decides about more seeds,
//! `weights.rs` about whose weights stay.

use std::collections::{HashMap, VecDeque};

use sweep_analysis::choice::{Choice, best_if_significant};
use sweep_analysis::number;
use sweep_scheduler::SweepId;
use sweep_spec::plan::{self, Candidate, Plan, Winner};
use sweep_spec::spec::Keep;
use sweep_store::codes::{StageState, SweepState};
use sweep_store::record::{ConfigurationRecord, SweepRecord};
use sweep_store::write::StageChange;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::batch::Decide;
use super::command::{Begin, Command};
use super::expand::{Expanded, Expansion};
use super::people::COORDINATOR;
use super::study::reported;
use super::submit::blocking;
use super::{Error, Handle, restore};

/// What became of a decision.
pub(super) enum Decided {
    /// It is made, or there was none to make.
    Done,
    /// It would open so many trials, for which there is no room yet.
    Waits { sweep: SweepId, trials: u64 },
}

/// Decides one thing after the other until the token is cancelled. What has to wait for room goes on in its order when
/// there is some, and holds up nothing else.
pub(super) async fn run(handle: Handle, mut due: UnboundedReceiver<Decide>, shutdown: CancellationToken) {
    let mut changes = handle.changes();
    let mut waiting: VecDeque<(Decide, SweepId, u64)> = VecDeque::new();
    loop {
        let next = tokio::select! {
            () = shutdown.cancelled() => return,
            next = due.recv() => next,
            changed = changes.changed(), if !waiting.is_empty() => match (changed, waiting.front()) {
                (Ok(()), Some((what, sweep, trials))) => match handle.may_open(*sweep, *trials).await {
                    Ok(true) => Some(*what),
                    Ok(false) | Err(_) => continue,
                },
                (Ok(()), None) => continue,
                (Err(_), _) => return,
            },
        };
        let Some(what) = next else { return };
        if let Decide::Summary(sweep) = what {
            // It takes as long as reading all trials of a sweep, and nothing waits for it.
            let (handle, shutdown) = (handle.clone(), shutdown.clone());
            tokio::spawn(async move { shutdown.run_until_cancelled(handle.summarise(sweep)).await });
            continue;
        }
        waiting.retain(|(waits, ..)| *waits != what);
        let decided = tokio::select! {
            () = shutdown.cancelled() => return,
            decided = handle.decide(what) => decided,
        };
        match decided {
            // What waits behind it is looked at again, also where this committed nothing.
            Ok(Decided::Done) => changes.mark_changed(),
            Ok(Decided::Waits { sweep, trials }) => {
                info!(sweep_id = %sweep, trials, "a stage waits for room (max_live_trials)");
                waiting.push_back((what, sweep, trials));
            }
            // The reload that follows says again what is undecided.
            Err(Error::Unavailable | Error::Troubled { .. }) => {}
            Err(error) => error!(?what, error = %crate::chain(&error), "cannot decide by results"),
        }
    }
}

/// What a stage chose, and what follows.
struct Decision {
    choice: StageChange,
    winners: Vec<Winner>,
    open: Vec<usize>,
    fail: Vec<(u32, String)>,
}

/// Values of the objective, by configuration and seed.
type Values = HashMap<(u32, u64), f64>;

impl Handle {
    async fn decide(&self, what: Decide) -> Result<Decided, Error> {
        match what {
            Decide::Winner(sweep, stage) => {
                let _one = self.expansions.lock().await;
                if let waits @ Decided::Waits { .. } = self.choose(sweep, stage).await? {
                    return Ok(waits);
                }
                // A last choice may be all that more seeds waited for.
                self.look(sweep).await
            }
            Decide::MoreSeeds(sweep) => {
                let _one = self.expansions.lock().await;
                self.look(sweep).await
            }
            Decide::Weights(sweep) => self.settle_weights(sweep).await.map(|()| Decided::Done),
            // Counted beside the other decisions.
            Decide::Summary(_) => Ok(Decided::Done),
            Decide::Files => self.remove_files().await.map(|()| Decided::Done),
        }
    }

    async fn choose(&self, sweep: SweepId, stage: u32) -> Result<Decided, Error> {
        let Some(record) = self.store.sweep(sweep).await? else { return Ok(Decided::Done) };
        // One that was opened again in the meantime is asked for again when it has ended.
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

    /// What the configurations of a stage came to, under the seeds that choose.
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

    /// Commits a choice with what it opens and what it makes impossible, unless there is no room for what it opens.
    pub(super) async fn open(
        &self,
        mut expansion: Expansion,
        choice: StageChange,
        fail: Vec<(u32, String)>,
    ) -> Result<Decided, Error> {
        let sweep = expansion.sweep;
        let trials = expansion.ids().len() as u64;
        if trials > 0 && !self.may_open(sweep, trials).await? {
            return Ok(Decided::Waits { sweep, trials });
        }
        expansion.write(self.store.as_ref()).await?;
        let ticket = self.ask(Command::Ticket).await?;
        let Expanded { open, configurations, trials } = expansion.known(self.store.as_ref()).await?;
        let (actor, choice) = (COORDINATOR.to_owned(), Some(choice));
        let begin =
            Begin { ticket, sweep, new: None, actor, extends: None, choice, open, fail, configurations, trials };
        self.ask(|reply| Command::Begin(Box::new(begin), reply)).await.map(|_| Decided::Done)
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
    let mut winners = restore::winners(record, configurations);
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

/// What a stage hands on, and the choice in words; or why it cannot.
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

/// A choice of `keep: best_if_significant`, and why.
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
