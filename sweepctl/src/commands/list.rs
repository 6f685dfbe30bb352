//! `sweepctl list`: lists the sweeps of a coordinator, newest first.

use clap::Args;
use serde::Serialize;
use sweep_shapes::Sweep;
use sweep_shapes::text::{ago, count};

use super::Context;
use super::compare::number;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl list\n  sweepctl list --output json | jq '.sweeps[].name'")]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct Answer {
    sweeps: Vec<Sweep>,
}

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let sweeps: Vec<Sweep> = client::sweeps(&mut client).await?.into_iter().map(Sweep::from).collect();
    if context.output.is_json() {
        context.output.json(&Answer { sweeps })?;
    } else if sweeps.is_empty() {
        context.output.say("no sweeps yet: submit one with `sweepctl submit FILE`");
    } else {
        context.output.table(table(&sweeps))?;
    }
    Ok(Exit::Success)
}

fn table(sweeps: &[Sweep]) -> Table {
    let headings = ["sweep#", "name", "state", "ended#", "trials#", "failed#", "best", "with", "submitted"];
    let mut table = Table::new(&headings).names(&["name", "with"]).optional(&["submitted", "with", "best", "failed"]);
    for sweep in sweeps {
        let best = sweep.best.as_ref();
        table.row([
            sweep.id.to_string(),
            sweep.name.clone(),
            if sweep.paused { "paused" } else { sweep.state.name() }.to_owned(),
            count(sweep.counts.ended()),
            count(sweep.counts.total()),
            count(sweep.counts.failed),
            best.map(|best| format!("{} {}", best.metric, number(&best.metric, best.value))).unwrap_or_default(),
            best.map(|best| best.configuration.clone()).unwrap_or_default(),
            ago(sweep.submitted_unix_ms),
        ]);
    }
    table
}
