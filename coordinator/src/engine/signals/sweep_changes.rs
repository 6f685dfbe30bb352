//! Which sweeps a commit has changed. A commit wakes only the watchers of those sweeps.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sweep_scheduler::SweepId;
use tokio::sync::watch;

/// A number for each watched sweep that rises with every commit that changed it. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SweepChanges(Arc<Mutex<HashMap<SweepId, watch::Sender<u64>>>>);

impl SweepChanges {
    /// The number of one sweep.
    pub(crate) fn of(&self, sweep: SweepId) -> watch::Receiver<u64> {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Removes the sweeps that are no longer watched.
        watched.retain(|_, number| number.receiver_count() > 0);
        watched.entry(sweep).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Counts a change of these sweeps.
    pub(crate) fn touch(&self, sweeps: &BTreeSet<SweepId>) {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for number in sweeps.iter().filter_map(|sweep| watched.get(sweep)) {
            number.send_modify(|number| *number += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_wakes_those_who_watch_what_it_changed() {
        let touched = SweepChanges::default();
        let (one, other) = (touched.of(SweepId(1)), touched.of(SweepId(2)));
        touched.touch(&BTreeSet::from([SweepId(1), SweepId(3)]));
        assert!(one.has_changed().unwrap() && !other.has_changed().unwrap());
        drop(one);
        let again = touched.of(SweepId(1));
        assert_eq!((*again.borrow(), touched.0.lock().unwrap().len()), (0, 2), "what is not watched is forgotten");
    }
}
