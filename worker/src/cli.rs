//! The command line of the worker: flags, log, signals and exit status. `sweepctl worker` uses it too.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use sweep_trust::private::Sharing;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DEFAULT_YAML, ENVIRONMENT_PREFIX};
use crate::{Ending, Error, start};

/// Run a worker: it trains the trials that a coordinator assigns
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Configuration file; the variable SWEEP_WORKER_CONFIG names one too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the default configuration, which explains every key, and exit
    #[arg(long)]
    print_default_config: bool,
    /// Addresses of coordinators, separated by commas [default: http://127.0.0.1:7733]
    #[arg(long, value_name = "ADDRESSES")]
    coordinator: Option<String>,
    /// File with the worker's token; the variable SWEEP_WORKER_TOKEN may hold the token itself
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Certificate of the authority that signed the coordinator's (PEM) [default: those that this machine trusts]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// The worker's own certificate (PEM)
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// Key of the worker's own certificate (PEM)
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
    /// The worker's name, unique in the fleet [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    /// Slots: auto, a number, or devices separated by commas [default: auto]
    #[arg(long, value_name = "auto|N|DEVICES")]
    slots: Option<String>,
    /// The worker's pool, one of `pools` in the coordinator's configuration
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Time without a trial after which the worker ends, such as 10m [default: never]
    #[arg(long, value_name = "DURATION")]
    idle_exit: Option<String>,
    /// Memory that a trial may use on a slot, such as 8GiB [default: auto]
    #[arg(long, value_name = "BYTES")]
    slot_memory: Option<String>,
    /// Folder with data sets; may be repeated [default: .]
    #[arg(long, value_name = "FOLDER")]
    data_root: Vec<String>,
    /// Folder for the worker's own files [default: in the user's state folder]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<String>,
    /// Folder for decoded images, which all workers of this user share [default: in the user's cache folder]
    #[arg(long, value_name = "FOLDER")]
    cache_dir: Option<String>,
    /// Labels, such as zone=a,rack=7
    #[arg(long, value_name = "KEY=VALUE,...")]
    labels: Option<String>,
    /// Command that starts a trainer, as words separated by spaces [default: the trainer of this program]
    #[arg(long, value_name = "COMMAND")]
    trainer_command: Option<String>,
    /// Address that serves metrics, or off [default: 127.0.0.1:9465]
    #[arg(long, alias = "http-listen", value_name = "ADDRESS")]
    listen_http: Option<String>,
    /// Permission to serve metrics on another address than loopback
    #[arg(long)]
    insecure: bool,
}

impl Args {
    /// Builds the configuration from file, environment and flags.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn config(&self) -> Result<Config, Error> {
        let from_environment = || std::env::var_os(format!("{ENVIRONMENT_PREFIX}CONFIG")).map(PathBuf::from);
        let file = self.config.clone().or_else(from_environment);
        // Variables that are not UTF-8 are not Sweep's.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Ok(Config::load(file.as_deref(), std::env::vars_os().filter_map(text), self.flags())?)
    }

    fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("coordinator", &self.coordinator),
            ("token_file", &self.token_file),
            ("ca_file", &self.ca_file),
            ("client_cert", &self.client_cert),
            ("client_key", &self.client_key),
            ("name", &self.name),
            ("slots", &self.slots),
            ("pool", &self.pool),
            ("idle_exit", &self.idle_exit),
            ("slot_memory", &self.slot_memory),
            ("state_dir", &self.state_dir),
            ("cache_dir", &self.cache_dir),
            ("labels", &self.labels),
            ("trainer_command", &self.trainer_command),
            ("listen_http", &self.listen_http),
        ];
        let insecure = self.insecure.then(|| ("insecure", "true".to_owned()));
        let roots = self.data_root.iter().map(|root| ("data_root", root.clone()));
        let given = given.into_iter().filter_map(|(key, text)| Some((key, text.clone()?)));
        given.chain(roots).chain(insecure).collect()
    }
}

/// Runs a worker until a signal, a drain or a failure, and prints errors to stderr. `trainer_command` is the default
/// for configurations that name none. SIGUSR1 drains: running trials finish. The first SIGINT or SIGTERM shuts down in
/// order, the second at once.
pub async fn main_with(args: Args, trainer_command: Vec<String>) -> ExitCode {
    if args.print_default_config {
        let written = std::io::stdout().write_all(DEFAULT_YAML.as_bytes());
        return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    start_log();
    match work(&args, trainer_command).await {
        Ok(Some(ending)) => {
            tracing::info!(?ending, "worker ended");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            tracing::warn!("second signal, exiting at once");
            ExitCode::FAILURE
        }
        Err(error) => {
            explain(&error);
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

/// Returns `None` after a second signal. Dropping the runtime then drops the tasks, which kills their trainers.
async fn work(args: &Args, trainer_command: Vec<String>) -> Result<Option<Ending>, Error> {
    let config = args.config()?;
    // New files of this process and its trainers are readable by their owner only, or by the group of a volume that is
    // shared on purpose.
    Sharing::of(&config.state_folder()).limit_new_files();
    let mut signals =
        Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? };
    let mut draining = signal(SignalKind::user_defined1())?;
    let (shutdown, drain) = (CancellationToken::new(), CancellationToken::new());
    let running = start::run(config, trainer_command, shutdown.clone(), drain.clone());
    let mut running = std::pin::pin!(running);
    while !shutdown.is_cancelled() {
        tokio::select! {
            ending = &mut running => return ending.map(Some),
            () = signals.next() => shutdown.cancel(),
            _ = draining.recv() => drain.cancel(),
        }
    }
    tokio::select! {
        ending = running => ending.map(Some),
        () = signals.next() => Ok(None),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Logs to stderr, filtered by SWEEP_LOG. An embedding program may have installed a logger already.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SWEEP_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    drop(log.try_init());
}

fn explain(error: &Error) {
    let mut text = format!("error: {error}\n");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!("  because: {cause}\n"));
        source = cause.source();
    }
    // There is no other place to report a failure of stderr.
    drop(std::io::stderr().write_all(text.as_bytes()));
}
