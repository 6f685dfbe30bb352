//! A coordinator in this process, and workers whose results the test chooses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sweep_coordinator::clock::{Clock, Manual};
use sweep_coordinator::{Args, Config, Handle};
use sweep_proto::v1;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub(crate) type Sweeps = SweepServiceClient<Channel>;

/// Two stages, nine points, eight configurations, two seeds: sixteen trials.
pub(crate) const SPEC: &str = "
version: 1
name: pretend
dataset: { kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 3 }
seeds: [0, 1]
baseline: { family: cnn, filters: 4, dense_units: 8 }
stages:
  - { name: width, vary: { filters: [4, 8, 16] }, keep: { filters: 8 } }
  - { name: regularization, grid: { batch_norm: [false, true], dropout: [0.0, 0.2] } }
extra: [ { name: wide, family: cnn, filters: 32 } ]
";

/// A coordinator with its store in a separate folder.
pub(crate) struct Env {
    folder: tempfile::TempDir,
    pub(crate) handle: Handle,
    flags: Args,
    clock: Clock,
}

impl Env {
    pub(crate) async fn new() -> Self {
        Self::with(Args::default()).await
    }

    pub(crate) async fn with(flags: Args) -> Self {
        Self::at(tempfile::tempdir().unwrap(), flags, Clock::default()).await
    }

    /// The same with a clock that only the test advances.
    pub(crate) async fn by(clock: &Manual, flags: Args) -> Self {
        Self::at(tempfile::tempdir().unwrap(), flags, clock.clone().into()).await
    }

    async fn at(folder: tempfile::TempDir, flags: Args, clock: Clock) -> Self {
        let handle = start(&folder, &flags, &clock).await;
        Self { folder, handle, flags, clock }
    }

    /// Stops the coordinator and starts another on the same store.
    pub(crate) async fn restart(self) -> Self {
        self.handle.stop().await;
        Self::at(self.folder, self.flags, self.clock).await
    }

    /// Stops the coordinator and returns the folder of its store.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.handle.stop().await;
        self.folder
    }

    /// Starts a coordinator on the store in this folder.
    pub(crate) async fn on(folder: tempfile::TempDir, flags: Args) -> Self {
        Self::at(folder, flags, Clock::default()).await
    }

    /// The folder of artifacts.
    pub(crate) fn artifacts(&self) -> std::path::PathBuf {
        self.folder.path().join("sweep.db.artifacts")
    }

    pub(crate) async fn channel(&self) -> Channel {
        let address = format!("http://{}", self.handle.grpc_address());
        Channel::from_shared(address).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn sweeps(&self) -> Sweeps {
        SweepServiceClient::new(self.channel().await)
    }

    pub(crate) async fn worker(&self, name: &str, slots: u32) -> Worker {
        let client = WorkerServiceClient::new(self.channel().await);
        let running = HashMap::new();
        let mut worker = Worker { client, name: name.into(), process: 1, slots, session: 0, seen: 0, data: 1, running };
        worker.register().await;
        worker
    }

    pub(crate) async fn submit(&self, spec: &str) -> v1::SweepStatus {
        let request = v1::SubmitRequest { spec: spec.to_owned().into(), ..Default::default() };
        self.sweeps().await.submit(request).await.unwrap().into_inner().sweep.unwrap()
    }

    pub(crate) async fn status(&self, sweep: u64) -> v1::SweepStatus {
        let request = v1::GetSweepRequest { sweep: reference(sweep) };
        self.sweeps().await.get_sweep(request).await.unwrap().into_inner().sweep.unwrap()
    }

    pub(crate) async fn leaderboard(&self, sweep: u64) -> v1::GetLeaderboardResponse {
        let request = v1::GetLeaderboardRequest { sweep: reference(sweep), ..Default::default() };
        self.sweeps().await.get_leaderboard(request).await.unwrap().into_inner()
    }
}

async fn start(folder: &tempfile::TempDir, flags: &Args, clock: &Clock) -> Handle {
    let args = Args {
        store: Some(folder.path().join("sweep.db").display().to_string()),
        listen: Some("127.0.0.1:0".into()),
        listen_http: flags.listen_http.clone().or_else(|| Some("127.0.0.1:0".into())),
        lease_ttl_ms: flags.lease_ttl_ms.clone().or_else(|| Some(LEASE_MS.to_string())),
        retry_backoff_ms: Some("1".into()),
        ..flags.clone()
    };
    let config = Config::from_layers(&args, []).unwrap();
    let handle = sweep_coordinator::start_at(config, clock.clone(), CancellationToken::new()).await.unwrap();
    handle.ready().await;
    handle
}

/// The default lease of tests. It is so long that a worker on a busy machine keeps its session.
pub(crate) const LEASE_MS: u64 = 15_000;

/// A lease that tests let expire, in milliseconds of their own clock.
pub(crate) const SHORT_LEASE_MS: u64 = 400;

/// A part of the short lease: a worker that polls after every step of the clock keeps its session.
pub(crate) const STEP: Duration = Duration::from_millis(SHORT_LEASE_MS / 4);

/// Settings with the short lease.
pub(crate) fn short_lease() -> Args {
    Args { lease_ttl_ms: Some(SHORT_LEASE_MS.to_string()), ..Args::default() }
}

pub(crate) fn reference(sweep: u64) -> Option<v1::SweepReference> {
    Some(v1::SweepReference { text: sweep.to_string() })
}

/// The result of a trial, as a function of its settings.
pub(crate) type Answer = Arc<dyn Fn(&HashMap<String, String>) -> v1::finish_request::Ending + Send + Sync>;

/// A lease, the trial's settings, and the slot.
pub(crate) type Attempt = (v1::Lease, HashMap<String, String>, u32);

/// A simulated worker.
pub(crate) struct Worker {
    pub(crate) client: WorkerServiceClient<Channel>,
    pub(crate) name: String,
    /// Incremented when its program restarts.
    pub(crate) process: u8,
    pub(crate) slots: u32,
    pub(crate) session: u64,
    pub(crate) seen: u64,
    /// Identifies the content of its data.
    pub(crate) data: u8,
    pub(crate) running: HashMap<(Vec<u8>, u32), Attempt>,
}

impl Worker {
    pub(crate) async fn register(&mut self) -> Vec<v1::Lease> {
        let slot = |index| v1::Slot { index, device: "cpu".into(), device_name: "pretend".into(), memory_bytes: 0 };
        let live = |(lease, _, slot): &(v1::Lease, _, u32)| v1::LiveAttempt { lease: Some(lease.clone()), slot: *slot };
        let request = v1::RegisterRequest {
            worker: self.name.clone(),
            version: "0".into(),
            trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
            slots: (0..self.slots).map(slot).collect(),
            labels: vec![v1::Label { key: "zone".into(), value: "a".into() }],
            live_attempts: self.running.values().map(live).collect(),
            instance: vec![self.process; 8].into(),
            state_key: self.name.clone().into(),
            ..Default::default()
        };
        let answer = self.client.register(request).await.unwrap().into_inner();
        (self.session, self.seen) = (answer.session, 0);
        for lease in &answer.stop {
            self.running.remove(&key(lease));
        }
        answer.stop
    }

    pub(crate) fn held(&self) -> Vec<v1::Lease> {
        self.running.values().map(|(lease, ..)| lease.clone()).collect()
    }

    /// Polls once, describes data sets, and takes the assigned trials.
    pub(crate) async fn poll(&mut self) -> Result<v1::PollResponse, tonic::Status> {
        let request = v1::PollRequest { session: self.session, held: self.held(), draining: false, seen: self.seen };
        let answer = self.client.poll(request).await?.into_inner();
        self.seen = self.seen.max(answer.number);
        for start in &answer.start {
            let lease = start.lease.clone().unwrap();
            let settings = start.settings.iter().map(|setting| (setting.path.clone(), text(setting))).collect();
            self.running.insert(key(&lease), (lease, settings, start.slot));
        }
        for lease in &answer.stop {
            self.running.remove(&key(lease));
        }
        for task in &answer.describe {
            let description = v1::DataDescription {
                digest: vec![self.data; 32].into(),
                classes: vec!["a".into()],
                channels: 3,
                train_images: 64,
                test_images: 32,
            };
            let request = v1::DescribeRequest {
                session: self.session,
                dataset_key: task.dataset_key.clone(),
                answer: Some(v1::describe_request::Answer::Description(description)),
            };
            self.client.describe(request).await?;
        }
        Ok(answer)
    }

    /// Polls until it runs a trial.
    pub(crate) async fn until_running(&mut self) {
        while self.running.is_empty() {
            self.poll().await.unwrap();
        }
    }

    /// Finishes all running trials: three points each, and the result of `answer`.
    pub(crate) async fn finish_all(&mut self, answer: &Answer) {
        for (lease, settings, _) in self.running.clone().into_values() {
            self.report(&lease, 1..=3).await;
            let verdict = self.finish(&lease, 3, answer(&settings)).await;
            assert_eq!(verdict.verdict(), v1::FinishVerdict::Accepted);
            self.running.remove(&key(&lease));
        }
    }

    pub(crate) async fn report(
        &mut self,
        lease: &v1::Lease,
        sequences: std::ops::RangeInclusive<u64>,
    ) -> v1::ReportResponse {
        let point = |sequence| v1::Point {
            lease: Some(lease.clone()),
            sequence,
            metrics: Some(metrics(sequence as u32, 0.1 * sequence as f64)),
        };
        let request = v1::ReportRequest { session: self.session, points: sequences.map(point).collect() };
        self.client.report(request).await.unwrap().into_inner()
    }

    pub(crate) async fn finish(
        &mut self,
        lease: &v1::Lease,
        last_sequence: u64,
        ending: v1::finish_request::Ending,
    ) -> v1::FinishResponse {
        let request = v1::FinishRequest {
            session: self.session,
            lease: Some(lease.clone()),
            last_sequence,
            ending: Some(ending),
            phases: Some(v1::AttemptPhases { start_seconds: 0.1, run_seconds: 1.0, paused_seconds: 0.0 }),
            log_tail: "pretended".into(),
        };
        self.client.finish(request).await.unwrap().into_inner()
    }

    /// Works until the sweep has ended.
    pub(crate) async fn work(&mut self, env: &Env, sweep: u64, answer: &Answer) -> v1::SweepStatus {
        loop {
            let status = env.status(sweep).await;
            if status.state() != v1::SweepState::Running {
                return status;
            }
            if self.running.is_empty() {
                // Opening the next stage takes a moment; the poll waits for it.
                self.poll().await.unwrap();
            }
            self.finish_all(answer).await;
        }
    }
}

pub(crate) fn key(lease: &v1::Lease) -> (Vec<u8>, u32) {
    (lease.trial_id.to_vec(), lease.attempt)
}

fn text(setting: &v1::Setting) -> String {
    use v1::setting::Value;
    match setting.value.clone().unwrap() {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Text(value) => value,
        Value::Texts(values) => values.texts.join(","),
    }
}

pub(crate) fn metrics(epoch: u32, accuracy: f64) -> v1::EpochMetrics {
    v1::EpochMetrics {
        epoch,
        train_loss: 1.0,
        train_accuracy: accuracy,
        val_loss: 1.0,
        val_accuracy: accuracy,
        learning_rate: 0.001,
        seconds: 0.5,
        images_per_second: 100.0,
    }
}

/// A converged result with this validation accuracy.
pub(crate) fn result(accuracy: f64) -> v1::TrialResult {
    v1::TrialResult {
        outcome: v1::Outcome::Converged.into(),
        last: Some(metrics(3, accuracy)),
        best: Some(metrics(2, accuracy)),
        validation: Some(v1::Validation {
            labels: vec![0, 1],
            predicted: vec![0, 0],
            confidence: vec![0.9, 0.6],
            confusion: vec![1, 0, 1, 0],
        }),
        provenance: Some(v1::Provenance {
            params: 1,
            images_per_second: 100.0,
            seconds: 2.0,
            peak_memory_bytes: 1,
            data_digest: vec![1; 32].into(),
            split_digest: vec![2; 32].into(),
            device: "cpu".into(),
            device_name: "pretend".into(),
            instruction_set: "none".into(),
            trainer: "pretend 1".into(),
            threads: 1,
            origin: None,
        }),
        ..Default::default()
    }
}

/// More filters are better, and the second seed is slightly worse.
pub(crate) fn by_filters() -> Answer {
    Arc::new(|settings| {
        let filters: f64 = settings["configuration.filters"].parse().unwrap();
        let seed: f64 = settings["seed"].parse().unwrap();
        v1::finish_request::Ending::Result(result(0.5 + filters / 100.0 - seed / 1000.0))
    })
}

/// The same results with a duration, which is as long as the attempt.
pub(crate) fn timed() -> Answer {
    Arc::new(|settings| {
        let mut ending = by_filters()(settings);
        if let v1::finish_request::Ending::Result(result) = &mut ending {
            result.provenance.as_mut().unwrap().seconds = 1.0;
        }
        ending
    })
}
