//! A fleet of real processes for tests. Tests wait for messages of the coordinator or for rows in its store.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{SweepReference, SweepState, SweepStatus, WatchSweepRequest};
use sweep_tests::chaos::{Count, Witness, grid, submit};
use sweep_tests::fleet::{Fleet, Process};
use sweep_tests::scripted::Script;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An event that takes longer never happens.
pub(crate) const EVENT_TIMEOUT: Duration = Duration::from_secs(600);

/// The interval between reads of a store or a log, which cannot be awaited.
const LOOK: Duration = Duration::from_millis(20);

/// The program that is everything.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_chaos"))
}

pub(crate) struct Env {
    pub(crate) fleet: Fleet,
    pub(crate) address: SocketAddr,
    _coordinator: Process,
    folder: tempfile::TempDir,
}

impl Env {
    /// A coordinator, and trainers to come that follow `script`.
    pub(crate) fn new(script: &Script) -> Self {
        Self::with(script, |fleet| fleet)
    }

    /// The same, with other settings.
    pub(crate) fn with(script: &Script, settings: impl FnOnce(Fleet) -> Fleet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fleet = settings(Fleet::new(program(), folder.path(), script));
        let (coordinator, address) = fleet.coordinator(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self { fleet, address, _coordinator: coordinator, folder }
    }

    /// A worker of the coordinator.
    pub(crate) fn worker(&self, name: &str) -> Process {
        self.fleet.worker(name, self.address).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Submits a grid of `trials` trials.
    pub(crate) async fn submit(&self, trials: u32) -> u64 {
        submit(self.address, grid(trials)).await.unwrap()
    }

    /// Returns once `wanted` is `Some` for the sweep's status. The coordinator may restart before that.
    pub(crate) async fn until<T>(&self, sweep: u64, what: &str, wanted: impl Fn(&SweepStatus) -> Option<T>) -> T {
        let watching = async {
            loop {
                let Ok(mut client) = SweepServiceClient::connect(format!("http://{}", self.address)).await else {
                    tokio::time::sleep(LOOK).await;
                    continue;
                };
                let sweep = Some(SweepReference { text: sweep.to_string() });
                let Ok(updates) = client.watch_sweep(WatchSweepRequest { sweep }).await else { continue };
                let mut updates = updates.into_inner();
                while let Ok(Some(update)) = updates.message().await {
                    if let Some(found) = update.sweep.as_ref().and_then(&wanted) {
                        return found;
                    }
                }
            }
        };
        match tokio::time::timeout(EVENT_TIMEOUT, watching).await {
            Ok(found) => found,
            Err(_) => panic!("{what}: this never came\n{}", self.logs()),
        }
    }

    /// Returns when the sweep has ended.
    pub(crate) async fn ended(&self, sweep: u64) -> SweepState {
        let ended = |status: &SweepStatus| {
            let state = status.state();
            (!matches!(state, SweepState::Running | SweepState::Unspecified)).then_some(state)
        };
        self.until(sweep, "the sweep's end", ended).await
    }

    /// Returns the worker that runs a trial of the sweep, once it has reported a point.
    pub(crate) async fn running(&self, sweep: u64) -> String {
        let running = |status: &SweepStatus| {
            status.running.iter().find(|running| running.newest.is_some()).map(|running| running.worker.clone())
        };
        self.until(sweep, "a trial that runs", running).await
    }

    pub(crate) async fn witness(&self) -> Witness {
        Witness::open(&self.fleet.store()).await.unwrap()
    }

    /// Returns when a statement about the sweep gives a number other than 0.
    pub(crate) async fn stored(&self, sweep: u64, statement: &str) {
        let mut witness = self.witness().await;
        let waiting = async {
            while witness.number(sweep, statement).await.unwrap() == 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(EVENT_TIMEOUT, waiting).await.is_err() {
            panic!("{statement}: this never came\n{}", self.logs());
        }
    }

    /// Returns once a log contains `words`.
    pub(crate) async fn logged(&self, name: &str, words: &str) {
        let waiting = async {
            while !self.fleet.log(name).contains(words) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(EVENT_TIMEOUT, waiting).await.is_err() {
            panic!("{name} never said {words:?}\n{}", self.logs());
        }
    }

    /// Returns when a trainer has noted `words`.
    pub(crate) async fn journaled(&self, words: &str) {
        let noted = || std::fs::read_to_string(self.fleet.journal()).is_ok_and(|text| text.contains(words));
        let waiting = async {
            while !noted() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(EVENT_TIMEOUT, waiting).await.expect("the trainer has ended");
    }

    pub(crate) async fn http(&self, path: &str) -> String {
        let log = self.fleet.log("coordinator");
        let address = log.split("http=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let mut stream = TcpStream::connect(address.expect("where it listens")).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Checks the finished sweep, and returns its numbers.
    #[track_caller]
    pub(crate) fn assert_exactly_once(&self, count: &Count, trials: i64) {
        let problems = count.problems(trials);
        assert!(problems.is_empty(), "{problems:?}\n{}", self.logs());
    }

    /// Counts, and checks that each trial has exactly one result.
    pub(crate) async fn exactly_once(&self, sweep: u64, trials: i64) -> Count {
        let count = self.witness().await.count(sweep).await.unwrap();
        self.assert_exactly_once(&count, trials);
        count
    }

    fn logs(&self) -> String {
        let names = ["coordinator", "w1", "w2"];
        names.map(|name| format!("----- {name} -----\n{}\n", self.fleet.log(name))).concat()
    }
}
