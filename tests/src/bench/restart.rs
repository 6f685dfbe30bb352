//! How long a coordinator that was killed takes until it answers again, with a sweep in its store that is half done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{GetSweepRequest, SubmitRequest, SweepReference};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::Error;
use super::coordinator::Process;
use super::machine;
use super::noop::{Counted, Work, Worker};
use super::run::{Layout, spec};

/// Between two questions to a coordinator that does not answer yet.
const PAUSE: Duration = Duration::from_millis(2);

/// How the store is filled, and how often it is opened.
#[derive(Debug, Clone, clap::Args)]
pub struct Restart {
    /// Trials of the sweep.
    #[arg(long, default_value_t = 100_000)]
    pub trials: u32,
    /// Trials that have ended when the coordinator is killed.
    #[arg(long, default_value_t = 50_000)]
    pub done: u32,
    /// Points that each of them reported.
    #[arg(long, default_value_t = 4)]
    pub points: u64,
    /// How often it is killed and restarted.
    #[arg(long, default_value_t = 5)]
    pub times: u32,
    /// Path of the store; an existing one is used unchanged
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

struct Measured {
    seconds: f64,
    cpu_seconds: f64,
}

/// Runs it and returns the figures.
///
/// # Errors
/// The coordinator or a worker failed.
pub async fn restart(options: Restart) -> Result<serde_json::Value, Error> {
    let Restart { trials, done, points, times, .. } = options;
    let load_before = machine::load();
    let own = tempfile::tempdir()?;
    let folder = options.folder.as_deref().unwrap_or(own.path());
    if !folder.join("bench.db").exists() {
        std::fs::create_dir_all(folder)?;
        fill(folder, &options).await?;
    }
    let mut measured = Vec::new();
    for _ in 0..times.max(1) {
        measured.push(start(folder, trials).await?);
    }
    let mut seconds: Vec<f64> = measured.iter().map(|one| one.seconds).collect();
    let mut cpu: Vec<f64> = measured.iter().map(|one| one.cpu_seconds).collect();
    Ok(serde_json::json!({
        "bench": "restart",
        "trials": trials,
        "ended": done,
        "points": u64::from(done) * points,
        "store_bytes": std::fs::metadata(folder.join("bench.db"))?.len(),
        "seconds_p50": machine::quantile(&mut seconds, 0.5),
        "seconds_max": machine::quantile(&mut seconds, 1.0),
        "coordinator_cpu_seconds_p50": machine::quantile(&mut cpu, 0.5),
        "cores": machine::cores(),
        "load_before": load_before,
        "load_after": machine::load(),
    }))
}

async fn fill(folder: &Path, options: &Restart) -> Result<(), Error> {
    let work = Work { points: options.points, batch: options.points.max(1) };
    let layout = Layout { trials: options.trials, workers: 4, slots: 32, work };
    let request = SubmitRequest { spec: spec(layout).into(), ..SubmitRequest::default() };
    filled(folder, request, (layout, options.done)).await
}

/// Leaves a store in which this many trials have ended. Its coordinator is killed in the middle.
pub(crate) async fn filled(folder: &Path, request: SubmitRequest, (layout, done): (Layout, u32)) -> Result<(), Error> {
    let work = layout.work;
    let coordinator = Process::start(folder)?;
    let endpoint = Endpoint::from_shared(format!("http://{}", coordinator.address))?;
    let counted = Arc::new(Counted::default());
    let stop = CancellationToken::new();
    let mut client = SweepServiceClient::new(endpoint.connect().await?);
    client.submit(request).await?;
    let mut workers = tokio::task::JoinSet::new();
    for index in 0..layout.workers {
        let channel = endpoint.connect().await?;
        let shared = (work, Arc::clone(&counted));
        workers
            .spawn(Worker::register(channel, format!("bench-{index}"), layout.slots, shared).await?.run(stop.clone()));
    }
    while counted.finished.load(Ordering::Relaxed) < u64::from(done) {
        tokio::select! {
            Some(ended) = workers.join_next() => return Err(format!("a worker ended early: {ended:?}").into()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    drop(coordinator);
    stop.cancel();
    workers.abort_all();
    Ok(())
}

/// From the start of the process to its first answer about the sweep.
async fn start(folder: &Path, trials: u32) -> Result<Measured, Error> {
    let begun = Instant::now();
    let coordinator = Process::start(folder)?;
    let endpoint = Endpoint::from_shared(format!("http://{}", coordinator.address))?;
    let mut client = SweepServiceClient::new(endpoint.connect().await?);
    let sweep = Some(SweepReference { text: "1".into() });
    let answer = loop {
        match client.get_sweep(GetSweepRequest { sweep: sweep.clone() }).await {
            Ok(answer) => break answer.into_inner(),
            Err(status) if status.code() == tonic::Code::Unavailable => tokio::time::sleep(PAUSE).await,
            Err(status) => return Err(status.into()),
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = machine::cpu_time(coordinator.id())?.as_secs_f64();
    let counts = answer.sweep.and_then(|sweep| sweep.counts).unwrap_or_default();
    let known = counts.queued + counts.running + counts.succeeded;
    if known != u64::from(trials) {
        return Err(format!("{known} of {trials} trials came back: {counts:?}").into());
    }
    Ok(Measured { seconds, cpu_seconds })
}
