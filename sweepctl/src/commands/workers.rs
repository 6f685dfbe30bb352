//! `sweepctl workers`: lists the workers with their slots and running trials, and drains, suspends or returns one.

use clap::{Args, Subcommand};
use serde::Serialize;
use sweep_proto::v1::{ListWorkersRequest, SetWorkerServiceRequest, WorkerServiceState};
use sweep_shapes::Worker;
use sweep_shapes::text::{ago, bytes, escape};

use super::Context;
use crate::arguments::Connection;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl workers\n  sweepctl workers drain gpu-7")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Drain a worker: it gets no new trials, finishes its running ones and exits
    #[command(after_help = "Example:\n  sweepctl workers drain gpu-7 --now")]
    Drain {
        /// Name of the worker
        name: String,
        /// Stop running trials now: the worker writes checkpoints, and the trials return to the queue without a penalty
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Take a worker out of service: it stays connected but gets no trials until it is returned
    #[command(after_help = "Example:\n  sweepctl workers suspend gpu-7 --reason 'its fan is loud'")]
    Suspend {
        /// Name of the worker
        name: String,
        /// Reason, shown in the worker's log and by `sweepctl workers`
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Return a worker to service
    #[command(after_help = "Example:\n  sweepctl workers return gpu-7")]
    Return {
        /// Name of the worker
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Arguments {
    /// The connection flags after the subcommand.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        let (Change::Drain { connection, .. } | Change::Suspend { connection, .. } | Change::Return { connection, .. }) =
            self.change.as_ref()?;
        Some(connection)
    }
}

#[derive(Serialize)]
struct Answer {
    workers: Vec<Worker>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    if let Some(change) = &arguments.change {
        return serve(context, change).await;
    }
    let mut client = client::connect(&context.coordinator).await?;
    let answer = client.list_workers(ListWorkersRequest {}).await?.into_inner();
    let workers: Vec<Worker> = answer.workers.into_iter().map(Worker::from).collect();
    if context.output.is_json() {
        context.output.json(&Answer { workers })?;
    } else if workers.is_empty() {
        let hint = format!("no workers: start one with `sweepctl worker --coordinator {}`", context.coordinator);
        context.output.say(&hint);
    } else {
        context.output.table(table(&workers))?;
        for one in workers.iter().flat_map(|worker| &worker.left_out) {
            let (worker, reason) = (escape(&one.worker), escape(&one.reason));
            context.output.say(&format!("sweep {} does not use worker {worker}: {reason}", one.sweep));
        }
    }
    Ok(Exit::Success)
}

async fn serve(context: &Context, change: &Change) -> Result<Exit, Failure> {
    let (worker, service, reason) = match change {
        Change::Drain { name, now: false, .. } => (name, WorkerServiceState::Draining, ""),
        Change::Drain { name, now: true, .. } => (name, WorkerServiceState::Leaving, ""),
        Change::Suspend { name, reason, .. } => (name, WorkerServiceState::Suspended, reason.as_str()),
        Change::Return { name, .. } => (name, WorkerServiceState::Active, ""),
    };
    let mut client = client::connect(&context.coordinator).await?;
    let (worker, reason) = (worker.clone(), reason.to_owned());
    let request = SetWorkerServiceRequest { worker, service: service.into(), reason, user: client::user() };
    let answer = client.set_worker_service(request).await?.into_inner();
    let workers: Vec<Worker> = answer.worker.into_iter().map(Worker::from).collect();
    if context.output.is_json() {
        context.output.json(&Answer { workers })?;
    } else {
        context.output.table(table(&workers))?;
    }
    Ok(Exit::Success)
}

/// One row per slot; a worker without slots has one row too. Fleets without labels need no column for them.
fn table(workers: &[Worker]) -> Table {
    let labelled = workers.iter().any(|worker| !worker.labels.is_empty());
    let mut headings = vec!["worker", "state", "host", "version", "seen"];
    headings.extend(labelled.then_some("labels"));
    headings.extend(["slot#", "device", "memory#", "sweep#", "trial", "runs"]);
    let mut table = Table::new(&headings)
        .names(&["worker", "host", "device", "runs"])
        .optional(&["version", "labels", "host", "memory", "trial", "seen", "device"]);
    for worker in workers {
        let own = || {
            let seen = ago(worker.last_seen_unix_ms);
            let state = match &worker.out_of_service {
                Some(reason) => format!("{}: {reason}", worker.state),
                None => worker.state.clone(),
            };
            let own = [worker.name.clone(), state, worker.host.clone(), worker.version.clone(), seen];
            let labels = if worker.labels.is_empty() { "-".to_owned() } else { worker.labels_text() };
            own.into_iter().chain(labelled.then_some(labels))
        };
        if worker.slots.is_empty() {
            table.row(own().chain(std::iter::repeat_n("-".to_owned(), 6)));
        }
        for slot in &worker.slots {
            let runs = slot.configuration.clone().unwrap_or_else(|| "free".to_owned());
            let trial = slot.trial_id.as_deref().and_then(|id| id.get(..12));
            table.row(own().chain([
                slot.index.to_string(),
                slot.device.clone(),
                slot.memory_bytes.map_or_else(|| "-".to_owned(), bytes),
                slot.sweep.map_or_else(|| "-".to_owned(), |sweep| sweep.to_string()),
                trial.unwrap_or("-").to_owned(),
                runs,
            ]));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1;

    use super::*;

    fn worker(name: &str, labels: &[(&str, &str)]) -> Worker {
        let label = |(key, value): &(&str, &str)| v1::Label { key: (*key).into(), value: (*value).into() };
        let labels = labels.iter().map(label).collect();
        Worker::from(v1::WorkerStatus { name: name.into(), labels, ..Default::default() })
    }

    #[test]
    fn labels_have_a_column_where_a_worker_has_some() {
        let workers = [worker("w1", &[("zone", "a"), ("rack", "7")]), worker("w2", &[])];
        let grid = table(&workers).grid(200);
        assert!(grid.headings.concat().contains("labels"), "{grid:?}");
        assert!(grid.rows[0].concat().contains("rack=7, zone=a"), "{grid:?}");
        let grid = table(&workers[1..]).grid(200);
        assert!(!grid.headings.concat().contains("labels"), "{grid:?}");
    }
}
