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

/// A poll that waits.
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
    /// Its slots.
    pub(crate) offers: Vec<Slot>,
    /// Of each slot, what its device is called.
    pub(crate) device_names: Vec<String>,
    /// The last service and left-out sweeps sent to it, and the number of that answer.
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
