//! Starts and stops a worker. Start order: folders and lock, trainer and its devices, slots, metrics server, agent.
//! Stop order: agent (slots stopped, endings reported), slots and describer, metrics server, lock.

use std::fs::TryLockError;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sweep_config::Problem;
use sweep_proto::v1;
use sweep_spec::trainer::{Command, Devices, Event, Folders};
use sweep_trust::lock::Lock;
use sweep_trust::private::Sharing;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::agent::{Agent, MAX_DESCRIBES, Parts, SlotHandle};
use crate::artifact;
use crate::calls::Endpoints;
use crate::checkpoints::Checkpoints;
use crate::clock::Clock;
use crate::config::{Config, Problems};
use crate::devices::{Machine, Slot};
use crate::gpu::Gpus;
use crate::log_tail::LogTail;
use crate::machine::folders::UserFolder;
use crate::metrics::Metrics;
use crate::outbox::{self, Journal, Recovered};
use crate::slot::SlotTask;
use crate::spawner::Spawner;
use crate::trainer::{self, Launcher, Threads, Trainer, name_of};
use crate::trainer_process::{Shared, TrainerProcess};
use crate::{Ending, Error, describer, devices, environment, hardening, http, machine, state_key};

/// The capacity of the queue of slot events.
const EVENTS: usize = 1024;

/// A running worker. Dropping it stops the worker.
pub struct Handle {
    /// The address of the metrics server, if there is one.
    pub http_address: Option<SocketAddr>,
    pub slots: Vec<Slot>,
    metrics: Arc<Metrics>,
    registered: watch::Receiver<bool>,
    drain: CancellationToken,
    end: DropGuard,
    task: JoinHandle<Result<Ending, Error>>,
}

impl Handle {
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns once a coordinator has accepted the worker; `false` if it ended before.
    pub async fn registered(&self) -> bool {
        self.registered.clone().wait_for(|registered| *registered).await.is_ok()
    }

    /// Drains the worker: it accepts no new trials, and exits when running trials have ended and are reported.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Returns when the worker has ended.
    ///
    /// # Errors
    /// The worker failed.
    pub async fn join(self) -> Result<Ending, Error> {
        let Self { end, task, .. } = self;
        let result = task.await;
        drop(end);
        result.unwrap_or_else(|source| Err(Error::Internal { source }))
    }

    /// Stops the worker in order, and returns when it has ended.
    ///
    /// # Errors
    /// The worker failed.
    pub async fn stop(self) -> Result<Ending, Error> {
        let Self { end, task, .. } = self;
        drop(end);
        task.await.unwrap_or_else(|source| Err(Error::Internal { source }))
    }
}

/// Runs a worker until `shutdown` is cancelled, until it is drained by the coordinator or by `drain`, or until it
/// fails. `trainer_command` is the default for configurations that name none.
///
/// # Errors
/// The worker cannot start, or the coordinator rejects it.
pub async fn run(
    config: Config,
    trainer_command: Vec<String>,
    shutdown: CancellationToken,
    drain: CancellationToken,
) -> Result<Ending, Error> {
    let handle = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Ending::Stopped),
        handle = start(config, trainer_command, &shutdown) => handle?,
    };
    let draining = handle.drain.clone();
    let mut ended = std::pin::pin!(handle.join());
    tokio::select! {
        ending = &mut ended => return ending,
        () = drain.cancelled() => draining.cancel(),
    }
    ended.await
}

/// Starts a worker within this process. It ends with `shutdown`, or when the handle is dropped.
///
/// # Errors
/// The worker cannot start.
pub async fn start(
    config: Config,
    trainer_command: Vec<String>,
    shutdown: &CancellationToken,
) -> Result<Handle, Error> {
    config.validate()?;
    forbid_inspection();
    let metrics = Arc::new(Metrics::new(&config.name)?);
    let launcher = launcher(&config, trainer_command, &metrics)?;
    let worker_folders = WorkerFolders::prepare(&config)?;
    let (journal, recovered) = worker_folders.outbox(&metrics)?;
    let checkpoints = worker_folders.checkpoints(&config, &metrics)?;
    let (trainer, offered) = probe(&launcher).await?;
    let slots = plan(&config, &offered)?;
    let (registered_sender, registered) = watch::channel(false);
    let end = shutdown.child_token();
    let (pages_end, drain) = (CancellationToken::new(), CancellationToken::new());
    let http_address = match config.listen_http {
        Some(address) => {
            let pages = http::Pages {
                metrics: Arc::clone(&metrics),
                gpus: open_gpus(),
                folders: worker_folders.places().into(),
                registered: registered.clone(),
            };
            Some(http::serve(address, pages, pages_end.clone()).await?)
        }
        None => None,
    };
    let (events_sender, events) = mpsc::channel(EVENTS);
    let shared = Arc::new(Shared {
        launcher,
        folders: worker_folders.folders.clone(),
        state_folder: worker_folders.state.clone(),
        semantics: trainer.hello().semantics,
        idle: config.trainer_idle,
        silence: config.trainer_silence,
        trials_per_trainer: config.trials_per_trainer,
        metrics: Arc::clone(&metrics),
        events: events_sender,
        log_sender: journal.log_sender(),
        checkpoints: Arc::clone(&checkpoints),
        clock: Clock::start(),
    });
    let mut tasks = Tasks::spawn(&shared, &slots, trainer);
    let parts = Parts {
        registration: registration(&config, &slots, shared.semantics, &worker_folders.key),
        endpoints: Endpoints::new(&config)?,
        slot_handles: std::mem::take(&mut tasks.slot_handles),
        events,
        describer: tasks.describer.clone(),
        describer_end: tasks.describer_end.clone(),
        metrics: Arc::clone(&metrics),
        registered: registered_sender,
        state_folder: worker_folders.state.clone(),
        checkpoints,
        report_batch_points: config.report_batch_points,
        retry_max: config.retry_max,
        shutdown_limit: config.shutdown,
        drain: drain.clone(),
        idle_exit: config.idle_exit,
    };
    let agent = Agent::new(parts, journal, recovered);
    let agent_end = end.clone();
    let grace = config.trainer_grace;
    let task = tokio::spawn(async move {
        let mut agent = std::pin::pin!(agent.run(agent_end.clone()));
        let result = tokio::select! {
            result = &mut agent => result,
            source = tasks.first_panic() => {
                // The failed slot's attempt ends with the others, as a failure of this worker.
                agent_end.cancel();
                agent.await.and(Err(Error::Internal { source }))
            }
        };
        tasks.shut_down(Instant::now() + grace * 2).await;
        pages_end.cancel();
        drop(worker_folders);
        result
    });
    Ok(Handle { http_address, slots, metrics, registered, drain, end: end.drop_guard(), task })
}

/// A trainer is a process of the same user. It gets all its information through its environment and its stdin.
fn forbid_inspection() {
    if let Err(error) = hardening::forbid_inspection() {
        tracing::warn!(%error, "cannot protect this worker's memory: trainers and other programs of this user can read its token");
    }
}

/// How to start trainers; `usual` is the default command.
fn launcher(config: &Config, usual: Vec<String>, metrics: &Arc<Metrics>) -> Result<Launcher, Error> {
    let command = if config.trainer_command.is_empty() { usual } else { config.trainer_command.clone() };
    if command.is_empty() {
        let text = "`trainer_command` is empty: set the command that starts a trainer";
        return Err(Problems(vec![Problem::new("configuration", text)]).into());
    }
    if !config.trainer_command.is_empty() {
        let withheld = environment::withheld(&config.trainer_environment);
        tracing::info!(
            variables = withheld.len(),
            "trainers do not get all variables of this environment: add names with `trainer_environment`"
        );
        tracing::debug!(variables = withheld.join(" "), "names of the variables that trainers do not get");
        if hardening::is_open_to_children() {
            tracing::warn!(
                "this worker has root's privileges, so its trainers can read its token: run it as another user"
            );
        }
    }
    Ok(Launcher {
        command,
        more_environment: config.trainer_environment.clone(),
        spawner: Spawner::start()?,
        start_limit: config.trainer_start,
        grace: config.trainer_grace,
        metrics: Arc::clone(metrics),
    })
}

/// The worker's folders, with the lock on them.
struct WorkerFolders {
    state: PathBuf,
    /// The key that distinguishes workers of the same name.
    key: String,
    folders: Folders,
    _lock: Lock,
}

impl WorkerFolders {
    fn prepare(config: &Config) -> Result<Self, Error> {
        let state = made(config.state_place(), "state-dir")?;
        close(&state)?;
        let folders = folders(config)?;
        let lock = lock(&state)?;
        text(&state)?;
        let key = state_key::of(&state).map_err(|source| Error::Folder { path: state.clone(), source })?;
        Ok(Self { state, key, folders, _lock: lock })
    }

    /// Folders whose disks' free space is reported.
    fn places(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("state", self.state.clone()), ("cache", PathBuf::from(&self.folders.cache))]
    }

    fn checkpoints(&self, config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<Checkpoints>, Error> {
        let (store, every) = (&config.checkpoint_store, config.checkpoint_every_epochs);
        let opened = Checkpoints::open(&self.state, store, every, Arc::clone(metrics));
        opened.map(Arc::new).map_err(|source| Error::CheckpointStore { store: store.clone(), source: source.into() })
    }

    /// Recovers an earlier run's attempts and opens the journal. Removes files that no attempt needs.
    fn outbox(&self, metrics: &Metrics) -> Result<(Journal, Vec<Recovered>), Error> {
        let unusable = |source| Error::Folder { path: self.state.join("outbox"), source };
        let recovered = outbox::recover(&self.state).map_err(unusable)?;
        for attempt in &recovered {
            let Recovered { lease, state, .. } = attempt;
            metrics.recovered.with_label_values(&[state.name()]).inc();
            tracing::info!(
                trial_id = %lease.trial_id,
                attempt = lease.attempt,
                state = state.name(),
                points = attempt.points.len(),
                "reporting an attempt of an earlier run"
            );
        }
        let waited_for =
            |path: &Path| recovered.iter().flat_map(|found| &found.artifacts).any(|file| file.path.starts_with(path));
        artifact::remove_leftovers(&self.state, waited_for);
        let known = recovered.iter().filter_map(|found| Some((found.lease, found.length?))).collect();
        Ok((Journal::start(&self.state, known).map_err(unusable)?, recovered))
    }
}

/// The folders that a worker with this configuration gives to its trainers; creates the cache folder.
///
/// # Errors
/// A folder cannot be used.
pub fn folders(config: &Config) -> Result<Folders, Error> {
    let cache = made(config.cache_place(), "cache-dir")?;
    let mut data_roots = config.data_roots.iter().map(|root| data_root(root)).collect::<Result<Vec<_>, _>>()?;
    let more_data_roots = data_roots.split_off(1.min(data_roots.len()));
    Ok(Folders { data_root: data_roots.pop().unwrap_or_default(), more_data_roots, cache: text(&cache)? })
}

/// Creates one of the worker's own folders; `flag` is the flag that sets another.
fn made(place: UserFolder, flag: &'static str) -> Result<PathBuf, Error> {
    let usable = place.make().and_then(|()| std::fs::canonicalize(&place.path));
    if let (Ok(folder), Some(_)) = (&usable, &place.guard) {
        let folder = folder.display();
        tracing::warn!(%folder, "HOME does not name a folder of this user, using a temporary folder");
    }
    usable.map_err(|source| Error::OwnFolder { path: place.path, flag, source })
}

/// A data root, with links resolved.
fn data_root(root: &Path) -> Result<String, Error> {
    let unusable = |source| Error::DataRoot { path: root.to_owned(), source };
    let real = std::fs::canonicalize(root).map_err(unusable)?;
    if !real.is_dir() {
        return Err(unusable(std::io::ErrorKind::NotADirectory.into()));
    }
    text(&real)
}

/// Paths reach the trainer in JSON, so they must be UTF-8.
fn text(path: &Path) -> Result<String, Error> {
    let broken = || Error::Folder {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "its path is not UTF-8"),
    };
    path.to_str().map(str::to_owned).ok_or_else(broken)
}

/// Removes other users' permissions on the state folder and its content.
fn close(state: &Path) -> Result<(), Error> {
    let sharing = Sharing::of(state);
    let unreadable = |source| Error::Folder { path: state.to_owned(), source };
    // A link may belong to another user, so its target is not changed.
    let plain = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_symlink());
    let inside = std::fs::read_dir(state).map_err(unreadable)?.filter_map(Result::ok).filter(plain);
    let inside = inside.map(|entry| entry.path());
    for path in std::iter::once(state.to_owned()).chain(inside) {
        if let Some(open) = sharing.mend(&path)? {
            tracing::warn!("{open}");
        }
    }
    Ok(())
}

fn lock(state: &Path) -> Result<Lock, Error> {
    let path = state.join("lock");
    let file = Sharing::of(state).open(&path).map_err(|source| Error::Folder { path: path.clone(), source })?;
    Lock::take(file).map_err(|error| match error {
        TryLockError::WouldBlock => Error::Locked { path: state.to_owned() },
        TryLockError::Error(source) => Error::Folder { path, source },
    })
}

/// Starts the first trainer and lists its devices. The describer then reuses it.
async fn probe(launcher: &Launcher) -> Result<(Trainer, Devices), Error> {
    let never = CancellationToken::new();
    let started = launcher.start(Threads::Any, LogTail::default(), &never).await;
    let mut trainer = started.map_err(|error| match error {
        Some(error) => Error::Trainer(error),
        None => Error::Devices { reason: "it was stopped".to_owned() },
    })?;
    trainer.send(&Command::Devices).await?;
    match trainer.event_within(launcher.start_limit, "its devices").await? {
        Event::Devices(devices) => Ok((trainer, devices)),
        Event::Failed(failed) => Err(Error::Devices { reason: failed.reason }),
        other => {
            let what = format!("`{}` is not an answer to `devices`", name_of(&other));
            Err(trainer::Error::Protocol { what }.into())
        }
    }
}

/// The folder of decoded images for this configuration, and whether it is below the temporary folder because no home
/// folder is known. Creates nothing.
///
/// # Errors
/// The folder cannot be created, or other users can access it.
pub fn cache(config: &Config) -> Result<(PathBuf, bool), Error> {
    let place = config.cache_place();
    match place.check() {
        Ok(()) => Ok((place.path, place.guard.is_some())),
        Err(source) => Err(Error::OwnFolder { path: place.path, flag: "cache-dir", source }),
    }
}

/// The slots that a worker with this configuration offers on this machine, from the devices that a trainer lists.
///
/// # Errors
/// A configured device does not exist.
pub fn slots(config: &Config, offered: &Devices) -> Result<Vec<Slot>, Error> {
    let machine = Machine { cores: machine::cores(), memory_bytes: machine::memory_bytes() };
    Ok(devices::plan(&config.slots, config.slot_memory, offered, machine)?)
}

fn plan(config: &Config, offered: &Devices) -> Result<Vec<Slot>, Error> {
    let slots = slots(config, offered)?;
    if let Some(reason) = &offered.cuda_unavailable {
        tracing::info!(reason, "no cuda device, trials run on the cpu");
    }
    for (index, slot) in slots.iter().enumerate() {
        let Slot { device, device_name, memory_bytes } = slot;
        tracing::info!(slot = index, device, device_name, memory_bytes, "slot offered");
    }
    Ok(slots)
}

fn open_gpus() -> Option<Arc<Gpus>> {
    match Gpus::open() {
        Ok(gpus) => Some(Arc::new(gpus)),
        Err(error) => {
            tracing::debug!(reason = %error, "no gpu metrics");
            None
        }
    }
}

fn registration(config: &Config, slots: &[Slot], semantics: u32, key: &str) -> v1::RegisterRequest {
    let slot = |(index, slot): (u32, &Slot)| v1::Slot {
        index,
        device: slot.device.clone(),
        device_name: slot.device_name.clone(),
        memory_bytes: slot.memory_bytes.unwrap_or(0),
    };
    let label = |(key, value): (&String, &String)| v1::Label { key: key.clone(), value: value.clone() };
    v1::RegisterRequest {
        worker: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trainer_semantics: semantics,
        slots: (0..).zip(slots).map(slot).collect(),
        labels: config.labels.iter().map(label).collect(),
        live_attempts: Vec::new(),
        host: machine::host_name(),
        instance: machine::random_bytes().to_vec().into(),
        state_key: key.as_bytes().to_vec().into(),
        pool: config.pool.clone().unwrap_or_default(),
        shares_checkpoints: !config.checkpoint_store.is_empty() && config.checkpoint_every_epochs > 0,
    }
}

/// The tasks that own trainers.
struct Tasks {
    slot_handles: Vec<SlotHandle>,
    describer: mpsc::Sender<describer::Task>,
    describer_end: CancellationToken,
    tasks: JoinSet<()>,
}

impl Tasks {
    fn spawn(shared: &Arc<Shared>, slots: &[Slot], trainer: Trainer) -> Self {
        let mut tasks = JoinSet::new();
        let mut slot_handles = Vec::with_capacity(slots.len());
        for (index, slot) in (0..).zip(slots) {
            // The agent gives a slot a job only when it is free.
            let (sender, jobs) = mpsc::channel(1);
            slot_handles.push(SlotHandle::new(sender));
            tasks.spawn(SlotTask::new(index, slot.device.clone(), Arc::clone(shared)).run(jobs));
        }
        let describer_end = CancellationToken::new();
        let (describer, queue) = mpsc::channel(MAX_DESCRIBES);
        let process = TrainerProcess::new(Arc::clone(shared), Threads::Any, Some(trainer));
        tasks.spawn(describer::run(process, queue, describer_end.clone()));
        Self { slot_handles, describer, describer_end, tasks }
    }

    /// Returns when a task has panicked, which is an internal error.
    async fn first_panic(&mut self) -> tokio::task::JoinError {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => return error,
                Some(Ok(()) | Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// Stops all tasks after the agent has closed their queues: each lets its trainer exit. Tasks that miss the
    /// deadline are aborted with their trainers.
    async fn shut_down(mut self, by: Instant) {
        self.describer_end.cancel();
        while let Ok(Some(_)) = timeout_at(by, self.tasks.join_next()).await {}
        self.tasks.shutdown().await;
    }
}
