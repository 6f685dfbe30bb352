//! Requests of workers and their answers.

use std::sync::Arc;

use sweep_scheduler::event::{Instance, Service};
use sweep_scheduler::{Lease, LeftOut, PoolName, SessionId};
use sweep_spec::settings::Setting;
use sweep_spec::trainer::{Described, EpochMetrics};
use sweep_spec::{Digest, FailureClass};
use sweep_store::record::{Predictions, ResultRecord};
use sweep_store::write::SlotRow;

/// The registration of a worker, which opens a session.
#[derive(Debug, Clone)]
pub struct Register {
    /// The worker's name.
    pub worker: String,
    /// The name of its machine.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// Its slots, by index.
    pub slots: Vec<SlotRow>,
    pub labels: Vec<(String, String)>,
    /// Attempts that it still runs or whose results it has not sent yet, with their slots.
    pub live: Vec<(Lease, u32)>,
    /// Tells workers of the same name apart.
    pub instance: Instance,
    /// The address that it connects from; empty if unknown.
    pub address: String,
    /// The pool that it belongs to.
    pub pool: Option<PoolName>,
    /// Whether other workers can resume its trials from its checkpoints.
    pub shares_checkpoints: bool,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// The number of the session.
    pub session: SessionId,
    /// Attempts that the worker must stop.
    pub stop: Vec<Lease>,
    /// Whether the coordinator assigns it trials.
    pub service: Service,
}

/// A poll: a worker asks for work.
#[derive(Debug, Clone)]
pub struct Poll {
    /// The worker's session.
    pub session: SessionId,
    /// Leases that the worker has.
    pub held: Vec<Lease>,
    /// Whether the worker drains: it accepts no new trials.
    pub draining: bool,
    /// The highest number of an answer that it has received.
    pub seen: u64,
}

/// The answer to a poll.
#[derive(Debug, Clone, Default)]
pub struct PollReply {
    /// Trials to start.
    pub start: Vec<Assignment>,
    /// Leases that have expired.
    pub stop: Vec<Lease>,
    /// Data sets to describe, and their settings.
    pub describe: Vec<(Digest, Arc<Vec<Setting>>)>,
    /// Grows within the session; 0 if the worker need not echo it.
    pub number: u64,
    /// Whether the coordinator assigns it trials.
    pub service: Service,
    /// Sweeps that assign it no trials.
    pub left_out: Vec<LeftOut>,
}

impl PollReply {
    /// Whether it contains no work and no number to echo.
    pub fn is_empty(&self) -> bool {
        self.number == 0 && self.start.is_empty() && self.stop.is_empty() && self.describe.is_empty()
    }
}

/// A trial to start.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub lease: Lease,
    /// The slot to run it on.
    pub slot: u32,
    /// The settings of the trial.
    pub settings: Vec<Setting>,
    /// The predicted duration; 0 without a prediction.
    pub predicted_seconds: f64,
}

/// A worker's description of a data set.
#[derive(Debug, Clone)]
pub struct Describe {
    /// The worker's session.
    pub session: SessionId,
    /// The hash of the reference to the data set.
    pub dataset: Digest,
    /// The description, or why there is none.
    pub answer: Result<Described, (FailureClass, String)>,
}

/// Points of attempts.
#[derive(Debug, Clone)]
pub struct Report {
    /// The worker's session.
    pub session: SessionId,
    /// Lease, sequence number, metrics.
    pub points: Vec<(Lease, u64, EpochMetrics)>,
}

/// The answer to a `Report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Leases that have expired.
    pub stop: Vec<Lease>,
    /// The number of points that were new.
    pub taken: u64,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The worker's session.
    pub session: SessionId,
    /// The attempt's lease.
    pub lease: Lease,
    /// The sequence number of its last point.
    pub last_sequence: u64,
    /// How it ended.
    pub ending: FinishEnding,
    /// Seconds until it started.
    pub start_seconds: f64,
    /// Seconds until it ended.
    pub run_seconds: f64,
    /// Seconds in which it was paused.
    pub paused_seconds: f64,
    /// The last lines of its log.
    pub log_tail: String,
}

/// How an attempt ended, as its worker reports it.
#[derive(Debug, Clone)]
pub enum FinishEnding {
    /// With a result, and the predictions for single images.
    Result(Box<ResultRecord>, Predictions),
    /// Without a result.
    Failure(FailureClass, String),
    /// It was stopped.
    Stopped,
    /// The worker lost it, for this reason.
    Lost(String),
}

/// The answer to a `Finish`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The end is stored.
    Accepted {
        /// All points up to this one are stored.
        stored_sequence: u64,
    },
    /// The lease has expired.
    Stale,
    /// Points are missing before the end.
    PointsMissing {
        /// All points up to this one are stored.
        stored_sequence: u64,
    },
}
