//! A worker inside the driver that trains nothing and writes down all acknowledgements: every point, every accepted
//! result. At the end all of it has to be in the store, whenever the coordinator was killed. A poisonous trial kills it
//! like any other worker: it drops its session and its attempt, and registers again.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;
use sweep_proto::v1::{
    Assignment, AttemptPhases, DataDescription, DescribeRequest, EpochMetrics, FinishRequest, FinishVerdict, Lease,
    LiveAttempt, Outcome, Point, PollRequest, Provenance, RegisterRequest, ReportRequest, Slot, TrialResult,
    describe_request, finish_request, setting,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::Error;
use super::count::Witness;
use super::study::{CLASSES, EPOCHS};
use crate::scripted::{POISON_FILTERS, described};

/// Between a call that failed and the next session.
const PAUSE: Duration = Duration::from_millis(20);

/// Something that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    trial: Bytes,
    attempt: u32,
    /// The point, or the result of the attempt.
    point: Option<u64>,
}

/// The notes of a scribe.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Everything that was acknowledged to it.
    pub(super) entries: Vec<Entry>,
    /// How often a poisonous trial killed it.
    pub(super) poisoned: u32,
}

/// The worker of one slot.
pub(super) struct Scribe {
    name: String,
    address: SocketAddr,
    /// The duration of an epoch.
    epoch: Duration,
    current: Option<Course>,
    book: Book,
}

/// The progress of an attempt.
struct Course {
    lease: Lease,
    /// The point that comes next.
    next: u64,
}

impl Scribe {
    pub(super) fn new(name: String, address: SocketAddr, epoch: Duration) -> Self {
        Self { name, address, epoch, current: None, book: Book::default() }
    }

    /// Works until `stop` is cancelled, with any number of coordinators on the address; returns its notes.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Book {
        loop {
            // Why a session ended does not matter: what was not acknowledged is said again in the next.
            tokio::select! {
                () = stop.cancelled() => return self.book,
                _ = self.session() => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn session(&mut self) -> Result<(), Error> {
        let mut client = WorkerServiceClient::connect(format!("http://{}", self.address)).await?;
        let answer = client.register(self.registration()).await?.into_inner();
        self.drop_stopped(&answer.stop);
        let (session, mut seen) = (answer.session, 0);
        loop {
            while self.current.is_some() {
                self.go_on(&mut client, session).await?;
            }
            let poll = PollRequest { session, held: Vec::new(), draining: false, seen };
            let answer = client.poll(poll).await?.into_inner();
            for task in answer.describe {
                client.describe(description(session, task.dataset_key)).await?;
            }
            seen = seen.max(answer.number);
            let Some(assignment) = answer.start.into_iter().next() else { continue };
            if is_poisonous(&assignment) {
                self.book.poisoned += 1;
                return Err("the trial kills its worker".into());
            }
            self.current = assignment.lease.map(|lease| Course { lease, next: 1 });
        }
    }

    fn registration(&self) -> RegisterRequest {
        let live = self.current.iter().map(|course| LiveAttempt { lease: Some(course.lease.clone()), slot: 0 });
        RegisterRequest {
            worker: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
            slots: vec![Slot { index: 0, device: "cpu".into(), device_name: "none".into(), memory_bytes: 0 }],
            labels: Vec::new(),
            live_attempts: live.collect(),
            host: "chaos".into(),
            instance: b"scribbles".to_vec().into(),
            ..RegisterRequest::default()
        }
    }

    /// Reports the next event of the attempt, and notes it if it was acknowledged.
    async fn go_on(&mut self, client: &mut WorkerServiceClient<Channel>, session: u64) -> Result<(), Error> {
        let Some(Course { lease, next }) = &mut self.current else { return Ok(()) };
        let entry = |point| Entry { trial: lease.trial_id.clone(), attempt: lease.attempt, point };
        if *next <= u64::from(EPOCHS) {
            tokio::time::sleep(self.epoch).await;
            let metrics = Some(metrics(*next as u32, lease.attempt));
            let point = Point { lease: Some(lease.clone()), sequence: *next, metrics };
            let stop = client.report(ReportRequest { session, points: vec![point] }).await?.into_inner().stop;
            if stop.is_empty() {
                self.book.entries.push(entry(Some(*next)));
                *next += 1;
            }
            self.drop_stopped(&stop);
            return Ok(());
        }
        let request = FinishRequest {
            session,
            lease: Some(lease.clone()),
            last_sequence: EPOCHS.into(),
            phases: Some(AttemptPhases { start_seconds: 0.0, run_seconds: 0.0, paused_seconds: 0.0 }),
            log_tail: String::new(),
            ending: Some(finish_request::Ending::Result(result(lease.attempt))),
        };
        let answer = client.finish(request).await?.into_inner();
        match answer.verdict() {
            FinishVerdict::Accepted => self.book.entries.push(entry(None)),
            FinishVerdict::Stale => {}
            FinishVerdict::PointsMissing => {
                // It counts them as acknowledged: the end will show that they are not there.
                *next = answer.stored_sequence + 1;
                return Ok(());
            }
            FinishVerdict::Unspecified => return Err("a finish was answered with no verdict".into()),
        }
        self.current = None;
        Ok(())
    }

    fn drop_stopped(&mut self, stop: &[Lease]) {
        self.current.take_if(|course| stop.contains(&course.lease));
    }
}

fn is_poisonous(assignment: &Assignment) -> bool {
    let filters = assignment.settings.iter().find(|setting| setting.path == "configuration.filters");
    filters.is_some_and(|filters| filters.value == Some(setting::Value::Integer(POISON_FILTERS.into())))
}

/// The number of entries that are not in the store.
pub(super) async fn forgotten(book: &[Entry], witness: &mut Witness) -> Result<usize, Error> {
    let mut forgotten = 0;
    for Entry { trial, attempt, point } in book {
        let kept = match point {
            Some(sequence) => witness.keeps_point(trial, *attempt, *sequence).await?,
            None => witness.keeps_result(trial, *attempt).await?,
        };
        forgotten += usize::from(!kept);
    }
    Ok(forgotten)
}

fn description(session: u64, dataset_key: Bytes) -> DescribeRequest {
    let data = described(CLASSES);
    let description = DataDescription {
        digest: Bytes::copy_from_slice(data.digest.as_bytes()),
        classes: data.classes,
        channels: data.channels,
        train_images: data.train_images,
        test_images: data.test_images,
    };
    DescribeRequest { session, dataset_key, answer: Some(describe_request::Answer::Description(description)) }
}

fn metrics(epoch: u32, attempt: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0,
        train_accuracy: 0.5,
        val_loss: 1.0,
        val_accuracy: 0.5,
        learning_rate: 1e-3,
        seconds: 0.001,
        images_per_second: f64::from(attempt),
    }
}

fn result(attempt: u32) -> TrialResult {
    let digest = Bytes::copy_from_slice(described(CLASSES).digest.as_bytes());
    let last = metrics(EPOCHS, attempt);
    let provenance = Provenance {
        params: 1,
        images_per_second: 1.0,
        seconds: 0.001,
        peak_memory_bytes: 1,
        data_digest: digest.clone(),
        split_digest: digest,
        device: "cpu".into(),
        device_name: "none".into(),
        instruction_set: "none".into(),
        trainer: "scribe".into(),
        threads: 1,
        origin: None,
    };
    TrialResult {
        outcome: Outcome::Converged.into(),
        last: Some(last),
        best: Some(last),
        validation: None,
        provenance: Some(provenance),
        ..TrialResult::default()
    }
}
