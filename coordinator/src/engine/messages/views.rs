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
    /// Over all stages.
    pub counts: TrialCounts,
    /// By stage; `None` for one that is not open.
    pub stages: Vec<Option<TrialCounts>>,
    /// Trials that run, a bounded number of them.
    pub running: Vec<Running>,
    /// What it has cost and will.
    pub cost: Cost,
    /// Epochs of running trials.
    pub running_epochs: u64,
    /// Trials that have not ended, for a stage that waits for room.
    pub unended: Unended,
    /// Why nothing runs.
    pub waiting_for: Vec<String>,
    /// Why none of the connected workers can ever run what waits.
    pub unplaceable: Option<Unplaceable>,
    /// Connected workers that it gives nothing.
    pub leaves_out: Vec<LeftOut>,
    /// Connected workers that are suspended, and what they are.
    pub out_of_service: Vec<(String, Service)>,
    /// Why its rest is held back, if it is.
    pub held: Option<HeldBack>,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The facts of its spec that a status shows.
    pub asked: Arc<Asked>,
}

/// A trial that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its right.
    pub lease: Lease,
    /// Of whom.
    pub sweep: SweepId,
    /// Its configuration's label.
    pub configuration: String,
    /// Its seed.
    pub seed: u64,
    /// Where.
    pub worker: String,
    /// On which slot.
    pub slot: u32,
    /// Epochs that it has to do.
    pub epochs: u32,
    /// The newest point.
    pub newest: Option<EpochMetrics>,
}

/// A connected worker.
#[derive(Debug, Clone)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Its session.
    pub session: SessionId,
    /// It takes nothing new.
    pub draining: bool,
    /// It announced that it leaves, and has no leases.
    pub left: bool,
    /// Whether it is given trials.
    pub service: Service,
    /// What runs on each slot: trial, label, sweep.
    pub slots: Vec<Option<(TrialId, String, SweepId)>>,
    /// When it polled last, in Unix milliseconds.
    pub seen_ms: i64,
    /// Sweeps that give it nothing.
    pub left_out: Vec<LeftOut>,
}

/// What the gauges show.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Live sweeps: number, name, counts, trials to come at most.
    pub sweeps: Vec<(SweepId, String, TrialCounts, u64)>,
    /// Trials that wait.
    pub queue_depth: usize,
    /// Workers: connected, draining.
    pub workers: (usize, usize),
    /// Slots: busy, free.
    pub slots: (usize, usize),
    /// Trials that run.
    pub running: Vec<Running>,
    /// Seconds of slots that live sweeps have spent.
    pub spent: Vec<(SweepId, f64)>,
    /// The declared pools.
    pub pools: Vec<PoolView>,
}

/// The progress of a live sweep.
#[derive(Debug, Clone)]
pub struct ProgressGauges {
    /// Which.
    pub sweep: SweepId,
    /// When it last took an epoch's numbers or the end of a trial, in Unix seconds.
    pub progress_at: f64,
    /// Seconds since a slot last took a trial of it; 0 while none waits.
    pub waits_seconds: f64,
    /// Nothing of it may be started.
    pub rests: bool,
    /// Trials that are held back.
    pub held_back: u64,
    /// Seconds until it is expected to end.
    pub remaining: Option<Prediction>,
}
