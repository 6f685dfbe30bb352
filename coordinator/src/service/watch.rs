//! Watched sweeps. One task per sweep reads its status, once for all watchers, and publishes it as a message and as the JSON
//! that the API sends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, stream};
use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_shapes::Sweep;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failure::Failure;
use crate::engine::Error;

/// Shortest time between two reads of a status.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time between two reads. Without a change of the sweep, its estimate of the time left still changes.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// The status of a sweep at some moment.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) message: v1::SweepStatus,
    json: OnceLock<Arc<str>>,
}

impl Seen {
    fn new(message: v1::SweepStatus) -> Self {
        Self { message, json: OnceLock::new() }
    }

    /// Whether the sweep has ended, so that no other status follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.message.state != i32::from(v1::SweepState::Running)
    }

    /// The JSON of the API. It is written once for all watchers.
    pub(crate) fn json(&self) -> Arc<str> {
        // A shape consists of texts and numbers, so it always has a JSON form.
        let make = || serde_json::to_string(&Sweep::from(self.message.clone())).unwrap_or_default().into();
        Arc::clone(self.json.get_or_init(make))
    }
}

/// What watchers get: a status, or why it cannot be read.
pub(crate) type Told = Result<Arc<Seen>, Failure>;

/// An answer, and the number of the sweep's newest change before it was read.
type Kept = Option<(u64, Told)>;

/// Reads the status of sweeps.
pub(crate) trait Source: Send + Sync + 'static {
    /// The status of a sweep.
    fn ask(&self, sweep: SweepId) -> BoxFuture<'_, Result<v1::SweepStatus, Error>>;

    /// A number that grows with every change of the sweep.
    fn changes(&self, sweep: SweepId) -> watch::Receiver<u64>;
}

/// The watched sweeps. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Watching {
    sweeps: Arc<Mutex<HashMap<SweepId, watch::Sender<Kept>>>>,
    asked: Arc<AtomicU64>,
}

impl Watching {
    /// The status of a sweep, now and after every change, until it has ended. The task that reads it runs on `tasks` until
    /// `shutdown`.
    pub(crate) fn watch<S: Source>(
        &self,
        source: &Arc<S>,
        sweep: SweepId,
        (tasks, shutdown): (&TaskTracker, &CancellationToken),
    ) -> impl Stream<Item = Told> + Send + use<S> {
        let changes = source.changes(sweep);
        // A status from before this moment may be older than one that the watcher already has.
        let least = *changes.borrow();
        let answers = match self.lock().entry(sweep) {
            Entry::Occupied(found) => found.get().subscribe(),
            Entry::Vacant(place) => {
                let answers = place.insert(watch::channel(None).0).clone();
                let receiver = answers.subscribe();
                let question = Question { watching: self.clone(), sweep, answers };
                let (source, shutdown) = (Arc::clone(source), shutdown.clone());
                tasks.spawn(async move { question.ask(source.as_ref(), changes, shutdown).await });
                receiver
            }
        };
        stream::unfold(Some(Watcher { answers, least, has_begun: false }), next)
    }

    /// The number of reads.
    #[cfg(test)]
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SweepId, watch::Sender<Kept>>> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that reads the status of one sweep for all its watchers. Dropping it, also after a panic, makes the next watcher
/// start another task.
struct Question {
    watching: Watching,
    sweep: SweepId,
    answers: watch::Sender<Kept>,
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut watched = self.watching.lock();
        // Without an entry, or with the entry of another task, it ended normally.
        if !watched.get(&self.sweep).is_some_and(|own| own.same_channel(&self.answers)) {
            return;
        }
        watched.remove(&self.sweep);
        drop(watched);
        // The task panicked or was aborted. Its watchers get an error and may watch again.
        self.answers.send_replace(Some((0, Err(Error::Unavailable.into()))));
    }
}

impl Question {
    /// Reads the status after every change, while the sweep has a watcher.
    async fn ask<S: Source>(self, source: &S, mut changes: watch::Receiver<u64>, shutdown: CancellationToken) {
        let Self { watching, sweep, answers } = &self;
        loop {
            let change = *changes.borrow_and_update();
            watching.asked.fetch_add(1, Ordering::Relaxed);
            let told = tokio::select! {
                () = shutdown.cancelled() => Err(Error::Unavailable.into()),
                answer = source.ask(*sweep) => answer.map(|message| Arc::new(Seen::new(message))).map_err(Failure::from),
            };
            let goes_on = told.as_ref().is_ok_and(|seen| !seen.has_ended());
            answers.send_replace(Some((change, told)));
            if !goes_on {
                drop(watching.lock().remove(sweep));
                return;
            }
            tokio::select! {
                () = shutdown.cancelled() => continue,
                () = tokio::time::sleep(SHORTEST_INTERVAL) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = answers.closed() => {}
                changed = changes.changed() => if changed.is_err() { shutdown.cancelled().await },
                () = tokio::time::sleep(LONGEST_INTERVAL) => {}
            }
            let mut watched = watching.lock();
            if answers.receiver_count() == 0 {
                watched.remove(sweep);
                return;
            }
        }
    }
}

/// A watcher of a sweep.
struct Watcher {
    answers: watch::Receiver<Kept>,
    /// The number of the newest change when it started to watch.
    least: u64,
    has_begun: bool,
}

/// The next answer. The first is not older than the watcher.
async fn next(watcher: Option<Watcher>) -> Option<(Told, Option<Watcher>)> {
    let mut watcher = watcher?;
    let mut waits = watcher.has_begun;
    loop {
        let is_over = waits && watcher.answers.changed().await.is_err();
        let kept = watcher.answers.borrow_and_update().clone();
        if is_over && watcher.has_begun {
            return None;
        }
        waits = true;
        let fits = |change: u64, told: &Told| change >= watcher.least || told.is_err() || is_over;
        match kept {
            Some((change, told)) if fits(change, &told) => {
                let goes_on = told.as_ref().is_ok_and(|seen| !seen.has_ended());
                return Some((told, goes_on.then_some(Watcher { has_begun: true, ..watcher })));
            }
            Some(_) | None if is_over => return None,
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;

    use futures::StreamExt;

    use super::*;
    use crate::engine::SweepChanges;
    use crate::service::failure::Kind;

    const SWEEP: SweepId = SweepId(1);

    /// A source that counts the changes of its sweep in the priority.
    #[derive(Default)]
    struct Pretend {
        touched: SweepChanges,
        changes: AtomicU64,
        has_ended: AtomicBool,
        /// The next question for it panics.
        panics: AtomicBool,
    }

    impl Pretend {
        fn change(&self) {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.touched.touch(&BTreeSet::from([SWEEP]));
        }
    }

    impl Source for Pretend {
        fn ask(&self, sweep: SweepId) -> BoxFuture<'_, Result<v1::SweepStatus, Error>> {
            let ended = self.has_ended.load(Ordering::Relaxed);
            let state = if ended { v1::SweepState::Succeeded } else { v1::SweepState::Running };
            let priority = self.changes.load(Ordering::Relaxed) as i32;
            let status = v1::SweepStatus { id: sweep.0, state: state.into(), priority, ..Default::default() };
            let panics = self.panics.swap(false, Ordering::Relaxed);
            Box::pin(async move {
                assert!(!panics, "this panic is part of a test");
                Ok(status)
            })
        }

        fn changes(&self, sweep: SweepId) -> watch::Receiver<u64> {
            self.touched.of(sweep)
        }
    }

    #[tokio::test]
    async fn a_status_is_asked_for_once_however_many_watch() {
        let (watching, source) = (Watching::default(), Arc::new(Pretend::default()));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let watch = || Box::pin(watching.watch(&source, SWEEP, (&tasks, &shutdown)));
        let mut watchers: Vec<_> = (0..100).map(|_| watch()).collect();
        for watcher in &mut watchers {
            assert_eq!(watcher.next().await.unwrap().unwrap().message.priority, 0);
        }
        assert_eq!(watching.asked(), 1, "a hundred watchers, one status");
        source.change();
        let mut texts = Vec::new();
        for watcher in &mut watchers {
            let seen = watcher.next().await.unwrap().unwrap();
            assert_eq!(seen.message.priority, 1);
            texts.push(seen.json());
        }
        assert_eq!(watching.asked(), 2);
        assert!(texts.iter().all(|text| Arc::ptr_eq(text, &texts[0])), "it is written as JSON once");
        // A watcher that starts after a change does not get a status from before it.
        source.change();
        let mut late = watch();
        assert_eq!(late.next().await.unwrap().unwrap().message.priority, 2);
        source.has_ended.store(true, Ordering::Relaxed);
        source.change();
        for watcher in watchers.iter_mut().chain([&mut late]) {
            while !watcher.next().await.unwrap().unwrap().has_ended() {}
            assert!(watcher.next().await.is_none());
        }
        tasks.close();
        tasks.wait().await;
        assert!(watching.lock().is_empty());
    }

    #[tokio::test]
    async fn nothing_is_asked_for_a_sweep_that_is_no_longer_watched() {
        let (watching, source) = (Watching::default(), Arc::new(Pretend::default()));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let mut watcher = Box::pin(watching.watch(&source, SWEEP, (&tasks, &shutdown)));
        assert!(watcher.next().await.is_some());
        drop(watcher);
        tasks.close();
        tasks.wait().await;
        assert!(watching.lock().is_empty());
    }

    #[tokio::test]
    async fn a_question_that_panics_ends_its_watchers_and_the_next_one_asks_again() {
        let (watching, source) = (Watching::default(), Arc::new(Pretend::default()));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let watch = || Box::pin(watching.watch(&source, SWEEP, (&tasks, &shutdown)));
        let mut old = watch();
        assert!(old.next().await.unwrap().is_ok());
        source.panics.store(true, Ordering::Relaxed);
        source.change();
        let mut new = watch();
        for watcher in [&mut old, &mut new] {
            assert_eq!(watcher.next().await.unwrap().unwrap_err().kind, Kind::Unavailable);
            assert!(watcher.next().await.is_none());
        }
        assert!(watch().next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_question_that_is_aborted_ends_its_watchers() {
        let (watching, source) = (Watching::default(), Arc::new(Pretend::default()));
        let answers = watch::channel(None).0;
        watching.lock().insert(SWEEP, answers.clone());
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let mut watcher = Box::pin(watching.watch(&source, SWEEP, (&tasks, &shutdown)));
        let (question, changes) =
            (Question { watching: watching.clone(), sweep: SWEEP, answers }, source.changes(SWEEP));
        let asks = tokio::spawn(async move { question.ask(source.as_ref(), changes, shutdown).await });
        assert!(watcher.next().await.unwrap().is_ok());
        asks.abort();
        assert!(watcher.next().await.unwrap().is_err());
        assert!(watching.lock().is_empty());
    }
}
