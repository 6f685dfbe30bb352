//! What takes long is not waited for: a page is shown with what is there after a moment, says what is still being worked
//! out, and asks again. What was asked for goes on meanwhile, once, and is kept by the engine; of a large sweep that goes
//! on, what is shown may be some moments old.

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

/// How long a page waits for what it shows.
pub(super) const MOMENT: Duration = Duration::from_millis(120);
/// Answers that are kept for when newer ones are late.
const KEPT_BEFORE: usize = 64;
/// Sections about images that are kept.
const KEPT: usize = 8;

/// Something that is being worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Status(SweepId),
    Analysis(SweepId, Option<Metric>, bool),
    Pictures(SweepId),
}

/// Of which sweep, by which metric, with or without single images.
pub(super) type Asked = (SweepId, Option<Metric>, bool);

/// What was known last, for as long as nothing newer is there: a page that goes on must not lose what it shows.
#[derive(Default)]
struct Before {
    statuses: HashMap<SweepId, Status>,
    analyses: HashMap<Asked, Arc<Analysed>>,
}

/// The two sections about single images, and what they were made of.
type Pictures = (Arc<Analysed>, Arc<[Option<String>; 2]>);

/// What pages of one coordinator share.
#[derive(Default)]
pub(super) struct Meanwhile {
    making: Arc<Mutex<HashSet<Work>>>,
    done: Arc<Notify>,
    before: Mutex<Before>,
    pictures: Mutex<HashMap<SweepId, Pictures>>,
}

impl Meanwhile {
    /// The answer, if it is there within a moment. If it is not, the work goes on.
    async fn within<T, F>(&self, work: Work, wait: Duration, make: F) -> Option<Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let done = self.done.notified();
            if self.making.lock().is_ok_and(|mut making| making.insert(work)) {
                break;
            }
            tokio::time::timeout_at(until, done).await.ok()?;
        }
        let made = Done { making: Arc::clone(&self.making), done: Arc::clone(&self.done), work };
        let task = tokio::spawn(async move {
            let answer = make.await;
            drop(made);
            answer
        });
        tokio::time::timeout_at(until, task).await.ok().and_then(Result::ok)
    }

    /// Where a sweep stands, and whether that is the newest; else what was known before.
    pub(super) async fn status(
        &self,
        engine: &Handle,
        record: &SweepRecord,
        wait: Duration,
    ) -> Result<(Option<Status>, bool), Error> {
        let id = record.id;
        // Nothing more happens to a sweep that has ended, unless it is taken up again.
        let known = self.before.lock().ok().and_then(|before| before.statuses.get(&id).cloned());
        let same = |known: &Status| known.record.ended_ms == record.ended_ms && record.ended_ms > 0;
        if let Some(known) = known.filter(same) {
            return Ok((Some(known), true));
        }
        let asked = engine.clone();
        let newest = self.within(Work::Status(id), wait, async move { asked.status(id).await }).await.transpose()?;
        let Ok(mut before) = self.before.lock() else { return Ok((newest, true)) };
        let is_newest = newest.is_some();
        if let Some(newest) = &newest {
            make_room(&mut before.statuses);
            before.statuses.insert(id, newest.clone());
        }
        Ok((newest.or_else(|| before.statuses.get(&id).cloned()), is_newest))
    }

    /// What a sweep's results say, and whether that is the newest; else what was known before.
    pub(super) async fn analysed(
        &self,
        engine: &Handle,
        (id, metric, images): Asked,
    ) -> Result<(Option<Arc<Analysed>>, bool), Error> {
        let asked = engine.clone();
        let request = Request { metric, ..Request::default() };
        let make = async move { asked.analysed_soon(id, request, images).await };
        let newest = self.within(Work::Analysis(id, metric, images), MOMENT, make).await.transpose()?;
        let Ok(mut before) = self.before.lock() else { return Ok((newest, true)) };
        let is_newest = newest.is_some();
        if let Some(newest) = &newest {
            before.analyses.remove(&(id, metric, images));
            make_room(&mut before.analyses);
            let others = before.analyses.values().map(|analysed| analysed.weight()).sum::<usize>();
            if others + newest.weight() > MAX_CACHED_TRIALS {
                before.analyses.clear();
            }
            before.analyses.insert((id, metric, images), Arc::clone(newest));
        }
        Ok((newest.or_else(|| before.analyses.get(&(id, metric, images)).cloned()), is_newest))
    }

    /// The sections about images, which are cut from the predictions of many trials.
    pub(super) async fn cut<T, F>(&self, id: SweepId, make: F) -> Result<Option<T>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.within(Work::Pictures(id), 4 * MOMENT, make).await.transpose()
    }

    /// The sections about images that were made of this very analysis.
    pub(super) fn pictures(&self, id: SweepId, of: &Arc<Analysed>) -> Option<Arc<[Option<String>; 2]>> {
        let pictures = self.pictures.lock().ok()?;
        pictures.get(&id).filter(|(analysed, _)| Arc::ptr_eq(analysed, of)).map(|(_, made)| Arc::clone(made))
    }

    /// Keeps them.
    pub(super) fn keep_pictures(&self, id: SweepId, of: &Arc<Analysed>, made: &Arc<[Option<String>; 2]>) {
        if let Ok(mut pictures) = self.pictures.lock() {
            if pictures.len() >= KEPT {
                pictures.clear();
            }
            pictures.insert(id, (Arc::clone(of), Arc::clone(made)));
        }
    }
}

/// What is forgotten is worked out again.
fn make_room<K, V>(kept: &mut HashMap<K, V>) {
    if kept.len() >= KEPT_BEFORE {
        kept.clear();
    }
}

/// Says that a piece of work has ended, however it did.
struct Done {
    making: Arc<Mutex<HashSet<Work>>>,
    done: Arc<Notify>,
    work: Work,
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Ok(mut making) = self.making.lock() {
            making.remove(&self.work);
        }
        self.done.notify_waiters();
    }
}
