//! Analyses of sweeps, bounded by their number and by their trials.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_analysis::analyse::Request;
use sweep_analysis::leaderboard::Leaderboard;
use sweep_analysis::result::Analysis;
use sweep_analysis::study::Study;
use sweep_analysis::tables::Table;
use sweep_scheduler::SweepId;
use sweep_store::codes::SweepState;
use sweep_store::record::SweepRecord;

const MAX_CACHED_ANALYSES: usize = 16;
/// Trials of all cached analyses together. The newest analysis stays, even if it alone has more.
pub(crate) const MAX_CACHED_TRIALS: usize = 1_000_000;
/// A caller that accepts a stale analysis gets one if a new analysis takes longer than this.
const SLOW: Duration = Duration::from_millis(200);
/// A stale analysis is refreshed when its age is this many times the duration of its computation, so that an open page
/// does not keep a processor busy.
const REFRESH_FACTOR: u32 = 10;

/// A sweep with its results and their analysis.
#[derive(Debug)]
pub struct Analysed {
    /// The sweep as submitted.
    pub record: SweepRecord,
    /// The text of its spec.
    pub spec: Vec<u8>,
    /// Its results.
    pub study: Study,
    /// The ranking by the requested metric.
    pub board: Leaderboard,
    /// The statistics.
    pub analysis: Analysis,
    /// The results along each factor.
    pub tables: Vec<Table>,
    /// When the store was read, in Unix milliseconds.
    pub read_ms: i64,
    pub(in crate::engine) trials: usize,
}

impl Analysed {
    /// Its trials, for the bounds of caches. They are counted once, because a cache adds up many of these under a lock.
    pub(crate) const fn weight(&self) -> usize {
        self.trials
    }
}

/// The sweep, the request, and whether single images are analysed.
pub(in crate::engine) type AnalysisKey = (SweepId, Request, bool);

/// An analysis and the state of the store from which it was computed.
pub(in crate::engine) struct CachedAnalysis {
    pub(in crate::engine) key: AnalysisKey,
    pub(in crate::engine) analysed: Arc<Analysed>,
    /// The number of changes when the analysis began.
    pub(in crate::engine) change: u64,
    pub(in crate::engine) began: Instant,
    pub(in crate::engine) took: Duration,
}

impl CachedAnalysis {
    /// Only a retry changes a sweep that has ended, and a retry invalidates the cache.
    fn is_current(&self, change: u64) -> bool {
        self.change == change || self.analysed.record.state != SweepState::Running
    }
}

/// The cached analyses, oldest first.
#[derive(Default)]
pub(in crate::engine) struct AnalysisCache {
    entries: Vec<CachedAnalysis>,
    invalidations: u64,
}

pub(in crate::engine) enum Lookup {
    Current(Arc<Analysed>),
    Stale { analysed: Arc<Analysed>, refresh: bool },
    Missing,
}

impl AnalysisCache {
    /// The cached analysis; `change` is the current number of changes.
    pub(in crate::engine) fn lookup(&self, key: &AnalysisKey, change: u64) -> Lookup {
        let Some(found) = self.entries.iter().find(|entry| entry.key == *key) else { return Lookup::Missing };
        let analysed = Arc::clone(&found.analysed);
        if found.is_current(change) {
            return Lookup::Current(analysed);
        }
        if found.took < SLOW {
            return Lookup::Missing;
        }
        Lookup::Stale { analysed, refresh: found.began.elapsed() > found.took * REFRESH_FACTOR }
    }

    /// An analysis that began at `moment` or later: it includes every change before that.
    pub(in crate::engine) fn begun_since(&self, key: &AnalysisKey, moment: Instant) -> Option<Arc<Analysed>> {
        let found = self.entries.iter().find(|entry| entry.key == *key && entry.began >= moment)?;
        Some(Arc::clone(&found.analysed))
    }

    /// The number of invalidations so far. Read it before an analysis begins.
    pub(in crate::engine) fn invalidations(&self) -> u64 {
        self.invalidations
    }

    /// Adds an analysis, unless an entry was invalidated since it began: it may have read the store before that.
    pub(in crate::engine) fn insert(&mut self, entry: CachedAnalysis, invalidations: u64) {
        if self.invalidations != invalidations {
            return;
        }
        self.entries.retain(|known| known.key != entry.key);
        let trials = |entries: &[CachedAnalysis]| entries.iter().map(|known| known.analysed.weight()).sum::<usize>();
        while self.entries.len() >= MAX_CACHED_ANALYSES
            || !self.entries.is_empty() && trials(&self.entries) + entry.analysed.weight() > MAX_CACHED_TRIALS
        {
            self.entries.remove(0);
        }
        self.entries.push(entry);
    }

    /// Removes the analyses of a sweep.
    pub(in crate::engine) fn invalidate(&mut self, sweep: SweepId) {
        self.invalidations += 1;
        self.entries.retain(|entry| entry.key.0 != sweep);
    }
}
