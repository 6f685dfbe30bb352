//! The owner task's memory beside the scheduler: sweeps, attempts, sessions and names. A restart reads all of it back
//! from the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sweep_scheduler::event::{Service, Slot};
use sweep_scheduler::{Lease, LeftOut, PoolName, SessionId, SweepId};
use sweep_spec::settings::Setting;
use sweep_spec::{Digest, TrialId};
use sweep_store::write::NameRow;

use crate::engine::messages::worker::{Poll, PollReply};
use crate::engine::reply::Reply;
use crate::engine::state::attempt::LiveAttempt;
use crate::engine::state::sweep::LiveSweep;

/// A poll that waits for an answer.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) poll: Poll,
    pub(crate) reply: Reply<PollReply>,
}

/// The answers that a session received: the number of the answer with each stop and each question.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) stops: HashMap<Lease, u64>,
    pub(crate) describes: HashMap<Digest, u64>,
    pub(crate) parked: Option<Parked>,
    pub(crate) seen_ms: i64,
    /// The slots of the worker.
    pub(crate) offers: Vec<Slot>,
    /// The name of the device of each slot.
    pub(crate) device_names: Vec<String>,
    /// The last service and left-out sweeps sent to it, and the number of that answer.
    pub(crate) service: Service,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) service_told: u64,
    /// The pool of the worker.
    pub(crate) pool: Option<PoolName>,
    /// Whether other workers can resume its trials from its checkpoints.
    pub(crate) shares_checkpoints: bool,
}

/// The owner task's memory beside the scheduler.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) sweeps: HashMap<SweepId, LiveSweep>,
    pub(crate) attempts: HashMap<Lease, LiveAttempt>,
    /// The newest attempts of open rounds that were given up, by trial: their workers may return with them.
    pub(crate) given_up: HashMap<TrialId, (Lease, LiveAttempt)>,
    pub(crate) sessions: HashMap<SessionId, Session>,
    /// The worker that last took each name.
    pub(crate) names: HashMap<String, NameRow>,
    /// Sweeps whose deletion is committed or about to be. Data that was read before must not bring them back.
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
