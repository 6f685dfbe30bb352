//! Sweep on this machine alone: coordinator, worker and store in this process. They talk gRPC over loopback as a fleet does;
//! only the trainers are processes of their own, and each of them is this program again. And the store of such a process
//! when a question is put to it: by way of the process that has it, or by a coordinator that lives as long as the question.

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
use crate::watch::Beside;

/// Where a store is made unless `--store` says otherwise.
pub(crate) const DEFAULT_STORE: &str = ".sweep/sweep.db";
/// The name of the one worker.
const WORKER: &str = "local";
/// How long a store is waited for that a process has without saying where it answers: as long as another question takes.
const HELD: Duration = Duration::from_secs(5);
/// Between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What the one machine has.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    /// The database; the default one if it is not given.
    pub(crate) store: Option<PathBuf>,
    /// The folders that data sets lie in.
    pub(crate) data_roots: Vec<PathBuf>,
    /// As `--slots` takes them.
    pub(crate) slots: Option<String>,
    /// Goes on without what of the store is damaged or lost.
    pub(crate) accept_loss: bool,
}

impl Here {
    pub(crate) fn store(&self) -> Result<PathBuf, Failure> {
        let store = self.store.as_deref().unwrap_or(Path::new(DEFAULT_STORE));
        std::path::absolute(store)
            .map_err(|error| Failure::usage(format!("cannot use the store {}", store.display())).because(error))
    }
}

/// Everything that runs in this process.
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

/// The one worker.
struct Worker {
    task: JoinHandle<Result<Ending, sweep_worker::Error>>,
    shutdown: CancellationToken,
}

impl Local {
    /// Starts a coordinator on the store; when this returns, it answers. Nothing is assigned before [`Local::train`].
    ///
    /// # Errors
    /// The store cannot be used.
    pub(crate) async fn open(here: &Here, output: Output, progress: &Beside) -> Result<(Self, Client), Failure> {
        let store = here.store()?;
        let log = Log::start(&store, output, progress);
        let secrets = Secrets::new()?;
        let start = Start { store: &store, asked_once: false, accept_loss: here.accept_loss };
        let coordinator = match start.or_find(&secrets).await? {
            Found::Ours(coordinator) => coordinator,
            Found::Theirs(content) => return Err(in_use(&store, content.process)),
        };
        let content = Content {
            process: std::process::id(),
            address: coordinator.grpc_address(),
            token: secrets.admin.reveal().to_owned(),
        };
        let announcement = match Announcement::make(&store, &content) {
            Ok(announcement) => Some(announcement),
            Err(error) => {
                output.say(&format!("other commands cannot use this store meanwhile: {error}"));
                None
            }
        };
        let client = client::connect(&content.coordinator()).await?;
        Ok((Self { coordinator, secrets, worker: None, announcement, log, output, store }, client))
    }

    /// Starts the worker.
    ///
    /// # Errors
    /// The slots cannot be had, or no trainer starts.
    pub(crate) async fn train(&mut self, here: &Here) -> Result<(), Failure> {
        let shutdown = CancellationToken::new();
        let url = format!("http://{}", self.coordinator.grpc_address());
        let task = start_worker(here, (&url, &self.secrets), &self.store, &shutdown).await?;
        self.worker = Some(Worker { task, shutdown });
        Ok(())
    }

    /// Says where a browser finds the pages. A screen shows it too.
    pub(crate) fn say_page(&self, progress: &Beside) -> Result<(), Failure> {
        let page = self.coordinator.page();
        let page = page.map_err(|error| Failure::failed("cannot create an address for the pages").because(error))?;
        if let Some(page) = page {
            self.output.say(&page.to_string());
            progress.begin_with(page.to_string());
        }
        Ok(())
    }

    /// Returns only if the coordinator or the worker ends by itself, which they should not.
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
                Ok(None) | Err(_) => Failure::ours(format!("the coordinator on {} stopped", store.display())),
            },
            ended = worker => match ended {
                Ok(Ok(Ending::Stopped | Ending::Drained)) => Failure::ours("the embedded worker stopped"),
                Ok(Err(error)) => worker_failure(error),
                Err(error) => Failure::ours("the embedded worker failed").because(error),
            },
        }
    }

    /// What of the store is damaged or gone, if that is why the coordinator leaves.
    pub(crate) fn damage(&self) -> watch::Receiver<Option<String>> {
        self.coordinator.damage()
    }

    /// Stops the trainers, then the worker, then the coordinator; what is known by then is in the store.
    pub(crate) async fn stop(self) {
        if let Some(worker) = self.worker {
            worker.shutdown.cancel();
            if !worker.task.is_finished() {
                // `failed` has said how it ended, if it did.
                worker.task.await.ok();
            }
        }
        // Who asks from now on waits for the store.
        drop(self.announcement);
        self.coordinator.stop().await;
        if let Some(log) = self.log {
            log.tell(self.output);
        }
    }
}

/// A local store that is asked something.
pub(crate) enum Asked {
    /// By a coordinator in this process, which has no worker.
    Here(Reader),
    /// By way of the process that has the store.
    There(Coordinator),
}

/// A coordinator in this process for one question.
pub(crate) struct Reader {
    coordinator: server::Handle,
    secrets: Secrets,
}

impl Asked {
    /// Opens the store if it is there; it is not made for a question.
    ///
    /// # Errors
    /// The store cannot be used, or a process has it that does not say where it answers.
    pub(crate) async fn open(store: Option<&Path>, output: Output) -> Result<Option<Self>, Failure> {
        let store = store.unwrap_or(Path::new(DEFAULT_STORE));
        if !store.exists() {
            return Ok(None);
        }
        Log::start(store, output, &Beside::default());
        let secrets = Secrets::new()?;
        Ok(Some(match (Start { store, asked_once: true, accept_loss: false }).or_find(&secrets).await? {
            Found::Ours(coordinator) => Self::Here(Reader { coordinator, secrets }),
            Found::Theirs(content) => Self::There(content.coordinator()),
        }))
    }

    pub(crate) fn coordinator(&self) -> Coordinator {
        match self {
            Self::Here(reader) => {
                let url = format!("http://{}", reader.coordinator.grpc_address());
                Coordinator::local(url, reader.secrets.admin.reveal())
            }
            Self::There(coordinator) => coordinator.clone(),
        }
    }

    pub(crate) async fn stop(self) {
        if let Self::Here(reader) = self {
            reader.coordinator.stop().await;
        }
    }
}

/// Tokens of the parts within this process: whoever else is on this machine can reach the port and needs one.
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

/// How a coordinator is started on a store.
struct Start<'a> {
    store: &'a Path,
    asked_once: bool,
    accept_loss: bool,
}

/// Who has a store.
enum Found {
    /// This process.
    Ours(server::Handle),
    /// Another one, which says where it answers.
    Theirs(Content),
}

impl Start<'_> {
    /// Starts a coordinator, or finds the process that has the store. One that has it for a moment is waited for.
    async fn or_find(&self, secrets: &Secrets) -> Result<Found, Failure> {
        let begun = Instant::now();
        loop {
            let error = match self.start(secrets).await? {
                Ok(coordinator) => return Ok(Found::Ours(coordinator)),
                Err(error) => error,
            };
            if !matches!(error, server::Error::Store(store::Error::InUse { .. })) {
                return Err(self.refused(error).hint("use another file with --store PATH"));
            }
            if let Some(content) = Content::read(self.store)
                && TcpStream::connect(content.address).await.is_ok()
            {
                return Ok(Found::Theirs(content));
            }
            if begun.elapsed() > HELD {
                let hint =
                    "name the coordinator that uses it with --coordinator URL, or another store with --store PATH";
                return Err(self.refused(error).hint(hint));
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    async fn start(&self, secrets: &Secrets) -> Result<Result<server::Handle, server::Error>, Failure> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let defaults = sweep_coordinator::Config::defaults();
        let defaults = defaults
            .map_err(|error| Failure::ours("the coordinator's default configuration is invalid").because(error))?;
        let config = sweep_coordinator::Config {
            listen: free,
            listen_http: free,
            store: self.store.to_owned().into(),
            tokens: secrets.given(),
            asked_once: self.asked_once,
            accept_loss: self.accept_loss,
            // No other worker can reach it, so no name is kept for one.
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

/// A file or folder that belongs to a store, by its ending.
pub(crate) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

async fn start_worker(
    here: &Here,
    (url, secrets): (&str, &Secrets),
    store: &Path,
    shutdown: &CancellationToken,
) -> Result<JoinHandle<Result<Ending, sweep_worker::Error>>, Failure> {
    let state = beside(store, ".worker");
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

/// The folders that were named, or the usual one.
pub(crate) fn data_roots(named: &[PathBuf], usual: &Path) -> Vec<PathBuf> {
    if named.is_empty() { vec![usual.to_owned()] } else { named.to_vec() }
}

/// This program, as a trainer.
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
