//! The status of a sweep: from the owner task for a live sweep, from its summary for one that has ended.

use std::sync::Arc;

use sweep_analysis::cost::Accuracy;
use sweep_report::parts::number::moment;
use sweep_scheduler::event::Service;
use sweep_scheduler::{HeldBack, LeftOut, SweepId, Unplaceable};
use sweep_spec::TrialCounts;
use sweep_spec::budget::{Budget, Money};
use sweep_spec::spec::Metric;
use sweep_store::codes::{StageState, SweepState};
use sweep_store::record::{StageRecord, SweepRecord};
use sweep_store::summary::Asked;

use crate::engine::cost::sweep_cost::Cost;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::command::Command;
use crate::engine::messages::views::{LiveStatus, Running};

/// The status of a sweep.
#[derive(Debug, Clone)]
pub struct Status {
    /// The sweep as submitted.
    pub record: Arc<SweepRecord>,
    /// Trials of all stages.
    pub counts: TrialCounts,
    /// The most trials that later stages will add.
    pub to_come_at_most: u64,
    pub stages: Vec<StageStatus>,
    /// Its cost so far and the prediction for the rest.
    pub cost: Cost,
    /// The price of an hour of a slot, as in the spec.
    pub price_per_hour: Option<Money>,
    /// The budget, as in the spec.
    pub budget: Option<Budget>,
    /// Seeds that were left out before it began, to fit the budget.
    pub left_out_seeds: Vec<u64>,
    /// The error of past predictions, by class of device.
    pub accuracy: Vec<Accuracy>,
    /// The best value so far and its configuration's label.
    pub best: Option<(f64, String)>,
    /// The metric that ranks its configurations.
    pub objective: Metric,
    /// Running trials.
    pub running: Vec<Running>,
    /// Reasons why no trial runs.
    pub waiting_for: Vec<String>,
    /// Why none of the connected workers can ever run the queued trials.
    pub unplaceable: Option<Unplaceable>,
    /// Connected workers that it assigns no trials.
    pub leaves_out: Vec<LeftOut>,
    /// Connected workers that are out of service, with their state.
    pub out_of_service: Vec<(String, Service)>,
    /// Why its remaining trials are held back, if they are.
    pub held: Option<HeldBack>,
    /// Completed epochs of all trials.
    pub epochs_done: u64,
    /// Epochs of all trials.
    pub epochs_total: u64,
}

/// The status of a stage.
#[derive(Debug, Clone)]
pub struct StageStatus {
    pub name: String,
    /// Its trials; a trial of several stages counts in each.
    pub counts: TrialCounts,
    /// The most trials that it may have, while it is not open.
    pub to_come_at_most: u64,
    /// Its choice, or why it could not choose.
    pub choice: String,
}

impl Handle {
    /// The status of a sweep. It reads neither the trials nor the spec, except of a small running sweep and of an ended
    /// sweep that was never counted.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn status(&self, id: SweepId) -> Result<Status, Error> {
        let live = self.ask(|reply| Command::Sweep(id, reply)).await?;
        let record = self.record(id).await?;
        let ended = record.state != SweepState::Running;
        let summary = self.summary_soon(&record, live.as_ref().map(|live| live.counts)).await?;
        let asked = match (&live, &summary) {
            (Some(live), _) => Asked::clone(&live.asked),
            (None, Some(summary)) => summary.asked.clone(),
            (None, None) => return Err(Error::Internal(format!("sweep {id} lives and is not known"))),
        };
        let cost = match &live {
            Some(live) => live.cost.clone(),
            None => Cost {
                spent_seconds: summary.as_ref().map_or(0, |summary| summary.spent_ms) as f64 / 1000.0,
                left: None,
                end: None,
                budget_seconds: asked.budget_seconds,
                left_out: 0,
                on_gpus: summary.as_ref().is_some_and(|summary| summary.on_gpus),
            },
        };
        let waiting = |stage: &StageRecord| {
            if !ended && stage.state == StageState::Waiting { stage.trials_at_most } else { 0 }
        };
        let to_come_at_most = record.stages.iter().map(waiting).sum();
        let counts = live.as_ref().map(|live| live.counts).or(summary.as_ref().map(|summary| summary.counts));
        let counts = counts.unwrap_or_default();
        let of_stage = |index: usize| match (&live, &summary) {
            (Some(live), _) => live.stages.get(index).copied().flatten().unwrap_or_default(),
            (None, summary) => summary.as_ref().map(|summary| summary.stage(index)).unwrap_or_default(),
        };
        let stage = |(index, stage): (usize, &StageRecord)| StageStatus {
            name: stage.name.clone(),
            counts: of_stage(index),
            to_come_at_most: waiting(stage),
            choice: stage.choice.clone(),
        };
        let stages = record.stages.iter().enumerate().map(stage).collect();
        let epochs_done = match (&live, &summary) {
            (Some(live), _) => counts.succeeded.saturating_mul(asked.epochs).saturating_add(live.running_epochs),
            (None, summary) => summary.as_ref().map_or(0, |summary| summary.epochs_done),
        };
        let best = summary.as_ref().and_then(|summary| summary.best.first());
        Ok(Status {
            counts,
            to_come_at_most,
            stages,
            cost,
            price_per_hour: asked.price_per_hour(),
            budget: asked.budget(),
            accuracy: self.costs.get().accuracy(),
            best: best.map(|best| (best.value, best.label.clone())),
            objective: asked.objective().unwrap_or(Metric::ValAccuracy),
            waiting_for: live.as_ref().map(|live| self.waiting_for(id, live)).unwrap_or_default(),
            unplaceable: live.as_ref().and_then(|live| live.unplaceable.clone()),
            leaves_out: live.as_ref().map(|live| live.leaves_out.clone()).unwrap_or_default(),
            out_of_service: live.as_ref().map(|live| live.out_of_service.clone()).unwrap_or_default(),
            held: live.as_ref().and_then(|live| live.held.clone()),
            running: live.map(|live| live.running).unwrap_or_default(),
            epochs_done,
            epochs_total: (counts.total() + to_come_at_most).saturating_mul(asked.epochs),
            left_out_seeds: asked.left_out_seeds,
            record: Arc::new(record),
        })
    }

    /// Why trials of a live sweep wait, and why its next stage does.
    fn waiting_for(&self, id: SweepId, live: &LiveStatus) -> Vec<String> {
        live.waiting_for.iter().cloned().chain(self.waits_for_room(id, live.unended)).collect()
    }

    /// A sweep by its number, or the newest sweep with a name.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn find(&self, text: &str) -> Result<SweepId, Error> {
        if let Ok(number) = text.parse() {
            let found = self.store.sweep(SweepId(number)).await?;
            let Some(record) = found else {
                let deleted = self.store.deletion(SweepId(number)).await?;
                let how = deleted
                    .map(|deleted| format!(": deleted by {} at {} UTC", deleted.actor, moment(deleted.asked_ms)));
                return Err(Error::not_found(format!("sweep `{text}`{}", how.unwrap_or_default())));
            };
            return Ok(record.id);
        }
        if let Some(id) = self.store.sweep_named(text).await? {
            return Ok(id);
        }
        let names: Vec<String> = self.store.sweep_titles().await?.into_iter().map(|title| title.name).collect();
        let meant = nearest(text, &names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Err(Error::not_found(format!("sweep `{text}`{meant}")))
    }
}

/// The name that a user may have meant by `text`, if one is similar enough.
fn nearest<'a>(text: &str, names: &'a [String]) -> Option<&'a str> {
    // A long text is no typing error, and comparing it would take long.
    const LONGEST: usize = 64;
    let short = |text: &str| text.chars().count() <= LONGEST;
    let slips = |name: &String| strsim::osa_distance(&text.to_lowercase(), &name.to_lowercase());
    let most = (text.chars().count() / 3).max(1);
    let near = names.iter().filter(|name| short(name) && short(text)).map(|name| (slips(name), name));
    // Among equally similar names, the newest one, which comes first.
    near.filter(|(slips, _)| *slips <= most).min_by_key(|(slips, _)| *slips).map(|(_, name)| name.as_str())
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
