//! Checks the workers of a coordinator, their devices, and whether any sweep waits for resources that no worker has.

use std::time::Duration;

use sweep_proto::v1::{ListSweepsRequest, ListWorkersRequest};
use sweep_shapes::text::{ago, bytes, plural};
use sweep_shapes::{Coordinator, Sweep, Worker};
use tokio::time::timeout;

use super::Check;
use crate::client::Client;
use crate::study::Study;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The most workers out of service that are listed.
const MOST_OUT_OF_SERVICE: usize = 20;
/// The most waiting sweeps that are listed.
const MOST_WAITING: usize = 5;
/// Sweeps that are checked: the newest.
const NEWEST: u32 = 100;
/// The most workers that a sweep does not use that are listed.
const MOST_LEFT_OUT: usize = 5;

pub(super) async fn look(
    mut client: Client,
    coordinator: &Coordinator,
    study: Option<&Study>,
    checks: &mut Vec<Check>,
) {
    let workers = match timeout(CALL_TIMEOUT, client.list_workers(ListWorkersRequest {})).await {
        Ok(Ok(answer)) => answer.into_inner().workers.into_iter().map(Worker::from).collect::<Vec<_>>(),
        Ok(Err(status)) => {
            checks.push(Check::wrong("workers", status.message().to_owned(), "see the coordinator's log"));
            return;
        }
        Err(_) => {
            checks.push(Check::wrong("workers", "no answer in time", "see the coordinator's log"));
            return;
        }
    };
    checks.extend(summary(&workers, coordinator));
    checks.extend(study.and_then(|study| memory(&workers, study)));
    let newest = ListSweepsRequest { page_size: NEWEST, ..Default::default() };
    if let Ok(Ok(answer)) = timeout(CALL_TIMEOUT, client.list_sweeps(newest)).await {
        let sweeps = answer.into_inner().sweeps.into_iter().map(Sweep::from);
        let waiting = sweeps.filter(|sweep| !sweep.state.has_ended() && !sweep.waiting_for.is_empty());
        checks.extend(waiting.take(MOST_WAITING).map(|sweep| {
            let found = format!("sweep {} {} waits: {}", sweep.id, sweep.name, sweep.waiting_for.join("; "));
            Check::warning("sweeps", found, format!("run `sweepctl status {}` for details", sweep.id))
        }));
    }
}

fn summary(workers: &[Worker], coordinator: &Coordinator) -> Vec<Check> {
    let there: Vec<&Worker> = workers.iter().filter(|worker| worker.state != "lost").collect();
    if there.is_empty() {
        let last = workers.iter().map(|worker| worker.last_seen_unix_ms).max();
        let last = last.map(|at| format!(", the last was seen {}", ago(at))).unwrap_or_default();
        let advice =
            "start a worker on each machine that trains: `sweepctl worker --coordinator URL --data-root FOLDER`";
        return vec![Check::warning("workers", format!("no worker is connected{last}: no trial can run"), advice)];
    }
    let mut checks = Vec::new();
    let leaving: Vec<&str> =
        there.iter().filter(|worker| worker.state == "draining").map(|w| w.name.as_str()).collect();
    let others: Vec<String> = there
        .iter()
        .filter(|worker| worker.version != coordinator.version)
        .map(|worker| format!("{} ({})", worker.name, worker.version))
        .collect();
    let found = format!("{} connected", plural(there.len() as u64, "worker"));
    checks.push(if !others.is_empty() {
        let found = format!("{found}; not of the coordinator's version: {}", others.join(", "));
        Check::warning("workers", found, "use the same version everywhere")
    } else if !there.iter().any(|worker| worker.state == "connected") {
        let advice = "run `sweepctl workers return NAME` to return a worker to service";
        Check::warning("workers", format!("{found}, but none of them gets trials"), advice)
    } else if !leaving.is_empty() {
        Check::ok("workers", format!("{found}; leaving: {}", leaving.join(", ")))
    } else {
        Check::ok("workers", found)
    });
    checks.push(devices(&there));
    let left_out = there.iter().flat_map(|worker| &worker.left_out);
    checks.extend(left_out.take(MOST_LEFT_OUT).map(|one| {
        let found = format!("sweep {} does not use worker {}: {}", one.sweep, one.worker, one.reason);
        let advice =
            "give every worker the same data below its --data-root; run `sweepctl data check SPEC` on its machine to \
            compare";
        Check::warning("workers", found, advice)
    }));
    checks.extend(there.iter().filter_map(|worker| out_of_service(worker)).take(MOST_OUT_OF_SERVICE));
    checks
}

/// A worker that gets no trials, with the reason.
fn out_of_service(worker: &Worker) -> Option<Check> {
    let reason = worker.out_of_service.as_ref()?;
    let found = format!("worker {} is out of service: {reason}", worker.name);
    let usual = || format!("run `sweepctl workers return {}` to return it to service", worker.name);
    Some(Check::warning("workers", found, worker.remedy.clone().unwrap_or_else(usual)))
}

fn devices(workers: &[&Worker]) -> Check {
    let slots: Vec<_> = workers.iter().flat_map(|worker| &worker.slots).collect();
    let gpus = slots.iter().filter(|slot| slot.device != "cpu").count() as u64;
    let cpus = slots.len() as u64 - gpus;
    let busy = slots.iter().filter(|slot| slot.trial_id.is_some()).count();
    let of = match (gpus, cpus) {
        (0, cpus) => format!("{} on CPUs", plural(cpus, "slot")),
        (gpus, 0) => format!("{} on GPUs", plural(gpus, "slot")),
        (gpus, cpus) => format!("{} on GPUs, {} on CPUs", plural(gpus, "slot"), plural(cpus, "slot")),
    };
    if slots.is_empty() {
        return Check::warning(
            "devices",
            "no worker offers a slot",
            "start workers with `--slots auto` to offer all devices",
        );
    }
    Check::ok("devices", format!("{of}; {busy} busy"))
}

/// Whether the largest network of a spec fits on any slot.
fn memory(workers: &[Worker], study: &Study) -> Option<Check> {
    let needed = needed(study)?;
    let slots = workers.iter().filter(|worker| worker.state != "lost").flat_map(|worker| &worker.slots);
    let largest = slots.filter_map(|slot| slot.memory_bytes).max()?;
    let found = format!("the largest network needs {}, the largest slot has {}", bytes(needed), bytes(largest));
    Some(if needed > largest {
        Check::wrong(
            "memory",
            found,
            "reduce batch_size or image_size, use fewer slots per device, or use a larger device",
        )
    } else {
        Check::ok("memory", found)
    })
}

/// The most configurations that are searched for the largest network.
const MOST_CONFIGURATIONS: usize = 100_000;

/// The memory of a spec's largest network, in bytes.
pub(super) fn needed(study: &Study) -> Option<u64> {
    let released = study.plan.released(&[]);
    let batch = study.plan.spec().protocol.batch_size;
    released.configurations().take(MOST_CONFIGURATIONS).map(|one| one.counts.training_memory_bytes(batch)).max()
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1;

    use super::*;
    use crate::commands::doctor::State;

    fn worker(state: &str, version: &str) -> Worker {
        let slot = v1::WorkerSlot { device: "cpu".into(), ..Default::default() };
        Worker::from(v1::WorkerStatus {
            name: "w".into(),
            state: state.into(),
            version: version.into(),
            out_of_service: if state == "suspended" { "its fan is loud".into() } else { String::new() },
            slots: vec![slot.clone(), v1::WorkerSlot { device: "cuda:0".into(), ..slot }],
            ..Default::default()
        })
    }

    #[test]
    fn who_is_not_there_does_not_count() {
        let coordinator =
            Coordinator::from(v1::GetCoordinatorResponse { version: "0.1.0".into(), ..Default::default() });
        let checks = summary(&[worker("lost", "0.1.0")], &coordinator);
        assert_eq!((checks.len(), checks[0].state), (1, State::Warning));
        let checks = summary(&[worker("connected", "0.1.0"), worker("suspended", "0.1.0")], &coordinator);
        let states: Vec<State> = checks.iter().map(|check| check.state).collect();
        assert_eq!(states, [State::Ok, State::Ok, State::Warning], "{checks:?}");
        assert_eq!(checks[1].found, "2 slots on GPUs, 2 slots on CPUs; 0 busy");
        assert_eq!(checks[2].found, "worker w is out of service: its fan is loud");
        assert!(checks[2].advice.as_ref().unwrap().contains("workers return w"), "{checks:?}");
        let checks = summary(&[worker("connected", "0.2.0")], &coordinator);
        assert!(checks[0].found.contains("w (0.2.0)"), "{checks:?}");
        let checks = summary(&[worker("suspended", "0.1.0")], &coordinator);
        assert!(checks[0].advice.as_ref().unwrap().contains("workers return"), "{checks:?}");
    }
}
