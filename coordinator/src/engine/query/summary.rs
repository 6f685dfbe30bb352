//! Summaries of sweeps: trials are counted as rows stream by, once for all callers, and the result is cached. The store keeps
//! the summary of a sweep that has ended, so later questions do not read its trials.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use sweep_analysis::best::Best;
use sweep_analysis::leaderboard;
use sweep_analysis::study::Replicate;
use sweep_scheduler::SweepId;
use sweep_spec::{Plan, TrialCounts};
use sweep_store::codes::SweepState;
use sweep_store::record::SweepRecord;
use sweep_store::summary::{Asked, BEST, Placed, Summary};

use crate::engine::cache::summaries::CachedSummary;
use crate::engine::cost::trim_seeds;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::command::Command;
use crate::engine::query::study::Replicates;

/// A live sweep with more trials than this is not counted for a status: the status shows the last summary.
const LARGE: u64 = 5_000;

impl Handle {
    /// The summary of a sweep. That of a running sweep may be slightly old, unless `exact`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn summary(&self, record: &SweepRecord, exact: bool) -> Result<Arc<Summary>, Error> {
        let asked = Instant::now();
        if let Some(found) = self.cached(record, |kept| self.is_current(kept) || !exact && kept.is_young()) {
            return Ok(found);
        }
        let (handle, record) = (self.clone(), record.clone());
        // The caller may disconnect: a separate task finishes the count for later callers.
        let made = tokio::spawn(async move {
            let _flight = handle.summing.enter(record.id).await;
            // Callers that waited take the new summary, unless the sweep has changed since.
            let enough =
                |kept: &CachedSummary| kept.began >= asked || handle.is_current(kept) || !exact && kept.is_young();
            match handle.cached(&record, enough) {
                Some(found) => Ok(found),
                None => handle.make_summary(&record).await,
            }
        });
        made.await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    }

    /// The same for a status or a scrape. For a large running sweep it returns the cached summary, if there is one, and
    /// counts a newer one in the background. `live` has the owner task's counts of the sweep.
    ///
    /// # Errors
    /// The store failed.
    pub async fn summary_soon(
        &self,
        record: &SweepRecord,
        live: Option<TrialCounts>,
    ) -> Result<Option<Arc<Summary>>, Error> {
        let large = |live: TrialCounts| record.state == SweepState::Running && live.total() > LARGE;
        if !live.is_some_and(large) {
            return self.summary(record, false).await.map(Some);
        }
        let found = self.cached(record, |_| true);
        if !self.summing.is_in_flight(&record.id) {
            let (handle, record) = (self.clone(), record.clone());
            tokio::spawn(async move {
                if let Err(error) = handle.summary(&record, false).await {
                    tracing::warn!(sweep_id = %record.id, error = %crate::chain(&error), "cannot count a sweep");
                }
            });
        }
        Ok(found)
    }

    /// Counts the trials of an ended sweep and stores the summary for later queries. If this is dropped, the first
    /// query counts them.
    pub(in crate::engine) async fn summarise(&self, sweep: SweepId) {
        let counted = async {
            let Some(record) = self.store.sweep(sweep).await? else { return Ok(()) };
            let _flight = self.summing.enter(sweep).await;
            if record.state == SweepState::Running || self.cached(&record, |_| false).is_some() {
                return Ok(());
            }
            self.make_summary(&record).await.map(drop)
        };
        if let Err(error) = counted.await {
            tracing::warn!(sweep_id = %sweep, error = %crate::chain(&error), "cannot count a sweep that has ended");
        }
    }

    fn cached(&self, record: &SweepRecord, is_enough: impl Fn(&CachedSummary) -> bool) -> Option<Arc<Summary>> {
        self.summaries.lock().ok()?.get(record, is_enough)
    }

    fn is_current(&self, kept: &CachedSummary) -> bool {
        kept.change == *self.changes.borrow()
    }

    async fn make_summary(&self, record: &SweepRecord) -> Result<Arc<Summary>, Error> {
        let (change, began) = (*self.changes.borrow(), Instant::now());
        let ended = record.state != SweepState::Running;
        let stored = if ended { self.store.summary(record).await? } else { None };
        let summary = match stored {
            Some(stored) => Arc::new(stored),
            None => {
                let mut counted = self.counted(record).await?;
                if ended {
                    counted.spent_ms = self.store.spent_ms(record.id).await?;
                    if let Err(error) = self.store.keep_summary(record, &counted).await {
                        let error = crate::chain(&error);
                        tracing::warn!(sweep_id = %record.id, error, "the summary of a sweep cannot be stored and is \
                            counted again");
                    }
                }
                Arc::new(counted)
            }
        };
        let ended_ms = record.ended_ms;
        let entry = CachedSummary { summary: Arc::clone(&summary), ended_ms, change, began, took: began.elapsed() };
        if let Ok(mut summaries) = self.summaries.lock() {
            summaries.insert(record.id, entry);
        }
        Ok(summary)
    }

    /// Counts the trials.
    async fn counted(&self, record: &SweepRecord) -> Result<Summary, Error> {
        let live = self.ask(|reply| Command::Sweep(record.id, reply)).await?;
        let (plan, asked) = match live {
            Some(live) => (live.plan, Asked::clone(&live.asked)),
            None => {
                let (plan, text) = (self.plan(record).await?, self.spec(record.id).await?);
                let left_out = trim_seeds::left_out(record, &plan, &text);
                let asked = Asked::of(plan.spec(), left_out);
                (plan, asked)
            }
        };
        let mut count = Count::new(&plan, self.store.memberships(record.id).await?);
        let mut rows = Replicates::new(self, &plan, record).await?;
        while let Some((position, params, replicates)) = rows.next().await? {
            count.add(position, params, &replicates);
        }
        drop(rows);
        let (mut summary, best) = count.finish(asked);
        for ranked in best {
            let found = self.store.configuration(record.id, ranked.position).await?;
            let label = found.map(|row| row.title().to_owned());
            summary.best.push(Placed {
                rank: ranked.rank,
                position: ranked.position,
                label: label.unwrap_or_default(),
                value: ranked.value,
                params: ranked.params,
            });
        }
        Ok(summary)
    }
}

/// The counts of the trials read so far.
struct Count<'a> {
    memberships: Vec<(u32, u32)>,
    /// The seeds of each group.
    seeds: Vec<HashSet<u64>>,
    all: TrialCounts,
    groups: Vec<TrialCounts>,
    best: Best<'a>,
    epochs_done: u64,
    answers: u64,
    on_cpus: u64,
}

impl<'a> Count<'a> {
    fn new(plan: &'a Plan, memberships: Vec<(u32, u32)>) -> Self {
        let groups = plan.groups().len();
        Self {
            memberships,
            seeds: (0..groups).map(|group| plan.seeds(group).iter().copied().collect()).collect(),
            all: TrialCounts::default(),
            groups: vec![TrialCounts::default(); groups],
            best: Best::new(plan.spec(), BEST),
            epochs_done: 0,
            answers: 0,
            on_cpus: 0,
        }
    }

    fn add(&mut self, position: u32, params: u64, replicates: &[Replicate]) {
        let first = self.memberships.partition_point(|(configuration, _)| *configuration < position);
        let own = self.memberships.iter().skip(first).take_while(|(configuration, _)| *configuration == position);
        for (_, group) in own {
            let group = *group as usize;
            let (Some(counts), Some(seeds)) = (self.groups.get_mut(group), self.seeds.get(group)) else { continue };
            replicates
                .iter()
                .filter(|replicate| seeds.contains(&replicate.seed))
                .for_each(|one| leaderboard::add(counts, one));
        }
        for replicate in replicates {
            leaderboard::add(&mut self.all, replicate);
            let Some(answer) = &replicate.answer else { continue };
            self.answers += 1;
            self.on_cpus += u64::from(answer.made.device == "cpu");
            self.epochs_done += answer.last.map_or(0, |last| u64::from(last.epoch));
        }
        self.best.add(position, params, replicates);
    }

    fn finish(self, asked: Asked) -> (Summary, Vec<sweep_analysis::best::Ranked>) {
        let mut summary = Summary::new(self.all, &self.groups, asked);
        summary.epochs_done = self.epochs_done;
        summary.on_gpus = self.answers > 0 && self.on_cpus == 0;
        (summary, self.best.finish())
    }
}
