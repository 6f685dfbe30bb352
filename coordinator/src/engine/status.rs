//! Where sweeps stand: live ones by the owner task's word, ended ones by the store's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_analysis::cost::Accuracy;
use sweep_scheduler::{SweepCounts, SweepId};
use sweep_spec::budget::{Budget, Money};
use sweep_spec::spec::Metric;

use super::command::{Command, Running};
use super::{Cost, Error, Handle, restore};
use crate::analysis::leaderboard::{self, Counts, Leaderboard};
use crate::store::codes::{StageState, SweepState};
use crate::store::record::{Replicate, SweepRecord};

/// Ended sweeps whose boards are kept.
const KEPT_BOARDS: usize = 64;
/// A board of a live sweep is made anew only when this many times what making it took has passed.
const PATIENCE: u32 = 20;

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
        let board = self.board(id, ended).await?;
        let spec = board.plan.spec();
        let epochs = u64::from(spec.protocol.epochs);
        let cost = match &live {
            Some(live) => live.cost.clone(),
            None => Cost {
                spent_seconds: self.store.spent_ms(id).await? as f64 / 1000.0,
                left: None,
                end: None,
                budget_seconds: spec.budget_seconds(),
                left_out: 0,
                on_gpus: board.on_gpus,
            },
        };
        let waiting = |stage: &crate::store::record::StageRecord| {
            if !ended && stage.state == StageState::Waiting { stage.trials_at_most } else { 0 }
        };
        let to_come_at_most = record.stages.iter().map(waiting).sum();
        let (counts, stages) = match &live {
            Some(live) => (live.counts, live.stages.iter().map(|counts| counts.unwrap_or_default()).collect()),
            None => (board.counts, board.stages.clone()),
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
            None => board.epochs_done,
        };
        Ok(Status {
            counts,
            to_come_at_most,
            stages,
            cost,
            price_per_hour: spec.price_per_hour.clone(),
            budget: spec.budget.clone(),
            left_out_seeds: super::fitting::left_out(&record, &board.plan),
            accuracy: self.costs.get().accuracy(),
            best: board.best(),
            objective: board.plan.spec().objective.metric,
            waiting_for: live.as_ref().map(|live| live.waiting_for.clone()).unwrap_or_default(),
            running: live.map(|live| live.running).unwrap_or_default(),
            epochs_done,
            epochs_total: (trials + to_come_at_most).saturating_mul(epochs),
            record: Arc::new(record),
        })
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
            let board = leaderboard::leaderboard(plan.spec(), metric, &configurations, &replicates);
            let stages_of = configurations.iter().map(|row| (row.position, row.stages.as_slice())).collect();
            let (counts, stages) = count(&replicates, &stages_of, record.stages.len());
            let epochs = replicates.iter().filter_map(|replicate| replicate.result.as_ref()?.last);
            let devices =
                || replicates.iter().filter_map(|replicate| Some(&replicate.result.as_ref()?.provenance.device));
            let on_gpus = devices().next().is_some() && devices().all(|device| device != "cpu");
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
        let found = match text.parse() {
            Ok(number) => self.store.sweep(SweepId(number)).await?.map(|record| record.id),
            Err(_) => self.store.sweep_named(text).await?,
        };
        found.ok_or_else(|| Error::not_found(format!("sweep `{text}`")))
    }
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

impl leaderboard::Row {
    /// The mean of a metric.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let estimate = match metric {
            Metric::ValAccuracy => self.val_accuracy,
            Metric::ValLoss => self.val_loss,
            Metric::TrainAccuracy => self.train_accuracy,
            Metric::TrainLoss => self.train_loss,
            Metric::Ratio => self.ratio,
        };
        estimate.map(|estimate| estimate.mean)
    }
}

type StagesOf<'a> = std::collections::HashMap<u32, &'a [u32]>;

fn count(replicates: &[Replicate], stages_of: &StagesOf<'_>, stages: usize) -> (SweepCounts, Vec<SweepCounts>) {
    let mut all = Counts::default();
    let mut by_stage = vec![Counts::default(); stages];
    for replicate in replicates {
        all.add(replicate);
        for stage in stages_of.get(&replicate.configuration).copied().unwrap_or_default() {
            if let Some(counts) = by_stage.get_mut(*stage as usize) {
                counts.add(replicate);
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
    (convert(&all), by_stage.iter().map(convert).collect())
}
