//! What is written: one batch of the engine, and the rows of a sweep before it begins.

use sweep_scheduler::event::{Instance, Service};
use sweep_scheduler::{Hold, Lease, SweepId};
use sweep_spec::trainer::{Described, EpochMetrics};
use sweep_spec::{Configuration, Digest, FailureClass, Outcome, TrialId};

use super::codes::{AttemptState, AuditAction, RoundState, StageState, SweepState};
use super::deletions::DeletionRow;
use super::record::{AttemptKey, Predictions, ResultRecord, Submission};

/// One batch. Its parts are written in the order in which they stand here.
#[derive(Debug, Default)]
pub struct Commit {
    /// Sweeps that begin.
    pub sweeps_begun: Vec<SweepId>,
    /// Sweeps that go on although they had ended.
    pub sweeps_reopened: Vec<SweepId>,
    /// Sweeps that pause, and sweeps that go on.
    pub paused: Vec<(SweepId, bool)>,
    /// Sweeps that get another priority.
    pub priorities: Vec<(SweepId, i32)>,
    /// Stages that go back to a state; one that found no winner may choose again.
    pub stages_reopened: Vec<(SweepId, u32, StageState)>,
    /// Stages that change their state.
    pub stages: Vec<StageChange>,
    /// Contents that sweeps are pinned to.
    pub pins: Vec<(SweepId, Digest)>,
    /// What workers found in data sets, by the key of the reference.
    pub descriptions: Vec<(Digest, Described)>,
    /// Workers that registered.
    pub workers: Vec<WorkerRow>,
    /// Workers that are taken out of service, or back into it.
    pub services: Vec<ServiceRow>,
    /// Names that workers take, and names that are free again.
    pub names: Vec<NameRow>,
    /// Sweeps whose rest is held back, or no longer is.
    pub holds: Vec<HoldRow>,
    /// Rounds that begin: trial, number, when.
    pub rounds_opened: Vec<(TrialId, u32, i64)>,
    /// Trials that are settled on a round.
    pub bound: Vec<Bound>,
    /// Attempts that begin.
    pub attempts_started: Vec<AttemptStart>,
    /// What is expected of attempts that begin.
    pub predictions: Vec<PredictionRow>,
    /// Attempts that go on in a new session.
    pub attempts_adopted: Vec<(AttemptKey, u64)>,
    /// Attempts that had expired and go on in a session; others are left as they are.
    pub attempts_revived: Vec<(AttemptKey, Lease, u64)>,
    /// Epochs' metrics. One that is there already stays as it is.
    pub points: Vec<PointRow>,
    /// Results of accepted attempts.
    pub results: Vec<ResultRow>,
    /// Attempts that end.
    pub attempts_ended: Vec<AttemptEnd>,
    /// Milliseconds in which attempts that end did not run; an attempt without a row ran all the time.
    pub pauses: Vec<(AttemptKey, u64)>,
    /// Rounds that end.
    pub rounds_ended: Vec<RoundEndRow>,
    /// Sweeps that end.
    pub sweeps_ended: Vec<SweepEndRow>,
    /// Of these, the ones that keep the weights of their winner alone, and when they end.
    pub weights_due: Vec<(SweepId, i64)>,
    /// Sweeps that are deleted; what only they refer to is removed afterwards.
    pub sweeps_deleted: Vec<DeletionRow>,
    /// The last session number that was given.
    pub last_session: Option<u64>,
    /// Who did what.
    pub audit: Vec<AuditRow>,
}

impl Commit {
    /// How many rows it touches.
    pub fn rows(&self) -> usize {
        self.sweeps_begun.len()
            + self.sweeps_reopened.len()
            + self.paused.len()
            + self.priorities.len()
            + self.stages_reopened.len()
            + self.stages.len()
            + self.pins.len()
            + self.descriptions.len()
            + self.workers.len()
            + self.services.len()
            + self.names.len()
            + self.holds.len()
            + self.rounds_opened.len()
            + self.bound.len()
            + self.attempts_started.len()
            + self.predictions.len()
            + self.attempts_adopted.len()
            + self.attempts_revived.len()
            + self.points.len()
            + self.results.len()
            + self.attempts_ended.len()
            + self.pauses.len()
            + self.rounds_ended.len()
            + self.sweeps_ended.len()
            + self.weights_due.len()
            + self.sweeps_deleted.len()
            + usize::from(self.last_session.is_some())
            + self.audit.len()
    }
}

/// A stage that changes its state.
#[derive(Debug, Clone, PartialEq)]
pub struct StageChange {
    /// Whose.
    pub sweep: SweepId,
    /// Which.
    pub stage: u32,
    /// To what; `None` leaves it and sets the choice alone.
    pub state: Option<StageState>,
    /// The levels that it chose, or why it could not; never revised once it is not empty.
    pub choice: String,
    /// The configuration that it chose.
    pub winner: Option<u32>,
    /// The number of the choice within the sweep, counted from 1.
    pub decided: Option<u32>,
}

/// A trial of a sweep that is settled on a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// Whose.
    pub sweep: SweepId,
    /// Its configuration's place in the spec.
    pub configuration: u32,
    /// Its seed.
    pub seed: u64,
    /// Which.
    pub trial: TrialId,
    /// On which.
    pub round: u32,
    /// The round had ended before.
    pub reused: bool,
}

/// An attempt that begins.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptStart {
    /// Its number in the store.
    pub key: AttemptKey,
    /// Its right.
    pub lease: Lease,
    /// Whose.
    pub worker: String,
    /// In which session.
    pub session: u64,
    /// On which slot.
    pub slot: u32,
    /// On which device.
    pub device: String,
    /// The memory of the slot, where it is known.
    pub slot_memory_bytes: Option<u64>,
    /// When.
    pub at_ms: i64,
}

/// What is expected of an attempt before it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionRow {
    /// Whose.
    pub attempt: AttemptKey,
    /// Seconds of its slot.
    pub seconds: f64,
    /// In 5 % of cases it is less.
    pub low: f64,
    /// In 5 % of cases it is more.
    pub high: f64,
    /// The most memory that it will need.
    pub memory_bytes: u64,
}

/// One epoch of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct PointRow {
    /// Whose.
    pub attempt: AttemptKey,
    /// Counted from 1, without gaps.
    pub sequence: u64,
    /// The numbers.
    pub metrics: EpochMetrics,
}

/// The result of an accepted attempt.
#[derive(Debug, Clone)]
pub struct ResultRow {
    /// Whose.
    pub attempt: AttemptKey,
    /// The answer.
    pub result: ResultRecord,
    /// What the network said of single images.
    pub said: Predictions,
}

/// An attempt that ends.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// Which.
    pub key: AttemptKey,
    /// Its right.
    pub lease: Lease,
    /// How.
    pub state: AttemptState,
    /// Why, for one that failed.
    pub failure: Option<(FailureClass, String)>,
    /// When.
    pub at_ms: i64,
    /// From the assignment to the trainer's `started`.
    pub start_seconds: f64,
    /// From `started` to the ending.
    pub run_seconds: f64,
    /// The last lines of the trainer's log.
    pub log_tail: String,
}

/// A round that ends.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundEndRow {
    /// Whose.
    pub trial: TrialId,
    /// Which.
    pub round: u32,
    /// How.
    pub state: RoundState,
    /// The attempt that was accepted, and how it came out.
    pub accepted: Option<(u32, Outcome)>,
    /// Why, for one that failed.
    pub failure: Option<(FailureClass, String)>,
    /// When.
    pub at_ms: i64,
}

/// A sweep that ends.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepEndRow {
    /// Which.
    pub sweep: SweepId,
    /// How.
    pub state: SweepState,
    /// Why, for one that failed.
    pub reason: String,
    /// When.
    pub at_ms: i64,
}

/// A worker that registered.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// Its name.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// Of its program.
    pub version: String,
    /// Its session.
    pub session: u64,
    /// Its slots.
    pub slots: Vec<SlotRow>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// When.
    pub at_ms: i64,
}

/// A worker that is taken out of service, or back into it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRow {
    /// Its name.
    pub worker: String,
    /// Whether it is given trials.
    pub service: Service,
    /// By whose word.
    pub actor: String,
    /// When.
    pub at_ms: i64,
}

/// The worker that took a name last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// The name.
    pub worker: String,
    /// Its state folder and its process.
    pub instance: Instance,
    /// It has not left, and its lease has not run out.
    pub held: bool,
    /// Its machine.
    pub host: String,
    /// From where it connected; empty where that is not known.
    pub address: String,
    /// When this process took the name.
    pub since_ms: i64,
}

/// A sweep whose rest is held back, or no longer is.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldRow {
    /// Which.
    pub sweep: SweepId,
    /// Why; `None` once it goes on.
    pub hold: Option<Hold>,
    /// When.
    pub at_ms: i64,
}

impl HoldRow {
    /// The trials that are tried all the same, as the store keeps them.
    pub(crate) fn canaries(&self) -> Vec<u8> {
        let canaries = self.hold.iter().flat_map(|hold| &hold.canaries);
        canaries.flat_map(|trial| trial.as_bytes().iter().copied()).collect()
    }
}

/// Who did what. Written once and never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// When.
    pub at_ms: i64,
    /// Who: a person's name, a worker's, or `coordinator`.
    pub actor: String,
    /// What.
    pub action: AuditAction,
    /// To which sweep.
    pub sweep: Option<SweepId>,
    /// To which trial.
    pub trial: Option<TrialId>,
    /// To which of its attempts.
    pub attempt: Option<u32>,
    /// To which worker, or on which; empty for none.
    pub worker: String,
    /// For people: the new priority, the reason, the choice.
    pub detail: String,
}

/// A slot of a worker.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SlotRow {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// For people.
    pub device_name: String,
    /// 0 where it is not known.
    pub memory_bytes: u64,
}

/// Rows of a sweep before it begins, or of a stage before it opens. A large one is written in several pieces.
#[derive(Debug, Default)]
pub struct Preparation {
    /// What an earlier preparation left goes first.
    pub afresh: Option<Afresh>,
    /// The sweep itself.
    pub sweep: Option<SweepRow>,
    /// Its stages.
    pub stages: Vec<StageRow>,
    /// Parts that many trials share, by their hash. They come together with trials that have them: a garbage collection
    /// removes those that no trial has.
    pub questions: Vec<(Digest, String)>,
    /// Its configurations.
    pub configurations: Vec<ConfigurationRow>,
    /// Which configurations belong to which stage: sweep, stage, configuration.
    pub stage_configurations: Vec<(SweepId, u32, u32)>,
    /// Its trials.
    pub trials: Vec<NewTrial>,
}

/// Stages of a sweep that are prepared anew. What was prepared for them before, by a choice that was never committed, is
/// removed; of stages that do not wait, nothing is.
#[derive(Debug, Clone, PartialEq)]
pub struct Afresh {
    /// Whose.
    pub sweep: SweepId,
    /// Which.
    pub stages: Vec<u32>,
    /// Seeds that no other stage has.
    pub seeds: Vec<u64>,
}

/// A sweep that is prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRow {
    /// Its number.
    pub id: SweepId,
    /// For people.
    pub name: String,
    /// The YAML text.
    pub spec: Vec<u8>,
    /// Applied to the spec before it is read.
    pub overrides: Vec<(String, String)>,
    /// Of the spec with its overrides, whatever its formatting.
    pub spec_digest: Digest,
    /// Who, if that was said.
    pub submitter: String,
    /// Higher goes first.
    pub priority: i32,
    /// Its share among sweeps of one priority.
    pub weight: u32,
    /// Larger grids are refused.
    pub trial_limit: u64,
    /// The hash of the data reference.
    pub dataset_key: Digest,
    /// The content that the spec asks for.
    pub pin: Option<Digest>,
    /// When.
    pub submitted_ms: i64,
    /// How, beyond the spec.
    pub submission: Submission,
}

/// A stage that is prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRow {
    /// Whose.
    pub sweep: SweepId,
    /// Counted from 0.
    pub position: u32,
    /// For people.
    pub name: String,
    /// Trials that it can have at most.
    pub trials_at_most: u64,
    /// It chooses the best when it has ended.
    pub keep_best: bool,
}

/// A configuration that is prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigurationRow {
    /// Whose.
    pub sweep: SweepId,
    /// Its place in the spec.
    pub position: u32,
    /// Of an entry of `extra`, else empty.
    pub name: String,
    /// What differs from the baseline.
    pub label: String,
    /// The network.
    pub configuration: Configuration,
    /// Parameters.
    pub params: u64,
    /// Of one image's forward pass.
    pub flops: u64,
    /// Predicted work of one trial, in any unit that is the same for all.
    pub cost: u64,
    /// Predicted memory of one trial.
    pub memory_bytes: u64,
    /// It is the baseline.
    pub baseline: bool,
}

/// A trial that is prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTrial {
    /// Its address.
    pub id: TrialId,
    /// Whose.
    pub sweep: SweepId,
    /// Its configuration's place in the spec.
    pub configuration: u32,
    /// Its seed.
    pub seed: u64,
    /// The part that it shares with others.
    pub question: Digest,
    /// Canonical JSON of its configuration.
    pub body: std::sync::Arc<str>,
}
