//! Sweep on one machine: coordinator, worker and store in this process. They communicate over loopback gRPC as in a
//! fleet; only the trainers are other processes, started from this same program. Also answers queries of such a store:
//! through the process that uses it, or through a temporary coordinator.

mod announcement;
mod log;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sweep_coordinator::access::refresh::GivenTokens;
use sweep_coordinator::access::{Role, Secret};
use sweep_coordinator::{server, store};
use sweep_worker::Ending;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use announcement::{Announcement, Content};
use log::Log;

use crate::client::{self, Client};
use crate::coordinator::Coordinator;
use crate::failure::Failure;
use crate::output::Output;
use crate::watch::LogWriter;

/// The store without `--store`.
pub(crate) const DEFAULT_STORE: &str = ".sweep/sweep.db";
/// The name of the embedded worker.
const WORKER: &str = "local";
/// How long to wait for a store that another process has locked without announcing its address, because it may be
/// answering a short query.
const STORE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// The local settings.
#[derive(Debug, Clone)]
pub(crate) struct LocalOptions {
    /// The database; `None` is the default.
    pub(crate) store: Option<PathBuf>,
    /// The data roots.
    pub(crate) data_roots: Vec<PathBuf>,
    /// The value of `--slots`.
    pub(crate) slots: Option<String>,
    /// Whether to continue without damaged or lost parts of the store.
    pub(crate) accept_loss: bool,
}

impl LocalOptions {
    pub(crate) fn store(&self) -> Result<PathBuf, Failure> {
        let store = self.store.as_deref().unwrap_or(Path::new(DEFAULT_STORE));
        std::path::absolute(store)
            .map_err(|error| Failure::usage(format!("cannot use the store {}", store.display())).because(error))
    }
}

/// The coordinator and the worker in this process.
pub(crate) struct Local {
    coordinator: server::Handle,
    secrets: Secrets,
    worker: Option<Worker>,
    announcement: Option<Announcement>,
    log: Option<Log>,
    output: Output,
    /// Absolute.
    pub(crate) store: PathBuf,
}

/// The embedded worker.
struct Worker {
    task: JoinHandle<Result<Ending, sweep_worker::Error>>,
    shutdown: CancellationToken,
}

impl Local {
    /// Starts a coordinator on the store; it is ready when this returns. Nothing is assigned before [`Local::train`].
    ///
    /// # Errors
    /// The store cannot be used.
    pub(crate) async fn open(
        here: &LocalOptions,
        output: Output,
        progress: &LogWriter,
    ) -> Result<(Self, Client), Failure> {
        let store = here.store()?;
        let log = Log::start(&store, output, progress);
        let secrets = Secrets::new()?;
        let start = Start { store: &store, asked_once: false, accept_loss: here.accept_loss };
        let coordinator = match start.or_find(&secrets).await? {
            StoreOwner::ThisProcess(coordinator) => coordinator,
            StoreOwner::OtherProcess(content) => return Err(in_use(&store, content.process)),
        };
        let content = Content {
            process: std::process::id(),
            address: coordinator.grpc_address(),
            token: secrets.admin.reveal().to_owned(),
        };
        let announcement = match Announcement::make(&store, &content) {
            Ok(announcement) => Some(announcement),
            Err(error) => {
                output.say(&format!("other commands cannot use this store while this one runs: {error}"));
                None
            }
        };
        let client = client::connect(&content.coordinator()).await?;
        Ok((Self { coordinator, secrets, worker: None, announcement, log, output, store }, client))
    }

    /// Starts the worker.
    ///
    /// # Errors
    /// The slots are not available, or no trainer starts.
    pub(crate) async fn train(&mut self, here: &LocalOptions) -> Result<(), Failure> {
        let shutdown = CancellationToken::new();
        let url = format!("http://{}", self.coordinator.grpc_address());
        let task = start_worker(here, (&url, &self.secrets), &self.store, &shutdown).await?;
        self.worker = Some(Worker { task, shutdown });
        Ok(())
    }

    /// Prints the address of the pages. A screen shows it too.
    pub(crate) fn say_page(&self, progress: &LogWriter) -> Result<(), Failure> {
        let page = self.coordinator.page();
        let page = page.map_err(|error| Failure::failed("cannot create an address for the pages").because(error))?;
        if let Some(page) = page {
            self.output.say(&page.to_string());
            progress.begin_with(page.to_string());
        }
        Ok(())
    }

    /// Returns only if the coordinator or the worker fails.
    pub(crate) async fn failed(&mut self) -> Failure {
        let mut damage = self.coordinator.damage();
        let store = &self.store;
        let worker = async {
            match &mut self.worker {
                Some(worker) => (&mut worker.task).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            found = damage.wait_for(Option::is_some) => match found.as_deref() {
                Ok(Some(what)) => Failure::failed(what.clone()),
                Ok(None) | Err(_) => Failure::internal(format!("the coordinator on {} stopped", store.display())),
            },
            ended = worker => match ended {
                Ok(Ok(Ending::Stopped | Ending::Drained)) => Failure::internal("the embedded worker stopped"),
                Ok(Err(error)) => worker_failure(error),
                Err(error) => Failure::internal("the embedded worker failed").because(error),
            },
        }
    }

    /// The damaged or lost parts of the store, if they stop the coordinator.
    pub(crate) fn damage(&self) -> watch::Receiver<Option<String>> {
        self.coordinator.damage()
    }

    /// Stops the trainers, then the worker, then the coordinator; all results so far are in the store.
    pub(crate) async fn stop(self) {
        if let Some(worker) = self.worker {
            worker.shutdown.cancel();
            if !worker.task.is_finished() {
                // `failed` has reported how it ended, if it did.
                worker.task.await.ok();
            }
        }
        // Later queries wait for the store.
        drop(self.announcement);
        self.coordinator.stop().await;
        if let Some(log) = self.log {
            log.tell(self.output);
        }
    }
}

/// How to query a local store.
pub(crate) enum StoreQuery {
    /// Through a coordinator in this process, without a worker.
    Embedded(Reader),
    /// Through the process that uses the store.
    Process(Coordinator),
}

/// A temporary coordinator in this process for one query.
pub(crate) struct Reader {
    coordinator: server::Handle,
    secrets: Secrets,
}

impl StoreQuery {
    /// Opens the store if it exists; a query does not create one.
    ///
    /// # Errors
    /// The store cannot be used, or another process uses it without announcing its address.
    pub(crate) async fn open(store: Option<&Path>, output: Output) -> Result<Option<Self>, Failure> {
        let store = store.unwrap_or(Path::new(DEFAULT_STORE));
        if !store.exists() {
            return Ok(None);
        }
        Log::start(store, output, &LogWriter::default());
        let secrets = Secrets::new()?;
        Ok(Some(match (Start { store, asked_once: true, accept_loss: false }).or_find(&secrets).await? {
            StoreOwner::ThisProcess(coordinator) => Self::Embedded(Reader { coordinator, secrets }),
            StoreOwner::OtherProcess(content) => Self::Process(content.coordinator()),
        }))
    }

    pub(crate) fn coordinator(&self) -> Coordinator {
        match self {
            Self::Embedded(reader) => {
                let url = format!("http://{}", reader.coordinator.grpc_address());
                Coordinator::local(url, reader.secrets.admin.reveal())
            }
            Self::Process(coordinator) => coordinator.clone(),
        }
    }

    pub(crate) async fn stop(self) {
        if let Self::Embedded(reader) = self {
            reader.coordinator.stop().await;
        }
    }
}

/// Tokens of the parts of this process: other users of this machine can reach the port, and are rejected without one.
struct Secrets {
    admin: Secret,
    worker: Secret,
}

impl Secrets {
    fn new() -> Result<Self, Failure> {
        let make = || Secret::generate().map_err(|error| Failure::failed("cannot create a token").because(error));
        Ok(Self { admin: make()?, worker: make()? })
    }

    fn given(&self) -> GivenTokens {
        let digests = vec![(Role::Admin, self.admin.digest()), (Role::Worker, self.worker.digest())];
        GivenTokens { files: Vec::new(), digests }
    }
}

/// How to start a coordinator on a store.
struct Start<'a> {
    store: &'a Path,
    asked_once: bool,
    accept_loss: bool,
}

/// The process that uses a store.
enum StoreOwner {
    /// This process.
    ThisProcess(server::Handle),
    /// Another process, with its announced address.
    OtherProcess(Content),
}

impl Start<'_> {
    /// Starts a coordinator, or finds the process that uses the store. Waits for one that uses it for a moment.
    async fn or_find(&self, secrets: &Secrets) -> Result<StoreOwner, Failure> {
        let begun = Instant::now();
        loop {
            let error = match self.start(secrets).await? {
                Ok(coordinator) => return Ok(StoreOwner::ThisProcess(coordinator)),
                Err(error) => error,
            };
            if !matches!(error, server::Error::Store(store::Error::InUse { .. })) {
                return Err(self.refused(error).hint("use another file with --store PATH"));
            }
            if let Some(content) = Content::read(self.store)
                && TcpStream::connect(content.address).await.is_ok()
            {
                return Ok(StoreOwner::OtherProcess(content));
            }
            if begun.elapsed() > STORE_BUSY_TIMEOUT {
                let hint =
                    "name the coordinator that uses it with --coordinator URL, or another store with --store PATH";
                return Err(self.refused(error).hint(hint));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn start(&self, secrets: &Secrets) -> Result<Result<server::Handle, server::Error>, Failure> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let defaults = sweep_coordinator::Config::defaults();
        let defaults = defaults
            .map_err(|error| Failure::internal("the coordinator's default configuration is invalid").because(error))?;
        let config = sweep_coordinator::Config {
            listen: free,
            listen_http: free,
            store: self.store.to_owned().into(),
            tokens: secrets.given(),
            asked_once: self.asked_once,
            accept_loss: self.accept_loss,
            // No other worker can connect, so names need no reservation.
            keeps_names: false,
            ..defaults
        };
        let started = sweep_coordinator::start(config, CancellationToken::new()).await;
        if let Ok(coordinator) = &started {
            coordinator.ready().await;
        }
        Ok(started)
    }

    fn refused(&self, error: server::Error) -> Failure {
        let what = if self.asked_once { "cannot read the store" } else { "cannot run here with the store" };
        Failure::failed(format!("{what} {}", self.store.display())).because(error)
    }
}

fn in_use(store: &Path, process: u32) -> Failure {
    let text = format!("process {process} already trains on the store {}", store.display());
    Failure::failed(text).hint(
        "in this folder, `sweepctl list`, `watch` and `cancel` use that process; --store PATH runs another sweep in \
        another file",
    )
}

/// A file or folder that belongs to a store, by its suffix.
pub(crate) fn sibling(store: &Path, ending: &str) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

async fn start_worker(
    here: &LocalOptions,
    (url, secrets): (&str, &Secrets),
    store: &Path,
    shutdown: &CancellationToken,
) -> Result<JoinHandle<Result<Ending, sweep_worker::Error>>, Failure> {
    let state = sibling(store, ".worker");
    let mut flags = vec![
        ("coordinator", url.to_owned()),
        ("name", WORKER.to_owned()),
        ("state_dir", text(&state)?),
        ("listen_http", "off".to_owned()),
    ];
    for root in &here.data_roots {
        flags.push(("data_root", text(root)?));
    }
    flags.extend(here.slots.clone().map(|slots| ("slots", slots)));
    let mut config = sweep_worker::Config::load(None, [], flags).map_err(|problems| worker_failure(problems.into()))?;
    config.token = Some(sweep_worker::credentials::Token::new(secrets.worker.reveal()));
    let handle = sweep_worker::start(config, trainer_command()?, shutdown).await.map_err(worker_failure)?;
    Ok(tokio::spawn(handle.join()))
}

/// The given folders, or the default one.
pub(crate) fn data_roots(named: &[PathBuf], usual: &Path) -> Vec<PathBuf> {
    if named.is_empty() { vec![usual.to_owned()] } else { named.to_vec() }
}

/// This program as a trainer.
pub(crate) fn trainer_command() -> Result<Vec<String>, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed("cannot find the path of this program").because(error))?;
    Ok(vec![text(&program)?, "trainer".to_owned()])
}

fn text(path: &Path) -> Result<String, Failure> {
    let path_text = path.to_str().map(str::to_owned);
    path_text.ok_or_else(|| Failure::usage(format!("the path {} is not UTF-8", path.display())))
}

fn worker_failure(error: sweep_worker::Error) -> Failure {
    if error.is_usage() {
        let failure = Failure::usage("cannot start a worker with these settings").because(error);
        return failure.hint("for --slots, use `auto`, a number, or devices such as `cpu,cpu`");
    }
    Failure::failed("the embedded worker cannot continue").because(error)
}
