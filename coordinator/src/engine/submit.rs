//! Submitting: the text is read, the plan expanded and written in pieces, what is known looked up, and the owner task
//! begins the sweep in one commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sweep_scheduler::SweepId;
use sweep_scheduler::event::NewSweep;
use sweep_spec::spec::{Keep, Limits};
use sweep_spec::{Plan, Spec};
use tracing::info;

use super::command::{Begin, Command};
use super::driver::unix_ms;
use super::expand::Expansion;
use super::live::{LiveSweep, dataset_key};
use super::{Error, Handle, fitting};
use crate::store::codes::{StageState, SweepState};
use crate::store::record::{StageRecord, SweepRecord};
use crate::store::write::{Preparation, StageRow, SweepRow};

/// A spec that somebody submits.
#[derive(Debug, Clone, Default)]
pub struct Submit {
    /// The YAML text.
    pub spec: Vec<u8>,
    /// Applied to the spec before it is read.
    pub overrides: Vec<(String, String)>,
    /// Replaces the spec's name if not empty.
    pub name: String,
    /// Larger grids are refused; 0 means the default.
    pub trial_limit: u64,
    /// Higher goes first; 0 leaves it to the spec.
    pub priority: i32,
    /// Takes up an unfinished sweep with the same spec.
    pub resume: bool,
    /// For the provenance.
    pub user: String,
}

/// A sweep that was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// Its number.
    pub sweep: SweepId,
    /// It was there before.
    pub resumed: bool,
}

impl Handle {
    /// Makes a sweep of a spec, or takes up an unfinished one.
    ///
    /// # Errors
    /// Everything that is wrong with the spec; or the store failed.
    pub async fn submit(&self, request: Submit) -> Result<Submitted, Error> {
        let (request, plan, limits) = parse(request).await?;
        let record = record(&request, &plan, limits)?;
        let _one = self.expansions.lock().await;
        if request.resume
            && let Some(sweep) = self.store.unfinished(record.spec_digest).await?
        {
            return Ok(Submitted { sweep, resumed: true });
        }
        // The number is the owner task's to give only once it has read the store.
        let mut ready = self.ready.clone();
        ready.wait_for(|ready| *ready).await.map_err(|_| Error::Unavailable)?;
        let id = SweepId(self.last_sweep.fetch_add(1, Ordering::SeqCst) + 1);
        let (record, plan) = self.fit(record, request, plan).await?;
        self.begin(SweepRecord { id, ..record }, plan).await?;
        Ok(Submitted { sweep: id, resumed: false })
    }

    /// Leaves out seeds that the budget does not hold, if there is a budget and times are known.
    async fn fit(
        &self,
        record: SweepRecord,
        mut request: Submit,
        plan: Arc<Plan>,
    ) -> Result<(SweepRecord, Arc<Plan>), Error> {
        if plan.spec().budget.is_none() {
            return Ok((record, plan));
        }
        let devices = self.ask(Command::Devices).await?;
        let Some(weighed) = self.weigh(&plan, &devices).await? else { return Ok((record, plan)) };
        let Some(trimmed) = fitting::trimmed(&plan, &weighed.needs) else { return Ok((record, plan)) };
        info!(seeds = trimmed.1, "seeds are left out for the budget");
        request.overrides.push(trimmed);
        let (request, plan, limits) = parse(request).await?;
        // It is known by what was asked for, so that the same spec is found again when it is resumed.
        let spec_digest = record.spec_digest;
        let record = SweepRecord { spec_digest, ..self::record(&request, &plan, limits)? };
        Ok((record, plan))
    }

    async fn begin(&self, record: SweepRecord, plan: Arc<Plan>) -> Result<(), Error> {
        let id = record.id;
        let groups = plan.released(&[]).groups().to_vec();
        let mut expansion = {
            let plan = Arc::clone(&plan);
            let costs = self.costs.clone();
            blocking(move || Expansion::new((id, &plan), &[], &groups, &costs)).await?
        };
        self.store.prepare(&preparation(&record)).await?;
        expansion.write(self.store.as_ref()).await?;
        // From here on the owner task remembers what changes, so that what is looked up can be brought up to date.
        let ticket = self.ask(Command::Ticket).await?;
        let expanded = expansion.known(self.store.as_ref()).await?;
        let new = NewSweep {
            id,
            priority: record.priority,
            weight: record.weight,
            paused: false,
            retry: plan.spec().retry.clone(),
            dataset: record.dataset_key,
            pin: record.pin,
            stages: u32::try_from(record.stages.len()).unwrap_or(u32::MAX),
            // With a budget nothing is started before the owner task has looked at it.
            allowance: plan.spec().budget.as_ref().map(|_| 0),
        };
        info!(sweep_id = %id, trials = expanded.trials.len(), name = record.name, "a sweep is submitted");
        let begin = Begin {
            ticket,
            sweep: id,
            actor: record.submitter.clone(),
            new: Some((new, LiveSweep::new(record, plan)?)),
            choice: None,
            open: expanded.open,
            fail: Vec::new(),
            configurations: expanded.configurations,
            trials: expanded.trials,
        };
        self.ask(|reply| Command::Begin(Box::new(begin), reply)).await
    }
}

/// Reads a spec and makes its plan.
pub(super) async fn parse(request: Submit) -> Result<(Submit, Arc<Plan>, Limits), Error> {
    let default = Limits::default();
    let limits = Limits { trials: if request.trial_limit == 0 { default.trials } else { request.trial_limit } };
    blocking(move || {
        let spec = Spec::parse(&request.spec, &request.overrides, &limits).map_err(Error::Spec)?;
        Ok((request, Arc::new(Plan::new(&spec)), limits))
    })
    .await
}

/// Runs what takes long away from the tasks that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}

fn record(request: &Submit, plan: &Plan, limits: Limits) -> Result<SweepRecord, Error> {
    let spec = plan.spec();
    let stage = |(index, group): (usize, &sweep_spec::plan::Group)| StageRecord {
        name: group.name.clone(),
        trials_at_most: group.points.saturating_mul(spec.seeds.len() as u64),
        state: StageState::Waiting,
        choice: String::new(),
        winner: None,
        decided: None,
        keep_best: group.stage == Some(index) && spec.stages.get(index).is_some_and(|stage| stage.keep == Keep::Best),
    };
    Ok(SweepRecord {
        id: SweepId(0),
        name: if request.name.is_empty() { spec.name.clone() } else { request.name.clone() },
        spec: request.spec.clone(),
        overrides: request.overrides.clone(),
        spec_digest: spec.digest().map_err(|error| Error::Internal(error.to_string()))?,
        submitter: request.user.clone(),
        priority: if request.priority == 0 { spec.priority } else { request.priority },
        paused: false,
        weight: spec.weight,
        trial_limit: limits.trials,
        dataset_key: dataset_key(&plan.trial(&spec.baseline, 0))?,
        pin: spec.dataset.digest,
        state: SweepState::Running,
        reason: String::new(),
        submitted_ms: unix_ms(),
        ended_ms: 0,
        stages: plan.groups().iter().enumerate().map(stage).collect(),
    })
}

fn preparation(record: &SweepRecord) -> Preparation {
    let sweep = SweepRow {
        id: record.id,
        name: record.name.clone(),
        spec: record.spec.clone(),
        overrides: record.overrides.clone(),
        spec_digest: record.spec_digest,
        submitter: record.submitter.clone(),
        priority: record.priority,
        weight: record.weight,
        trial_limit: record.trial_limit,
        dataset_key: record.dataset_key,
        pin: record.pin,
        submitted_ms: record.submitted_ms,
    };
    let stages = (0_u32..).zip(&record.stages).map(|(position, stage)| StageRow {
        sweep: record.id,
        position,
        name: stage.name.clone(),
        trials_at_most: stage.trials_at_most,
        keep_best: stage.keep_best,
    });
    Preparation { sweep: Some(sweep), stages: stages.collect(), ..Preparation::default() }
}
