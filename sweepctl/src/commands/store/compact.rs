//! `sweepctl store compact`: rewrites a store's file without the space of deleted rows.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_coordinator::{offline, store};
use sweep_shapes::text::bytes;

use crate::commands::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(
    after_help = "Only files created by an earlier release need this; newer files release space automatically, and \
        PostgreSQL manages its own space. The command temporarily needs as much free space as the file.\n\n\
        Example:\n  sweepctl store compact sweep.db"
)]
pub(crate) struct Arguments {
    /// File of the store
    path: PathBuf,
}

#[derive(Serialize)]
struct Answer {
    store_bytes: u64,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let store_bytes = offline::compact(&arguments.path).await.map_err(|error| {
        let in_use = matches!(error, store::Error::InUse { .. });
        let failure = Failure::failed(format!("cannot compact {}", arguments.path.display())).because(error);
        if in_use { failure.hint("stop the coordinator that uses the store first") } else { failure }
    })?;
    if context.output.is_json() {
        context.output.json(&Answer { store_bytes })?;
    } else {
        context.output.text(&format!("returned {} to the file system", bytes(store_bytes)))?;
    }
    Ok(Exit::Success)
}
