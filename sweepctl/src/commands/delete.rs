//! `sweepctl delete`: deletes an ended sweep, and what only it refers to.

use clap::Args;
use sweep_proto::v1::DeleteSweepRequest;
use sweep_shapes::Deletion;
use sweep_shapes::text::{bytes, count, escape};

use super::Context;
use crate::client;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(
    after_help = "Trials and artifacts that another sweep uses are kept. The token that submitted the sweep may delete \
        it, and so may any token with the role admin. Run the command again with the sweep's number to see the \
        progress of the removal. If the coordinator stops during a removal, it continues after its next start.\n\n\
        Examples:\n  sweepctl delete 3 --dry-run\n  sweepctl delete 3"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Show what would be deleted, without deleting it
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let mut sweep = arguments.sweep.clone();
    loop {
        let request =
            DeleteSweepRequest { sweep: client::reference(&sweep), user: client::user(), dry_run: arguments.dry_run };
        let deletion = Deletion::try_from(client.delete_sweep(request).await?.into_inner())?;
        if arguments.dry_run || deletion.finished_unix_ms.is_some() {
            return show(context, &deletion);
        }
        let gone = count(deletion.trials + deletion.kept);
        context
            .output
            .say(&format!("sweep {} is deleted; {gone} of its trials have been removed so far", deletion.sweep));
        // By number, because the name no longer resolves to a deleted sweep.
        sweep = deletion.sweep.to_string();
    }
}

fn show(context: &Context, deletion: &Deletion) -> Result<Exit, Failure> {
    if context.output.is_json() {
        context.output.json(deletion)?;
        return Ok(Exit::Success);
    }
    let Deletion { sweep, trials, kept, artifacts, .. } = deletion;
    let (name, size) = (escape(&deletion.name), bytes(deletion.artifact_bytes));
    let (verb, go, stay) = match deletion.finished_unix_ms {
        Some(_) => ("deleted", "removed", "kept"),
        None => ("would be deleted", "would be removed", "would be kept"),
    };
    let mut lines = vec![
        format!("sweep {sweep} {name}: {verb}"),
        format!("  trials     {} {go}, {} {stay} because other sweeps use them", count(*trials), count(*kept)),
        format!("  artifacts  {} {go} ({size})", count(*artifacts)),
    ];
    if deletion.finished_unix_ms.is_some() {
        lines.push(format!("  store      {} returned to the file system", bytes(deletion.store_bytes)));
    }
    context.output.text(&lines.join("\n"))?;
    deletion.notes.iter().for_each(|note| context.output.say(note));
    Ok(Exit::Success)
}
