//! `sweepctl store check`: everything in a store is read and held against its checksums; nothing is changed.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use sweep_coordinator::store::check;
use sweep_shapes::text::escape;

use crate::commands::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no damage, 1 damage found.\n\nExample:\n  sweepctl store check .sweep/sweep.db")]
pub(crate) struct Arguments {
    /// File of the store
    path: PathBuf,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let report = check::check(&arguments.path).await.map_err(|error| {
        let failure = Failure::failed(format!("cannot check {}", arguments.path.display())).because(error);
        failure.hint("check the path, and stop the coordinator that uses the store")
    })?;
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        // Names in it come from a file that may be damaged.
        let lines: Vec<_> = report.to_string().lines().map(escape).collect();
        let mut out = context.output.data();
        writeln!(out, "{}", lines.join("\n")).and_then(|()| out.flush()).map_err(Failure::writing)?;
    }
    Ok(if report.is_sound() { Exit::Well } else { Exit::Failed })
}
