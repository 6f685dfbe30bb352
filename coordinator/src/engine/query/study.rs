//! Rows of the store as a `Study`, the input of the analysis: the configurations of a sweep and the results of their trials.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use futures::stream::BoxStream;
use sweep_analysis::study::{Answer, Group, GroupKind, Makers, Replicate, State, Study, Subject};
use sweep_scheduler::SweepId;
use sweep_spec::protocol::Report;
use sweep_spec::spec::Keep;
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Outcome, Plan, Spec, plan};
use sweep_store as store;
use sweep_store::codes::{RoundState, StageState};
use sweep_store::record::{self, ConfigurationRecord, ResultRecord, StageRecord, SweepRecord};
use tokio::sync::SemaphorePermit;

use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::stored_plan;

/// The metrics of the epoch that a trial is judged by; `None` for a trial that diverged.
pub(crate) fn reported<'a>(spec: &Spec, replicate: &'a record::Replicate) -> Option<&'a EpochMetrics> {
    let result = replicate.result.as_ref().filter(|result| result.outcome == Outcome::Converged)?;
    epoch(spec, result)
}

/// The metrics of the epoch that a result reports, for any outcome.
pub(crate) fn epoch<'a>(spec: &Spec, result: &'a ResultRecord) -> Option<&'a EpochMetrics> {
    match spec.protocol.report {
        Report::Last => result.last.as_ref(),
        Report::Best => result.best.as_ref(),
    }
}

impl Handle {
    /// The results of a sweep, without predictions for single images and without reasons of failures. Trials are read
    /// one after the other, and only the data for the analysis is kept.
    pub(in crate::engine) async fn results(&self, plan: &Plan, record: &SweepRecord) -> Result<Study, Error> {
        let configurations = self.store.configurations(record.id).await?;
        let groups = groups(plan, record, &configurations);
        let mut subjects: Vec<Subject> = configurations.into_iter().map(subject).collect();
        subjects.sort_by_key(|subject| subject.position);
        let mut next = 0;
        let mut rows = Replicates::new(self, plan, record).await?;
        while let Some((position, _, replicates)) = rows.next().await? {
            next += subjects.get(next..).unwrap_or_default().partition_point(|subject| subject.position < position);
            if let Some(subject) = subjects.get_mut(next).filter(|subject| subject.position == position) {
                subject.replicates = replicates;
            }
        }
        drop(rows);
        let spec = plan.spec().clone();
        Ok(Study { spec, groups, subjects, validations: BTreeMap::new(), classes: Vec::new() })
    }

    /// The rows of a sweep's trials, in the order of the spec. A task must drop these rows before it requests others:
    /// otherwise two such tasks could wait for each other's permit.
    pub(in crate::engine) async fn rows(&self, sweep: SweepId) -> Result<Rows<'_>, Error> {
        let permit = self.reading().await?;
        Ok(Rows { rows: self.store.replicates(sweep), _permit: permit })
    }
}

/// Rows of trials, with the permit to read them. Dropping this releases the permit.
pub(in crate::engine) struct Rows<'a> {
    // Dropped first, so that its connection is free when the permit is.
    rows: BoxStream<'a, Result<record::Replicate, store::Error>>,
    _permit: SemaphorePermit<'a>,
}

impl Rows<'_> {
    pub(in crate::engine) async fn next(&mut self) -> Result<Option<record::Replicate>, Error> {
        // Rows are read ahead, so this call rarely waits. It yields explicitly, so that other tasks can run.
        tokio::task::consume_budget().await;
        Ok(self.rows.try_next().await?)
    }
}

/// The trials of a sweep, configuration by configuration, in the order of the spec.
pub(in crate::engine) struct Replicates<'a> {
    rows: Rows<'a>,
    spec: &'a Spec,
    /// Seeds that no stage has opened yet.
    waiting: HashSet<u64>,
    makers: Makers,
    /// The first replicate of the next configuration.
    ahead: Option<record::Replicate>,
}

impl<'a> Replicates<'a> {
    /// Waits for a permit to read: see `Handle::rows`.
    pub(in crate::engine) async fn new(
        handle: &'a Handle,
        plan: &'a Plan,
        record: &SweepRecord,
    ) -> Result<Self, Error> {
        let (rows, spec) = (handle.rows(record.id).await?, plan.spec());
        Ok(Self {
            rows,
            spec,
            waiting: stored_plan::waiting_seeds(plan, record),
            makers: Makers::default(),
            ahead: None,
        })
    }

    /// The next configuration: its position, its parameters, and its replicates in the order of their seeds.
    pub(in crate::engine) async fn next(&mut self) -> Result<Option<(u32, u64, Vec<Replicate>)>, Error> {
        let first = match self.ahead.take() {
            Some(first) => first,
            None => match self.row().await? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let (position, params) = (first.configuration, first.params);
        let mut replicates = vec![one(self.spec, first, &mut self.makers)];
        while let Some(row) = self.row().await? {
            if row.configuration != position {
                self.ahead = Some(row);
                break;
            }
            replicates.push(one(self.spec, row, &mut self.makers));
        }
        replicates.shrink_to_fit();
        replicates.sort_by_key(|replicate| replicate.seed);
        Ok(Some((position, params, replicates)))
    }

    async fn row(&mut self) -> Result<Option<record::Replicate>, Error> {
        while let Some(row) = self.rows.next().await? {
            if !self.waiting.contains(&row.seed) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

fn subject(row: ConfigurationRecord) -> Subject {
    Subject {
        position: row.position,
        name: row.name,
        label: row.label,
        configuration: row.configuration,
        groups: row.stages.into_iter().map(|stage| stage as usize).collect(),
        baseline: row.baseline,
        params: row.params,
        flops: row.flops,
        replicates: Vec::new(),
    }
}

fn one(spec: &Spec, replicate: record::Replicate, makers: &mut Makers) -> Replicate {
    let state = match replicate.state {
        None | Some(RoundState::Open) if replicate.running => State::Running,
        None | Some(RoundState::Open) => State::Queued,
        Some(RoundState::Succeeded) => State::Succeeded,
        // The reason is in a separate row, which only some callers read.
        Some(RoundState::Failed) => State::Failed(String::new()),
        Some(RoundState::Cancelled) => State::Cancelled,
    };
    let answer = |result: ResultRecord| Answer {
        outcome: result.outcome,
        last: result.last,
        best: result.best,
        test: result.test,
        seconds: result.provenance.seconds,
        made: makers.shared(result.provenance),
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

/// The stages of the plan and the groups beside them, each with its starting point and its choice.
fn groups(plan: &Plan, record: &SweepRecord, configurations: &[ConfigurationRecord]) -> Vec<Group> {
    let winners = stored_plan::winners(record, configurations);
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
        // If no configuration was significantly better, the starting point stays. Its results were not the reason, so
        // it does not count as chosen.
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
