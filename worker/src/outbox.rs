//! What is to be handed in: points until they are acknowledged, and how each attempt ended. In memory; the form that
//! survives the worker's own death will stand behind the same functions.

use std::collections::{BTreeMap, VecDeque};

use sweep_proto::v1;
use sweep_spec::trainer::EpochMetrics;

use crate::wire::{self, Lease};

/// Points that may wait to be acknowledged, over all attempts. When they are so many, trainers wait.
pub(crate) const MAX_WAITING_POINTS: usize = 16_384;

/// Acknowledged points of one attempt that are kept until it is handed in, should they be asked for again.
const MAX_KEPT_POINTS: usize = 16_384;

/// How far the handing in of an ended attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It runs.
    Running,
    /// Its ending may be sent once all points are acknowledged.
    Ended,
    /// Its ending is being sent.
    Sending,
}

struct Attempt {
    /// The newest points; the last has sequence number `last`.
    points: VecDeque<EpochMetrics>,
    last: u64,
    acknowledged: u64,
    stage: Stage,
    ending: Option<v1::FinishRequest>,
}

impl Attempt {
    fn first_kept(&self) -> u64 {
        self.last + 1 - self.points.len() as u64
    }

    fn point(&self, sequence: u64) -> Option<&EpochMetrics> {
        let index = sequence.checked_sub(self.first_kept())?;
        self.points.get(usize::try_from(index).ok()?)
    }
}

/// One point by name.
type Key = (Lease, u64);

/// Points and endings of the attempts that this worker holds.
#[derive(Default)]
pub(crate) struct Outbox {
    attempts: BTreeMap<Lease, Attempt>,
    /// Points that are to be sent, in order.
    unsent: VecDeque<Key>,
    /// Points that are on their way.
    sending: Vec<Key>,
}

impl Outbox {
    /// An attempt begins. Said twice, it changes nothing.
    pub(crate) fn open(&mut self, lease: Lease) {
        let new = || Attempt { points: VecDeque::new(), last: 0, acknowledged: 0, stage: Stage::Running, ending: None };
        self.attempts.entry(lease).or_insert_with(new);
    }

    /// Takes the next point of an attempt; one of an attempt that is not here is dropped.
    pub(crate) fn push(&mut self, lease: Lease, metrics: EpochMetrics) {
        if let Some(attempt) = self.attempts.get_mut(&lease) {
            attempt.last += 1;
            attempt.points.push_back(metrics);
            self.unsent.push_back((lease, attempt.last));
        }
    }

    /// How the attempt ended. `last_sequence` is filled in when it is sent.
    pub(crate) fn close(&mut self, lease: Lease, ending: v1::FinishRequest) {
        if let Some(attempt) = self.attempts.get_mut(&lease) {
            attempt.ending = Some(ending);
            attempt.stage = Stage::Ended;
        }
    }

    /// The attempt is no concern of ours any more.
    pub(crate) fn forget(&mut self, lease: &Lease) {
        self.attempts.remove(lease);
        self.unsent.retain(|(owner, _)| owner != lease);
        self.sending.retain(|(owner, _)| owner != lease);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting_points() < MAX_WAITING_POINTS
    }

    /// Points that are not acknowledged.
    pub(crate) fn waiting_points(&self) -> usize {
        self.unsent.len() + self.sending.len()
    }

    pub(crate) fn has_points(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Up to `limit` points to be sent; one batch is on its way at a time.
    pub(crate) fn next_batch(&mut self, limit: usize) -> Vec<v1::Point> {
        let count = limit.min(self.unsent.len());
        self.sending = self.unsent.drain(..count).collect();
        self.sending.iter().filter_map(|key| self.message(key)).collect()
    }

    fn message(&self, (lease, sequence): &Key) -> Option<v1::Point> {
        let metrics = self.attempts.get(lease)?.point(*sequence)?;
        Some(v1::Point { lease: Some(lease.to_wire()), sequence: *sequence, metrics: Some(wire::metrics(metrics)) })
    }

    /// The batch on its way has arrived.
    pub(crate) fn batch_arrived(&mut self) {
        for (lease, sequence) in self.sending.drain(..) {
            if let Some(attempt) = self.attempts.get_mut(&lease) {
                attempt.acknowledged = attempt.acknowledged.max(sequence);
                while attempt.points.len() > MAX_KEPT_POINTS && attempt.first_kept() <= attempt.acknowledged {
                    attempt.points.pop_front();
                }
            }
        }
    }

    /// The batch on its way may not have arrived: it goes first again.
    pub(crate) fn batch_failed(&mut self) {
        for key in self.sending.drain(..).rev() {
            self.unsent.push_front(key);
        }
    }

    /// The attempts of the batch on its way.
    pub(crate) fn batch_leases(&self) -> Vec<Lease> {
        let mut leases: Vec<_> = self.sending.iter().map(|(lease, _)| *lease).collect();
        leases.sort();
        leases.dedup();
        leases
    }

    /// An attempt whose ending can be sent now, with it. It counts as on its way until `finish_failed` or `forget`.
    pub(crate) fn next_finish(&mut self) -> Option<(Lease, v1::FinishRequest)> {
        let ready = |attempt: &Attempt| attempt.stage == Stage::Ended && attempt.acknowledged >= attempt.last;
        let (lease, attempt) = self.attempts.iter_mut().find(|(_, attempt)| ready(attempt))?;
        let mut message = attempt.ending.clone()?;
        attempt.stage = Stage::Sending;
        message.lease = Some(lease.to_wire());
        message.last_sequence = attempt.last;
        Some((*lease, message))
    }

    /// The ending on its way may not have arrived.
    pub(crate) fn finish_failed(&mut self, lease: &Lease) {
        if let Some(attempt) = self.attempts.get_mut(lease) {
            attempt.stage = Stage::Ended;
        }
    }

    /// The coordinator has only the points up to `stored`: the others are to be sent again. `false` where they are not
    /// kept any more.
    pub(crate) fn rewind(&mut self, lease: &Lease, stored: u64) -> bool {
        let Some(attempt) = self.attempts.get_mut(lease) else { return true };
        attempt.stage = Stage::Ended;
        if stored.saturating_add(1) < attempt.first_kept() {
            return false;
        }
        attempt.acknowledged = attempt.acknowledged.min(stored);
        self.unsent.retain(|(owner, _)| owner != lease);
        self.unsent.extend((stored.saturating_add(1)..=attempt.last).map(|sequence| (*lease, sequence)));
        true
    }

    /// The attempt's points after the acknowledged ones will never be taken: they are dropped.
    pub(crate) fn drop_points(&mut self, lease: &Lease, stored: u64) {
        if let Some(attempt) = self.attempts.get_mut(lease) {
            attempt.points.clear();
            attempt.last = stored;
            attempt.acknowledged = stored;
        }
        self.unsent.retain(|(owner, _)| owner != lease);
        self.sending.retain(|(owner, _)| owner != lease);
    }

    /// The last point that is known to be stored.
    pub(crate) fn acknowledged(&self, lease: &Lease) -> u64 {
        self.attempts.get(lease).map_or(0, |attempt| attempt.acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use sweep_spec::TrialId;

    use super::*;

    fn lease(attempt: u32) -> Lease {
        Lease { trial_id: TrialId::of(b"trial"), round: 1, attempt }
    }

    fn metrics(epoch: u32) -> EpochMetrics {
        EpochMetrics {
            epoch,
            train_loss: 1.0,
            train_accuracy: 0.5,
            val_loss: 1.0,
            val_accuracy: 0.5,
            learning_rate: 0.1,
            seconds: 1.0,
            images_per_second: 1.0,
        }
    }

    fn sequences(batch: &[v1::Point]) -> Vec<u64> {
        batch.iter().map(|point| point.sequence).collect()
    }

    fn with_points(count: u32) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.open(lease(1));
        (1..=count).for_each(|epoch| outbox.push(lease(1), metrics(epoch)));
        outbox
    }

    #[test]
    fn points_are_numbered_and_go_again_until_they_arrive() {
        let mut outbox = with_points(3);
        assert_eq!(sequences(&outbox.next_batch(2)), [1, 2]);
        outbox.batch_failed();
        assert_eq!(sequences(&outbox.next_batch(10)), [1, 2, 3]);
        outbox.batch_arrived();
        assert!(outbox.next_batch(10).is_empty());
        assert_eq!(outbox.waiting_points(), 0);
    }

    #[test]
    fn an_ending_waits_for_its_points() {
        let mut outbox = with_points(2);
        outbox.close(lease(1), v1::FinishRequest::default());
        assert!(outbox.next_finish().is_none());
        outbox.next_batch(10);
        assert!(outbox.next_finish().is_none());
        outbox.batch_arrived();
        let (_, message) = outbox.next_finish().unwrap();
        assert_eq!(message.last_sequence, 2);
        assert!(outbox.next_finish().is_none(), "it is on its way");
        outbox.finish_failed(&lease(1));
        assert!(outbox.next_finish().is_some());
        outbox.forget(&lease(1));
        assert!(outbox.attempts.is_empty());
    }

    #[test]
    fn points_that_a_coordinator_misses_are_sent_again() {
        let mut outbox = with_points(3);
        outbox.next_batch(10);
        outbox.batch_arrived();
        outbox.close(lease(1), v1::FinishRequest::default());
        outbox.next_finish().unwrap();
        assert!(outbox.rewind(&lease(1), 1));
        assert!(outbox.next_finish().is_none());
        assert_eq!(sequences(&outbox.next_batch(10)), [2, 3]);
        outbox.batch_arrived();
        assert_eq!(outbox.next_finish().unwrap().1.last_sequence, 3);
        assert!(outbox.rewind(&lease(1), u64::MAX), "nonsense asks for nothing");
        assert!(outbox.next_batch(10).is_empty());
    }

    #[test]
    fn old_points_are_dropped_once_acknowledged_and_it_is_said_when_they_are_missed() {
        let count = MAX_KEPT_POINTS as u32 + 5;
        let mut outbox = with_points(count);
        assert!(!outbox.has_room());
        outbox.next_batch(count as usize);
        outbox.batch_arrived();
        assert!(outbox.has_room());
        assert!(!outbox.rewind(&lease(1), 2));
        assert!(outbox.rewind(&lease(1), 5));
    }

    #[test]
    fn what_is_forgotten_in_flight_stays_forgotten() {
        let mut outbox = with_points(3);
        outbox.next_batch(2);
        outbox.forget(&lease(1));
        outbox.batch_failed();
        assert!(!outbox.has_points());
        outbox.push(lease(1), metrics(4));
        assert_eq!(outbox.waiting_points(), 0);
    }
}
