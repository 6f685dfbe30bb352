//! Budgets: how many attempts of a sweep may still be started, and when it is over. The scheduler only counts starts; what
//! a start costs, and what has been spent, is decided here and enters it as an event.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use sweep_analysis::cost::budget::{Allowed, Seed, allowed};
use sweep_analysis::number;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Event, SweepId};
use sweep_spec::spec::PRIORITIES;
use sweep_spec::{Plan, TrialId};
use sweep_store::codes::{AuditAction, SweepState};
use sweep_store::record::SweepRecord;
use sweep_store::write::AuditRow;
use tracing::info;

use super::driver::Driver;
use super::live::LiveSweep;
use super::outlook::Devices;
use super::people::{COORDINATOR, audit};

/// Of a queue longer than this, all of it is looked at so often at most; in between, only its first trials are.
const LONG: u64 = 5_000;
const SELDOM: Duration = Duration::from_secs(1);
/// And not before this many times what the last such look took has passed.
const PATIENCE: u32 = 20;
/// How the reason of a sweep begins that stopped at its budget. The store keeps no other sign of it, so the words may not
/// change.
const SPENT: &str = "budget spent";
/// Starts that are allowed beyond those that all slots could make at once.
const SPARE_STARTS: u64 = 64;

/// Whether the coordinator stopped this sweep because its budget is spent. A user's cancel leaves no reason.
pub(crate) fn stopped_at_budget(sweep: &SweepRecord) -> bool {
    sweep.state == SweepState::Cancelled && sweep.reason.starts_with(SPENT)
}

/// The budget of a live sweep.
#[derive(Debug)]
pub(crate) struct LiveBudget {
    /// Seconds of slots.
    pub(crate) seconds: f64,
    /// The place of each seed in the spec, those of the noise floor and those that may be added behind the others.
    places: HashMap<u64, u32>,
    /// The places of seeds of which something has begun.
    begun: BTreeSet<u32>,
    /// Trials that wait and that the budget will not pay for, as predicted now.
    pub(crate) left_out: u64,
    /// What seeds need whole, by place, with how many trials those were.
    sums: BTreeMap<u32, (u64, f64)>,
    /// When the whole queue is to be looked at again.
    whole_look_at: Option<Instant>,
    /// Trials that all looks together have looked at.
    looked_at: u64,
}

impl LiveBudget {
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let seconds = plan.spec().budget_seconds()?;
        let spec = plan.spec();
        // What stands beside the stages comes behind them: the noise floor, and seeds that are added later.
        let added = spec.adaptive.iter().flat_map(|adaptive| adaptive.seeds());
        let seeds = spec.seeds.iter().chain(&spec.noise).chain(added).copied();
        let places = seeds.zip(0..).collect();
        Some(Self {
            seconds,
            places,
            begun: BTreeSet::new(),
            left_out: 0,
            sums: BTreeMap::new(),
            whole_look_at: None,
            looked_at: 0,
        })
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

    /// The place of a seed by the rank of one of its trials.
    fn place_of_rank(rank: u32) -> u32 {
        rank / 2
    }
}

impl LiveBudget {
    /// Remembers what a look has found.
    fn note(&mut self, found: &Allowed, waiting: &BTreeMap<u32, u64>) {
        self.looked_at += found.looked_at;
        let counted = |place: &u32| waiting.get(place).copied().unwrap_or(0);
        self.sums.extend(found.sums.iter().map(|(place, seconds)| (*place, (counted(place), *seconds))));
        let waits: u64 = waiting.values().sum();
        // Without a shortage, what stands behind the starts that are enough for now was not looked at.
        if found.is_short || found.starts >= waits {
            self.left_out = waits.saturating_sub(found.starts);
        }
    }
}

impl LiveSweep {
    /// What the scheduler has to know and the store does not: rules about failures, whose word the pin is, and the order and
    /// allowance of a sweep with a budget.
    pub(crate) fn complete(&self, snapshot: &mut SweepSnapshot) {
        snapshot.sweep.retry = self.plan.spec().retry.clone();
        // Earlier releases took any number.
        snapshot.sweep.priority = snapshot.sweep.priority.clamp(*PRIORITIES.start(), *PRIORITIES.end());
        snapshot.sweep.settled =
            self.plan.spec().dataset.digest.is_some() || self.record.submission.reproduces.is_some();
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
        let whole = waits <= LONG || budget.whole_look_at.is_none_or(|at| at <= now);
        // What is allowed lasts for a while.
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
                budget.whole_look_at = Some(now + SELDOM.max(took * PATIENCE));
            }
        }
        let Allowed { starts, is_short, .. } = found;
        // What waits for its next try, or for its data, is not in the queue and may still need what is left.
        let all_wait = view.counts.queued == waits;
        if is_short && starts == 0 && view.counts.running == 0 && all_wait {
            return self.end_for_budget(id, spent);
        }
        // Never blindly free, even while everything fits: what has not been looked at yet may not.
        let starts = Some(starts);
        if self.scheduler.allowance(id) != starts {
            self.event(Event::SetAllowance { sweep: id, starts });
        }
    }

    /// How many trials of each seed could be started now, by the seed's place. Counts are kept: no trial is looked at.
    fn waiting_seeds(&self, id: SweepId) -> BTreeMap<u32, u64> {
        let mut waiting = BTreeMap::new();
        for (rank, trials) in self.scheduler.waiting_ranks(id) {
            *waiting.entry(LiveBudget::place_of_rank(rank)).or_default() += trials;
        }
        waiting
    }

    /// What `left` seconds allow a sweep to start. Sums of whole seeds are taken from the looks before, unless `afresh`.
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
        let reason = format!("{SPENT}: {spent} of {whole} slot-hours used, {trials} left out");
        info!(sweep_id = %id, reason, at = self.parts.clock.unix_ms(), "a sweep stops at its budget");
        self.note(AuditRow { sweep: Some(id), detail: reason.clone(), ..audit(COORDINATOR, AuditAction::Cancelled) });
        self.event(Event::StopSweep { sweep: id, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_driver::TestDriver;
    use super::*;

    /// Seven thousand trials, and a budget of ten hours.
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

    fn looked_at(test: &mut TestDriver, id: SweepId) -> u64 {
        budget(test, id).budget.as_ref().unwrap().looked_at
    }

    #[tokio::test]
    async fn a_wake_looks_at_no_more_of_a_long_queue_than_it_needs() {
        let mut test = TestDriver::new().await;
        let id = test.submit(&spec()).await;
        test.driver.mind_budgets();
        let trials = test.driver.scheduler.sweep(id).unwrap().counts.queued;
        assert_eq!((trials, looked_at(&mut test, id)), (7_000, 7_000), "the first look is at everything");
        test.worker("w1", 4);
        let counts = test.driver.scheduler.sweep(id).unwrap().counts;
        assert_eq!((counts.running, counts.queued), (4, 6_996));
        for _ in 0..1_000 {
            test.driver.mind_budgets();
        }
        assert_eq!(looked_at(&mut test, id), 7_000, "what was allowed lasts");
        // Little is allowed: the next trials are looked at, and not the whole queue.
        test.driver.event(Event::SetAllowance { sweep: id, starts: Some(1) });
        test.driver.mind_budgets();
        let some = looked_at(&mut test, id) - 7_000;
        assert!(some > 4 && some < 500, "{some}");
        assert!(test.driver.scheduler.allowance(id) >= Some(4));
        // Once all is spent, nothing is looked at, however often the driver wakes; and what runs may end.
        budget(&mut test, id).spent_ms = 36_000_001;
        for second in 0..1_000 {
            test.driver.mind_budgets();
            if second % 100 == 0 {
                test.clock.advance(SELDOM);
            }
        }
        assert_eq!(looked_at(&mut test, id), 7_000 + some);
        assert_eq!(test.driver.scheduler.allowance(id), Some(0));
        let sweep = budget(&mut test, id);
        assert_eq!(sweep.budget.as_ref().unwrap().left_out, 6_996, "all that waits is left out");
    }
}
