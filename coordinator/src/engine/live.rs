//! What the engine keeps in memory beside the scheduler: what trials are called, what attempts have stored, what sessions
//! were told. All of it is read back from the store after a restart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sweep_scheduler::event::{Service, Slot};
use sweep_scheduler::{Lease, SessionId, SweepId};
use sweep_spec::settings::{self, Scalar, Setting};
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Configuration, Digest, Plan, Trial, TrialId};

use super::Error;
use super::command::{Begin, Poll, PollReply, Reply};
use crate::store::record::{AttemptKey, Measured, SweepRecord};

/// A sweep that has not ended.
#[derive(Debug)]
pub(crate) struct LiveSweep {
    pub(crate) record: SweepRecord,
    pub(crate) plan: Arc<Plan>,
    pub(crate) configurations: HashMap<u32, LiveConfiguration>,
    pub(crate) trials: HashMap<TrialId, (u32, u64)>,
    pub(crate) measured: Measured,
    /// Cost of all its trials, and of those that have ended.
    pub(crate) cost: f64,
    pub(crate) cost_ended: f64,
    /// The part of every trial's settings that the sweep shares.
    shared: Vec<Setting>,
    /// The settings of the data set alone.
    pub(crate) dataset: Arc<Vec<Setting>>,
    /// Of the protocol that all its trials share.
    pub(crate) protocol_digest: Digest,
}

/// A configuration of a live sweep.
#[derive(Debug, Clone)]
pub(crate) struct LiveConfiguration {
    pub(crate) label: String,
    pub(crate) configuration: Configuration,
    pub(crate) cost: u64,
}

impl LiveSweep {
    pub(crate) fn new(record: SweepRecord, plan: Arc<Plan>) -> Result<Self, Error> {
        let spec = plan.spec();
        let trial = plan.trial(&spec.baseline, 0);
        let internal = |error: settings::Error| Error::Internal(error.to_string());
        let mut shared = settings::flatten(&trial).map_err(internal)?;
        shared.retain(|setting| !setting.path.starts_with("configuration.") && setting.path != "seed");
        let dataset = Arc::new(settings::flatten(&spec.dataset).map_err(internal)?);
        let protocol_digest = spec.protocol.digest().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            record,
            plan,
            configurations: HashMap::new(),
            trials: HashMap::new(),
            measured: Measured::default(),
            cost: 0.0,
            cost_ended: 0.0,
            shared,
            dataset,
            protocol_digest,
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
            self.cost += self.cost_of(place.0);
        }
    }

    pub(crate) fn cost_of(&self, configuration: u32) -> f64 {
        self.configurations.get(&configuration).map_or(0.0, |configuration| configuration.cost as f64)
    }

    /// Seconds that a trial will probably take, by what the sweep's others took.
    pub(crate) fn predicted_seconds(&self, configuration: u32) -> f64 {
        if self.measured.cost > 0.0 {
            self.cost_of(configuration) * self.measured.seconds / self.measured.cost
        } else {
            0.0
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
    /// What it was told that it is, and under which number.
    pub(crate) service: Service,
    pub(crate) service_told: u64,
}

/// The side tables.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) sweeps: HashMap<SweepId, LiveSweep>,
    pub(crate) attempts: HashMap<Lease, LiveAttempt>,
    /// The newest attempts of open rounds that were given up: their workers may come back with them. By trial.
    pub(crate) given_up: HashMap<TrialId, (Lease, LiveAttempt)>,
    pub(crate) sessions: HashMap<SessionId, Session>,
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
