//! Messages about sweeps, trials and workers, from the engine's answers and the store's records.

use sweep_analysis::leaderboard::Row;
use sweep_analysis::result::Estimate;
use sweep_proto::v1;
use sweep_scheduler::event::{Service, Until};
use sweep_scheduler::{HeldBack, LeftOut, Outlook, Unplaceable};
use sweep_spec::settings;
use sweep_store::codes::SweepState;
use sweep_store::record::{AttemptRecord, Repeat, SweepRecord, TrialRow, WorkerRecord};

use super::cost_messages::cost;
use crate::convert::{self, bytes, counts_message, metrics_message};
use crate::engine::{Error, Outline, Running, StageStatus, Status, WorkerView, epoch, stopped_at_budget};
use crate::reproduction::Reproduction;

pub(super) const fn outlook(outlook: Outlook) -> v1::Outlook {
    let Outlook { known, shared, to_run, at_most } = outlook;
    v1::Outlook { known, shared, to_run, at_most }
}

pub(crate) fn status(status: &Status) -> v1::SweepStatus {
    let record = &status.record;
    let state = match record.state {
        SweepState::Preparing | SweepState::Running => v1::SweepState::Running,
        SweepState::Succeeded => v1::SweepState::Succeeded,
        SweepState::Failed => v1::SweepState::Failed,
        SweepState::Cancelled => v1::SweepState::Cancelled,
    };
    v1::SweepStatus {
        paused: status.record.paused && status.record.state == SweepState::Running,
        id: record.id.0,
        name: record.name.clone(),
        state: state.into(),
        reason: record.reason.clone(),
        counts: Some(counts_message(status.counts, status.to_come_at_most)),
        stages: status.stages.iter().map(stage).collect(),
        submitted_unix_ms: record.submitted_ms,
        ended_unix_ms: record.ended_ms,
        eta_seconds: status.cost.end.map(|end| end.expected),
        cost: Some(cost(status)),
        best_value: status.best.as_ref().map(|(value, _)| *value),
        best_configuration: status.best.as_ref().map(|(_, label)| label.clone()).unwrap_or_default(),
        objective_metric: status.objective.name().to_owned(),
        running: status.running.iter().map(running).collect(),
        waiting_for: status.waiting_for.clone(),
        unplaceable: status.unplaceable.as_ref().map(unplaceable),
        leaves_out: status.leaves_out.iter().map(left_out).collect(),
        out_of_service: status.out_of_service.iter().map(absent).collect(),
        held_back: status.held.as_ref().map(held_back),
        stopped_at_budget: stopped_at_budget(record),
        priority: record.priority,
        spec_digest: bytes(record.spec_digest.as_bytes()),
        epochs_done: status.epochs_done,
        epochs_total: status.epochs_total,
    }
}

fn unplaceable(unplaceable: &Unplaceable) -> v1::Unplaceable {
    v1::Unplaceable {
        failure: Some(convert::failure_message(unplaceable.class, &unplaceable.reason)),
        worker: unplaceable.worker.as_ref().map(|worker| worker.0.clone()).unwrap_or_default(),
    }
}

pub(super) fn left_out(left_out: &LeftOut) -> v1::LeftOut {
    let LeftOut { sweep, worker, reason } = left_out;
    v1::LeftOut { sweep: sweep.0, worker: worker.0.clone(), reason: reason.clone() }
}

fn absent((worker, service): &(String, Service)) -> v1::OutOfService {
    v1::OutOfService { worker: worker.clone(), reason: out_of_service(service), remedy: remedy(worker, service) }
}

fn held_back(held: &HeldBack) -> v1::HeldBack {
    let failure = convert::failure_message(held.hold.class, &held.hold.reason);
    v1::HeldBack { sentence: held.to_string(), trials: held.trials, tried: held.tried, failure: Some(failure) }
}

fn stage(stage: &StageStatus) -> v1::StageProgress {
    v1::StageProgress {
        name: stage.name.clone(),
        counts: Some(counts_message(stage.counts, stage.to_come_at_most)),
        choice: stage.choice.clone(),
    }
}

fn running(running: &Running) -> v1::RunningTrial {
    v1::RunningTrial {
        trial_id: bytes(running.lease.trial.as_bytes()),
        configuration: running.configuration.clone(),
        seed: running.seed,
        worker: running.worker.clone(),
        slot: running.slot,
        attempt: running.lease.attempt,
        epochs: running.epochs,
        newest: running.newest.as_ref().map(metrics_message),
    }
}

fn estimate(estimate: Option<Estimate>) -> Option<v1::Estimate> {
    estimate.map(|estimate| v1::Estimate {
        mean: estimate.mean,
        standard_deviation: estimate.standard_deviation,
        count: estimate.count,
    })
}

fn flat<T: serde::Serialize>(value: &T) -> Result<Vec<v1::Setting>, Error> {
    let settings = settings::flatten(value).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(settings.into_iter().map(convert::setting_message).collect())
}

/// A row of a leaderboard, without the results of its analysis.
pub(super) fn row(record: &SweepRecord, row: &Row) -> Result<v1::LeaderboardRow, Error> {
    Ok(v1::LeaderboardRow {
        rank: row.rank,
        name: row.name.clone(),
        configuration: row.label.clone(),
        settings: flat(&row.configuration)?,
        stages: group_names(record, &row.groups),
        train_accuracy: estimate(row.train_accuracy),
        val_accuracy: estimate(row.val_accuracy),
        train_loss: estimate(row.train_loss),
        val_loss: estimate(row.val_loss),
        params: row.params,
        flops: row.flops,
        ratio: estimate(row.ratio),
        test_accuracy: estimate(row.test_accuracy),
        test_loss: estimate(row.test_loss),
        seconds: estimate(row.seconds),
        counts: Some(counts_message(row.counts, 0)),
        remark: row.remark.clone(),
        baseline: row.baseline,
        position: row.position,
        ..Default::default()
    })
}

/// The stages of a configuration that include it with this seed.
fn trial_groups(outline: &Outline, row: &TrialRow) -> Vec<String> {
    let groups = row.stages.iter().map(|stage| *stage as usize);
    let groups: Vec<usize> = groups.filter(|group| outline.plan.seeds(*group).contains(&row.seed)).collect();
    group_names(&outline.record, &groups)
}

fn group_names(record: &SweepRecord, groups: &[usize]) -> Vec<String> {
    let names = groups.iter().filter_map(|group| record.stages.get(*group));
    names.map(|stage| stage.name.clone()).collect()
}

/// A trial of a sweep, with all of its settings.
pub(super) fn trial(outline: &Outline, row: &TrialRow) -> Result<v1::TrialSummary, Error> {
    let spec = outline.plan.spec();
    let question = outline.plan.trial(&row.body, row.seed);
    let result = row.result.as_ref();
    let outcome = result.map_or(v1::Outcome::Unspecified, |result| convert::outcome_message(result.outcome));
    Ok(v1::TrialSummary {
        trial_id: bytes(row.trial.as_bytes()),
        configuration: row.label.clone(),
        seed: row.seed,
        state: convert::trial_state_message(row.state).into(),
        attempts: row.attempts,
        worker: row.worker.clone(),
        outcome: outcome.into(),
        reported: result.and_then(|result| epoch(spec, result)).map(metrics_message),
        stages: trial_groups(outline, row),
        failure: row.failure.as_ref().map(|(class, reason)| convert::failure_message(*class, reason)),
        params: row.params,
        settings: flat(&question)?,
        provenance: result.map(|result| convert::provenance_message(&result.provenance)),
        test: result.and_then(|result| result.test.as_ref()).map(convert::test_message),
    })
}

pub(super) fn attempt(attempt: &AttemptRecord) -> v1::AttemptRecord {
    v1::AttemptRecord {
        round: attempt.lease.round,
        attempt: attempt.lease.attempt,
        worker: attempt.worker.clone(),
        slot: attempt.slot,
        device: attempt.device.clone(),
        assigned_unix_ms: attempt.assigned_ms,
        ended_unix_ms: attempt.ended_ms,
        outcome: attempt.state.name().to_owned(),
        failure: attempt.failure.as_ref().map(|(class, reason)| convert::failure_message(*class, reason)),
        phases: Some(v1::AttemptPhases {
            start_seconds: attempt.start_seconds,
            run_seconds: attempt.run_seconds,
            paused_seconds: 0.0,
        }),
        log_tail: attempt.log_tail.clone(),
    }
}

/// Why a worker gets no trials; empty if it gets some.
pub(crate) fn out_of_service(service: &Service) -> String {
    match service {
        Service::Suspended { reason, .. } => reason.clone(),
        Service::Active | Service::Draining | Service::Leaving => String::new(),
    }
}

/// How to return a worker to service; empty if it is in service.
pub(super) fn remedy(worker: &str, service: &Service) -> String {
    let until = match service {
        Service::Suspended { until, .. } => until,
        Service::Active | Service::Draining | Service::Leaving => return String::new(),
    };
    let back = format!("run `sweepctl workers return {worker}` to return it to service");
    match until {
        Until::Restart => format!("repair its machine and restart the worker, or {back}"),
        Until::Replacement => format!("restarts of the worker did not help: repair its machine, then {back}"),
        Until::Return => back,
    }
}

/// The mark of a trial that was reproduced.
pub(super) fn mark((repeat, found): &(Repeat, Reproduction)) -> v1::ReproductionMark {
    v1::ReproductionMark {
        sweep: repeat.sweep.0,
        round: repeat.round,
        same: found.same,
        exactly: found.exactly,
        sentence: found.sentence(),
    }
}

/// A worker of the store, with its present state if it is connected.
pub(super) fn worker(worker: WorkerRecord, live: Option<&WorkerView>) -> v1::WorkerStatus {
    let state = match live {
        None => "lost",
        Some(live) => match &live.service {
            _ if live.draining => "draining",
            Service::Active => "connected",
            Service::Draining | Service::Leaving => "draining",
            Service::Suspended { .. } => "suspended",
        },
    };
    let out_of_service = live.map(|live| out_of_service(&live.service)).unwrap_or_default();
    let left_out = live.iter().flat_map(|live| &live.left_out).map(left_out);
    let slots = (0_u32..).zip(worker.slots).map(|(index, slot)| {
        let runs = live.and_then(|live| live.slots.get(index as usize)).and_then(Option::as_ref);
        v1::WorkerSlot {
            index,
            device: slot.device,
            device_name: slot.device_name,
            memory_bytes: slot.memory_bytes,
            trial_id: runs.map(|(trial, ..)| bytes(trial.as_bytes())).unwrap_or_default(),
            configuration: runs.map(|(_, label, _)| label.clone()).unwrap_or_default(),
            sweep: runs.map_or(0, |(.., sweep)| sweep.0),
        }
    });
    let label = |(key, value)| v1::Label { key, value };
    v1::WorkerStatus {
        slots: slots.collect(),
        labels: worker.labels.into_iter().map(label).collect(),
        name: worker.name,
        host: worker.host,
        version: worker.version,
        state: state.to_owned(),
        out_of_service,
        left_out: left_out.collect(),
        remedy: live.map(|live| remedy(&live.name, &live.service)).unwrap_or_default(),
        last_seen_unix_ms: live.map_or(worker.seen_ms, |live| live.seen_ms.max(worker.seen_ms)),
    }
}
