//! Summaries of sweeps, bounded by their number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_scheduler::SweepId;
use sweep_store::record::SweepRecord;
use sweep_store::summary::Summary;

const MAX_CACHED_SUMMARIES: usize = 1024;
/// A summary of a live sweep is counted again only after this many times the duration of its last count.
const REFRESH_FACTOR: u32 = 20;

/// A summary and the state of the store from which it was counted.
pub(in crate::engine) struct CachedSummary {
    pub(in crate::engine) summary: Arc<Summary>,
    /// When the sweep ended, in Unix milliseconds; 0 for a sweep that was running.
    pub(in crate::engine) ended_ms: i64,
    /// The number of changes when the count began.
    pub(in crate::engine) change: u64,
    pub(in crate::engine) began: Instant,
    pub(in crate::engine) took: Duration,
}

impl CachedSummary {
    pub(in crate::engine) fn is_young(&self) -> bool {
        self.began.elapsed() < self.took * (REFRESH_FACTOR + 1)
    }
}

#[derive(Default)]
pub(in crate::engine) struct SummaryCache(HashMap<SweepId, CachedSummary>);

impl SummaryCache {
    /// The cached summary of a sweep. A summary of a running sweep must be recent enough; only a retry changes a sweep
    /// that has ended.
    pub(in crate::engine) fn get(
        &self,
        record: &SweepRecord,
        is_enough: impl Fn(&CachedSummary) -> bool,
    ) -> Option<Arc<Summary>> {
        let found = self.0.get(&record.id).filter(|entry| entry.ended_ms == record.ended_ms)?;
        (record.ended_ms > 0 || is_enough(found)).then(|| Arc::clone(&found.summary))
    }

    /// Adds a summary, and removes the oldest if the cache is full.
    pub(in crate::engine) fn insert(&mut self, sweep: SweepId, entry: CachedSummary) {
        if self.0.len() >= MAX_CACHED_SUMMARIES
            && let Some(oldest) = self.0.iter().min_by_key(|(_, entry)| entry.began).map(|(id, _)| *id)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(sweep, entry);
    }

    pub(in crate::engine) fn remove(&mut self, sweep: SweepId) {
        self.0.remove(&sweep);
    }
}
