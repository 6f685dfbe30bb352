//! What the engine keeps in memory beside the scheduler: what trials are called, what attempts have stored, what sessions
//! were told. All of it is read back from the store after a restart.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use sweep_analysis::cost::Estimate;
use sweep_scheduler::event::{Service, Slot};
use sweep_scheduler::{Lease, LeftOut, PoolName, SessionId, SweepId};
use sweep_spec::count::{Counts, Input};
use sweep_spec::settings::{self, Scalar, Setting};
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Configuration, Digest, Plan, Trial, TrialId};
use sweep_store::record::{AttemptKey, SweepRecord};
use sweep_store::summary::Asked;
use sweep_store::write::NameRow;

use super::Error;
use super::budget::LiveBudget;
use super::command::{Begin, Poll, PollReply, Reply};
use super::cost::pending_stages::{Coming, to_come};
use super::cost::trim_seeds;
use super::pace::Pace;
use crate::clock::Clock;

/// A sweep that has not ended.
#[derive(Debug)]
pub(crate) struct LiveSweep {
    pub(crate) record: SweepRecord,
    pub(crate) plan: Arc<Plan>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
    /// How many trials of each configuration have not ended.
    pub(crate) left: HashMap<u32, u64>,
    /// Milliseconds of slots that its own attempts took which have ended.
    pub(crate) spent_ms: u64,
    pub(crate) budget: Option<LiveBudget>,
    /// What stages that are not open yet will ask, step by step.
    pub(crate) to_come: Vec<Vec<Coming>>,
    /// The part of every trial's settings that the sweep shares.
    shared: Vec<Setting>,
    /// The settings of the data set alone.
    pub(crate) dataset: Arc<Vec<Setting>>,
    /// Of the protocol that all its trials share.
    pub(crate) protocol_digest: Digest,
    /// When something of it happened last, and when it is expected to end.
    pub(crate) pace: Pace,
    /// Callers who wait until it is cancelled.
    pub(crate) cancels: Vec<Reply<()>>,
    /// What a status says of its spec.
    pub(crate) asked: Arc<Asked>,
}

/// A configuration of a live sweep.
#[derive(Debug, Clone)]
pub(crate) struct LiveConfiguration {
    pub(crate) label: String,
    pub(crate) configuration: Configuration,
    /// What its network costs; absent where it cannot be built.
    pub(crate) counts: Option<Counts>,
}

impl LiveConfiguration {
    pub(crate) fn new(label: String, configuration: Configuration, input: Input) -> Self {
        let counts = Counts::of(&configuration, input).ok();
        Self { label, configuration, counts }
    }
}

impl LiveSweep {
    /// Of a sweep with this plan, read from the text of its spec.
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
            pace: Pace::begun(clock),
            cancels: Vec::new(),
            asked,
        })
    }

    /// Takes up what a commit opens.
    pub(crate) fn extend(&mut self, begin: &mut Begin) {
        self.configurations.extend(std::mem::take(&mut begin.configurations));
        for (trial, place) in std::mem::take(&mut begin.trials) {
            self.add_trial(trial, place);
        }
    }

    pub(crate) fn add_trial(&mut self, trial: TrialId, place: (u32, u64)) {
        if self.trials.insert(trial, place).is_none() {
            *self.left.entry(place.0).or_default() += 1;
        }
    }

    /// A trial of it has ended.
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

/// An attempt that a worker runs.
#[derive(Debug)]
pub(crate) struct LiveAttempt {
    pub(crate) key: AttemptKey,
    pub(crate) worker: String,
    pub(crate) slot: u32,
    /// Points up to this one are stored or in a batch, without gaps.
    pub(crate) sequence: u64,
    pub(crate) newest: Option<EpochMetrics>,
    pub(crate) assigned: Instant,
    pub(crate) assigned_ms: i64,
    /// What is expected of it.
    pub(crate) predicted: Option<Estimate>,
    /// Milliseconds that were counted when it was given up.
    pub(crate) counted_ms: u64,
    /// Its worker was told to start it.
    pub(crate) told: bool,
}

/// A poll that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) poll: Poll,
    pub(crate) reply: Reply<PollReply>,
}

/// What a session was told: under which number each stop and each question went out.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) stops: HashMap<Lease, u64>,
    pub(crate) describes: HashMap<Digest, u64>,
    pub(crate) parked: Option<Parked>,
    pub(crate) seen_ms: i64,
    /// Its slots.
    pub(crate) offers: Vec<Slot>,
    /// Of each slot, what its device is called.
    pub(crate) device_names: Vec<String>,
    /// What it was told that it is, which sweeps give it nothing, and under which number.
    pub(crate) service: Service,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) service_told: u64,
    /// The pool that it was started for.
    pub(crate) pool: Option<PoolName>,
    /// Other workers can go on with its trials.
    pub(crate) shares_checkpoints: bool,
}

/// The side tables.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) sweeps: HashMap<SweepId, LiveSweep>,
    pub(crate) attempts: HashMap<Lease, LiveAttempt>,
    /// The newest attempts of open rounds that were given up: their workers may come back with them. By trial.
    pub(crate) given_up: HashMap<TrialId, (Lease, LiveAttempt)>,
    pub(crate) sessions: HashMap<SessionId, Session>,
    /// The worker that took each name last.
    pub(crate) names: HashMap<String, NameRow>,
    /// Sweeps whose deletion was committed, or is about to be: what was read of them before must not bring them back.
    pub(crate) deleted: HashSet<SweepId>,
}

impl Live {
    /// A sweep that refers to this trial, the trial's configuration and its seed.
    pub(crate) fn find(&self, trial: TrialId) -> Option<(&LiveSweep, u32, u64)> {
        self.sweeps.values().find_map(|sweep| {
            let (configuration, seed) = sweep.trials.get(&trial)?;
            Some((sweep, *configuration, *seed))
        })
    }

    /// The settings of a data set, by the hash of its reference.
    pub(crate) fn dataset(&self, key: Digest) -> Option<Arc<Vec<Setting>>> {
        let sweep = self.sweeps.values().find(|sweep| sweep.record.dataset_key == key)?;
        Some(Arc::clone(&sweep.dataset))
    }
}

/// The hash of a reference to a data set.
pub(crate) fn dataset_key(trial: &Trial) -> Result<Digest, Error> {
    let text = sweep_spec::canonical::to_string(&trial.dataset).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Digest::of(text.as_bytes()))
}
