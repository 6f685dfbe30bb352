//! `sweepctl store cancel`: cancels a sweep in a store that no coordinator uses, as a coordinator would.

use clap::Args;
use sweep_coordinator::engine::Error;
use sweep_coordinator::{offline, store};
use sweep_shapes::text::{count, escape};

use super::place;
use crate::client;
use crate::commands::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(
    after_help = "For a coordinator that cannot start, for example because its live sweeps need more memory than it \
        has. If the coordinator runs, use `sweepctl cancel`. Trials that another sweep also uses continue.\n\n\
        Example:\n  sweepctl store cancel 3 --store sweep.db"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Store: a SQLite file, or postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "FILE|URL")]
    store: String,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let location = place("--store", &arguments.store)?;
    let cancelled = offline::cancel(&location, &arguments.sweep, &client::user()).await.map_err(refused)?;
    if context.output.is_json() {
        context.output.json(&cancelled)?;
    } else {
        let (name, trials) = (escape(&cancelled.name), count(cancelled.trials));
        let text = format!("sweep {} {name}: cancelled, with {trials} trials that only it used", cancelled.sweep);
        context.output.text(&text)?;
    }
    Ok(Exit::Success)
}

fn refused(error: Error) -> Failure {
    let failure = Failure::failed("nothing was cancelled");
    match error {
        Error::Store(error @ store::Error::InUse { .. }) => {
            failure.because(error).hint("use `sweepctl cancel`, or stop the coordinator that uses this store first")
        }
        Error::Store(error) => failure.because(error),
        other => failure.because(other),
    }
}
