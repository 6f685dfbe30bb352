//! One run: a coordinator process, workers that train nothing, and a sweep of trials that differ only in their seeds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{SubmitRequest, SweepReference, SweepState, WatchSweepRequest};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::Error;
use super::coordinator::Process;
use super::machine;
use super::noop::{Counted, Work, Worker};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) trials: u32,
    pub(crate) workers: u32,
    pub(crate) slots: u32,
    pub(crate) work: Work,
}

pub(crate) struct Measured {
    /// From the submit's answer to the sweep's end.
    pub(crate) elapsed: Duration,
    /// CPU time of the coordinator's process during the run.
    pub(crate) coordinator_cpu: Duration,
    pub(crate) counted: Arc<Counted>,
    /// Load average before the run.
    pub(crate) load_before: f64,
}

pub(crate) async fn run(layout: Layout) -> Result<Measured, Error> {
    let load_before = machine::load();
    let folder = tempfile::tempdir()?;
    let coordinator = Process::start(folder.path())?;
    let endpoint = Endpoint::from_shared(format!("http://{}", coordinator.address))?;
    let counted = Arc::new(Counted::default());
    let stop = CancellationToken::new();
    let mut workers = tokio::task::JoinSet::new();
    for index in 0..layout.workers {
        let channel = endpoint.connect().await?;
        let shared = (layout.work, counted.clone());
        let worker = Worker::register(channel, format!("bench-{index}"), layout.slots, shared).await?;
        workers.spawn(worker.run(stop.clone()));
    }
    let mut client = SweepServiceClient::new(endpoint.connect().await?);
    let request = SubmitRequest { spec: spec(layout).into(), user: "bench".into(), ..SubmitRequest::default() };
    let before = machine::cpu_time(coordinator.id())?;
    let sweep = client.submit(request).await?.into_inner().sweep.ok_or("no sweep")?;
    let start = Instant::now();
    let reference = Some(SweepReference { text: sweep.id.to_string() });
    let mut updates = client.watch_sweep(WatchSweepRequest { sweep: reference }).await?.into_inner();
    let mut last = sweep;
    loop {
        let update = tokio::select! {
            update = updates.message() => update?,
            Some(ended) = workers.join_next() => return Err(format!("a worker ended early: {ended:?}").into()),
        };
        match update.and_then(|update| update.sweep) {
            Some(sweep) => last = sweep,
            None => break,
        }
    }
    let elapsed = start.elapsed();
    let coordinator_cpu = machine::cpu_time(coordinator.id())?.saturating_sub(before);
    stop.cancel();
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let counts = last.counts.unwrap_or_default();
    if last.state() != SweepState::Succeeded || counts.succeeded != u64::from(layout.trials) {
        return Err(format!("the sweep ended as {:?} with {counts:?}", last.state()).into());
    }
    Ok(Measured { elapsed, coordinator_cpu, counted, load_before })
}

pub(crate) fn spec(layout: Layout) -> Vec<u8> {
    let epochs = layout.work.points.max(1);
    format!(
        "version: 1\nname: bench\ndataset: {{ kind: synthetic_scenes, image_size: 8, channels: 3, classes: 8 }}\n\
         protocol: {{ epochs: {epochs} }}\nseeds: {}\n\
         baseline: {{ family: cnn }}\nstages: [ {{ name: all, vary: {{ filters: [8] }} }} ]\n",
        layout.trials
    )
    .into_bytes()
}
