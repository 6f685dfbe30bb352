//! Snapshots of the owner task's memory, for status, pages and metrics.

use std::sync::Arc;

use sweep_analysis::cost::Prediction;
use sweep_scheduler::event::Service;
use sweep_scheduler::{HeldBack, Lease, LeftOut, PoolView, SessionId, SweepId, Unplaceable};
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Plan, TrialCounts, TrialId};
use sweep_store::summary::Asked;

use crate::engine::cost::sweep_cost::Cost;
use crate::engine::messages::capacity::Unended;

/// The status of a live sweep.
#[derive(Debug, Clone)]
pub struct LiveStatus {
    /// Trials of all stages.
    pub counts: TrialCounts,
    /// Trials by stage; `None` for a stage that is not open.
    pub stages: Vec<Option<TrialCounts>>,
    /// Running trials, a bounded number of them.
    pub running: Vec<Running>,
    /// Its cost so far and the prediction for the rest.
    pub cost: Cost,
    /// Completed epochs of running trials.
    pub running_epochs: u64,
    /// Unfinished trials, if a stage waits for capacity.
    pub unended: Unended,
    /// Reasons why no trial runs.
    pub waiting_for: Vec<String>,
    /// Why none of the connected workers can ever run the queued trials.
    pub unplaceable: Option<Unplaceable>,
    /// Connected workers that it assigns no trials.
    pub leaves_out: Vec<LeftOut>,
    /// Connected workers that are out of service, with their state.
    pub out_of_service: Vec<(String, Service)>,
    /// Why its remaining trials are held back, if they are.
    pub held: Option<HeldBack>,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The facts of its spec that a status shows.
    pub asked: Arc<Asked>,
}

/// A running trial.
#[derive(Debug, Clone)]
pub struct Running {
    pub lease: Lease,
    /// A sweep that waits for it.
    pub sweep: SweepId,
    /// The label of its configuration.
    pub configuration: String,
    /// Its seed.
    pub seed: u64,
    /// The worker that runs it.
    pub worker: String,
    /// The slot that it runs on.
    pub slot: u32,
    /// The number of epochs of the trial.
    pub epochs: u32,
    /// The newest metrics.
    pub newest: Option<EpochMetrics>,
}

/// A connected worker.
#[derive(Debug, Clone)]
pub struct WorkerView {
    pub name: String,
    pub session: SessionId,
    /// Whether it drains: it accepts no new trials.
    pub draining: bool,
    /// Whether it announced that it leaves, and has no leases.
    pub left: bool,
    /// Whether the coordinator assigns it trials.
    pub service: Service,
    /// The running trial of each slot: id, label, sweep.
    pub slots: Vec<Option<(TrialId, String, SweepId)>>,
    /// The time of its last poll, in Unix milliseconds.
    pub seen_ms: i64,
    /// Sweeps that assign it no trials.
    pub left_out: Vec<LeftOut>,
}

/// The values of the gauges.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Live sweeps: number, name, counts, and the most trials that later stages may add.
    pub sweeps: Vec<(SweepId, String, TrialCounts, u64)>,
    /// The number of queued trials.
    pub queue_depth: usize,
    /// Numbers of connected and of draining workers.
    pub workers: (usize, usize),
    /// Numbers of busy and of free slots.
    pub slots: (usize, usize),
    /// Running trials.
    pub running: Vec<Running>,
    /// Slot-seconds that each live sweep has spent.
    pub spent: Vec<(SweepId, f64)>,
    /// The declared pools.
    pub pools: Vec<PoolView>,
}

/// The progress of a live sweep.
#[derive(Debug, Clone)]
pub struct ProgressGauges {
    /// The sweep.
    pub sweep: SweepId,
    /// The time of the last reported epoch or ended trial, in Unix seconds.
    pub progress_at: f64,
    /// Seconds since a slot last took a trial of it; 0 while no trial is queued.
    pub waits_seconds: f64,
    /// Whether none of its trials may start.
    pub rests: bool,
    /// The number of trials that are held back.
    pub held_back: u64,
    /// Predicted seconds until its end.
    pub remaining: Option<Prediction>,
}
