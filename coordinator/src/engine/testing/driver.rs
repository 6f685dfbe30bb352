//! For tests: a driver that a test runs step by step, on an empty store and with a clock that the test advances.

use std::sync::Arc;

use sweep_scheduler::event::{Instance, NewSweep};
use sweep_scheduler::{Config, Event, SessionId, SweepId};
use sweep_spec::{Digest, Plan, Spec};
use sweep_store::Store;
use sweep_store::artifacts::Folder;
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::write::SlotRow;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::clock::Manual;
use crate::engine::cost::model::Shared;
use crate::engine::handle::Handle;
use crate::engine::messages::command::{Begin, Command, Ticket};
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::messages::submission::Submit;
use crate::engine::messages::worker::Register;
use crate::engine::owner::driver::Driver;
use crate::engine::settings::{Limits, Settings};
use crate::engine::start::parts;
use crate::engine::state::sweep::LiveSweep;
use crate::engine::submission::expansion::Expansion;
use crate::engine::submission::submit::record;
use crate::metrics::Metrics;

/// The content of the data set of all sweeps and workers here.
pub(crate) fn data() -> Digest {
    Digest::of(b"content")
}

pub(crate) struct TestDriver {
    pub(crate) driver: Driver,
    pub(crate) clock: Manual,
    pub(crate) handle: Handle,
    /// The queue of the background task.
    pub(crate) follow_ups: Receiver<FollowUp>,
    store: Arc<dyn Store>,
    last_sweep: u64,
    _folder: tempfile::TempDir,
}

impl TestDriver {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(scheduler: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&Options::new(folder.path().join("sweep.db"))).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Manual::begin();
        let artifacts = Folder::open(&folder.path().join("artifacts")).unwrap();
        let settings = Settings {
            scheduler,
            limits: Limits { trials: 1_000_000, live_trials: 2_000_000, sweeps: 1_000, workers: 1_000 },
            clock: clock.clone().into(),
            asked_once: true,
        };
        let (metrics, shutdown) = (Arc::new(Metrics::new().unwrap()), CancellationToken::new());
        let (handle, parts, follow_ups) = parts((Arc::clone(&store), artifacts), metrics, settings, &shutdown);
        Self { driver: Driver::new(parts), handle, follow_ups, clock, store, last_sweep: 0, _folder: folder }
    }

    /// Begins a sweep whose rows are not in the store, so nothing may be committed.
    pub(crate) async fn submit(&mut self, text: &str) -> SweepId {
        self.last_sweep += 1;
        let id = SweepId(self.last_sweep);
        let plan = Arc::new(Plan::new(&Spec::parse(text.as_bytes(), &[], &Default::default()).unwrap()));
        let request = Submit { spec: text.into(), ..Submit::default() };
        let record = record(&request, &plan, Default::default(), 0).unwrap();
        let groups = plan.released(&[]).groups().to_vec();
        let expansion = Expansion::new((id, &plan), &[], &groups, &Shared::default()).unwrap();
        let expanded = expansion.known(self.store.as_ref()).await.unwrap();
        let record = sweep_store::record::SweepRecord { id, ..record };
        let new = NewSweep {
            id,
            priority: record.priority,
            weight: record.weight,
            owner: record.submitter.clone(),
            paused: false,
            retry: plan.spec().retry.clone(),
            dataset: record.dataset_key,
            pin: Some(data()),
            settled: false,
            stages: record.stages.len() as u32,
            fresh: false,
            reproduces: false,
            allowance: plan.spec().budget.as_ref().map(|_| 0),
        };
        let live = LiveSweep::new(record, plan, text.as_bytes(), &self.clock.clone().into()).unwrap();
        let begin = Begin {
            ticket: Ticket { generation: self.driver.generation, _alive: Arc::new(()) },
            sweep: id,
            new: Some((new, live)),
            actor: String::new(),
            extends: None,
            choice: None,
            open: expanded.open,
            fail: Vec::new(),
            configurations: expanded.configurations,
            trials: expanded.trials,
        };
        self.driver.command(Command::Begin(Box::new(begin), oneshot::channel().0));
        id
    }

    /// Registers a worker, which has the data of every live sweep.
    pub(crate) fn worker(&mut self, name: &str, slots: usize) -> SessionId {
        let slot = SlotRow { device: "cpu".into(), device_name: "a processor".into(), memory_bytes: 0 };
        let session = SessionId(self.driver.next_session);
        let register = Register {
            worker: name.to_owned(),
            host: String::new(),
            version: String::new(),
            slots: vec![slot; slots],
            labels: Vec::new(),
            live: Vec::new(),
            instance: Instance::default(),
            address: String::new(),
            pool: None,
            shares_checkpoints: false,
        };
        self.driver.command(Command::Register(register, oneshot::channel().0));
        let datasets: Vec<Digest> = self.driver.live.sweeps.values().map(|sweep| sweep.record.dataset_key).collect();
        for dataset in datasets {
            self.driver.event(Event::Described { session, dataset, answer: Ok(data()) });
        }
        session
    }

    /// Sends the answers that wait for a commit, as if it had succeeded.
    pub(crate) fn committed(&mut self) {
        std::mem::take(&mut self.driver.batch.sayings).into_iter().for_each(|say| say(true));
    }
}
