//! A coordinator for tests: it records the worker's requests, sends prepared answers, and can be killed and restarted
//! on the same port.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sweep_proto::v1::finish_request::Ending;
use sweep_proto::v1::put_artifact_request::Part;
use sweep_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use sweep_proto::v1::*;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// Longer than any step of these tests takes; a step that reaches it hangs.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(600);

/// How long an empty poll is parked.
const PARK: Duration = Duration::from_secs(1);

pub(crate) const MAX_ARTIFACT_BYTES: u64 = 1000;

pub(crate) type AttemptName = (Vec<u8>, u32, u32);

pub(crate) fn name(lease: &Lease) -> AttemptName {
    (lease.trial_id.to_vec(), lease.round, lease.attempt)
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) session: u64,
    pub(crate) registrations: Vec<RegisterRequest>,
    pub(crate) polls: Vec<PollRequest>,
    /// Prepared answers to polls.
    pub(crate) poll_answers: VecDeque<PollResponse>,
    /// The answer to the first poll that announces a drain.
    pub(crate) drain_answer: Option<PollResponse>,
    pub(crate) stored: BTreeMap<AttemptName, BTreeSet<u64>>,
    pub(crate) duplicates: usize,
    pub(crate) finishes: Vec<FinishRequest>,
    pub(crate) described: Vec<DescribeRequest>,
    pub(crate) artifacts: Vec<(ArtifactHeader, Vec<u8>)>,
    /// Rejects every registration, if set.
    pub(crate) refusal: Option<Status>,
    /// The version that it reports; `None` is a development build.
    pub(crate) version: Option<&'static str>,
    /// Leases that the next registration does not adopt.
    pub(crate) not_adopted: Vec<Lease>,
    /// Errors for the next reports, whose points are stored nevertheless.
    pub(crate) lost_report_answers: VecDeque<Status>,
    /// Prepared answers to `Finish`, used before the regular ones.
    pub(crate) verdicts: VecDeque<FinishResponse>,
    /// Errors for the next calls of `Finish`.
    pub(crate) finish_errors: VecDeque<Status>,
    /// For the next poll answer: why the worker is out of service; empty if it is back in service.
    pub(crate) out_of_service: Option<String>,
    /// The attempt whose points are rejected.
    pub(crate) refused_points: Option<AttemptName>,
}

impl State {
    /// The `Finish` request of `lease`, if it has arrived.
    pub(crate) fn finish_of(&self, lease: &Lease) -> Option<&FinishRequest> {
        self.finishes.iter().find(|finish| finish.lease.as_ref() == Some(lease))
    }

    pub(crate) fn sequences(&self, lease: &Lease) -> Vec<u64> {
        self.stored.get(&name(lease)).map(|set| set.iter().copied().collect()).unwrap_or_default()
    }
}

/// The failure in a `Finish` request.
pub(crate) fn failure(finish: &FinishRequest) -> (FailureClass, &str) {
    match finish.ending.as_ref().unwrap() {
        Ending::Failure(failure) => (failure.class(), &failure.reason),
        other => panic!("not a failure: {other:?}"),
    }
}

#[derive(Clone)]
pub(crate) struct Coordinator {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

impl Coordinator {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), changed: Arc::new(watch::channel(()).0) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.send_replace(());
        result
    }

    pub(crate) fn say(&self, response: PollResponse) {
        self.with(|state| state.poll_answers.push_back(response));
    }

    pub(crate) fn forget_session(&self) {
        self.with(|state| state.session += 1000);
    }

    /// Returns once `find` finds something in the requests so far.
    pub(crate) async fn until<T>(&self, awaited: &str, find: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = find(&self.state()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(TEST_TIMEOUT, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("{awaited} never came"),
        }
    }

    pub(crate) async fn finish(&self, lease: &Lease) -> FinishRequest {
        self.until("the finish", |state| state.finish_of(lease).cloned()).await
    }

    pub(crate) async fn points(&self, lease: &Lease, count: usize) {
        self.until("points", |state| (state.sequences(lease).len() >= count).then_some(())).await;
    }

    fn check(state: &State, session: u64) -> Result<(), Status> {
        if session == state.session { Ok(()) } else { Err(Status::not_found("no such session")) }
    }
}

/// A running coordinator; dropping it cuts every connection at once.
pub(crate) struct Server {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(coordinator: &Coordinator, port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = WorkerServiceServer::new(coordinator.clone());
        let (sender, bound) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let incoming = TcpListenerStream::new(listener);
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        Self { address: bound.recv().unwrap(), runtime: Some(runtime) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let runtime = self.runtime.take().unwrap();
        // On its own thread, because a runtime cannot wait for another; joined, so that the port is free again.
        std::thread::spawn(move || runtime.shutdown_timeout(TEST_TIMEOUT)).join().unwrap();
    }
}

#[tonic::async_trait]
impl WorkerService for Coordinator {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        self.with(|state| {
            if let Some(status) = &state.refusal {
                return Err(status.clone());
            }
            state.session += 1;
            state.registrations.push(request.into_inner());
            Ok(Response::new(RegisterResponse {
                session: state.session,
                lease_ttl_ms: 3 * PARK.as_millis() as u64,
                poll_wait_ms: PARK.as_millis() as u64,
                stop: std::mem::take(&mut state.not_adopted),
                coordinator_version: state.version.unwrap_or("test").to_owned(),
                out_of_service: state.out_of_service.take().unwrap_or_default(),
                max_artifact_bytes: MAX_ARTIFACT_BYTES,
            }))
        })
    }

    async fn poll(&self, request: Request<PollRequest>) -> Result<Response<PollResponse>, Status> {
        let request = request.into_inner();
        let mut changes = self.changed.subscribe();
        self.with(|state| {
            Self::check(state, request.session)?;
            state.polls.push(request.clone());
            Ok::<_, Status>(())
        })?;
        let parked = async {
            loop {
                changes.borrow_and_update();
                {
                    let mut state = self.state();
                    Self::check(&state, request.session)?;
                    if let Some(response) = state.drain_answer.take_if(|_| request.draining) {
                        return Ok::<_, Status>(response);
                    }
                    if let Some(response) = state.poll_answers.pop_front() {
                        return Ok::<_, Status>(response);
                    }
                }
                changes.changed().await.unwrap();
            }
        };
        let answer = tokio::time::timeout(PARK, parked).await.unwrap_or(Ok(PollResponse::default()))?;
        let mut state = self.state();
        let number = state.polls.len() as u64;
        let news = state.out_of_service.take();
        Ok(Response::new(match news {
            Some(out_of_service) => PollResponse { out_of_service, number, ..answer },
            None => answer,
        }))
    }

    async fn describe(&self, request: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        self.with(|state| {
            Self::check(state, request.get_ref().session)?;
            state.described.push(request.into_inner());
            Ok(Response::new(DescribeResponse {}))
        })
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        let request = request.into_inner();
        self.with(|state| {
            Self::check(state, request.session)?;
            let names: Vec<_> = request.points.iter().map(|point| name(point.lease.as_ref().unwrap())).collect();
            if state.refused_points.as_ref().is_some_and(|refused| names.contains(refused)) {
                return Err(Status::invalid_argument("such points are not taken"));
            }
            for (name, point) in names.into_iter().zip(request.points) {
                if !state.stored.entry(name).or_default().insert(point.sequence) {
                    state.duplicates += 1;
                }
            }
            match state.lost_report_answers.pop_front() {
                Some(status) => Err(status),
                None => Ok(Response::new(ReportResponse { stop: Vec::new() })),
            }
        })
    }

    async fn finish(&self, request: Request<FinishRequest>) -> Result<Response<FinishResponse>, Status> {
        let request = request.into_inner();
        self.with(|state| {
            Self::check(state, request.session)?;
            if let Some(status) = state.finish_errors.pop_front() {
                return Err(status);
            }
            if let Some(response) = state.verdicts.pop_front() {
                return Ok(Response::new(response));
            }
            let stored = state.stored.get(&name(request.lease.as_ref().unwrap()));
            let stored_sequence = (1..).take_while(|n| stored.is_some_and(|set| set.contains(n))).count() as u64;
            let verdict = if stored_sequence < request.last_sequence {
                FinishVerdict::PointsMissing
            } else {
                state.finishes.push(request);
                FinishVerdict::Accepted
            };
            Ok(Response::new(FinishResponse { verdict: verdict.into(), stored_sequence }))
        })
    }

    async fn put_artifact(
        &self,
        request: Request<Streaming<PutArtifactRequest>>,
    ) -> Result<Response<PutArtifactResponse>, Status> {
        let mut stream = request.into_inner();
        let mut header = None;
        let mut content = Vec::new();
        while let Some(message) = stream.message().await? {
            match message.part.unwrap() {
                Part::Header(part) => header = Some(part),
                Part::Chunk(chunk) => content.extend_from_slice(&chunk),
            }
        }
        self.with(|state| state.artifacts.push((header.unwrap(), content)));
        Ok(Response::new(PutArtifactResponse {}))
    }
}
