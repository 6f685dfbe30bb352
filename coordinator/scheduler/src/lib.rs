//! The state machine of sweeps, trials, attempts, leases and workers. It is pure: no async, no IO, no clock, no random
//! numbers, no globals. Time is an argument, effects are values, and one driver carries them out.
//!
//! This crate must not wait, and must not know a store or a network.

mod apply;
mod assign;
pub mod bug;
mod canary;
mod completion;
mod config;
pub mod effect;
mod ends;
pub mod event;
mod explain;
mod failure_pattern;
mod fair_share;
mod hold;
pub mod id;
pub mod invariant;
mod names;
mod operator;
mod outlook;
mod pin;
mod pool;
mod queue;
mod reference;
mod restore;
mod service;
mod session;
pub mod snapshot;
mod stopping;
mod submission;
mod submit;
mod sweep;
mod trial;
mod unfit;
mod view;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use sweep_spec::TrialId;

pub use crate::config::Config;
pub use crate::effect::{Effect, Ignored};
pub use crate::event::Event;
pub use crate::hold::{HeldBack, Hold};
pub use crate::id::{Lease, PoolName, SessionId, StageIndex, SweepId, Timestamp, WorkerName};
pub use crate::names::Holder;
pub use crate::outlook::Outlook;
pub use crate::pool::{Pool, PoolView};
pub use crate::unfit::{LeftOut, Unplaceable};
pub use crate::view::{PollAnswer, Start, SweepView, WorkerView};

use crate::names::Name;
use crate::service::Health;
use crate::session::Session;
use crate::sweep::Sweep;
use crate::trial::Trial;

/// The state of all live sweeps and workers. It forgets sweeps that have ended; the store keeps them.
#[derive(Debug, Clone)]
pub struct Scheduler {
    config: Config,
    /// The latest time seen.
    now: Timestamp,
    sweeps: BTreeMap<SweepId, Sweep>,
    /// The sweeps that are being cancelled.
    stopping: BTreeSet<SweepId>,
    trials: BTreeMap<TrialId, Trial>,
    sessions: BTreeMap<SessionId, Session>,
    workers: BTreeMap<WorkerName, SessionId>,
    /// Service and failures of workers, beyond one session.
    health: BTreeMap<WorkerName, Health>,
    /// The worker that took each name last.
    names: BTreeMap<WorkerName, Name>,
    /// Names whose holders have not come back since the restart, and until when they are kept for them.
    returning: BTreeMap<WorkerName, Timestamp>,
    /// Rounds that wait for their next try.
    delayed: BTreeSet<(Timestamp, TrialId)>,
    /// Live attempts whose worker has not come back since the restart.
    awaited: BTreeMap<Lease, Timestamp>,
    /// Attempts started so far.
    starts: u64,
    /// Data sets whose readers may have changed since the pins were last checked.
    votes_changed: BTreeSet<id::DatasetKey>,
    /// A bug that a test has planted.
    bug: Option<bug::Bug>,
}

impl Scheduler {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Timestamp::default(),
            sweeps: BTreeMap::new(),
            stopping: BTreeSet::new(),
            trials: BTreeMap::new(),
            sessions: BTreeMap::new(),
            workers: BTreeMap::new(),
            health: BTreeMap::new(),
            names: BTreeMap::new(),
            returning: BTreeMap::new(),
            delayed: BTreeSet::new(),
            awaited: BTreeMap::new(),
            starts: 0,
            votes_changed: BTreeSet::new(),
            bug: None,
        }
    }

    /// The next moment at which `Event::Tick` does something, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let sessions = self.sessions.values().map(|session| session.deadline);
        let questions =
            self.sessions.values().flat_map(|session| session.data.values()).filter_map(|known| match known {
                session::Knowledge::Absent { ask_again, .. } => Some(*ask_again),
                session::Knowledge::Asked | session::Knowledge::AskedAgain { .. } | session::Knowledge::Present(_) => {
                    None
                }
            });
        let delayed = self.delayed.first().map(|(until, _)| *until);
        let awaited = self.awaited.values().chain(self.returning.values()).copied();
        let grace = self.config.unplaceable_grace_ms;
        let unplaceable =
            self.sweeps.values().filter_map(|sweep| sweep.unplaceable_since).map(|since| since.plus(grace));
        sessions.chain(questions).chain(delayed).chain(awaited).chain(unplaceable).min()
    }
}
