//! `sweepctl store check`: reads everything in a store or a backup and compares it with its checksums.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use sweep_coordinator::offline;
use sweep_coordinator::restore::Refused;
use sweep_shapes::text::escape;

use crate::commands::Context;
use crate::commands::restore::named_artifacts;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no damage, 1 damage found.\n\nExamples:\n  sweepctl store check .sweep/sweep.db\n  \
        sweepctl store check /backups/sweep"
)]
pub(crate) struct Arguments {
    /// File of the store, or folder of a backup
    path: PathBuf,
    /// Folder of artifacts, as in the coordinator's configuration; a backup has its own
    /// [env: SWEEP_COORDINATOR_ARTIFACTS] [default: PATH.artifacts]
    #[arg(long, value_name = "FOLDER")]
    artifacts: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let artifacts = named_artifacts(arguments.artifacts.as_ref());
    let report = offline::check(&arguments.path, artifacts.as_deref()).await.map_err(|error| {
        let hint = match &error {
            Refused::Unfinished { .. } => "run `sweepctl backup --folder` with this folder again",
            _ => "check the path, and stop the coordinator that uses the store",
        };
        Failure::failed(format!("cannot check {}", arguments.path.display())).because(error).hint(hint)
    })?;
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        // Names in it come from a file that may be damaged.
        let lines: Vec<_> = report.to_string().lines().map(escape).collect();
        let mut out = context.output.data();
        writeln!(out, "{}", lines.join("\n")).and_then(|()| out.flush()).map_err(Failure::writing)?;
    }
    Ok(if report.is_sound() { Exit::Success } else { Exit::Failed })
}
