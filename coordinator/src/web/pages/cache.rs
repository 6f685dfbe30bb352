//! A cache of the values that pages show, with a deadline: stale while revalidate. A page waits for a new value until the
//! deadline, then shows the last known value, or a placeholder, and reloads. The computation continues, at most once per key,
//! and the engine keeps its result.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sweep_analysis::analyse::Request;
use sweep_scheduler::SweepId;
use sweep_spec::spec::Metric;
use sweep_store::record::SweepRecord;
use tokio::sync::Notify;

use crate::engine::{Analysed, Error, Handle, MAX_CACHED_TRIALS, Status};

/// The longest time that a page waits for a value.
pub(super) const DEADLINE: Duration = Duration::from_millis(120);
/// The most entries of each map of last known values.
const MAX_LAST_KNOWN: usize = 64;
/// The most sweeps whose picture sections are kept.
const MAX_PICTURES: usize = 8;

/// A computation; at most one of each runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Job {
    Status(SweepId),
    Analysis(SweepId, Option<Metric>, bool),
    Pictures(SweepId),
}

/// The sweep, the metric, and whether single images are included.
pub(super) type AnalysisKey = (SweepId, Option<Metric>, bool);

/// The last known values, which a page shows while newer ones are computed.
#[derive(Default)]
struct LastKnown {
    statuses: HashMap<SweepId, Status>,
    analyses: HashMap<AnalysisKey, Arc<Analysed>>,
}

/// The two sections about single images, as HTML, and the analysis that they show.
type Pictures = (Arc<Analysed>, Arc<[Option<String>; 2]>);

/// The cache that all pages of a coordinator share.
#[derive(Default)]
pub(super) struct PageCache {
    running: Arc<Mutex<HashSet<Job>>>,
    done: Arc<Notify>,
    last_known: Mutex<LastKnown>,
    pictures: Mutex<HashMap<SweepId, Pictures>>,
}

impl PageCache {
    /// The result of a job, if it ends within `wait`. Otherwise the job continues in the background.
    async fn within_deadline<T, F>(&self, job: Job, wait: Duration, make: F) -> Option<Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let done = self.done.notified();
            if self.running.lock().is_ok_and(|mut running| running.insert(job)) {
                break;
            }
            tokio::time::timeout_at(until, done).await.ok()?;
        }
        let made = RunningJob { running: Arc::clone(&self.running), done: Arc::clone(&self.done), job };
        let task = tokio::spawn(async move {
            let answer = make.await;
            drop(made);
            answer
        });
        tokio::time::timeout_at(until, task).await.ok().and_then(Result::ok)
    }

    /// The status of a sweep, and whether it is current. After the deadline it is the last known one.
    pub(super) async fn status(
        &self,
        engine: &Handle,
        record: &SweepRecord,
        wait: Duration,
    ) -> Result<(Option<Status>, bool), Error> {
        let id = record.id;
        // An ended sweep changes only if it is resumed, and then its end time changes.
        let known = self.last_known.lock().ok().and_then(|last_known| last_known.statuses.get(&id).cloned());
        let same = |known: &Status| known.record.ended_ms == record.ended_ms && record.ended_ms > 0;
        if let Some(known) = known.filter(same) {
            return Ok((Some(known), true));
        }
        let asked = engine.clone();
        let newest =
            self.within_deadline(Job::Status(id), wait, async move { asked.status(id).await }).await.transpose()?;
        let Ok(mut last_known) = self.last_known.lock() else { return Ok((newest, true)) };
        let is_newest = newest.is_some();
        if let Some(newest) = &newest {
            evict(&mut last_known.statuses);
            last_known.statuses.insert(id, newest.clone());
        }
        Ok((newest.or_else(|| last_known.statuses.get(&id).cloned()), is_newest))
    }

    /// The analysis of a sweep, and whether it is current. After the deadline it is the last known one.
    pub(super) async fn analysed(
        &self,
        engine: &Handle,
        (id, metric, images): AnalysisKey,
    ) -> Result<(Option<Arc<Analysed>>, bool), Error> {
        let asked = engine.clone();
        let request = Request { metric, ..Request::default() };
        let make = async move { asked.analysed_soon(id, request, images).await };
        let newest = self.within_deadline(Job::Analysis(id, metric, images), DEADLINE, make).await.transpose()?;
        let Ok(mut last_known) = self.last_known.lock() else { return Ok((newest, true)) };
        let is_newest = newest.is_some();
        if let Some(newest) = &newest {
            last_known.analyses.remove(&(id, metric, images));
            evict(&mut last_known.analyses);
            let others = last_known.analyses.values().map(|analysed| analysed.weight()).sum::<usize>();
            if others + newest.weight() > MAX_CACHED_TRIALS {
                last_known.analyses.clear();
            }
            last_known.analyses.insert((id, metric, images), Arc::clone(newest));
        }
        Ok((newest.or_else(|| last_known.analyses.get(&(id, metric, images)).cloned()), is_newest))
    }

    /// Computes the sections about images, which need the predictions of many trials.
    pub(super) async fn cut<T, F>(&self, id: SweepId, make: F) -> Result<Option<T>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.within_deadline(Job::Pictures(id), 4 * DEADLINE, make).await.transpose()
    }

    /// The kept sections about images, if they show this analysis.
    pub(super) fn pictures(&self, id: SweepId, of: &Arc<Analysed>) -> Option<Arc<[Option<String>; 2]>> {
        let pictures = self.pictures.lock().ok()?;
        pictures.get(&id).filter(|(analysed, _)| Arc::ptr_eq(analysed, of)).map(|(_, made)| Arc::clone(made))
    }

    /// Keeps the sections about images of an analysis.
    pub(super) fn keep_pictures(&self, id: SweepId, of: &Arc<Analysed>, made: &Arc<[Option<String>; 2]>) {
        if let Ok(mut pictures) = self.pictures.lock() {
            if pictures.len() >= MAX_PICTURES {
                pictures.clear();
            }
            pictures.insert(id, (Arc::clone(of), Arc::clone(made)));
        }
    }
}

/// Empties a full map. The values are computed again when they are needed.
fn evict<K, V>(kept: &mut HashMap<K, V>) {
    if kept.len() >= MAX_LAST_KNOWN {
        kept.clear();
    }
}

/// Marks a job as ended when it is dropped, also after a panic.
struct RunningJob {
    running: Arc<Mutex<HashSet<Job>>>,
    done: Arc<Notify>,
    job: Job,
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if let Ok(mut running) = self.running.lock() {
            running.remove(&self.job);
        }
        self.done.notify_waiters();
    }
}
