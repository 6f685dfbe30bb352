//! Budgets: how many attempts of a sweep may still be started, and when it is over. The scheduler only counts starts; what
//! a start costs, and what has been spent, is decided here and enters it as an event.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use sweep_analysis::cost::budget::{Allowed, Waiting, allowed};
use sweep_analysis::number;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Event, SweepId};
use sweep_spec::Plan;
use tracing::info;

use super::driver::Driver;
use super::live::LiveSweep;
use super::people::{NOBODY, audit};
use crate::store::codes::AuditAction;
use crate::store::write::AuditRow;

/// A queue longer than this is gone through at most so often, while something of it may be started anyway.
const LONG: usize = 5_000;
const SELDOM: Duration = Duration::from_secs(1);

/// The budget of a live sweep.
#[derive(Debug)]
pub(crate) struct LiveBudget {
    /// Seconds of slots.
    pub(crate) seconds: f64,
    /// The place of each seed in the spec, those of the noise floor and those that may be added behind the others.
    places: HashMap<u64, u32>,
    /// The places of seeds of which something has begun.
    begun: BTreeSet<u32>,
    /// What waits and will not be started, by what is known now: trials, and the places of their seeds.
    pub(crate) left_out: (u64, BTreeSet<u32>),
    looked: Option<Instant>,
}

impl LiveBudget {
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let seconds = plan.spec().budget_seconds()?;
        let spec = plan.spec();
        // What stands beside the stages comes behind them: the noise floor, and seeds that are added later.
        let added = spec.adaptive.iter().flat_map(|adaptive| adaptive.seeds());
        let seeds = spec.seeds.iter().chain(&spec.noise).chain(added).copied();
        let places = seeds.zip(0..).collect();
        Some(Self { seconds, places, begun: BTreeSet::new(), left_out: Default::default(), looked: None })
    }

    pub(crate) fn place(&self, seed: u64) -> u32 {
        self.places.get(&seed).copied().unwrap_or(u32::MAX / 2 - 1)
    }

    /// Something of this seed has begun.
    pub(crate) fn begins(&mut self, seed: u64) {
        self.begun.insert(self.place(seed));
    }

    /// The rank of a trial: seed by seed, and in each the baseline first.
    pub(crate) fn rank(&self, seed: u64, is_baseline: bool) -> u32 {
        self.place(seed).saturating_mul(2).saturating_add(u32::from(!is_baseline))
    }
}

impl LiveSweep {
    /// What the scheduler has to know and the store does not: rules about failures, and the order and allowance of a sweep
    /// with a budget.
    pub(crate) fn complete(&self, snapshot: &mut SweepSnapshot) {
        snapshot.sweep.retry = self.plan.spec().retry.clone();
        let Some(budget) = &self.budget else { return };
        snapshot.sweep.allowance = Some(0);
        for wanted in snapshot.stages.iter_mut().flat_map(|(_, trials)| trials) {
            if let Some((configuration, seed)) = self.trials.get(&wanted.id) {
                wanted.rank = budget.rank(*seed, self.is_baseline(*configuration));
            }
        }
    }

    pub(crate) fn is_baseline(&self, configuration: u32) -> bool {
        let found = self.configurations.get(&configuration);
        found.is_some_and(|found| found.configuration == self.plan.spec().baseline)
    }
}

impl Driver {
    /// Tells the scheduler what sweeps with a budget may start, and ends those whose budget is spent.
    pub(crate) fn mind_budgets(&mut self) {
        let limited: Vec<SweepId> =
            self.live.sweeps.values().filter(|sweep| sweep.budget.is_some()).map(|sweep| sweep.record.id).collect();
        for id in limited {
            self.mind_budget(id);
        }
    }

    fn mind_budget(&mut self, id: SweepId) {
        let Some(view) = self.scheduler.sweep(id) else { return };
        let now = self.parts.clock.now();
        if let Some(budget) = self.live.sweeps.get(&id).and_then(|sweep| sweep.budget.as_ref())
            && view.counts.queued as usize > LONG
            && self.scheduler.allowance(id) != Some(0)
            && budget.looked.is_some_and(|looked| now.saturating_duration_since(looked) < SELDOM)
        {
            return;
        }
        let devices = self.devices();
        let Some(sweep) = self.live.sweeps.get(&id) else { return };
        let Some(budget) = &sweep.budget else { return };
        let running = self.still_running(sweep, &devices);
        let (spent, left) = (sweep.spent_ms as f64 / 1000.0, running.iter().map(|one| one.left.seconds).sum::<f64>());
        let so_far: f64 = running.iter().map(|one| one.so_far).sum();
        let mut known = HashMap::new();
        let waiting = self.scheduler.waiting(id).filter_map(|trial| {
            let (configuration, seed) = *sweep.trials.get(&trial)?;
            let estimate = known.entry(configuration).or_insert_with(|| self.estimate(sweep, configuration, &devices));
            Some(Waiting { seed: budget.place(seed), seconds: estimate.map(|estimate| estimate.seconds) })
        });
        let waiting: Vec<Waiting> = waiting.collect();
        let Allowed { starts, is_short } =
            allowed(&waiting, budget.seconds - spent - so_far - left, |seed| budget.begun.contains(&seed));
        let rest = waiting.iter().skip(usize::try_from(starts).unwrap_or(usize::MAX));
        let left_out = (rest.clone().count() as u64, rest.map(|one| one.seed).collect());
        if let Some(budget) = self.live.sweeps.get_mut(&id).and_then(|sweep| sweep.budget.as_mut()) {
            budget.looked = Some(now);
            budget.left_out = left_out;
        }
        // What waits for its next try, or for its data, is not in the queue and may still need what is left.
        let all_wait = view.counts.queued == waiting.len() as u64;
        if is_short && starts == 0 && view.counts.running == 0 && all_wait {
            return self.end_for_budget(id, spent);
        }
        // Never blindly free, even while everything fits: what has not been looked at yet may not.
        let starts = Some(starts);
        if self.scheduler.allowance(id) != starts {
            self.event(Event::SetAllowance { sweep: id, starts });
        }
    }

    fn end_for_budget(&mut self, id: SweepId, spent: f64) {
        let Some(sweep) = self.live.sweeps.get(&id) else { return };
        let Some(budget) = &sweep.budget else { return };
        let waiting = self.scheduler.sweep(id).map_or(0, |view| view.counts.queued);
        let trials = number::plural(waiting, "trial");
        let hours = |seconds: f64| number::fixed(seconds / 3600.0, 4);
        let (spent, whole) = (hours(spent), hours(budget.seconds));
        let reason = format!("budget spent: {spent} of {whole} slot-hours used, {trials} left out");
        info!(sweep_id = %id, reason, at = self.parts.clock.unix_ms(), "a sweep stops at its budget");
        self.note(AuditRow { sweep: Some(id), detail: reason.clone(), ..audit(NOBODY, AuditAction::Cancelled) });
        self.event(Event::StopSweep { sweep: id, reason });
    }
}
