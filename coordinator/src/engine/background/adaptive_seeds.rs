//! `seeds: adaptive`: when all stages so far have ended and are committed, the undecided comparisons are computed from the store.
//! The choice is committed together with the trials that it opens, and is never revised.

use std::collections::BTreeSet;

use sweep_analysis::adaptive::{Followed, State, follow};
use sweep_analysis::number::plural;
use sweep_analysis::study::Study;
use sweep_scheduler::SweepId;
use sweep_spec::Plan;
use sweep_spec::plan::GroupKind;
use sweep_store::codes::{StageState, SweepState};
use sweep_store::record::{ConfigurationRecord, SweepRecord};
use sweep_store::write::StageChange;
use tracing::info;

use crate::engine::background::open_stages::Decided;
use crate::engine::blocking::blocking;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::submission::expansion::Expansion;

/// The most configurations that the text of a choice lists; if there are more, it gives their number.
const NAMED: usize = 8;

impl Handle {
    /// Gives more seeds to the undecided configurations, if a look is due.
    pub(super) async fn look(&self, sweep: SweepId) -> Result<Decided, Error> {
        let Some(record) = self.store.sweep(sweep).await? else { return Ok(Decided::Done) };
        let plan = self.plan(&record).await?;
        let Some(group) = due(&plan, &record) else { return Ok(Decided::Done) };
        let study = self.results(&plan, &record).await?;
        let configurations = self.store.configurations(sweep).await?;
        let costs = self.costs.clone();
        let (expansion, change) = blocking(move || {
            let (chosen, choice) = undecided(&study, look_of(&plan, group));
            let chosen: Vec<ConfigurationRecord> =
                configurations.into_iter().filter(|row| chosen.contains(&row.position)).collect();
            let expansion = Expansion::more_seeds((sweep, &plan), group, &chosen, &costs)?;
            Ok((expansion, change(&record, group, choice)?))
        })
        .await?;
        info!(sweep_id = %sweep, stage = group, choice = change.choice, "more seeds are decided upon");
        self.open(expansion, change, Vec::new()).await
    }
}

/// The first look that has not been made yet, if all stages before it have ended and made their choices.
fn due(plan: &Plan, record: &SweepRecord) -> Option<usize> {
    if record.state != SweepState::Running {
        return None;
    }
    let waits = |look: &usize| record.stages.get(*look).is_some_and(|row| row.state == StageState::Waiting);
    let look = plan.looks().find(waits)?;
    let over = |row: &sweep_store::record::StageRecord| {
        row.state == StageState::Ended && (!row.keep_best || !row.choice.is_empty())
    };
    record.stages.get(..look)?.iter().all(over).then_some(look)
}

/// The number of a look, counted from 1.
fn look_of(plan: &Plan, group: usize) -> usize {
    match plan.groups().get(group).map(|group| group.kind) {
        Some(GroupKind::MoreSeeds(look)) => look,
        Some(GroupKind::Stage(_) | GroupKind::Extra | GroupKind::Noise) | None => 1,
    }
}

/// The configurations that get the seeds of a look, and the choice in words.
fn undecided(study: &Study, look: usize) -> (BTreeSet<u32>, String) {
    let followed = follow(study, look);
    let open: Vec<&Followed> = followed.iter().filter(|comparison| comparison.state == State::Open).collect();
    let chosen = open.iter().flat_map(|comparison| [comparison.position, comparison.reference]).collect();
    let count = |state| followed.iter().filter(|comparison| comparison.state == state).count();
    let (decided, excluded) = (count(State::Decided), count(State::Excluded));
    let are = if decided == 1 { "is" } else { "are" };
    let mut rest = format!("{decided} of {} {are} decided", plural(followed.len() as u64, "comparison"));
    if excluded > 0 {
        rest = format!("{rest}, {excluded} without a value");
    }
    if open.is_empty() {
        return (chosen, format!("none: {rest}"));
    }
    let title = |comparison: &&Followed| study.subject(comparison.position).map(|subject| subject.title().to_owned());
    let titles: BTreeSet<String> = open.iter().filter_map(title).collect();
    let mut named = titles.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if titles.len() > NAMED {
        named = format!("{named} and {} more", titles.len() - NAMED);
    }
    (chosen, format!("{named} and their references: {rest}"))
}

fn change(record: &SweepRecord, group: usize, choice: String) -> Result<StageChange, Error> {
    let stage = u32::try_from(group).map_err(|error| Error::Internal(error.to_string()))?;
    let decided = record.stages.iter().filter_map(|row| row.decided).max().unwrap_or(0) + 1;
    Ok(StageChange { sweep: record.id, stage, state: None, choice, winner: None, decided: Some(decided) })
}
