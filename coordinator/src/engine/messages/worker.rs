//! Requests of workers and their answers.

use std::sync::Arc;

use sweep_scheduler::event::{Instance, Service};
use sweep_scheduler::{Lease, LeftOut, PoolName, SessionId};
use sweep_spec::settings::Setting;
use sweep_spec::trainer::{Described, EpochMetrics};
use sweep_spec::{Digest, FailureClass};
use sweep_store::record::{Predictions, ResultRecord};
use sweep_store::write::SlotRow;

/// A worker that opens a session.
#[derive(Debug, Clone)]
pub struct Register {
    /// Its name.
    pub worker: String,
    /// Its machine.
    pub host: String,
    /// Of its program.
    pub version: String,
    /// Its slots, by index.
    pub slots: Vec<SlotRow>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Attempts that it still runs or has not handed in, and their slots.
    pub live: Vec<(Lease, u32)>,
    /// Which of the workers of its name it is.
    pub instance: Instance,
    /// From where it connects; empty where that is not known.
    pub address: String,
    /// The pool that it belongs to.
    pub pool: Option<PoolName>,
    /// Other workers can go on with its trials.
    pub shares_checkpoints: bool,
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// Its number.
    pub session: SessionId,
    /// Attempts that are not adopted.
    pub stop: Vec<Lease>,
    /// Whether it is given trials.
    pub service: Service,
}

/// A worker that waits for something to do.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Who.
    pub session: SessionId,
    /// Its leases.
    pub held: Vec<Lease>,
    /// It takes nothing new.
    pub draining: bool,
    /// The highest number of an answer that it has seen.
    pub seen: u64,
}

/// What a worker is to do.
#[derive(Debug, Clone, Default)]
pub struct PollReply {
    /// Trials to start.
    pub start: Vec<Assignment>,
    /// Leases that have expired.
    pub stop: Vec<Lease>,
    /// Data sets to describe, and their settings.
    pub describe: Vec<(Digest, Arc<Vec<Setting>>)>,
    /// Grows within the session; 0 where nothing is to be echoed.
    pub number: u64,
    /// Whether it is given trials.
    pub service: Service,
    /// Sweeps that give it nothing.
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
    /// Its right.
    pub lease: Lease,
    /// On which slot.
    pub slot: u32,
    /// The question.
    pub settings: Vec<Setting>,
    /// 0 where there is no prediction.
    pub predicted_seconds: f64,
}

/// What a worker found in a data set.
#[derive(Debug, Clone)]
pub struct Describe {
    /// Who.
    pub session: SessionId,
    /// In which.
    pub dataset: Digest,
    /// What, or why nothing.
    pub answer: Result<Described, (FailureClass, String)>,
}

/// Points of attempts.
#[derive(Debug, Clone)]
pub struct Report {
    /// Who.
    pub session: SessionId,
    /// Lease, sequence number, numbers.
    pub points: Vec<(Lease, u64, EpochMetrics)>,
}

/// What became of a `Report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Leases that have expired.
    pub stop: Vec<Lease>,
    /// Points that were not known before.
    pub taken: u64,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The worker's session.
    pub session: SessionId,
    /// Of what.
    pub lease: Lease,
    /// Its last point's sequence number.
    pub last_sequence: u64,
    /// How.
    pub ending: FinishEnding,
    /// Seconds until it started.
    pub start_seconds: f64,
    /// Seconds until it ended.
    pub run_seconds: f64,
    /// Seconds in which it did not run.
    pub paused_seconds: f64,
    /// The last lines of its log.
    pub log_tail: String,
}

/// How an attempt ended, by its worker's word.
#[derive(Debug, Clone)]
pub enum FinishEnding {
    /// With a result, and the predictions for single images.
    Result(Box<ResultRecord>, Predictions),
    /// Without.
    Failure(FailureClass, String),
    /// It was stopped.
    Stopped,
    /// The worker lost it, for this reason.
    Lost(String),
}

/// What became of a `Finish`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Stored.
    Accepted {
        /// All points up to this one are stored.
        stored_sequence: u64,
    },
    /// The lease has expired.
    Stale,
    /// Points are missing.
    PointsMissing {
        /// All points up to this one are stored.
        stored_sequence: u64,
    },
}
