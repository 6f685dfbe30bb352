//! Submits a sweep: parses the spec, expands its plan, writes the rows in pieces, and looks up known results. The owner task then
//! begins the sweep in one commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sweep_scheduler::event::NewSweep;
use sweep_scheduler::{Outlook, SweepId};
use sweep_spec::Plan;
use sweep_spec::spec::Limits;
use sweep_store::codes::{StageState, SweepState};
use sweep_store::record::{StageRecord, Submission, SweepRecord};
use sweep_store::write::{Preparation, StageRow, SweepRow};
use tracing::info;

use crate::engine::blocking::blocking;
use crate::engine::cost::trim_seeds;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::capacity::Wanted;
use crate::engine::messages::command::{Begin, Command};
use crate::engine::messages::submission::{Submit, Submitted};
use crate::engine::signals::trouble::Trouble;
use crate::engine::state::sweep::LiveSweep;
use crate::engine::stored_plan::dataset_key;
use crate::engine::submission::expansion::Expansion;

/// How long a submission waits for a connected worker's description of the data.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(3);

impl Handle {
    /// Submits a spec as a new sweep, or resumes an unfinished one.
    ///
    /// # Errors
    /// The spec is invalid (all problems are reported), or the store failed.
    pub async fn submit(&self, request: Submit) -> Result<Submitted, Error> {
        let mut request = request;
        let from = match request.extends {
            Some(from) => Some(self.take_from(from, &mut request).await?),
            None => None,
        };
        let (request, plan, limits) = self.parse(request).await?;
        let mut record = record(&request, &plan, limits, self.clock.unix_ms())?;
        if let Some(from) = &from {
            // Both sweeps use the same data set, so known results and running trials can be shared at once.
            record.pin = record.pin.or(from.pin);
            self.check_extension(from, &plan).await?;
        }
        let one = self.expansions.lock().await;
        if let Some(from) = &from {
            // The extended sweep may have been deleted before the lock was acquired; from here on it cannot be deleted.
            self.record(from.id).await?;
        }
        if request.resume
            && let Some(sweep) = self.store.unfinished(record.spec_digest).await?
        {
            // A user who submits it again has seen why it was held back.
            if self.status(sweep).await?.held.is_some() {
                self.pause(sweep, false, &request.user).await?;
            }
            return Ok(Submitted { sweep, resumed: true, outlook: None });
        }
        // The owner task knows the next number only after it has read the store.
        self.until_ready().await?;
        self.ask(|reply| Command::Room(Wanted::Sweep { trials: 0 }, reply)).await?;
        let id = SweepId(self.last_sweep.fetch_add(1, Ordering::SeqCst) + 1);
        let (extends, spec) = (request.extends, request.spec.clone());
        let (record, plan) = self.fit(record, request, plan, from.as_ref()).await?;
        let outlook = self.begin((SweepRecord { id, ..record }, spec), plan, extends).await?;
        drop(one);
        let outlook = if outlook.at_most { self.settled(id, outlook).await? } else { outlook };
        Ok(Submitted { sweep: id, resumed: false, outlook: Some(outlook) })
    }

    /// Waits until the owner task has read the store. If the store is in trouble, returns that error at once.
    async fn until_ready(&self) -> Result<(), Error> {
        let (mut ready, mut trouble) = (self.ready.clone(), self.trouble.clone());
        let troubled = tokio::select! {
            biased;
            ready = ready.wait_for(|ready| *ready) => return ready.map(drop).map_err(|_| Error::Unavailable),
            troubled = trouble.wait_for(|trouble| *trouble != Trouble::None) => troubled.is_ok(),
        };
        Err(if troubled { self.refusal() } else { Error::Unavailable })
    }

    /// Waits briefly until connected workers have described the data, so that the number of known results is exact and
    /// not a bound. The sweep has begun already and does not wait for this.
    async fn settled(&self, id: SweepId, mut outlook: Outlook) -> Result<Outlook, Error> {
        let until = tokio::time::Instant::now() + DESCRIBED_WITHIN;
        let mut changes = self.changes();
        while outlook.at_most && !self.workers().await?.is_empty() {
            match self.ask(|reply| Command::Outlook(id, reply)).await? {
                Some(now) => outlook = now,
                // The sweep has ended already: its counts show how many results were known and how many trials have run.
                None => {
                    let counts = self.status(id).await?.counts;
                    let to_run = counts.succeeded + counts.failed + counts.cancelled - counts.reused;
                    return Ok(Outlook { known: counts.reused, to_run, ..Outlook::default() });
                }
            }
            if outlook.at_most && !matches!(tokio::time::timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
                break;
            }
        }
        Ok(outlook)
    }

    /// Leaves out seeds that do not fit the budget, if there is a budget and measurements exist. An extension keeps all
    /// seeds of the extended sweep, and stops when its budget is spent.
    async fn fit(
        &self,
        record: SweepRecord,
        mut request: Submit,
        plan: Arc<Plan>,
        from: Option<&SweepRecord>,
    ) -> Result<(SweepRecord, Arc<Plan>), Error> {
        if plan.spec().budget.is_none() {
            return Ok((record, plan));
        }
        let devices = self.ask(Command::Devices).await?;
        let Some(weighed) = self.weigh(&plan, &devices, request.fresh).await? else { return Ok((record, plan)) };
        let Some(trimmed) = trim_seeds::trimmed(&plan, &weighed.needs, weighed.beside) else {
            return Ok((record, plan));
        };
        let kept = trimmed.1.clone();
        request.overrides.push(trimmed);
        let (request, fitted, limits) = self.parse(request).await?;
        if let Some(from) = from {
            match self.check_extension(from, &fitted).await {
                Ok(()) => {}
                Err(Error::NotAnExtension { .. }) => return Ok((record, plan)),
                Err(error) => return Err(error),
            }
        }
        info!(seeds = kept, "only these seeds fit the budget");
        // The digest of the untrimmed spec is kept, so that submitting the same spec again finds the sweep.
        let (spec_digest, pin) = (record.spec_digest, record.pin);
        let record = SweepRecord { spec_digest, pin, ..self::record(&request, &fitted, limits, self.clock.unix_ms())? };
        Ok((record, fitted))
    }

    async fn begin(
        &self,
        (record, spec): (SweepRecord, Vec<u8>),
        plan: Arc<Plan>,
        extends: Option<SweepId>,
    ) -> Result<Outlook, Error> {
        let id = record.id;
        let groups = plan.released(&[]).groups().to_vec();
        let mut expansion = {
            let plan = Arc::clone(&plan);
            let costs = self.costs.clone();
            blocking(move || Expansion::new((id, &plan), &[], &groups, &costs)).await?
        };
        self.room_for_trials(&expansion.ids(), record.submission.fresh).await?;
        self.store.prepare(&preparation(&record, &spec)).await?;
        expansion.write(self.store.as_ref()).await?;
        // From here on the owner task records changes, so that it can update what is read from the store.
        let ticket = self.ask(Command::Ticket).await?;
        let expanded = expansion.known(self.store.as_ref()).await?;
        let new = NewSweep {
            reproduces: record.submission.reproduces.is_some(),
            id,
            priority: record.priority,
            weight: record.weight,
            owner: record.submitter.clone(),
            paused: false,
            retry: plan.spec().retry.clone(),
            dataset: record.dataset_key,
            pin: record.pin,
            settled: record.pin.is_some(),
            stages: u32::try_from(record.stages.len()).unwrap_or(u32::MAX),
            fresh: record.submission.fresh,
            // With a budget no trial starts before the owner task has set an allowance.
            allowance: plan.spec().budget.as_ref().map(|_| 0),
        };
        info!(sweep_id = %id, trials = expanded.trials.len(), name = record.name, "a sweep is submitted");
        let begin = Begin {
            ticket,
            sweep: id,
            actor: record.submitter.clone(),
            extends,
            new: Some((new, LiveSweep::new(record, plan, &spec, &self.clock)?)),
            choice: None,
            open: expanded.open,
            fail: Vec::new(),
            configurations: expanded.configurations,
            trials: expanded.trials,
        };
        self.ask(|reply| Command::Begin(Box::new(begin), reply)).await
    }
}

pub(in crate::engine) fn record(
    request: &Submit,
    plan: &Plan,
    limits: Limits,
    submitted_ms: i64,
) -> Result<SweepRecord, Error> {
    let spec = plan.spec();
    let stage = |(index, group): (usize, &sweep_spec::plan::Group)| StageRecord {
        name: group.name.clone(),
        trials_at_most: group.points.saturating_mul(plan.seeds(index).len() as u64),
        state: StageState::Waiting,
        choice: String::new(),
        winner: None,
        decided: None,
        keep_best: plan.decisions().any(|stage| stage == index),
    };
    Ok(SweepRecord {
        id: SweepId(0),
        name: if request.name.is_empty() { spec.name.clone() } else { request.name.clone() },
        overrides: request.overrides.clone(),
        spec_digest: spec.digest().map_err(|error| Error::Internal(error.to_string()))?,
        submitter: request.user.clone(),
        priority: if request.priority == 0 { spec.priority } else { request.priority },
        paused: false,
        weight: spec.weight,
        trial_limit: limits.trials,
        dataset_key: dataset_key(&plan.trial(&spec.baseline, 0))?,
        // A reproduction uses exactly the same data, even if the spec leaves it open.
        pin: request.reproduces.map(|(_, data)| data).or(spec.dataset.digest),
        state: SweepState::Running,
        reason: String::new(),
        submitted_ms,
        ended_ms: 0,
        stages: plan.groups().iter().enumerate().map(stage).collect(),
        submission: Submission {
            fresh: request.fresh,
            reproduces: request.reproduces.map(|(attempt, _)| attempt),
            revision: request.revision.clone(),
        },
    })
}

pub(in crate::engine) fn preparation(record: &SweepRecord, spec: &[u8]) -> Preparation {
    let sweep = SweepRow {
        id: record.id,
        name: record.name.clone(),
        spec: spec.to_vec(),
        overrides: record.overrides.clone(),
        spec_digest: record.spec_digest,
        submitter: record.submitter.clone(),
        priority: record.priority,
        weight: record.weight,
        trial_limit: record.trial_limit,
        dataset_key: record.dataset_key,
        pin: record.pin,
        submitted_ms: record.submitted_ms,
        submission: record.submission.clone(),
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
