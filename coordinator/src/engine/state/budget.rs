//! The budget of a live sweep: the order of its trials, and the results of earlier passes over its queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use sweep_analysis::cost::budget::Allowed;
use sweep_spec::Plan;
use sweep_store::codes::SweepState;
use sweep_store::record::SweepRecord;

/// The first words of the reason of a sweep that stopped at its budget. The store has no other mark of it, so these
/// words must not change.
pub(crate) const BUDGET_SPENT: &str = "budget spent";

/// Whether the coordinator stopped this sweep because its budget is spent. A user's cancel leaves no reason.
pub(crate) fn stopped_at_budget(sweep: &SweepRecord) -> bool {
    sweep.state == SweepState::Cancelled && sweep.reason.starts_with(BUDGET_SPENT)
}

/// The budget of a live sweep.
#[derive(Debug)]
pub(crate) struct LiveBudget {
    /// The budget in slot-seconds.
    pub(crate) seconds: f64,
    /// The position of each seed in the spec. Seeds of the noise floor and seeds that may be added come after the
    /// others.
    pub(crate) places: HashMap<u64, u32>,
    /// The positions of seeds with a trial that has begun.
    pub(crate) begun: BTreeSet<u32>,
    /// Queued trials that the budget will not cover, by the present prediction.
    pub(crate) left_out: u64,
    /// Predicted seconds of whole seeds by position, with the number of trials behind each sum.
    pub(crate) sums: BTreeMap<u32, (u64, f64)>,
    /// When the whole queue is next examined.
    pub(crate) next_full_pass: Option<Instant>,
    /// The number of trials that all passes together have examined.
    pub(crate) examined: u64,
}

impl LiveBudget {
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let seconds = plan.spec().budget_seconds()?;
        let spec = plan.spec();
        // Groups beside the stages come after them: the noise floor, and seeds that are added later.
        let added = spec.adaptive.iter().flat_map(|adaptive| adaptive.seeds());
        let seeds = spec.seeds.iter().chain(&spec.noise).chain(added).copied();
        let places = seeds.zip(0..).collect();
        Some(Self {
            seconds,
            places,
            begun: BTreeSet::new(),
            left_out: 0,
            sums: BTreeMap::new(),
            next_full_pass: None,
            examined: 0,
        })
    }

    pub(crate) fn place(&self, seed: u64) -> u32 {
        self.places.get(&seed).copied().unwrap_or(u32::MAX / 2 - 1)
    }

    /// Marks a seed as begun.
    pub(crate) fn begins(&mut self, seed: u64) {
        self.begun.insert(self.place(seed));
    }

    /// The rank of a trial: by seed, and within a seed the baseline first.
    pub(crate) fn rank(&self, seed: u64, is_baseline: bool) -> u32 {
        self.place(seed).saturating_mul(2).saturating_add(u32::from(!is_baseline))
    }

    /// The position of a seed, from the rank of one of its trials.
    pub(crate) fn place_of_rank(rank: u32) -> u32 {
        rank / 2
    }
}

impl LiveBudget {
    /// Remembers the result of a pass.
    pub(crate) fn note(&mut self, found: &Allowed, waiting: &BTreeMap<u32, u64>) {
        self.examined += found.looked_at;
        let counted = |place: &u32| waiting.get(place).copied().unwrap_or(0);
        self.sums.extend(found.sums.iter().map(|(place, seconds)| (*place, (counted(place), *seconds))));
        let waits: u64 = waiting.values().sum();
        // Without a shortage, a pass examines only as many trials as are enough for now.
        if found.is_short || found.starts >= waits {
            self.left_out = waits.saturating_sub(found.starts);
        }
    }
}
