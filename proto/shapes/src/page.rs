//! What only pages and `/api/v1` ask: parts of long lists, and what is put together for one view.

use serde::{Deserialize, Serialize};
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::text::hex;
use crate::{Artifact, Attempt, AuditEntry, Incomplete, Leaderboard, Metrics, Outlook, Summary, Sweep, Worker, expect};

/// Some sweeps, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SweepPage {
    pub sweeps: Vec<Sweep>,
    /// What to ask for the next page with, as `after`; absent on the last.
    pub next: Option<String>,
}

/// Some rows of a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LeaderboardPage {
    #[serde(flatten)]
    pub leaderboard: Leaderboard,
    /// Rows that there are, on all pages.
    pub total: u64,
    /// What to ask for the next page with, as `after`; absent on the last.
    pub next: Option<String>,
    /// When the results were read: of a large sweep that goes on, some moments ago.
    pub read_unix_ms: i64,
}

/// Some trials of a sweep, in the order of the spec.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TrialPage {
    pub trials: Vec<Summary>,
    /// What to ask for the next page with, as `after`; absent on the last.
    pub next: Option<String>,
}

/// Some lines of the audit log, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// What to ask for the next page with, as `after`; absent on the last.
    pub next: Option<String>,
}

/// Every worker that is known.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WorkerList {
    pub workers: Vec<Worker>,
}

/// What a sweep has left.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ArtifactList {
    pub artifacts: Vec<Artifact>,
    /// Whose weights are among them.
    pub notes: Vec<String>,
}

/// A setting that replaced one of a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Override {
    /// A path, such as `protocol.epochs`.
    pub key: String,
    pub value: String,
}

/// What was submitted.
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
    /// What to ask for the next page with, as `after`; absent on the last.
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

/// Why a trial stands where it stands.
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

/// How often classes were taken for each other.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Confusions {
    /// The classes of the data, in their order; empty where no worker has described them.
    pub classes: Vec<String>,
    /// As they were asked for, or of the best configuration; one without predictions is left out.
    pub matrices: Vec<ConfusionMatrix>,
}

/// Of one configuration.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConfusionMatrix {
    /// The configuration's place in the plan.
    pub position: u32,
    pub configuration: String,
    /// Networks that were counted together.
    pub networks: u64,
    /// Row by true class, column by predicted class.
    pub counts: Vec<Vec<u64>>,
}

/// The validation images that most configurations get wrong.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MissedImages {
    pub classes: Vec<String>,
    /// The hardest first.
    pub images: Vec<MissedImage>,
    /// How many there are, shown or not.
    pub missed: u64,
    /// Images that were looked at.
    pub all: u64,
    /// Configurations that were counted.
    pub configurations: u64,
    /// Why there are none, or no pictures.
    pub notes: Vec<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MissedImage {
    /// Its place in the validation data.
    pub index: u64,
    /// Its class.
    pub label: u32,
    /// The class that it was most often taken for.
    pub taken_for: u32,
    /// Networks that took it for another class.
    pub wrong: u64,
    /// Networks that saw it.
    pub networks: u64,
    /// Configurations of which more than half of the networks took it for another class.
    pub configurations: u64,
    /// A PNG as a `data:` address.
    pub picture: Option<String>,
}

/// A sweep that was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Submitted {
    pub sweep: Sweep,
    /// It was there before and is taken up.
    pub resumed: bool,
    /// Where its trials come from; absent for one that is taken up.
    pub outlook: Option<Outlook>,
    /// What may go wrong with it as things are, in sentences.
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

/// A sweep of which what failed is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Retried {
    pub sweep: Sweep,
    /// How many trials that are.
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
