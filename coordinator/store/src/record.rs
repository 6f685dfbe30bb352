//! What is read.

pub use sweep_analysis::study::TestScore;
use sweep_analysis::title::{Title, title};
use sweep_scheduler::snapshot::Snapshot;
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::{EpochMetrics, Provenance, Validation};
use sweep_spec::{Configuration, Digest, FailureClass, Outcome, Trial, TrialId};

use super::codes::{ArtifactKind, AttemptState, RoundState, StageState, SweepState};
use super::write::{NameRow, SlotRow};

/// The number of an attempt in the store, given by the engine, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AttemptKey(pub i64);

/// Everything that lives.
#[derive(Debug, Default)]
pub struct Loaded {
    /// For the scheduler.
    pub snapshot: Snapshot,
    /// The sweeps that have not ended.
    pub sweeps: Vec<LiveSweep>,
    /// The attempts that workers may still run.
    pub attempts: Vec<LiveAttempt>,
    /// The newest attempts of open rounds that were given up: their workers may come back with them.
    pub given_up: Vec<LiveAttempt>,
    /// The last sweep number that was given.
    pub last_sweep: u64,
    /// The last attempt's number in the store.
    pub last_attempt: i64,
    /// The last session number that was given.
    pub last_session: u64,
    /// Stages that have ended and whose choice is not made.
    pub undecided: Vec<(SweepId, u32)>,
    /// Sweeps that have ended, keep their winner's weights alone, and have not chosen it.
    pub weights_due: Vec<SweepId>,
    /// The worker that took each name last.
    pub names: Vec<NameRow>,
}

/// A sweep that has not ended.
#[derive(Debug)]
pub struct LiveSweep {
    /// What was submitted.
    pub record: SweepRecord,
    /// Its spec, as text.
    pub spec: Vec<u8>,
    /// Its configurations.
    pub configurations: Vec<ConfigurationRecord>,
    /// Its trials: id, configuration, seed.
    pub trials: Vec<(TrialId, u32, u64)>,
    /// Milliseconds of slots that its own attempts took which have ended.
    pub spent_ms: u64,
}

/// An attempt that a worker may still run.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAttempt {
    /// Its number.
    pub key: AttemptKey,
    /// Its right.
    pub lease: Lease,
    /// Whose.
    pub worker: String,
    /// On which slot.
    pub slot: u32,
    /// When it was assigned.
    pub assigned_ms: i64,
    /// Points up to this sequence number are stored, without gaps.
    pub stored_sequence: u64,
    /// The newest of them.
    pub newest: Option<EpochMetrics>,
    /// When it was given up; 0 while it lives, and where nobody has looked.
    pub ended_ms: i64,
}

/// A sweep that has begun, without the text of its spec: `Store::spec` has that.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRecord {
    /// Its number.
    pub id: SweepId,
    /// For people.
    pub name: String,
    /// Applied to the spec before it is read.
    pub overrides: Vec<(String, String)>,
    /// Of the spec with its overrides.
    pub spec_digest: Digest,
    /// Who, if that was said.
    pub submitter: String,
    /// Higher goes first.
    pub priority: i32,
    /// Nothing of it is started.
    pub paused: bool,
    /// Its share among sweeps of one priority.
    pub weight: u32,
    /// Larger grids are refused.
    pub trial_limit: u64,
    /// The hash of the data reference.
    pub dataset_key: Digest,
    /// The content that its trials are trained on.
    pub pin: Option<Digest>,
    /// Where it stands.
    pub state: SweepState,
    /// Why, for one that failed.
    pub reason: String,
    /// When it was submitted.
    pub submitted_ms: i64,
    /// When it ended; 0 while it runs.
    pub ended_ms: i64,
    /// Its stages.
    pub stages: Vec<StageRecord>,
    /// How it was submitted; of an earlier release's sweeps nothing is known.
    pub submission: Submission,
}

/// Which sweeps of the list, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepPage {
    /// Only those with lower numbers.
    pub before: Option<SweepId>,
    /// At most so many.
    pub limit: u32,
    /// Only those that run, or only those that have ended.
    pub running: Option<bool>,
}

impl SweepPage {
    /// The newest so many.
    pub fn newest(limit: u32) -> Self {
        Self { before: None, limit, running: None }
    }
}

/// A sweep as a person finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepTitle {
    /// Its number.
    pub id: SweepId,
    /// Where it stands.
    pub state: SweepState,
    /// Its name.
    pub name: String,
    /// Who submitted it, if that was said.
    pub submitter: String,
}

/// A stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRecord {
    /// For people.
    pub name: String,
    /// Trials that it can have at most.
    pub trials_at_most: u64,
    /// Where it stands.
    pub state: StageState,
    /// What it chose, or why it could not.
    pub choice: String,
    /// The configuration that it chose.
    pub winner: Option<u32>,
    /// The number of the choice within the sweep, counted from 1.
    pub decided: Option<u32>,
    /// It chooses the best when it has ended.
    pub keep_best: bool,
}

/// A configuration of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigurationRecord {
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
    /// Predicted work of one trial.
    pub cost: u64,
    /// Predicted memory of one trial.
    pub memory_bytes: u64,
    /// It is the baseline.
    pub baseline: bool,
    /// The stages that it belongs to, by position.
    pub stages: Vec<u32>,
}

impl ConfigurationRecord {
    /// Its name, or what differs from the baseline.
    pub fn title(&self) -> &str {
        title(&self.name, &self.label)
    }
}

/// What a configuration is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationTitle {
    /// Its place in the spec.
    pub position: u32,
    /// Of an entry of `extra`, else empty.
    pub name: String,
    /// What differs from the baseline.
    pub label: String,
    /// It is the baseline.
    pub baseline: bool,
}

impl ConfigurationTitle {
    /// As it is looked for.
    pub fn as_title(&self) -> Title<'_> {
        Title { position: self.position, name: &self.name, label: &self.label, baseline: self.baseline }
    }
}

/// A configuration under one seed, with what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicate {
    /// The configuration's place in the spec.
    pub configuration: u32,
    /// The parameters of its network, as planned.
    pub params: u64,
    /// The seed.
    pub seed: u64,
    /// The trial.
    pub trial: TrialId,
    /// Where its round stands, once it is bound to one.
    pub state: Option<RoundState>,
    /// A worker runs it.
    pub running: bool,
    /// The result was known before the sweep.
    pub reused: bool,
    /// The answer.
    pub result: Option<ResultRecord>,
}

/// The answer of a trial, without its per-image part.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRecord {
    /// Whether it converged.
    pub outcome: Outcome,
    /// Of the last epoch with finite numbers.
    pub last: Option<EpochMetrics>,
    /// Of the best such epoch.
    pub best: Option<EpochMetrics>,
    /// How it was made.
    pub provenance: Provenance,
    /// On the test part, of the reported epoch, where a holdout chooses it.
    pub test: Option<TestScore>,
}

/// What a network said of single images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// Of every validation image.
    pub validation: Option<Validation>,
    /// Of every image of a test part that only reports.
    pub test: Option<Validation>,
}

/// How a sweep was submitted, beyond its spec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submission {
    /// Results that were known do not count.
    pub fresh: bool,
    /// The attempt whose answer the sweep is held against.
    pub reproduces: Option<AttemptKey>,
    /// The git revision of the folder that the spec came from; empty where there was none.
    pub revision: String,
}

/// One epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Counted from 1 within the attempt.
    pub sequence: u64,
    /// The numbers.
    pub metrics: EpochMetrics,
}

/// Which part of the audit log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuditFilter {
    /// Only what was done to this sweep, or happened to one of its trials.
    pub sweep: Option<SweepId>,
    /// Only what happened to this trial.
    pub trial: Option<TrialId>,
    /// Only what this worker did, or what was done to it.
    pub worker: Option<String>,
    /// Nothing older.
    pub since_ms: i64,
    /// Nothing newer.
    pub until_ms: Option<i64>,
    /// Without the newest so many of those.
    pub skip: u32,
    /// The newest so many.
    pub limit: u32,
}

/// Which page of which trials.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialPage {
    /// Whose.
    pub sweep: SweepId,
    /// After this configuration and seed.
    pub after: Option<(u32, u64)>,
    /// At most so many.
    pub limit: u32,
    /// Only these states; all if empty.
    pub states: Vec<TrialState>,
    /// Only the trials of this configuration, by its place in the plan.
    pub configuration: Option<u32>,
    /// Only the trials under this seed.
    pub seed: Option<u64>,
}

impl TrialPage {
    /// The first trials of a sweep, at most so many.
    pub fn first(sweep: SweepId, limit: u32) -> Self {
        Self { sweep, after: None, limit, states: Vec::new(), configuration: None, seed: None }
    }

    /// The configuration and the seed that it goes on after, as the tables have them. Of one configuration, nothing before it
    /// is looked at.
    pub(crate) fn start(&self) -> (i64, i64) {
        let after = self.after.map_or((-1, 0), |(configuration, seed)| (i64::from(configuration), seed as i64));
        match self.configuration {
            Some(configuration) => after.max((i64::from(configuration) - 1, i64::MAX)),
            None => after,
        }
    }
}

/// Where a trial stands in a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    /// It waits.
    Queued,
    /// An attempt is live.
    Running,
    /// It has a result.
    Succeeded,
    /// It has none.
    Failed,
    /// Nobody wanted it any more.
    Cancelled,
}

/// A trial in a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    /// Its configuration's place.
    pub configuration: u32,
    /// Of an entry of `extra`, else what differs from the baseline.
    pub label: String,
    /// The network.
    pub body: Configuration,
    /// Parameters.
    pub params: u64,
    /// The stages that it belongs to, by position.
    pub stages: Vec<u32>,
    /// The seed.
    pub seed: u64,
    /// The address.
    pub trial: TrialId,
    /// Where it stands.
    pub state: TrialState,
    /// How many attempts it had, over all rounds.
    pub attempts: u32,
    /// The newest attempt of the sweep's round: number and key.
    pub newest: Option<(u32, AttemptKey)>,
    /// Where the newest attempt ran.
    pub worker: String,
    /// Why it failed.
    pub failure: Option<(FailureClass, String)>,
    /// The answer.
    pub result: Option<ResultRecord>,
}

/// A trial's question.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRecord {
    /// The question.
    pub trial: Trial,
    /// The sweeps that refer to it: number, configuration, seed.
    pub sweeps: Vec<(SweepId, u32, u64)>,
}

/// A trial that was asked again after it had an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// The sweep that asked.
    pub sweep: SweepId,
    /// The round that answered it, or will.
    pub round: u32,
    /// The attempt whose answer the new one is compared with.
    pub old: AttemptKey,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Its number in the store.
    pub key: AttemptKey,
    /// Its right.
    pub lease: Lease,
    /// Whose.
    pub worker: String,
    /// On which slot.
    pub slot: u32,
    /// On which device.
    pub device: String,
    /// The memory of the slot, where it was known.
    pub slot_memory_bytes: Option<u64>,
    /// When it was assigned.
    pub assigned_ms: i64,
    /// When it ended; 0 while it runs.
    pub ended_ms: i64,
    /// Where it stands.
    pub state: AttemptState,
    /// Why it failed.
    pub failure: Option<(FailureClass, String)>,
    /// From the assignment to the trainer's `started`.
    pub start_seconds: f64,
    /// From `started` to the ending.
    pub run_seconds: f64,
    /// The last lines of the trainer's log.
    pub log_tail: String,
}

/// A worker that registered once.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRecord {
    /// Its name.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// Of its program.
    pub version: String,
    /// Its last session.
    pub session: u64,
    /// Its slots.
    pub slots: Vec<SlotRow>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// When it registered.
    pub seen_ms: i64,
}

/// Something that a worker handed in.
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactRecord {
    /// Of the content.
    pub digest: Digest,
    /// What it is.
    pub kind: ArtifactKind,
    /// Whose, for logs and weights.
    pub owner: Option<(AttemptKey, TrialId, u32)>,
    /// Of the data, for thumbnails.
    pub data_digest: Option<Digest>,
    /// Its length.
    pub size_bytes: u64,
}
