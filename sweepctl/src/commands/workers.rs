//! `sweepctl workers`: the workers, their slots and what runs there.

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::ListWorkersRequest;

use super::Context;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::shapes::Worker;
use crate::table::Table;
use crate::text::{ago, bytes};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl workers")]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct Answer {
    workers: Vec<Worker>,
}

pub(crate) async fn run(context: &Context) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let answer = client.list_workers(ListWorkersRequest {}).await?.into_inner();
    let workers: Vec<Worker> = answer.workers.into_iter().map(Worker::from).collect();
    if context.output.is_json() {
        context.output.json(&Answer { workers })?;
    } else if workers.is_empty() {
        let hint = format!("no workers: `sweepctl worker --coordinator {}` starts one", context.coordinator);
        context.output.say(&hint);
    } else {
        context.output.table(table(&workers))?;
    }
    Ok(Exit::Well)
}

/// One row a slot; a worker without slots has one too.
fn table(workers: &[Worker]) -> Table {
    let headings = ["worker", "state", "host", "version", "seen", "slot#", "device", "memory#", "sweep#", "runs"];
    let mut table = Table::new(&headings);
    for worker in workers {
        let own = || {
            let seen = ago(worker.last_seen_unix_ms);
            [worker.name.clone(), worker.state.clone(), worker.host.clone(), worker.version.clone(), seen]
        };
        if worker.slots.is_empty() {
            table.row(own().into_iter().chain(std::iter::repeat_n("-".to_owned(), 5)));
        }
        for slot in &worker.slots {
            let runs = slot.configuration.clone().unwrap_or_else(|| "free".to_owned());
            let trial = slot.trial_id.as_deref().and_then(|id| id.get(..12));
            table.row(own().into_iter().chain([
                slot.index.to_string(),
                slot.device.clone(),
                slot.memory_bytes.map_or_else(|| "-".to_owned(), bytes),
                slot.sweep.map_or_else(|| "-".to_owned(), |sweep| sweep.to_string()),
                trial.map_or(runs.clone(), |trial| format!("{trial} {runs}")),
            ]));
        }
    }
    table
}
