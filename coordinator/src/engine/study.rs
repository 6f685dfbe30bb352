//! From what the store holds to what is analysed: a sweep's configurations and what came of their trials, as a `Study`.

use std::collections::{BTreeMap, HashMap};

use sweep_analysis::study::{Answer, Group, GroupKind, Replicate, State, Study, Subject};
use sweep_spec::plan;
use sweep_spec::protocol::Report;
use sweep_spec::spec::Keep;
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Outcome, Plan, Spec};

use super::restore;
use crate::store::codes::{RoundState, StageState};
use crate::store::record::{self, ConfigurationRecord, ResultRecord, StageRecord, SweepRecord};

/// The epoch that a trial is judged by; nothing for one that diverged.
pub(crate) fn reported<'a>(spec: &Spec, replicate: &'a record::Replicate) -> Option<&'a EpochMetrics> {
    let result = replicate.result.as_ref().filter(|result| result.outcome == Outcome::Converged)?;
    epoch(spec, result)
}

/// The epoch that a result reports, whatever its outcome.
pub(crate) fn epoch<'a>(spec: &Spec, result: &'a ResultRecord) -> Option<&'a EpochMetrics> {
    match spec.protocol.report {
        Report::Last => result.last.as_ref(),
        Report::Best => result.best.as_ref(),
    }
}

/// A sweep's results, without what networks said of single images.
pub(super) fn study(
    plan: &Plan,
    record: &SweepRecord,
    configurations: Vec<ConfigurationRecord>,
    mut replicates: Vec<record::Replicate>,
) -> Study {
    restore::begun(plan, record, &mut replicates);
    let groups = groups(plan, record, &configurations);
    let mut by_configuration: HashMap<u32, Vec<Replicate>> = HashMap::with_capacity(configurations.len());
    for replicate in replicates {
        by_configuration.entry(replicate.configuration).or_default().push(one(plan.spec(), replicate));
    }
    let mut subjects: Vec<Subject> = configurations
        .into_iter()
        .map(|row| {
            let mut replicates = by_configuration.remove(&row.position).unwrap_or_default();
            replicates.sort_by_key(|replicate| replicate.seed);
            subject(row, replicates)
        })
        .collect();
    subjects.sort_by_key(|subject| subject.position);
    let spec = plan.spec().clone();
    Study { spec, groups, subjects, validations: BTreeMap::new(), classes: Vec::new() }
}

fn subject(row: ConfigurationRecord, replicates: Vec<Replicate>) -> Subject {
    Subject {
        position: row.position,
        name: row.name,
        label: row.label,
        configuration: row.configuration,
        groups: row.stages.into_iter().map(|stage| stage as usize).collect(),
        baseline: row.baseline,
        params: row.params,
        flops: row.flops,
        replicates,
    }
}

fn one(spec: &Spec, replicate: record::Replicate) -> Replicate {
    let state = match replicate.state {
        None | Some(RoundState::Open) if replicate.running => State::Running,
        None | Some(RoundState::Open) => State::Queued,
        Some(RoundState::Succeeded) => State::Succeeded,
        // Why is a row of its own, read where somebody asks.
        Some(RoundState::Failed) => State::Failed(String::new()),
        Some(RoundState::Cancelled) => State::Cancelled,
    };
    let answer = |result: ResultRecord| Answer {
        outcome: result.outcome,
        last: result.last,
        best: result.best,
        provenance: result.provenance,
        test: result.test,
    };
    Replicate {
        seed: replicate.seed,
        trial: replicate.trial,
        state,
        reused: replicate.reused,
        noise: spec.is_noise(replicate.seed),
        answer: replicate.result.map(answer),
    }
}

/// The stages of the plan and what stands beside them, with what each started from and what it chose.
fn groups(plan: &Plan, record: &SweepRecord, configurations: &[ConfigurationRecord]) -> Vec<Group> {
    let winners = restore::winners(record, configurations);
    let released = plan.released(&winners);
    let baseline = &plan.spec().baseline;
    let of = |(index, group): (usize, &sweep_spec::plan::Group)| {
        let row: Option<&StageRecord> = record.stages.get(index);
        let start = match group.stage {
            Some(stage) => released.start(stage),
            None => Some(baseline),
        };
        let winner = row.and_then(|row| row.winner);
        let start_position = start.and_then(|start| {
            let found = configurations.iter().find(|row| row.configuration == *start)?;
            Some(found.position)
        });
        // A starting point that stays, because nothing was significantly better, was not chosen for its results.
        let kept = group
            .stage
            .and_then(|stage| plan.spec().stages.get(stage))
            .is_some_and(|stage| stage.keep == Keep::BestIfSignificant && winner == start_position);
        Group {
            name: group.name.clone(),
            kind: match group.kind {
                plan::GroupKind::Stage(stage) => GroupKind::Stage(stage),
                plan::GroupKind::Extra => GroupKind::Extra,
                plan::GroupKind::Noise => GroupKind::Noise,
                plan::GroupKind::MoreSeeds(_) => GroupKind::MoreSeeds,
            },
            start: start_position,
            start_label: start.map(|start| start.difference(baseline).to_string()).unwrap_or_default(),
            winner,
            chose_on: match (winner, group.stage) {
                (Some(_), Some(stage)) if !kept => plan.spec().chose_on(stage).to_vec(),
                _ => Vec::new(),
            },
            ended: row.is_some_and(|row| matches!(row.state, StageState::Ended | StageState::Failed)),
        }
    };
    plan.groups().iter().enumerate().map(of).collect()
}
