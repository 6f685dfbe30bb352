//! Plans of sweeps that are asked about. A spec is read and expanded once; its plan is kept as long as there is room.

use std::collections::VecDeque;
use std::sync::Arc;

use sweep_scheduler::SweepId;
use sweep_spec::Plan;
use sweep_store::record::SweepRecord;

use super::submit::blocking;
use super::{Error, Handle, restore};

/// Bytes of specs whose plans are kept. A plan takes several times the room of its text.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// What a plan takes at least.
const LEAST_BYTES: usize = 64 * 1024;

/// A sweep and its plan: what is needed to show a trial of it.
#[derive(Debug, Clone)]
pub struct Outline {
    /// What was submitted.
    pub record: SweepRecord,
    /// Its plan.
    pub plan: Arc<Plan>,
}

/// The plans that are kept, the oldest first.
#[derive(Default)]
pub(crate) struct Plans {
    kept: VecDeque<(SweepId, Arc<Plan>, usize)>,
}

impl Plans {
    fn get(&self, id: SweepId) -> Option<Arc<Plan>> {
        self.kept.iter().find(|(kept, ..)| *kept == id).map(|(_, plan, _)| Arc::clone(plan))
    }

    fn keep(&mut self, id: SweepId, plan: &Arc<Plan>, bytes: usize) {
        self.kept.retain(|(kept, ..)| *kept != id);
        self.kept.push_back((id, Arc::clone(plan), bytes.max(LEAST_BYTES)));
        while self.kept.len() > 1 && self.kept.iter().map(|(.., bytes)| bytes).sum::<usize>() > KEPT_BYTES {
            self.kept.pop_front();
        }
    }

    /// How many are kept.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.len()
    }
}

impl Handle {
    /// A sweep and its plan.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn outline(&self, id: SweepId) -> Result<Outline, Error> {
        let record = self.record(id).await?;
        let plan = self.plan(&record).await?;
        Ok(Outline { record, plan })
    }

    /// What was submitted.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn record(&self, id: SweepId) -> Result<SweepRecord, Error> {
        self.store.sweep(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))
    }

    /// The text of a sweep's spec.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn spec(&self, id: SweepId) -> Result<Vec<u8>, Error> {
        self.store.spec(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))
    }

    /// The plan of a sweep.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub(crate) async fn plan(&self, record: &SweepRecord) -> Result<Arc<Plan>, Error> {
        let id = record.id;
        if let Some(plan) = self.plan_at_hand(id) {
            return Ok(plan);
        }
        // One spec is expanded at a time, however many ask: that takes a multiple of its length.
        let _alone = self.planning.lock().await;
        if let Some(plan) = self.plan_at_hand(id) {
            return Ok(plan);
        }
        let (spec, record) = (self.spec(id).await?, record.clone());
        let bytes = spec.len();
        let plan = Arc::new(blocking(move || restore::plan(&record, &spec)).await?);
        if let Ok(mut plans) = self.plans.lock() {
            plans.keep(id, &plan, bytes);
        }
        Ok(plan)
    }

    fn plan_at_hand(&self, id: SweepId) -> Option<Arc<Plan>> {
        self.plans.lock().ok()?.get(id)
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
        let mut plans = Plans::default();
        (1..=1000).for_each(|id| plans.keep(SweepId(id), &plan, text.len()));
        assert_eq!(plans.len(), KEPT_BYTES / LEAST_BYTES);
        assert!(plans.get(SweepId(1)).is_none() && plans.get(SweepId(1000)).is_some());
        plans.keep(SweepId(7), &plan, 2 * KEPT_BYTES);
        assert_eq!(plans.len(), 1, "the newest is kept, however long it is");
        assert!(plans.get(SweepId(7)).is_some());
    }
}
