//! A sweep that has not ended: its plan, its configurations and trials, and its cost so far.

use std::collections::HashMap;
use std::sync::Arc;

use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_spec::count::{Counts, Input};
use sweep_spec::settings::{self, Scalar, Setting};
use sweep_spec::spec::PRIORITIES;
use sweep_spec::{Configuration, Digest, Plan, TrialId};
use sweep_store::record::SweepRecord;
use sweep_store::summary::Asked;

use crate::clock::Clock;
use crate::engine::cost::pending_stages::{PendingTrials, to_come};
use crate::engine::cost::trim_seeds;
use crate::engine::error::Error;
use crate::engine::reply::Reply;
use crate::engine::state::budget::LiveBudget;
use crate::engine::state::progress::Progress;

#[derive(Debug)]
pub(crate) struct LiveSweep {
    pub(crate) record: SweepRecord,
    pub(crate) plan: Arc<Plan>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
    /// The number of unfinished trials of each configuration.
    pub(crate) left: HashMap<u32, u64>,
    /// Slot-milliseconds of its ended attempts.
    pub(crate) spent_ms: u64,
    pub(crate) budget: Option<LiveBudget>,
    /// Predicted trials of stages that are not open yet, step by step.
    pub(crate) to_come: Vec<Vec<PendingTrials>>,
    /// The settings that all trials of the sweep share.
    shared: Vec<Setting>,
    /// Only the settings of the data set.
    pub(crate) dataset: Arc<Vec<Setting>>,
    /// The digest of the protocol that all its trials share.
    pub(crate) protocol_digest: Digest,
    /// Its last progress, and the forecast of its end.
    pub(crate) pace: Progress,
    /// Callers that wait until it is cancelled.
    pub(crate) cancels: Vec<Reply<()>>,
    /// The facts of its spec that a status shows.
    pub(crate) asked: Arc<Asked>,
}

/// A configuration of a live sweep.
#[derive(Debug, Clone)]
pub(crate) struct LiveConfiguration {
    pub(crate) label: String,
    pub(crate) configuration: Configuration,
    /// The cost of its network; absent if the network cannot be built.
    pub(crate) counts: Option<Counts>,
}

impl LiveConfiguration {
    pub(crate) fn new(label: String, configuration: Configuration, input: Input) -> Self {
        let counts = Counts::of(&configuration, input).ok();
        Self { label, configuration, counts }
    }
}

impl LiveSweep {
    /// A live sweep with this plan, which was made from the text of its spec.
    pub(crate) fn new(record: SweepRecord, plan: Arc<Plan>, text: &[u8], clock: &Clock) -> Result<Self, Error> {
        let spec = plan.spec();
        let asked = Arc::new(Asked::of(spec, trim_seeds::left_out(&record, &plan, text)));
        let trial = plan.trial(&spec.baseline, 0);
        let internal = |error: settings::Error| Error::Internal(error.to_string());
        let mut shared = settings::flatten(&trial).map_err(internal)?;
        shared.retain(|setting| !setting.path.starts_with("configuration.") && setting.path != "seed");
        let dataset = Arc::new(settings::flatten(&spec.dataset).map_err(internal)?);
        let protocol_digest = spec.protocol.digest().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            record,
            budget: LiveBudget::of(&plan),
            to_come: to_come(&plan),
            plan,
            configurations: HashMap::new(),
            trials: HashMap::new(),
            left: HashMap::new(),
            spent_ms: 0,
            shared,
            dataset,
            protocol_digest,
            pace: Progress::begun(clock),
            cancels: Vec::new(),
            asked,
        })
    }

    /// Adds what the scheduler needs and the store does not have: retry rules, whether the pin of the data is final,
    /// and the order and allowance of a sweep with a budget.
    pub(crate) fn complete(&self, snapshot: &mut SweepSnapshot) {
        snapshot.sweep.retry = self.plan.spec().retry.clone();
        // Earlier releases accepted any number.
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

    pub(crate) fn add_trial(&mut self, trial: TrialId, place: (u32, u64)) {
        if self.trials.insert(trial, place).is_none() {
            *self.left.entry(place.0).or_default() += 1;
        }
    }

    /// Counts a trial that has ended.
    pub(crate) fn one_less(&mut self, trial: TrialId) {
        let Some((configuration, _)) = self.trials.get(&trial) else { return };
        if let Some(left) = self.left.get_mut(configuration) {
            *left = left.saturating_sub(1);
        }
    }

    /// The settings of one trial, sorted by path.
    pub(crate) fn settings(&self, configuration: u32, seed: u64) -> Result<Vec<Setting>, Error> {
        let found = self.configurations.get(&configuration);
        let found = found.ok_or_else(|| Error::Internal("a trial without its configuration".into()))?;
        let levels = settings::flatten(&found.configuration).map_err(|error| Error::Internal(error.to_string()))?;
        let named = |setting: Setting| Setting { path: format!("configuration.{}", setting.path), ..setting };
        let seed = Setting { path: "seed".into(), value: Scalar::Integer(seed) };
        let (before, after): (Vec<_>, Vec<_>) =
            self.shared.iter().cloned().partition(|setting| setting.path < seed.path);
        let configuration = levels.into_iter().map(named);
        Ok(configuration.chain(before).chain([seed]).chain(after).collect())
    }
}
