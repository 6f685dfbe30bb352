//! A worker that trains nothing: it speaks the real protocol over real gRPC and answers every trial at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;
use sweep_proto::v1::{
    AttemptPhases, DataDescription, DescribeRequest, EpochMetrics, FinishRequest, FinishVerdict, Lease, Outcome, Point,
    PollRequest, Provenance, RegisterRequest, ReportRequest, Slot, TrialResult, describe_request, finish_request,
};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::Error;

/// Ended trials that the worker has not noticed yet. It notices them when a poll is answered; more than this many would wait.
const ENDED: usize = 1024;

/// What it does with every trial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Points of each trial.
    pub(crate) points: u64,
    /// Points of one report.
    pub(crate) batch: u64,
}

/// The counts of all workers of a run.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) finished: AtomicU64,
    pub(crate) points: AtomicU64,
    /// Milliseconds from a slot's being free to its next trial.
    pub(crate) waits_ms: Mutex<Vec<f64>>,
}

pub(crate) struct Worker {
    client: WorkerServiceClient<Channel>,
    session: u64,
    work: Work,
    counted: Arc<Counted>,
    data: sweep_spec::Digest,
}

impl Worker {
    pub(crate) async fn register(
        channel: Channel,
        name: String,
        slots: u32,
        (work, counted): (Work, Arc<Counted>),
    ) -> Result<Self, Error> {
        let mut client = WorkerServiceClient::new(channel);
        let slot = |index| Slot { index, device: "cpu".into(), device_name: "none".into(), memory_bytes: 0 };
        let request = RegisterRequest {
            worker: name,
            version: env!("CARGO_PKG_VERSION").into(),
            trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
            slots: (0..slots).map(slot).collect(),
            labels: Vec::new(),
            live_attempts: Vec::new(),
            host: "bench".into(),
            instance: b"one-only".to_vec().into(),
            ..RegisterRequest::default()
        };
        let session = client.register(request).await?.into_inner().session;
        Ok(Self { client, session, work, counted, data: sweep_spec::Digest::of(b"no data") })
    }

    /// Works until `stop` is cancelled. It never abandons a waiting poll: the commit that ends a trial answers the poll
    /// with the next trial.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let worker = Arc::new(self);
        let (done, mut ended) = mpsc::channel::<Result<(Lease, Instant), Error>>(ENDED);
        let mut held: BTreeMap<Key, Lease> = BTreeMap::new();
        let mut free_since: Vec<Instant> = Vec::new();
        let mut seen = 0;
        loop {
            let request =
                PollRequest { session: worker.session, held: held.values().cloned().collect(), draining: false, seen };
            let mut client = worker.client.clone();
            let answer = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                answer = client.poll(request) => answer?.into_inner(),
            };
            let answered = Instant::now();
            while let Ok(end) = ended.try_recv() {
                let (lease, at) = end?;
                held.remove(&key(&lease));
                free_since.push(at);
            }
            seen = seen.max(answer.number);
            for task in answer.describe {
                worker.describe(task.dataset_key).await?;
            }
            for lease in answer.start.into_iter().filter_map(|assignment| assignment.lease) {
                if held.insert(key(&lease), lease.clone()).is_some() {
                    continue;
                }
                if let Some(since) = free_since.pop() {
                    let waited = answered.saturating_duration_since(since);
                    worker.counted.waits_ms.lock().await.push(waited.as_secs_f64() * 1e3);
                }
                let (worker, done) = (worker.clone(), done.clone());
                tokio::spawn(async move {
                    let result = worker.answer(lease).await.map(|lease| (lease, Instant::now()));
                    // The receiver is gone only when the run is over.
                    let _ = done.send(result).await;
                });
            }
        }
    }

    async fn describe(&self, dataset_key: Bytes) -> Result<(), Error> {
        let description = DataDescription {
            digest: Bytes::copy_from_slice(self.data.as_bytes()),
            classes: (0..8).map(|class| format!("class {class}")).collect(),
            channels: 3,
            train_images: 1,
            test_images: 1,
        };
        let answer = Some(describe_request::Answer::Description(description));
        let request = DescribeRequest { session: self.session, dataset_key, answer };
        self.client.clone().describe(request).await?;
        Ok(())
    }

    /// Reports every point of a trial, then its end.
    async fn answer(&self, lease: Lease) -> Result<Lease, Error> {
        let mut client = self.client.clone();
        let mut sequence = 0;
        while sequence < self.work.points {
            let batch = self.work.batch.min(self.work.points - sequence);
            let points = (sequence + 1..=sequence + batch).map(|sequence| Point {
                lease: Some(lease.clone()),
                sequence,
                metrics: Some(metrics(sequence as u32)),
            });
            let request = ReportRequest { session: self.session, points: points.collect() };
            client.report(request).await?;
            sequence += batch;
            self.counted.points.fetch_add(batch, Ordering::Relaxed);
        }
        let request = FinishRequest {
            session: self.session,
            lease: Some(lease.clone()),
            last_sequence: self.work.points,
            phases: Some(AttemptPhases { start_seconds: 0.0, run_seconds: 0.0, paused_seconds: 0.0 }),
            log_tail: String::new(),
            ending: Some(finish_request::Ending::Result(self.result(&lease))),
        };
        let verdict = client.finish(request).await?.into_inner().verdict();
        if verdict != FinishVerdict::Accepted {
            return Err(format!("a finish was answered {verdict:?}").into());
        }
        self.counted.finished.fetch_add(1, Ordering::Relaxed);
        Ok(lease)
    }

    fn result(&self, lease: &Lease) -> TrialResult {
        // Trials differ, as if something had been learned.
        let luck = lease.trial_id.first().map_or(0.0, |byte| f64::from(*byte) / 2550.0);
        let newest = metrics(self.work.points.max(1) as u32);
        let newest = EpochMetrics { val_accuracy: newest.val_accuracy + luck, ..newest };
        let provenance = Provenance {
            params: 1,
            images_per_second: 1.0,
            seconds: 0.001,
            peak_memory_bytes: 1,
            data_digest: Bytes::copy_from_slice(self.data.as_bytes()),
            split_digest: Bytes::copy_from_slice(self.data.as_bytes()),
            device: "cpu".into(),
            device_name: "none".into(),
            instruction_set: "none".into(),
            trainer: "no-op".into(),
            threads: 1,
            origin: None,
        };
        TrialResult {
            outcome: Outcome::Converged.into(),
            last: Some(newest),
            best: Some(newest),
            validation: None,
            provenance: Some(provenance),
            ..TrialResult::default()
        }
    }
}

type Key = (Bytes, u32);

fn key(lease: &Lease) -> Key {
    (lease.trial_id.clone(), lease.attempt)
}

fn metrics(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0,
        train_accuracy: 0.5,
        val_loss: 1.0,
        val_accuracy: 0.5,
        learning_rate: 1e-3,
        seconds: 0.001,
        images_per_second: 1.0,
    }
}
