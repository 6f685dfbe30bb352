//! `sweepctl gc`: removes unreferenced data.

use clap::Args;
use sweep_proto::v1::CollectGarbageRequest;
use sweep_shapes::GarbageList;
use sweep_shapes::text::{bytes, count};

use super::Context;
use super::token::lifetime_ms;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    after_help = "Removes trials of no sweep, settings (data set and protocol) of no trial, thumbnails of data that no sweep \
        uses, files in the artifact folder that belong to no artifact, and incomplete uploads. Tokens need the role \
        admin.\n\n\
        Examples:\n  sweepctl gc --dry-run\n  sweepctl gc --older-than 30d"
)]
pub(crate) struct Arguments {
    /// Show what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,
    /// Minimum time since a trial's last attempt ended, such as 12h or 30d; newer trials are kept, and trials
    /// without an attempt, which have no result, are removed at any age
    #[arg(long, value_name = "TIME", default_value = "7d")]
    older_than: String,
}

/// The kinds that are rows of the store, whose size is unknown.
const ROWS: [&str; 2] = ["trials", "settings"];

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let request = CollectGarbageRequest {
        dry_run: arguments.dry_run,
        older_than_ms: lifetime_ms(&arguments.older_than)?,
        user: client::user(),
    };
    let mut client = client::store(&context.coordinator).await?;
    let found = GarbageList::from(client.collect_garbage(request).await?.into_inner());
    if context.output.is_json() {
        context.output.json(&found)?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["what", "count#", "size#"]);
    for row in &found.found {
        let size = if ROWS.contains(&row.kind.as_str()) { String::new() } else { bytes(row.bytes) };
        table.row([row.kind.clone(), count(row.count), size]);
    }
    context.output.table(table)?;
    if arguments.dry_run {
        context.output.say("nothing was removed: run without --dry-run to remove it");
    } else {
        context.output.say(&format!("the store returned {} to the file system", bytes(found.store_bytes)));
    }
    found.notes.iter().for_each(|note| context.output.say(note));
    Ok(Exit::Success)
}
