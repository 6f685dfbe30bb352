//! The coordinator as a program: reads flags and configuration, sets up the log, handles signals, and sets the exit code.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use sweep_store::{self as store, location::Location};
use sweep_trust::private::Sharing;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Args, Config, DEFAULT};
use crate::health;
use crate::server::Handle;

/// Exit code of a failure.
const FAILED: u8 = 1;
/// Exit code of an invalid configuration.
const USAGE: u8 = 2;

/// Runs a coordinator until SIGINT or SIGTERM; a second signal ends it at once.
pub fn main_with(args: &Args) -> ExitCode {
    if args.print_default_config {
        return print(DEFAULT.trim_end());
    }
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(errors) => return fail(USAGE, &format!("the configuration is invalid\n{errors}")),
    };
    if args.healthy {
        return match health::ask(&config) {
            Ok(()) => print("healthy"),
            Err(error) => fail(FAILED, &format!("the coordinator is not healthy: {}", crate::chain(&error))),
        };
    }
    // New files of this process are readable only by their owner, or by the group of a volume that is shared on purpose.
    Sharing::of(&data_folder(&config)).limit_new_files();
    crate::listen::raise_file_limit();
    let filter = tracing_subscriber::EnvFilter::new(&config.log);
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_target(false).with_ansi(colours);
    // A program that embeds this one may have set up its own log.
    let _ = log.try_init();
    forbid_inspection();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for variable in config::unknown_variables(names) {
        tracing::warn!(variable, "this environment variable sets no key of the configuration");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("cannot start: {error}")),
    };
    let code = runtime.block_on(run(config));
    runtime.shutdown_background();
    code
}

/// The folder of the coordinator's files.
fn data_folder(config: &Config) -> PathBuf {
    match &config.store {
        Location::File(path) => store::private::folder_of(path).to_owned(),
        Location::Postgres(_) => config.artifacts(),
    }
}

async fn run(config: Config) -> ExitCode {
    let shutdown = CancellationToken::new();
    let signals = signal(SignalKind::interrupt()).and_then(|first| Ok((first, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(FAILED, &format!("cannot listen for signals: {error}")),
    };
    let handle = match crate::start(config, shutdown.clone()).await {
        Ok(handle) => handle,
        Err(error @ crate::server::Error::Exposed { .. }) => return fail(USAGE, &crate::chain(&error)),
        Err(error) => return fail(FAILED, &crate::chain(&error)),
    };
    let ready = format!("ready {}", addresses(&handle));
    let mut is_standby = false;
    loop {
        tokio::select! {
            () = handle.ready() => {
                print(&ready);
                print_page(&handle);
                break;
            }
            leader = handle.standby(), if !is_standby => {
                is_standby = true;
                print(&format!("standby {} leader={leader}", addresses(&handle)));
            }
            () = shutdown.cancelled() => {}
            _ = interrupt.recv() => shutdown.cancel(),
            _ = terminate.recv() => shutdown.cancel(),
        }
        if shutdown.is_cancelled() {
            break;
        }
    }
    if !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    }
    let damage = handle.damage();
    tokio::select! {
        () = handle.stopped() => match &*damage.borrow() {
            Some(what) => fail(FAILED, what),
            None => ExitCode::SUCCESS,
        },
        _ = interrupt.recv() => ExitCode::from(FAILED),
        _ = terminate.recv() => ExitCode::from(FAILED),
    }
}

/// Stops other programs of this user from reading this process's environment and memory: the address of a store may contain a
/// password, and trainers may run on the same machine. Only Linux has such a switch.
fn forbid_inspection() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other programs of this user can read this coordinator's memory");
    }
}

/// Prints the address of the pages on a terminal. The address may contain a code that signs in a browser, so it must not get
/// into the log of a service.
fn print_page(handle: &Handle) {
    let mut err = std::io::stderr();
    if !err.is_terminal() {
        return;
    }
    let printed = match handle.page() {
        Ok(None) => return,
        Ok(Some(page)) => writeln!(err, "{page}"),
        Err(error) => writeln!(err, "cannot create an address for the pages: {}", crate::chain(&error)),
    };
    // Fails only if the terminal was closed.
    let _ = printed;
}

fn addresses(handle: &Handle) -> String {
    format!("grpc={} http={} store={}", handle.grpc_address(), handle.http_address(), handle.store())
}

/// Prints a line to stdout, which programs wait for. Nothing else writes to stdout. A closed pipe sets the exit code only.
fn print(line: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "error: {message}");
    ExitCode::from(code)
}
