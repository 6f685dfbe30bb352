//! Enforces budgets. The scheduler only counts starts; this file predicts their cost, sets how many attempts of a sweep may
//! start, and stops a sweep whose budget is spent.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use sweep_analysis::cost::budget::{Allowed, Seed, allowed};
use sweep_analysis::number;
use sweep_scheduler::{Event, SweepId};
use sweep_spec::TrialId;
use sweep_store::codes::AuditAction;
use sweep_store::write::AuditRow;
use tracing::info;

use crate::engine::audit::{COORDINATOR, audit};
use crate::engine::cost::sweep_cost::Devices;
use crate::engine::owner::driver::Driver;
use crate::engine::state::budget::{BUDGET_SPENT, LiveBudget};
use crate::engine::state::sweep::LiveSweep;

/// The length from which a queue is examined as a whole only at intervals. Between them, only its first trials are
/// examined.
const LONG_QUEUE: u64 = 5_000;
/// The shortest interval between two passes over a long queue.
const MIN_PASS_INTERVAL: Duration = Duration::from_secs(1);
/// The interval is also at least this many times the duration of the last pass.
const REFRESH_FACTOR: u32 = 20;
/// Starts that are allowed beyond those that all slots could make at once.
const SPARE_STARTS: u64 = 64;

impl Driver {
    /// Sets how many trials a sweep with a budget may start, and ends sweeps whose budget is spent.
    pub(crate) fn mind_budgets(&mut self) {
        let limited: Vec<SweepId> =
            self.live.sweeps.values().filter(|sweep| sweep.budget.is_some()).map(|sweep| sweep.record.id).collect();
        if limited.is_empty() {
            return;
        }
        let devices = self.devices();
        for id in limited {
            self.mind_budget(id, &devices);
        }
    }

    fn mind_budget(&mut self, id: SweepId, devices: &Devices) {
        let Some(view) = self.scheduler.sweep(id) else { return };
        let now = self.parts.clock.now();
        let Some(sweep) = self.live.sweeps.get(&id) else { return };
        let Some(budget) = &sweep.budget else { return };
        let waiting = self.waiting_seeds(id);
        let waits: u64 = waiting.values().sum();
        let slots: u64 = devices.iter().map(|(_, count)| *count as u64).sum();
        let allowance = self.scheduler.allowance(id).unwrap_or(0);
        let whole = waits <= LONG_QUEUE || budget.next_full_pass.is_none_or(|at| at <= now);
        // The present allowance lasts for a while.
        if !whole && allowance > slots + SPARE_STARTS {
            return;
        }
        let enough = if whole { u64::MAX } else { 4 * (slots + SPARE_STARTS) };
        let begun = Instant::now();
        let running = self.still_running(sweep, devices);
        let (spent, left) = (sweep.spent_ms as f64 / 1000.0, running.iter().map(|one| one.left.seconds).sum::<f64>());
        let so_far: f64 = running.iter().map(|one| one.so_far).sum();
        let left = budget.seconds - spent - so_far - left;
        let found = self.allowed_of(sweep, budget, (&waiting, devices), (left, enough, whole));
        let took = begun.elapsed();
        if let Some(budget) = self.live.sweeps.get_mut(&id).and_then(|sweep| sweep.budget.as_mut()) {
            budget.note(&found, &waiting);
            if whole {
                budget.next_full_pass = Some(now + MIN_PASS_INTERVAL.max(took * REFRESH_FACTOR));
            }
        }
        let Allowed { starts, is_short, .. } = found;
        // Trials that wait for a retry or for their data are not in the queue, and may still need the rest of the
        // budget.
        let all_wait = view.counts.queued == waits;
        if is_short && starts == 0 && view.counts.running == 0 && all_wait {
            return self.end_for_budget(id, spent);
        }
        // Always a number, even if all examined trials fit: those that were not examined may not fit.
        let starts = Some(starts);
        if self.scheduler.allowance(id) != starts {
            self.event(Event::SetAllowance { sweep: id, starts });
        }
    }

    /// The number of trials that could start now, by the position of their seed. The scheduler keeps these counts, so
    /// no trial is examined.
    fn waiting_seeds(&self, id: SweepId) -> BTreeMap<u32, u64> {
        let mut waiting = BTreeMap::new();
        for (rank, trials) in self.scheduler.waiting_ranks(id) {
            *waiting.entry(LiveBudget::place_of_rank(rank)).or_default() += trials;
        }
        waiting
    }

    /// The trials that a sweep may start for `left` seconds. Sums of whole seeds are reused from earlier passes, unless
    /// `afresh`.
    fn allowed_of(
        &self,
        sweep: &LiveSweep,
        budget: &LiveBudget,
        (waiting, devices): (&BTreeMap<u32, u64>, &Devices),
        (left, enough, afresh): (f64, u64, bool),
    ) -> Allowed {
        let known = RefCell::new(HashMap::new());
        let seconds = |trial: TrialId| {
            let (configuration, _) = *sweep.trials.get(&trial)?;
            let mut known = known.borrow_mut();
            let estimate = known.entry(configuration).or_insert_with(|| self.estimate(sweep, configuration, devices));
            estimate.map(|estimate| estimate.seconds)
        };
        let seconds = &seconds;
        let seed = |(place, trials): (&u32, &u64)| {
            let sum = budget.sums.get(place).filter(|(counted, _)| counted == trials && !afresh);
            let ranks = place.saturating_mul(2)..=place.saturating_mul(2).saturating_add(1);
            Seed {
                place: *place,
                has_begun: budget.begun.contains(place),
                trials: *trials,
                known_sum: sum.map(|(_, seconds)| *seconds),
                seconds: Box::new(self.scheduler.waiting_of_ranks(sweep.record.id, ranks).map(seconds)),
            }
        };
        allowed(waiting.iter().map(seed), left, enough)
    }

    fn end_for_budget(&mut self, id: SweepId, spent: f64) {
        let Some(sweep) = self.live.sweeps.get(&id) else { return };
        let Some(budget) = &sweep.budget else { return };
        let waiting = self.scheduler.sweep(id).map_or(0, |view| view.counts.queued);
        let trials = number::plural(waiting, "trial");
        let hours = |seconds: f64| number::fixed(seconds / 3600.0, 4);
        let (spent, whole) = (hours(spent), hours(budget.seconds));
        let reason = format!("{BUDGET_SPENT}: {spent} of {whole} slot-hours used, {trials} left out");
        info!(sweep_id = %id, reason, at = self.parts.clock.unix_ms(), "a sweep stops at its budget");
        self.note(AuditRow { sweep: Some(id), detail: reason.clone(), ..audit(COORDINATOR, AuditAction::Cancelled) });
        self.event(Event::StopSweep { sweep: id, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::driver::TestDriver;

    /// A spec with seven thousand trials and a budget of ten hours.
    fn spec() -> String {
        let levels = |most: u32| (1..=most).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
        format!(
            "
version: 1
name: large
dataset: {{ kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }}
seeds: [0, 1]
budget: 10h
baseline: {{ family: cnn, filters: 1, dense_units: 1 }}
stages: [ {{ name: all, grid: {{ filters: [{}], dense_units: [{}] }} }} ]
",
            levels(70),
            levels(50)
        )
    }

    fn budget(test: &mut TestDriver, id: SweepId) -> &mut LiveSweep {
        test.driver.live.sweeps.get_mut(&id).unwrap()
    }

    fn examined(test: &mut TestDriver, id: SweepId) -> u64 {
        budget(test, id).budget.as_ref().unwrap().examined
    }

    #[tokio::test]
    async fn a_wake_looks_at_no_more_of_a_long_queue_than_it_needs() {
        let mut test = TestDriver::new().await;
        let id = test.submit(&spec()).await;
        test.driver.mind_budgets();
        let trials = test.driver.scheduler.sweep(id).unwrap().counts.queued;
        assert_eq!((trials, examined(&mut test, id)), (7_000, 7_000), "the first look is at everything");
        test.worker("w1", 4);
        let counts = test.driver.scheduler.sweep(id).unwrap().counts;
        assert_eq!((counts.running, counts.queued), (4, 6_996));
        for _ in 0..1_000 {
            test.driver.mind_budgets();
        }
        assert_eq!(examined(&mut test, id), 7_000, "what was allowed lasts");
        // With a small allowance only the next trials are examined, not the whole queue.
        test.driver.event(Event::SetAllowance { sweep: id, starts: Some(1) });
        test.driver.mind_budgets();
        let some = examined(&mut test, id) - 7_000;
        assert!(some > 4 && some < 500, "{some}");
        assert!(test.driver.scheduler.allowance(id) >= Some(4));
        // When the budget is spent, no trial is examined, however often the driver wakes. Running trials may end.
        budget(&mut test, id).spent_ms = 36_000_001;
        for second in 0..1_000 {
            test.driver.mind_budgets();
            if second % 100 == 0 {
                test.clock.advance(MIN_PASS_INTERVAL);
            }
        }
        assert_eq!(examined(&mut test, id), 7_000 + some);
        assert_eq!(test.driver.scheduler.allowance(id), Some(0));
        let sweep = budget(&mut test, id);
        assert_eq!(sweep.budget.as_ref().unwrap().left_out, 6_996, "all that waits is left out");
    }
}
