//! Shapes that only pages and `/api/v1` need: parts of long lists, and data that is combined for one view.

use serde::{Deserialize, Serialize};
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::text::hex;
use crate::{Artifact, Attempt, AuditEntry, Incomplete, Leaderboard, Metrics, Outlook, Summary, Sweep, Worker, expect};

/// One page of sweeps, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SweepPage {
    pub sweeps: Vec<Sweep>,
    /// The value of `after` for the next page; absent on the last page.
    pub next: Option<String>,
}

/// One page of a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LeaderboardPage {
    #[serde(flatten)]
    pub leaderboard: Leaderboard,
    /// The number of rows on all pages.
    pub total: u64,
    /// The value of `after` for the next page; absent on the last page.
    pub next: Option<String>,
    /// When the results were read; for a large running sweep, this may be some moments ago.
    pub read_unix_ms: i64,
}

/// One page of a sweep's trials, in the order of the spec.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TrialPage {
    pub trials: Vec<Summary>,
    /// The value of `after` for the next page; absent on the last page.
    pub next: Option<String>,
}

/// One page of the audit log, newest entries first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// The value of `after` for the next page; absent on the last page.
    pub next: Option<String>,
}

/// All known workers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WorkerList {
    pub workers: Vec<Worker>,
}

/// The artifacts of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ArtifactList {
    pub artifacts: Vec<Artifact>,
    /// Which trials' weights are among the artifacts.
    pub notes: Vec<String>,
}

/// A setting that replaced one of a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Override {
    /// A path, such as `protocol.epochs`.
    pub key: String,
    pub value: String,
}

/// The spec of a sweep as it was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Specification {
    pub sweep: Sweep,
    /// The YAML text.
    pub spec: String,
    /// Applied to it, in this order.
    pub overrides: Vec<Override>,
}

impl TryFrom<v1::GetSweepResponse> for Specification {
    type Error = Incomplete;

    fn try_from(answer: v1::GetSweepResponse) -> Result<Self, Incomplete> {
        let pair = |pair: v1::Override| Override { key: pair.key, value: pair.value };
        Ok(Self {
            sweep: expect(answer.sweep, "sweep")?.into(),
            spec: String::from_utf8_lossy(&answer.spec).into_owned(),
            overrides: answer.overrides.into_iter().map(pair).collect(),
        })
    }
}

/// The epochs of one trial, of the accepted attempt or of the newest.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Curve {
    pub trial_id: String,
    pub configuration: String,
    pub seed: u64,
    pub state: &'static str,
    /// 0 where there was none yet.
    pub attempt: u32,
    pub points: Vec<Metrics>,
}

/// One epoch of one trial, as a row of a table.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Epoch {
    pub trial_id: String,
    pub configuration: String,
    pub seed: u64,
    pub attempt: u32,
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// Some epochs of a sweep's trials.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EpochPage {
    pub points: Vec<Epoch>,
    /// The value of `after` for the next page; absent on the last page.
    pub next: Option<String>,
}

impl Curve {
    /// Its epochs as rows of a table.
    pub fn rows(&self) -> Vec<Epoch> {
        let row = |metrics: &Metrics| Epoch {
            trial_id: self.trial_id.clone(),
            configuration: self.configuration.clone(),
            seed: self.seed,
            attempt: self.attempt,
            metrics: *metrics,
        };
        self.points.iter().map(row).collect()
    }
}

/// Explains the state of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    pub trial: Summary,
    /// Sentences for people: why it waits, or where it runs.
    pub now: Vec<String>,
    pub attempts: Vec<Attempt>,
    /// Oldest first.
    pub events: Vec<AuditEntry>,
}

impl TryFrom<v1::ExplainTrialResponse> for Explanation {
    type Error = Incomplete;

    fn try_from(answer: v1::ExplainTrialResponse) -> Result<Self, Incomplete> {
        Ok(Self {
            trial: expect(answer.trial, "trial")?.into(),
            now: answer.now,
            attempts: answer.attempts.into_iter().map(Attempt::from).collect(),
            events: answer.events.into_iter().map(AuditEntry::from).collect(),
        })
    }
}

/// Confusion matrices.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Confusions {
    /// The classes of the data, in their order; empty where no worker has described them.
    pub classes: Vec<String>,
    /// The requested matrices, or the best configuration's; configurations without predictions are left out.
    pub matrices: Vec<ConfusionMatrix>,
}

/// Of one configuration.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConfusionMatrix {
    /// The configuration's place in the plan.
    pub position: u32,
    pub configuration: String,
    /// The number of networks that were counted together.
    pub networks: u64,
    /// Row by true class, column by predicted class.
    pub counts: Vec<Vec<u64>>,
}

/// The validation images that most configurations misclassify.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MissedImages {
    pub classes: Vec<String>,
    /// The hardest first.
    pub images: Vec<MissedImage>,
    /// The number of misclassified images, shown or not.
    pub missed: u64,
    /// The number of images.
    pub all: u64,
    /// Configurations that were counted.
    pub configurations: u64,
    /// Why images or pictures are missing.
    pub notes: Vec<String>,
}

/// A misclassified image.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MissedImage {
    /// Its position in the validation data.
    pub index: u64,
    /// Its class.
    pub label: u32,
    /// The class that was predicted most often.
    pub taken_for: u32,
    /// Networks that predicted another class.
    pub wrong: u64,
    /// Networks that predicted it.
    pub networks: u64,
    /// Configurations with more than half of their networks wrong.
    pub configurations: u64,
    /// A PNG as a `data:` address.
    pub picture: Option<String>,
}

/// A sweep that was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Submitted {
    pub sweep: Sweep,
    /// Whether an existing sweep was resumed.
    pub resumed: bool,
    /// Where the sweep's trials come from; absent for a resumed sweep.
    pub outlook: Option<Outlook>,
    /// Warnings about the sweep, as sentences.
    pub warnings: Vec<String>,
}

impl TryFrom<v1::SubmitResponse> for Submitted {
    type Error = Incomplete;

    fn try_from(answer: v1::SubmitResponse) -> Result<Self, Incomplete> {
        Ok(Self {
            sweep: expect(answer.sweep, "sweep")?.into(),
            resumed: answer.resumed,
            outlook: answer.outlook.map(Outlook::from),
            warnings: answer.warnings,
        })
    }
}

/// A sweep whose failed trials are retried.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Retried {
    pub sweep: Sweep,
    /// The number of retried trials.
    pub trials: u64,
}

impl TryFrom<v1::RetrySweepResponse> for Retried {
    type Error = Incomplete;

    fn try_from(answer: v1::RetrySweepResponse) -> Result<Self, Incomplete> {
        Ok(Self { sweep: expect(answer.sweep, "sweep")?.into(), trials: answer.trials })
    }
}

/// The end of what a trainer wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Log {
    pub trial_id: String,
    pub attempt: u32,
    pub worker: Option<String>,
    pub text: String,
}

impl Log {
    /// Of an attempt of a trial.
    pub fn new(trial_id: &[u8], attempt: v1::AttemptRecord) -> Self {
        Self {
            trial_id: hex(trial_id),
            attempt: attempt.attempt,
            worker: some_text(attempt.worker),
            text: attempt.log_tail,
        }
    }
}
