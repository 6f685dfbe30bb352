//! Plans of sweeps that were read recently, bounded by the size of their specs.

use std::collections::VecDeque;
use std::sync::Arc;

use sweep_scheduler::SweepId;
use sweep_spec::Plan;

/// The most bytes of specs whose plans are cached. A plan takes several times the space of its text.
const MAX_CACHED_BYTES: usize = 8 * 1024 * 1024;

/// The least size that is counted for a plan.
const MIN_PLAN_BYTES: usize = 64 * 1024;

/// The cached plans, oldest first.
#[derive(Default)]
pub(crate) struct PlanCache {
    kept: VecDeque<(SweepId, Arc<Plan>, usize)>,
}

impl PlanCache {
    pub(in crate::engine) fn get(&self, id: SweepId) -> Option<Arc<Plan>> {
        self.kept.iter().find(|(kept, ..)| *kept == id).map(|(_, plan, _)| Arc::clone(plan))
    }

    pub(in crate::engine) fn keep(&mut self, id: SweepId, plan: &Arc<Plan>, bytes: usize) {
        self.kept.retain(|(kept, ..)| *kept != id);
        self.kept.push_back((id, Arc::clone(plan), bytes.max(MIN_PLAN_BYTES)));
        while self.kept.len() > 1 && self.kept.iter().map(|(.., bytes)| bytes).sum::<usize>() > MAX_CACHED_BYTES {
            self.kept.pop_front();
        }
    }

    /// The number of cached plans.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use sweep_spec::Spec;
    use sweep_spec::spec::Limits;

    use super::*;

    #[test]
    fn plans_are_kept_within_their_room() {
        let text =
            b"version: 1\nname: a\ndataset: { kind: synthetic_scenes, image_size: 8, channels: 1, classes: 8 }\n\
            baseline: { family: cnn }\nextra: [ { name: one, family: cnn } ]\n";
        let plan = Arc::new(Plan::new(&Spec::parse(text, &[], &Limits::default()).unwrap()));
        let mut plans = PlanCache::default();
        (1..=1000).for_each(|id| plans.keep(SweepId(id), &plan, text.len()));
        assert_eq!(plans.len(), MAX_CACHED_BYTES / MIN_PLAN_BYTES);
        assert!(plans.get(SweepId(1)).is_none() && plans.get(SweepId(1000)).is_some());
        plans.keep(SweepId(7), &plan, 2 * MAX_CACHED_BYTES);
        assert_eq!(plans.len(), 1, "the newest is kept, however long it is");
        assert!(plans.get(SweepId(7)).is_some());
    }
}
