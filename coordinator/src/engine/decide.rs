//! `keep: best`: when such a stage has ended and that is on disk, its winner is computed from the store, and the choice is
//! committed together with the stages that it opens.

use std::collections::{HashMap, HashSet};

use sweep_scheduler::SweepId;
use sweep_spec::plan::{self, Candidate, Plan, Winner};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::command::{Begin, Command};
use super::expand::{Expanded, Expansion};
use super::people::NOBODY;
use super::submit::blocking;
use super::{Error, Handle, restore};
use crate::analysis::leaderboard::reported;
use crate::store::codes::{StageState, SweepState};
use crate::store::record::{ConfigurationRecord, Replicate, SweepRecord};
use crate::store::write::StageChange;

/// Decides stage after stage until the token is cancelled.
pub(super) async fn run(handle: Handle, mut stages: UnboundedReceiver<(SweepId, u32)>, shutdown: CancellationToken) {
    loop {
        let next = tokio::select! {
            () = shutdown.cancelled() => return,
            next = stages.recv() => next,
        };
        let Some((sweep, stage)) = next else { return };
        let decided = tokio::select! {
            () = shutdown.cancelled() => return,
            decided = handle.decide(sweep, stage) => decided,
        };
        match decided {
            Ok(()) => {}
            // The reload that follows says again what is undecided.
            Err(Error::Unavailable | Error::Troubled { .. }) => {}
            Err(error) => error!(sweep_id = %sweep, stage, error = %crate::chain(&error), "cannot choose a winner"),
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

impl Handle {
    async fn decide(&self, sweep: SweepId, stage: u32) -> Result<(), Error> {
        let _one = self.expansions.lock().await;
        let Some(record) = self.store.sweep(sweep).await? else { return Ok(()) };
        let undecided = record.stages.get(stage as usize).is_some_and(|row| row.keep_best && row.choice.is_empty());
        if !undecided || record.state == SweepState::Cancelled {
            return Ok(());
        }
        let configurations = self.store.configurations(sweep).await?;
        let replicates = self.store.replicates(sweep).await?;
        let plan = restore::plan(&record)?;
        let decision = decision(&plan, &record, stage, &configurations, &replicates);
        info!(sweep_id = %sweep, stage, choice = decision.choice.choice, "a stage has chosen");
        let (winners, open) = (decision.winners, decision.open);
        let costs = self.costs.clone();
        let expansion = blocking(move || Expansion::new((sweep, &plan), &winners, &open, &costs));
        let mut expansion = expansion.await?;
        expansion.write(self.store.as_ref()).await?;
        let ticket = self.ask(Command::Ticket).await?;
        let Expanded { open, configurations, trials } = expansion.known(self.store.as_ref()).await?;
        let begin = Begin {
            ticket,
            sweep,
            new: None,
            actor: NOBODY.to_owned(),
            choice: Some(decision.choice),
            open,
            fail: decision.fail,
            configurations,
            trials,
        };
        self.ask(|reply| Command::Begin(Box::new(begin), reply)).await
    }
}

fn decision(
    plan: &Plan,
    record: &SweepRecord,
    stage: u32,
    configurations: &[ConfigurationRecord],
    replicates: &[Replicate],
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
    match winner(plan, stage, configurations, replicates) {
        Ok(found) => {
            let label = found.configuration.difference(&plan.spec().baseline).to_string();
            let mut winners = restore::winners(record, configurations);
            winners.push(Winner { stage: stage as usize, configuration: found.configuration.clone() });
            let open = plan.released(&winners).groups().iter().copied().filter(|group| waiting(*group)).collect();
            Decision { choice: change(label, Some(found.position)), winners, open, fail: Vec::new() }
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

fn winner<'a>(
    plan: &Plan,
    stage: u32,
    configurations: &'a [ConfigurationRecord],
    replicates: &[Replicate],
) -> Result<&'a ConfigurationRecord, plan::NoWinner> {
    let spec = plan.spec();
    let stage_rows: Vec<&ConfigurationRecord> =
        configurations.iter().filter(|configuration| configuration.stages.contains(&stage)).collect();
    let wanted: HashSet<u32> = stage_rows.iter().map(|configuration| configuration.position).collect();
    let mut by_configuration: HashMap<u32, Vec<&Replicate>> = HashMap::new();
    for replicate in replicates.iter().filter(|replicate| wanted.contains(&replicate.configuration)) {
        by_configuration.entry(replicate.configuration).or_default().push(replicate);
    }
    let candidates: Vec<Candidate> = stage_rows
        .iter()
        .map(|configuration| {
            let replicates = by_configuration.get(&configuration.position);
            let values = replicates.into_iter().flatten().map(|replicate| {
                let epoch = reported(spec, replicate)?;
                spec.objective.metric.value(epoch, configuration.params)
            });
            let values = values.collect();
            Candidate { ordinal: u64::from(configuration.position), params: configuration.params, values }
        })
        .collect();
    let index = plan::best(&candidates, spec.objective.goal)?;
    stage_rows.get(index).copied().ok_or(plan::NoWinner { candidates: candidates.len() })
}
