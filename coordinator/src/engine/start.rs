//! Starts an engine: its owner task, its background tasks, and a handle for everything else.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sweep_store::Store;
use sweep_store::artifacts::Folder;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::background::{deletion, follow_ups};
use crate::engine::cache::single_flight::SingleFlight;
use crate::engine::cost::model::Shared;
use crate::engine::handle::{CONCURRENT_ANALYSES, CONCURRENT_READS, Handle};
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::owner::driver::{Driver, Parts};
use crate::engine::settings::Settings;
use crate::engine::signals::last_polls::LastPolls;
use crate::engine::signals::sweep_changes::SweepChanges;
use crate::engine::signals::trouble::Trouble;
use crate::metrics::Metrics;

/// Commands in the queue of the owner task; more callers wait.
const MAX_QUEUED_COMMANDS: usize = 8192;
/// Follow-ups in the queue of the background task. When it is full, the owner task keeps further ones and refuses new
/// sweeps.
const MAX_QUEUED_FOLLOW_UPS: usize = 65_536;

/// Starts the owner task and the background tasks. They end after `shutdown`, when the last batch is committed.
pub fn start(
    store: (Arc<dyn Store>, Folder),
    metrics: Arc<Metrics>,
    settings: Settings,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Handle {
    let (handle, parts, due) = parts(store, metrics, settings, shutdown);
    tasks.spawn(Driver::new(parts).run());
    tasks.spawn(deletion::run(handle.clone(), shutdown.clone()));
    tasks.spawn(follow_ups::run(handle.clone(), due, shutdown.clone()));
    handle
}

/// The handle, the parts of the owner task, and the queue of the background task.
pub(super) fn parts(
    (store, artifacts): (Arc<dyn Store>, Folder),
    metrics: Arc<Metrics>,
    Settings { scheduler, limits, clock, asked_once }: Settings,
    shutdown: &CancellationToken,
) -> (Handle, Parts, mpsc::Receiver<FollowUp>) {
    let (commands, receiver) = mpsc::channel(MAX_QUEUED_COMMANDS);
    let (follow_ups, due) = mpsc::channel(MAX_QUEUED_FOLLOW_UPS);
    let (changes, changed) = watch::channel(0);
    let (ready, is_ready) = watch::channel(false);
    let (trouble, troubled) = watch::channel(Trouble::None);
    let last_sweep = Arc::new(AtomicU64::new(0));
    let (costs, heard, touched) = (Shared::default(), LastPolls::default(), SweepChanges::default());
    let handle = Handle {
        commands,
        heard: heard.clone(),
        store: Arc::clone(&store),
        artifacts,
        expansions: Arc::default(),
        changes: changed,
        touched: touched.clone(),
        ready: is_ready,
        trouble: troubled,
        last_sweep: Arc::clone(&last_sweep),
        waiting_stages: Arc::default(),
        summaries: Arc::default(),
        summing: SingleFlight::default(),
        plans: Arc::default(),
        planning: Arc::default(),
        readings: Arc::new(Semaphore::new(CONCURRENT_READS)),
        computing: Arc::new(Semaphore::new(CONCURRENT_ANALYSES)),
        analyses: Arc::default(),
        analysing: SingleFlight::default(),
        lease_ttl_ms: scheduler.lease_ttl_ms,
        limits,
        clock: clock.clone(),
        costs: costs.clone(),
        deleting: Arc::default(),
    };
    let parts = Parts {
        store,
        metrics,
        scheduler,
        limits,
        clock,
        asked_once,
        commands: receiver,
        heard,
        follow_ups,
        changes,
        touched,
        ready,
        trouble,
        last_sweep,
        shutdown: shutdown.clone(),
        costs,
    };
    (handle, parts, due)
}
