//! `sweepctl restore`: creates a store from a backup.

use std::path::PathBuf;

use clap::Args;
use sweep_coordinator::restore::{Refused, Restored, restore};
use sweep_shapes::text::{bytes, count};

use super::Context;
use super::backup::name_missing;
use super::store::place;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "The target must be a file that does not exist or an empty database. An interrupted restore \
    continues when you run the command again; until it is complete, a coordinator finds no store there.\n\n\
    Examples:\n  sweepctl restore --folder /backups/sweep --store sweep.db\n  sweepctl restore --folder /backups/sweep \
    --store postgres://sweep@db.example/sweep --artifacts /artifacts")]
pub(crate) struct Arguments {
    /// Folder of the backup
    #[arg(long, value_name = "FOLDER", alias = "input")]
    folder: PathBuf,
    /// Store to create: a SQLite file, or postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "FILE|URL")]
    store: String,
    /// Folder of artifacts, as in the coordinator's configuration [env: SWEEP_COORDINATOR_ARTIFACTS]
    /// [default: STORE.artifacts, or sweep.artifacts for a database]
    #[arg(long, value_name = "FOLDER")]
    artifacts: Option<PathBuf>,
}

/// The coordinator's own variable, so that this command uses the same folder.
const ARTIFACTS: &str = "SWEEP_COORDINATOR_ARTIFACTS";

/// The folder of artifacts that a flag names, or else the environment.
pub(super) fn named_artifacts(flag: Option<&PathBuf>) -> Option<PathBuf> {
    let variable = || std::env::var_os(ARTIFACTS).filter(|value| !value.is_empty()).map(PathBuf::from);
    flag.cloned().or_else(variable)
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let store = place("--store", &arguments.store)?;
    let artifacts = named_artifacts(arguments.artifacts.as_ref());
    let restored = restore(&arguments.folder, &store, artifacts.as_deref()).await.map_err(refused)?;
    if context.output.is_json() {
        context.output.json(&restored)?;
        return Ok(Exit::Success);
    }
    let Restored { store_bytes, artifacts, artifact_bytes, missing, .. } = &restored;
    let (files, size) = (count(*artifacts), bytes(*artifact_bytes));
    context.output.text(&format!("{store}: {}, {files} artifacts ({size})", bytes(*store_bytes)))?;
    if !missing.is_empty() {
        name_missing(context, missing);
        let text = "the coordinator that was backed up could not read these artifacts; everything else is restored";
        context.output.say(text);
    }
    Ok(Exit::Success)
}

fn refused(error: Refused) -> Failure {
    let hint = match &error {
        Refused::NotEmpty { .. } => Some("name a file that does not exist, or an empty database"),
        Refused::Log { .. } => Some("move it away: its contents belong to an earlier store"),
        Refused::Unfinished { .. } => Some("run `sweepctl backup --folder` with this folder again"),
        Refused::Damaged { .. } => Some("use another copy of this backup"),
        Refused::Manifest { .. }
        | Refused::Newer { .. }
        | Refused::Store(_)
        | Refused::Copy(_)
        | Refused::Io { .. } => None,
    };
    let failure = Failure::failed("nothing was restored").because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
