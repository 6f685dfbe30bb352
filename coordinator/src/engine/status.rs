//! Where sweeps stand: live ones by the owner task's word, ended ones by the store's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_analysis::cost::Accuracy;
use sweep_analysis::leaderboard::{self, Counts, Leaderboard};
use sweep_analysis::study::Study;
use sweep_report::parts::number::moment;
use sweep_scheduler::event::Service;
use sweep_scheduler::{HeldBack, LeftOut, SweepCounts, SweepId, Unplaceable};
use sweep_spec::budget::{Budget, Money};
use sweep_spec::spec::Metric;

use super::command::{Command, LiveStatus, Running};
use super::{Cost, Error, Handle, fitting, restore, study};
use crate::store::codes::{StageState, SweepState};
use crate::store::record::SweepRecord;

/// Ended sweeps whose boards are kept.
const KEPT_BOARDS: usize = 64;
/// A board of a live sweep is made anew only when this many times what making it took has passed.
const PATIENCE: u32 = 20;
/// The status of a live sweep with more results than this does not wait for its ranking.
const LARGE: u64 = 5_000;

/// Where a sweep stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// What was submitted.
    pub record: Arc<SweepRecord>,
    /// Over all stages.
    pub counts: SweepCounts,
    /// Trials that later stages will add, at most.
    pub to_come_at_most: u64,
    /// By stage.
    pub stages: Vec<StageStatus>,
    /// What it has cost and will.
    pub cost: Cost,
    /// What an hour of a slot costs, and what the sweep may cost, as its spec says it.
    pub price_per_hour: Option<Money>,
    /// As the spec says it.
    pub budget: Option<Budget>,
    /// Seeds that were left out for the budget before it began.
    pub left_out_seeds: Vec<u64>,
    /// How far predictions were off, class of device by class of device.
    pub accuracy: Vec<Accuracy>,
    /// The best value so far and its configuration's label.
    pub best: Option<(f64, String)>,
    /// What it is judged by.
    pub objective: Metric,
    /// Trials that run.
    pub running: Vec<Running>,
    /// Why nothing runs.
    pub waiting_for: Vec<String>,
    /// Why none of the connected workers can ever run what waits.
    pub unplaceable: Option<Unplaceable>,
    /// Connected workers that it gives nothing.
    pub leaves_out: Vec<LeftOut>,
    /// Connected workers that are suspended, and what they are.
    pub out_of_service: Vec<(String, Service)>,
    /// Why its rest is held back, if it is.
    pub held: Option<HeldBack>,
    /// Epochs done, over all trials.
    pub epochs_done: u64,
    /// Epochs asked for.
    pub epochs_total: u64,
}

/// Where a stage stands.
#[derive(Debug, Clone)]
pub struct StageStatus {
    /// Its name.
    pub name: String,
    /// Its trials; one that several stages share counts in each.
    pub counts: SweepCounts,
    /// Trials that it may have, while it is not open.
    pub to_come_at_most: u64,
    /// What it chose, or why it could not.
    pub choice: String,
}

/// A leaderboard with the sweep that it belongs to.
#[derive(Debug)]
pub struct Board {
    /// What was submitted.
    pub record: SweepRecord,
    /// Its plan.
    pub plan: sweep_spec::Plan,
    /// The ranking.
    pub board: Leaderboard,
    /// Where its trials stand, by stage and over all.
    stages: Vec<SweepCounts>,
    counts: SweepCounts,
    epochs_done: u64,
    /// Whether its results came from GPUs alone.
    on_gpus: bool,
}

/// A board and when it was made.
pub(crate) struct CachedBoard {
    board: Arc<Board>,
    made: Instant,
    took: Duration,
    change: u64,
}

impl Handle {
    /// Where a sweep stands.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn status(&self, id: SweepId) -> Result<Status, Error> {
        let live = self.ask(|reply| Command::Sweep(id, reply)).await?;
        let record = self.store.sweep(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))?;
        let ended = record.state != SweepState::Running;
        let answered = live.as_ref().map_or(0, |live| live.counts.succeeded);
        let board = if answered > LARGE { self.board_soon(id) } else { Some(self.board(id, ended).await?) };
        let plan = match &board {
            Some(board) => board.plan.clone(),
            None => restore::plan(&record)?,
        };
        let spec = plan.spec();
        let epochs = u64::from(spec.protocol.epochs);
        let cost = match &live {
            Some(live) => live.cost.clone(),
            None => Cost {
                spent_seconds: self.store.spent_ms(id).await? as f64 / 1000.0,
                left: None,
                end: None,
                budget_seconds: spec.budget_seconds(),
                left_out: 0,
                on_gpus: board.as_ref().is_some_and(|board| board.on_gpus),
            },
        };
        let waiting = |stage: &crate::store::record::StageRecord| {
            if !ended && stage.state == StageState::Waiting { stage.trials_at_most } else { 0 }
        };
        let to_come_at_most = record.stages.iter().map(waiting).sum();
        let (counts, stages) = match (&live, &board) {
            (Some(live), _) => (live.counts, live.stages.iter().map(|counts| counts.unwrap_or_default()).collect()),
            (None, Some(board)) => (board.counts, board.stages.clone()),
            (None, None) => (SweepCounts::default(), Vec::new()),
        };
        let stages = record.stages.iter().enumerate().map(|(index, stage)| StageStatus {
            name: stage.name.clone(),
            counts: stages.get(index).copied().unwrap_or_default(),
            to_come_at_most: waiting(stage),
            choice: stage.choice.clone(),
        });
        let stages = stages.collect();
        let trials = counts.queued + counts.running + counts.succeeded + counts.failed + counts.cancelled;
        let running_epochs = live.as_ref().map_or(0, |live| live.running_epochs);
        let epochs_done = match &live {
            Some(_) => counts.succeeded.saturating_mul(epochs).saturating_add(running_epochs),
            None => board.as_ref().map_or(0, |board| board.epochs_done),
        };
        Ok(Status {
            counts,
            to_come_at_most,
            stages,
            cost,
            price_per_hour: spec.price_per_hour.clone(),
            budget: spec.budget.clone(),
            left_out_seeds: fitting::left_out(&record, &plan),
            accuracy: self.costs.get().accuracy(),
            best: board.as_ref().and_then(|board| board.best()),
            objective: spec.objective.metric,
            waiting_for: live.as_ref().map(|live| self.waiting_for(id, live)).unwrap_or_default(),
            unplaceable: live.as_ref().and_then(|live| live.unplaceable.clone()),
            leaves_out: live.as_ref().map(|live| live.leaves_out.clone()).unwrap_or_default(),
            out_of_service: live.as_ref().map(|live| live.out_of_service.clone()).unwrap_or_default(),
            held: live.as_ref().and_then(|live| live.held.clone()),
            running: live.map(|live| live.running).unwrap_or_default(),
            epochs_done,
            epochs_total: (trials + to_come_at_most).saturating_mul(epochs),
            record: Arc::new(record),
        })
    }

    /// Why trials of a live sweep wait, and why its next stage does.
    fn waiting_for(&self, id: SweepId, live: &LiveStatus) -> Vec<String> {
        live.waiting_for.iter().cloned().chain(self.waits_for_room(id)).collect()
    }

    /// The newest board that is at hand; a newer one is made meanwhile. Nobody waits for the best of a hundred thousand
    /// trials to hear that the sweep goes on.
    fn board_soon(&self, id: SweepId) -> Option<Arc<Board>> {
        let board = self.boards.lock().ok()?.get(&id).map(|cached| Arc::clone(&cached.board));
        if self.making.lock().is_ok_and(|mut making| making.insert(id)) {
            let handle = self.clone();
            tokio::spawn(async move {
                if let Err(error) = handle.board(id, false).await {
                    tracing::warn!(sweep_id = %id, error = %crate::chain(&error), "cannot rank a sweep");
                }
                if let Ok(mut making) = handle.making.lock() {
                    making.remove(&id);
                }
            });
        }
        board
    }

    /// The leaderboard by the sweep's objective. Of a live sweep it may be some moments old, if it is large, unless
    /// `exact`.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn board(&self, id: SweepId, exact: bool) -> Result<Arc<Board>, Error> {
        let change = *self.changes.borrow();
        let now = Instant::now();
        if let Ok(boards) = self.boards.lock()
            && let Some(cached) = boards.get(&id)
        {
            let ended = cached.board.record.state != SweepState::Running;
            let fresh = cached.change == change;
            let patient = !exact && now.saturating_duration_since(cached.made) < cached.took * PATIENCE;
            if ended || fresh || patient {
                return Ok(Arc::clone(&cached.board));
            }
        }
        let board = Arc::new(self.make_board(id, None).await?);
        let cached = CachedBoard { board: Arc::clone(&board), made: Instant::now(), took: now.elapsed(), change };
        if let Ok(mut boards) = self.boards.lock() {
            if boards.len() >= KEPT_BOARDS
                && let Some(oldest) = boards.iter().min_by_key(|(_, cached)| cached.made).map(|(id, _)| *id)
            {
                boards.remove(&oldest);
            }
            boards.insert(id, cached);
        }
        Ok(board)
    }

    /// The leaderboard by some metric, as the store has it now.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn make_board(&self, id: SweepId, metric: Option<Metric>) -> Result<Board, Error> {
        let record = self.store.sweep(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))?;
        let configurations = self.store.configurations(id).await?;
        let replicates = self.store.replicates(id).await?;
        super::submit::blocking(move || {
            let plan = restore::plan(&record)?;
            let study = study::study(&plan, &record, configurations, replicates);
            let board = leaderboard::leaderboard(&study, metric);
            let (counts, stages) = count(&plan, &study);
            let answers = || {
                let replicates = study.subjects.iter().flat_map(|subject| &subject.replicates);
                replicates.filter_map(|replicate| replicate.answer.as_ref())
            };
            let mut devices = answers().map(|answer| answer.provenance.device.as_str()).peekable();
            let on_gpus = devices.peek().is_some() && devices.all(|device| device != "cpu");
            let epochs = answers().filter_map(|answer| answer.last);
            let epochs_done = epochs.map(|last| u64::from(last.epoch)).sum();
            Ok(Board { record, plan, board, stages, counts, epochs_done, on_gpus })
        })
        .await
    }

    /// A sweep by its number, or the newest of a name.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn find(&self, text: &str) -> Result<SweepId, Error> {
        if let Ok(number) = text.parse() {
            let found = self.store.sweep(SweepId(number)).await?;
            let Some(record) = found else {
                let deleted = self.store.deletion(SweepId(number)).await?;
                let how = deleted
                    .map(|deleted| format!(": {} deleted it at {} UTC", deleted.actor, moment(deleted.asked_ms)));
                return Err(Error::not_found(format!("sweep `{text}`{}", how.unwrap_or_default())));
            };
            return Ok(record.id);
        }
        if let Some(id) = self.store.sweep_named(text).await? {
            return Ok(id);
        }
        let names: Vec<String> = self.store.sweeps().await?.into_iter().map(|record| record.name).collect();
        let meant = nearest(text, &names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Err(Error::not_found(format!("sweep `{text}`{meant}")))
    }
}

/// The name that somebody meant who wrote `text`, if one is near enough.
fn nearest<'a>(text: &str, names: &'a [String]) -> Option<&'a str> {
    // A long name is no slip of the fingers, and comparing it would take long.
    const LONGEST: usize = 64;
    let short = |text: &str| text.chars().count() <= LONGEST;
    let slips = |name: &String| strsim::osa_distance(&text.to_lowercase(), &name.to_lowercase());
    let most = (text.chars().count() / 3).max(1);
    let near = names.iter().filter(|name| short(name) && short(text)).map(|name| (slips(name), name));
    // Of equally near ones the newest, which comes first.
    near.filter(|(slips, _)| *slips <= most).min_by_key(|(slips, _)| *slips).map(|(_, name)| name.as_str())
}

impl Board {
    /// Where the sweep's trials stand.
    pub fn counts(&self) -> SweepCounts {
        self.counts
    }

    /// The best value and its configuration's label.
    pub fn best(&self) -> Option<(f64, String)> {
        let row = self.board.rows.iter().find(|row| row.rank == Some(1))?;
        let label = if row.name.is_empty() { row.label.clone() } else { row.name.clone() };
        Some((row.value(self.board.metric)?, label))
    }
}

fn count(plan: &sweep_spec::Plan, study: &Study) -> (SweepCounts, Vec<SweepCounts>) {
    let mut all = Counts::default();
    let mut by_group = vec![Counts::default(); study.groups.len()];
    let seeds = |group: usize| plan.seeds(group).iter().copied().collect();
    let seeds: Vec<HashSet<u64>> = (0..study.groups.len()).map(seeds).collect();
    for subject in &study.subjects {
        for replicate in &subject.replicates {
            all.add(replicate);
            for group in &subject.groups {
                if let (Some(counts), Some(seeds)) = (by_group.get_mut(*group), seeds.get(*group))
                    && seeds.contains(&replicate.seed)
                {
                    counts.add(replicate);
                }
            }
        }
    }
    let convert = |counts: &Counts| SweepCounts {
        queued: counts.queued,
        running: counts.running,
        succeeded: counts.succeeded,
        diverged: counts.diverged,
        failed: counts.failed,
        cancelled: counts.cancelled,
        reused: counts.reused,
    };
    (convert(&all), by_group.iter().map(convert).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_the_name() {
        let names = ["scene-cnn", "quickstart", "scene-cnn"].map(str::to_owned);
        assert_eq!(nearest("scene-cn", &names), Some("scene-cnn"));
        assert_eq!(nearest("Quikcstart", &names), Some("quickstart"));
        assert_eq!(nearest("other", &names), None);
        assert_eq!(nearest(&"x".repeat(100_000), &names), None);
    }
}
