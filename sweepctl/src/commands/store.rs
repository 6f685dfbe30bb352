//! `sweepctl store`: commands for a store that no coordinator uses.

mod cancel;
mod check;
mod compact;

use clap::Subcommand;
use sweep_coordinator::store::copy::{self, Report};
use sweep_coordinator::store::location::Location;
use sweep_shapes::text::count;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Check a store for damage, without changing it
    Check(check::Arguments),
    /// Cancel a sweep in the store of a coordinator that cannot start
    Cancel(cancel::Arguments),
    /// Return the space of deleted rows to the file system
    Compact(compact::Arguments),
    /// Copy a store into an empty one, from SQLite to PostgreSQL or back
    #[command(
        after_help = "Put a password into PGPASSWORD or ~/.pgpass rather than into the URL. Artifacts are files, which \
            this command does not copy: copy their folder yourself.\n\n\
            Example:\n  sweepctl store copy sweep.db postgres://sweep@db.example/sweep"
    )]
    Copy {
        /// Store to copy: a SQLite file, or postgres://USER@HOST:PORT/DATABASE
        #[arg(value_name = "FROM")]
        from: String,
        /// Store to fill
        #[arg(value_name = "TO")]
        to: String,
    },
}

pub(crate) async fn run(context: &Context, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Check(arguments) => check::run(context, arguments).await,
        Verb::Cancel(arguments) => cancel::run(context, arguments).await,
        Verb::Compact(arguments) => compact::run(context, arguments).await,
        Verb::Copy { from, to } => copy(context, &place("FROM", from)?, &place("TO", to)?).await,
    }
}

/// The error does not repeat the text, which may contain a password.
pub(super) fn place(name: &str, text: &str) -> Result<Location, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("{name} is not a store")).because(error))
}

async fn copy(context: &Context, from: &Location, to: &Location) -> Result<Exit, Failure> {
    let report = copy::copy(from, to).await.map_err(refused)?;
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        context.output.table(table(&report))?;
    }
    let rows = report.tables.iter().map(|table| table.rows).sum();
    context.output.say(&format!("{} rows were copied from {from} to {to} and compared", count(rows)));
    if from.file().is_some() {
        let folder = from.artifacts();
        let folder = folder.display();
        context
            .output
            .say(&format!("artifacts are in {folder}: copy it to the folder in the coordinator's key `artifacts`"));
    }
    Ok(Exit::Success)
}

fn refused(error: copy::Refused) -> Failure {
    let hint = match &error {
        copy::Refused::NotEmpty { .. } => Some("name a new file, or an empty database"),
        copy::Refused::From { source, .. } | copy::Refused::To { source, .. } => {
            let in_use = matches!(source, sweep_coordinator::store::Error::InUse { .. });
            in_use.then_some("stop the coordinator that uses the store first")
        }
        copy::Refused::Unknown { .. } => Some("use a newer sweepctl"),
        copy::Refused::Differs { .. } => None,
    };
    let failure = Failure::failed("nothing was copied").because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new(&["table", "rows#", "checksum"]).optional(&["checksum"]);
    for copied in &report.tables {
        table.row([copied.table.clone(), count(copied.rows), copied.checksum.clone()]);
    }
    table
}
