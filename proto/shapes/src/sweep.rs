//! A sweep: its state, why it waits, and its running trials.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::text::{count, hex};
use crate::{Cost, Failure, Metrics};

/// The status of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Running,
    /// Every trial succeeded.
    Succeeded,
    /// It ended with failed trials.
    Failed,
    Cancelled,
    /// A state that this program does not know: the coordinator is newer.
    Unknown,
}

impl State {
    fn new(state: v1::SweepState) -> Self {
        match state {
            v1::SweepState::Running => Self::Running,
            v1::SweepState::Succeeded => Self::Succeeded,
            v1::SweepState::Failed => Self::Failed,
            v1::SweepState::Cancelled => Self::Cancelled,
            v1::SweepState::Unspecified => Self::Unknown,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The number of trials by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Counts {
    pub queued: u64,
    pub running: u64,
    pub succeeded: u64,
    /// Those of the succeeded trials that diverged.
    pub diverged: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Those of the succeeded trials whose results were reused.
    pub reused: u64,
    /// Trials that later stages will add, at most.
    pub to_come_at_most: u64,
}

impl Counts {
    /// Trials that have ended, however.
    pub fn ended(&self) -> u64 {
        self.succeeded.saturating_add(self.failed).saturating_add(self.cancelled)
    }

    /// Trials that there are.
    pub fn total(&self) -> u64 {
        self.ended().saturating_add(self.queued).saturating_add(self.running)
    }
}

/// Where the trials of a new sweep come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outlook {
    /// Trials with known results.
    pub known: u64,
    /// Trials that are running for another sweep.
    pub shared: u64,
    pub to_run: u64,
    /// Whether `known` and `shared` are upper bounds, because no worker has described the data yet.
    pub at_most: bool,
}

impl From<v1::Outlook> for Outlook {
    fn from(outlook: v1::Outlook) -> Self {
        let v1::Outlook { known, shared, to_run, at_most } = outlook;
        Self { known, shared, to_run, at_most }
    }
}

impl std::fmt::Display for Outlook {
    /// `14 of 20 trials are known; 6 to run`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { known, shared, to_run, at_most } = *self;
        let (total, bound) = (known + shared + to_run, if at_most { "at most " } else { "" });
        let (trials, is) = (if total == 1 { "trial" } else { "trials" }, |count| if count == 1 { "is" } else { "are" });
        write!(f, "{bound}{} of {} {trials} {} known", count(known), count(total), is(known))?;
        if shared > 0 {
            write!(f, ", {} {} shared with running sweeps", count(shared), is(shared))?;
        }
        write!(f, "; {}{} to run", if at_most { "at least " } else { "" }, count(to_run))?;
        if at_most {
            write!(f, " (no worker has said what is in the data yet)")?;
        }
        Ok(())
    }
}

impl From<v1::TrialCounts> for Counts {
    fn from(counts: v1::TrialCounts) -> Self {
        Self {
            queued: counts.queued,
            running: counts.running,
            succeeded: counts.succeeded,
            diverged: counts.diverged,
            failed: counts.failed,
            cancelled: counts.cancelled,
            reused: counts.reused,
            to_come_at_most: counts.to_come_at_most,
        }
    }
}

/// A stage of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Stage {
    pub name: String,
    pub counts: Counts,
    /// What `keep` chose, or why it chose nothing.
    pub choice: Option<String>,
}

/// The best value of the objective so far.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Best {
    pub metric: String,
    pub value: f64,
    pub configuration: String,
}

/// A trial that runs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Running {
    pub trial_id: String,
    pub configuration: String,
    pub seed: u64,
    pub worker: String,
    pub slot: u32,
    pub attempt: u32,
    pub epochs: u32,
    pub newest: Option<Metrics>,
}

/// A connected worker that gets no trials.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutOfService {
    pub worker: String,
    /// Why, as one sentence.
    pub reason: String,
    /// How to return the worker to service, as one sentence.
    pub remedy: String,
}

impl std::fmt::Display for OutOfService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "worker {} is out of service: {}; {}", self.worker, self.reason, self.remedy)
    }
}

impl From<v1::OutOfService> for OutOfService {
    fn from(found: v1::OutOfService) -> Self {
        Self { worker: found.worker, reason: found.reason, remedy: found.remedy }
    }
}

/// A sweep whose first trials all failed in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HeldBack {
    /// One sentence with the number of trials and the failure of the first ones.
    pub sentence: String,
    /// Trials that are held back.
    pub trials: u64,
    /// Trials that run or are retried: if one succeeds, the others start. With 0, the sweep needs an operator's action.
    pub tried: u64,
    /// Of the first of these failures.
    pub failure: Option<Failure>,
}

impl From<v1::HeldBack> for HeldBack {
    fn from(held: v1::HeldBack) -> Self {
        let v1::HeldBack { sentence, trials, tried, failure } = held;
        Self { sentence, trials, tried, failure: failure.map(Failure::from) }
    }
}

/// A sweep. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Sweep {
    pub id: u64,
    pub name: String,
    pub state: State,
    /// Why the sweep failed, or why the coordinator stopped it.
    pub reason: Option<String>,
    pub priority: i32,
    pub counts: Counts,
    pub epochs_done: u64,
    pub epochs_total: u64,
    pub submitted_unix_ms: i64,
    pub ended_unix_ms: Option<i64>,
    pub eta_seconds: Option<f64>,
    pub objective: String,
    pub best: Option<Best>,
    pub stages: Vec<Stage>,
    pub running: Vec<Running>,
    /// Why no trial runs while trials wait.
    pub waiting_for: Vec<String>,
    /// Why no connected worker can run the waiting trials; absent while one may.
    pub unplaceable: Option<Unplaceable>,
    /// Connected workers that the running sweep assigns no trials.
    pub leaves_out: Vec<LeftOut>,
    /// Connected workers that are out of service while the sweep runs.
    pub out_of_service: Vec<OutOfService>,
    /// Whether the sweep is paused: no trial starts until it is resumed.
    pub paused: bool,
    /// Why the remaining trials are held back, if they are.
    pub held_back: Option<HeldBack>,
    /// Whether the coordinator stopped the sweep because its budget is spent; the state is then `cancelled`.
    pub stopped_at_budget: bool,
    pub spec_digest: String,
    /// The cost so far and the expected cost; absent from older coordinators.
    pub cost: Option<Cost>,
}

impl From<v1::SweepStatus> for Sweep {
    fn from(status: v1::SweepStatus) -> Self {
        let state = State::new(status.state());
        let metric = status.objective_metric.clone();
        let configuration = status.best_configuration;
        let stage = |stage: v1::StageProgress| Stage {
            name: stage.name,
            counts: stage.counts.unwrap_or_default().into(),
            choice: some_text(stage.choice),
        };
        Self {
            id: status.id,
            name: status.name,
            state,
            reason: some_text(status.reason),
            priority: status.priority,
            counts: status.counts.unwrap_or_default().into(),
            epochs_done: status.epochs_done,
            epochs_total: status.epochs_total,
            submitted_unix_ms: status.submitted_unix_ms,
            ended_unix_ms: (status.ended_unix_ms > 0).then_some(status.ended_unix_ms),
            eta_seconds: status.eta_seconds,
            objective: status.objective_metric,
            best: status.best_value.map(|value| Best { metric, value, configuration }),
            stages: status.stages.into_iter().map(stage).collect(),
            running: status.running.into_iter().map(Running::from).collect(),
            waiting_for: status.waiting_for,
            unplaceable: status.unplaceable.map(Unplaceable::from),
            leaves_out: status.leaves_out.into_iter().map(LeftOut::from).collect(),
            out_of_service: status.out_of_service.into_iter().map(OutOfService::from).collect(),
            paused: status.paused,
            held_back: status.held_back.map(HeldBack::from),
            stopped_at_budget: status.stopped_at_budget,
            spec_digest: hex(&status.spec_digest),
            cost: status.cost.map(Cost::from),
        }
    }
}

/// Why the waiting trials can run on no connected worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unplaceable {
    pub failure: Failure,
    /// The worker that reports it; absent if it is true of all workers.
    pub worker: Option<String>,
}

impl From<v1::Unplaceable> for Unplaceable {
    fn from(unplaceable: v1::Unplaceable) -> Self {
        Self { failure: unplaceable.failure.unwrap_or_default().into(), worker: some_text(unplaceable.worker) }
    }
}

/// A sweep that assigns a connected worker no trials, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeftOut {
    pub sweep: u64,
    pub worker: String,
    pub reason: String,
}

impl From<v1::LeftOut> for LeftOut {
    fn from(left_out: v1::LeftOut) -> Self {
        Self { sweep: left_out.sweep, worker: left_out.worker, reason: left_out.reason }
    }
}

impl From<v1::RunningTrial> for Running {
    fn from(trial: v1::RunningTrial) -> Self {
        Self {
            trial_id: hex(&trial.trial_id),
            configuration: trial.configuration,
            seed: trial.seed,
            worker: trial.worker,
            slot: trial.slot,
            attempt: trial.attempt,
            epochs: trial.epochs,
            newest: trial.newest.map(Metrics::from),
        }
    }
}

pub(crate) fn some_text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
