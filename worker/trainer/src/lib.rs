//! The trainer: a process that reads trials from stdin, trains them with Burn one at a time, and writes their results
//! to stdout. `sweep_spec::trainer` defines the messages, and `PROTOCOL.md` describes them for other languages. This
//! crate has no networking, no database and no async runtime.

pub mod bench;
mod clock;
mod crash;
mod data;
mod device;
mod failure;
mod input;
mod kernel;
mod network;
mod provenance;
mod random;
mod session;
mod training;

use std::io;
use std::process::ExitCode;

pub use data::check as data_check;
pub use failure::Failure;
pub use input::Input;
pub use session::Session;
pub use training::{Phases, untrusted_checkpoint};

/// Runs trainer protocol 1 on stdin and stdout until stdin ends or SIGTERM arrives, and logs to stderr.
///
/// Takes over the process: its panic hook, its log and its signals. The process ends with its parent.
pub fn run() -> ExitCode {
    start_log();
    crash::take_panics();
    if let Err(error) = input::end_with_parent() {
        tracing::warn!(%error, "this process may outlive the one that started it");
    }
    let input = match Input::of_process() {
        Ok(input) => input,
        Err(error) => {
            tracing::error!(%error, "cannot receive signals");
            return ExitCode::FAILURE;
        }
    };
    Session::new(input, Box::new(io::stdout())).run()
}

fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    // An embedding program may have installed a logger, which then stays.
    let _ = log.try_init();
}
