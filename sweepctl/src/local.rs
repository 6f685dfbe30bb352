//! `submit --local` and `reproduce --local`: coordinator, worker and store in this process. They talk gRPC over loopback as a fleet does; only
//! the trainers are processes of their own, and each of them is this program again.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use sweep_coordinator::access::refresh::GivenTokens;
use sweep_coordinator::access::{Role, Secret};
use sweep_worker::Ending;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::client::{self, Client};
use crate::coordinator::Coordinator;
use crate::failure::Failure;
use crate::watch::Beside;

/// Where a store is made unless `--store` says otherwise.
pub(crate) const DEFAULT_STORE: &str = ".sweep/sweep.db";
/// The name of the one worker.
const WORKER: &str = "local";

/// What the one machine has.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    /// The database; the default one if it is not given.
    pub(crate) store: Option<PathBuf>,
    /// The folders that data sets lie in.
    pub(crate) data_roots: Vec<PathBuf>,
    /// As `--slots` takes them.
    pub(crate) slots: Option<String>,
}

/// Everything that runs in this process.
pub(crate) struct Local {
    coordinator: sweep_coordinator::Handle,
    worker: JoinHandle<Result<Ending, sweep_worker::Error>>,
    worker_shutdown: CancellationToken,
    /// Absolute.
    pub(crate) store: PathBuf,
}

impl Local {
    /// Starts coordinator and worker; when it returns, both answer.
    ///
    /// # Errors
    /// The store cannot be used, the slots cannot be had, or no trainer starts.
    pub(crate) async fn start(here: &Here, beside: &Beside) -> Result<(Self, Client), Failure> {
        start_log(beside.clone());
        let store = here.store.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
        let store = std::path::absolute(&store)
            .map_err(|error| Failure::usage(format!("cannot use the store {}", store.display())).because(error))?;
        let secrets = Secrets::new()?;
        let coordinator = start_coordinator(&store, &secrets).await?;
        let url = format!("http://{}", coordinator.grpc_address());
        let client = client::connect(&Coordinator::local(url.clone(), secrets.admin.reveal())).await?;
        let worker_shutdown = CancellationToken::new();
        match start_worker(here, (&url, &secrets), &store, &worker_shutdown).await {
            Ok(worker) => Ok((Self { coordinator, worker, worker_shutdown, store }, client)),
            Err(failure) => {
                coordinator.stop().await;
                Err(failure)
            }
        }
    }

    /// Returns only if the worker ends by itself, which it should not.
    pub(crate) async fn worker_failed(&mut self) -> Failure {
        match (&mut self.worker).await {
            Ok(Ok(Ending::Stopped | Ending::Drained)) => Failure::ours("the embedded worker left"),
            Ok(Err(error)) => worker_failure(error),
            Err(error) => Failure::ours("the embedded worker failed").because(error),
        }
    }

    /// Stops the trainers, then the worker, then the coordinator; what is known by then is in the store.
    pub(crate) async fn stop(self) {
        self.worker_shutdown.cancel();
        // Whether it had failed before has been told by `worker_failed`.
        self.worker.await.ok();
        self.coordinator.stop().await;
    }
}

/// A coordinator on the store of this machine that is asked something and takes no trials.
pub(crate) struct Reader(sweep_coordinator::Handle, Secrets);

impl Reader {
    /// Opens the store if it is there; it is not made for a question.
    ///
    /// # Errors
    /// The store cannot be used.
    pub(crate) async fn open(store: Option<&Path>) -> Result<Option<Self>, Failure> {
        let store = store.unwrap_or(Path::new(DEFAULT_STORE));
        if !store.exists() {
            return Ok(None);
        }
        start_log(Beside::default());
        let secrets = Secrets::new()?;
        Ok(Some(Self(start_coordinator(store, &secrets).await?, secrets)))
    }

    pub(crate) fn coordinator(&self) -> Coordinator {
        Coordinator::local(format!("http://{}", self.0.grpc_address()), self.1.admin.reveal())
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

/// Tokens of the parts within this process: whoever else is on this machine can reach the port and needs one.
struct Secrets {
    admin: Secret,
    worker: Secret,
}

impl Secrets {
    fn new() -> Result<Self, Failure> {
        let make = || Secret::generate().map_err(|error| Failure::failed("cannot make a token").because(error));
        Ok(Self { admin: make()?, worker: make()? })
    }

    fn given(&self) -> GivenTokens {
        let digests = vec![(Role::Admin, self.admin.digest()), (Role::Worker, self.worker.digest())];
        GivenTokens { files: Vec::new(), digests }
    }
}

async fn start_coordinator(store: &Path, secrets: &Secrets) -> Result<sweep_coordinator::Handle, Failure> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let defaults = sweep_coordinator::Config::defaults();
    let defaults = defaults.map_err(|error| Failure::ours("the coordinator's defaults are wrong").because(error))?;
    let tokens = secrets.given();
    let store_at = store.to_owned().into();
    // No other worker can reach it, so no name is kept for one.
    let keeps_names = false;
    let config =
        sweep_coordinator::Config { listen: free, listen_http: free, store: store_at, tokens, keeps_names, ..defaults };
    let started = sweep_coordinator::start(config, CancellationToken::new()).await;
    let coordinator = started.map_err(|error| {
        let failure = Failure::failed(format!("cannot run here with the store {}", store.display()));
        failure.because(error).hint("--store PATH keeps everything in another file")
    })?;
    coordinator.ready().await;
    Ok(coordinator)
}

async fn start_worker(
    here: &Here,
    (url, secrets): (&str, &Secrets),
    store: &Path,
    shutdown: &CancellationToken,
) -> Result<JoinHandle<Result<Ending, sweep_worker::Error>>, Failure> {
    let mut state = store.as_os_str().to_owned();
    state.push(".worker");
    let mut flags = vec![
        ("coordinator", url.to_owned()),
        ("name", WORKER.to_owned()),
        ("state_dir", text(Path::new(&state))?),
        ("http_listen", "off".to_owned()),
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
        .map_err(|error| Failure::failed("cannot tell where this program lies").because(error))?;
    Ok(vec![text(&program)?, "trainer".to_owned()])
}

fn text(path: &Path) -> Result<String, Failure> {
    let path_text = path.to_str().map(str::to_owned);
    path_text.ok_or_else(|| Failure::usage(format!("the path {} is not UTF-8", path.display())))
}

fn worker_failure(error: sweep_worker::Error) -> Failure {
    if error.is_usage() {
        let failure = Failure::usage("no worker can be started like this").because(error);
        return failure.hint("--slots takes `auto`, a number, or devices such as `cpu,cpu`");
    }
    Failure::failed("the embedded worker cannot go on").because(error)
}

/// Warnings of coordinator and worker go to stderr, around the progress. SWEEP_LOG asks for more.
fn start_log(beside: Beside) {
    let filter = EnvFilter::try_from_env("SWEEP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(beside);
    // In tests there may be one already.
    log.try_init().ok();
}
