//! The outbox: points until the coordinator acknowledges them, and the ending of each attempt. The agent works with it
//! in memory; the journal on disk follows, and is read after a restart.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use sweep_proto::v1;
use sweep_spec::trainer::EpochMetrics;

use crate::artifact::Artifact;
use crate::wire::{self, Lease};

mod journal;
mod record;
mod recover;

pub(crate) use journal::{Health, Journal, LogSender};
pub(crate) use recover::{Recovered, points_of, points_of_records, recover};

use journal::Command;
use record::Record;

/// The most unacknowledged points, over all attempts. When they reach it, trainers wait. Sixteen slots with an epoch
/// per second reach it in four hours.
pub(crate) const MAX_WAITING_POINTS: usize = 1 << 18;

/// Acknowledged points of one attempt that are kept until its ending is stored, in case the coordinator requests them
/// again.
const MAX_KEPT_POINTS: usize = 16_384;

/// The progress of reporting an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It has ended; its files must be uploaded first.
    Uploading,
    /// Its ending can be sent once all points are acknowledged.
    Ended,
    Sending,
}

struct Attempt {
    slot: u32,
    /// The newest points; the last one has sequence number `last`.
    points: VecDeque<EpochMetrics>,
    last: u64,
    acknowledged: u64,
    stage: Stage,
    /// Why the worker stops it.
    stopping: Option<String>,
    /// As recorded in the journal.
    artifacts: Vec<v1::ArtifactHeader>,
    ending: Option<v1::FinishRequest>,
}

impl Attempt {
    fn new(slot: u32) -> Self {
        Self {
            slot,
            points: VecDeque::new(),
            last: 0,
            acknowledged: 0,
            stage: Stage::Running,
            stopping: None,
            artifacts: Vec::new(),
            ending: None,
        }
    }

    fn first_kept(&self) -> u64 {
        self.last + 1 - self.points.len() as u64
    }

    fn point(&self, sequence: u64) -> Option<&EpochMetrics> {
        let index = sequence.checked_sub(self.first_kept())?;
        self.points.get(usize::try_from(index).ok()?)
    }

    fn opened(&self, lease: Lease) -> Record {
        Record::Opened(v1::LiveAttempt { lease: Some(lease.to_wire()), slot: self.slot })
    }

    fn point_record(&self, lease: Lease, sequence: u64) -> Option<Record> {
        let metrics = Some(wire::metrics(self.point(sequence)?));
        Some(Record::Point(v1::Point { lease: Some(lease.to_wire()), sequence, metrics }))
    }

    /// The records of its files and its ending.
    fn end_records(&self) -> Vec<Record> {
        let artifacts = self.artifacts.iter().cloned().map(Record::Artifact);
        artifacts.chain(self.ending.clone().map(|ending| Record::Ending(Box::new(ending)))).collect()
    }

    /// All records of the attempt.
    fn records(&self, lease: Lease) -> Vec<Record> {
        let mut records = vec![self.opened(lease)];
        records.extend((self.first_kept()..=self.last).filter_map(|sequence| self.point_record(lease, sequence)));
        records.extend(self.stopping.clone().map(|reason| Record::Stopping(v1::Stopped { reason })));
        records.extend(self.end_records());
        records
    }
}

/// Identifies one point.
type Key = (Lease, u64);

/// The points and endings of this worker's attempts.
#[derive(Default)]
pub(crate) struct Outbox {
    attempts: BTreeMap<Lease, Attempt>,
    /// Points to send, in order.
    unsent: VecDeque<Key>,
    /// The points of the batch in flight.
    sending: Vec<Key>,
    /// `None` for an outbox in memory only.
    journal: Option<Journal>,
}

impl Outbox {
    /// An outbox with a journal on disk.
    pub(crate) fn kept(journal: Journal) -> Self {
        Self { journal: Some(journal), ..Self::default() }
    }

    fn order(&mut self, order: impl FnOnce() -> Command) {
        if let Some(journal) = &mut self.journal {
            journal.order(order());
        }
    }

    /// Begins an attempt; a repeated call changes nothing.
    pub(crate) fn open(&mut self, lease: Lease, slot: u32) {
        let Entry::Vacant(place) = self.attempts.entry(lease) else { return };
        let record = place.insert(Attempt::new(slot)).opened(lease);
        self.order(|| Command::Append { lease, record });
    }

    /// Restores an attempt of an earlier run. All its points are sent again, because the journal does not record
    /// acknowledgements.
    pub(crate) fn restore(&mut self, recovered: Recovered) {
        let Recovered { lease, slot, points, last, ending, artifacts, .. } = recovered;
        let mut attempt = Attempt::new(slot);
        attempt.points = points.into();
        attempt.last = last;
        attempt.acknowledged = attempt.first_kept() - 1;
        attempt.stage = if artifacts.is_empty() { Stage::Ended } else { Stage::Uploading };
        attempt.artifacts = artifacts.iter().map(header).collect();
        attempt.ending = Some(ending);
        self.unsent.extend((attempt.first_kept()..=last).map(|sequence| (lease, sequence)));
        self.attempts.insert(lease, attempt);
    }

    /// Adds the next point of an attempt; points of unknown attempts are dropped.
    pub(crate) fn push(&mut self, lease: Lease, metrics: EpochMetrics) {
        let Some(attempt) = self.attempts.get_mut(&lease) else { return };
        attempt.last += 1;
        attempt.points.push_back(metrics);
        self.unsent.push_back((lease, attempt.last));
        if let Some(record) = attempt.point_record(lease, attempt.last) {
            self.order(|| Command::Append { lease, record });
        }
    }

    /// Records why the worker stops the attempt, in case the worker ends before the attempt does.
    pub(crate) fn stopping(&mut self, lease: Lease, reason: &str) {
        let Some(attempt) = self.attempts.get_mut(&lease).filter(|attempt| attempt.stage == Stage::Running) else {
            return;
        };
        attempt.stopping = Some(reason.to_owned());
        let record = Record::Stopping(v1::Stopped { reason: reason.to_owned() });
        self.order(|| Command::Append { lease, record });
    }

    /// Records the ending; it can be sent.
    pub(crate) fn close(&mut self, lease: Lease, ending: v1::FinishRequest) {
        self.close_after_uploads(lease, ending, &VecDeque::new());
    }

    /// Records the ending, to be sent after these files are uploaded and `release` is called.
    pub(crate) fn close_after_uploads(
        &mut self,
        lease: Lease,
        ending: v1::FinishRequest,
        artifacts: &VecDeque<Artifact>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&lease) else { return };
        let ending = v1::FinishRequest { lease: Some(lease.to_wire()), last_sequence: attempt.last, ..ending };
        attempt.ending = Some(ending);
        attempt.stage = if artifacts.is_empty() { Stage::Ended } else { Stage::Uploading };
        attempt.artifacts = artifacts.iter().map(header).collect();
        let records = attempt.end_records();
        self.order(|| Command::Keep { lease, records });
    }

    /// The files of the attempt are uploaded or given up.
    pub(crate) fn release(&mut self, lease: &Lease) {
        if let Some(attempt) = self.attempts.get_mut(lease).filter(|attempt| attempt.stage == Stage::Uploading) {
            attempt.stage = Stage::Ended;
        }
    }

    /// Removes the attempt.
    pub(crate) fn forget(&mut self, lease: &Lease) {
        self.attempts.remove(lease);
        self.unsent.retain(|(owner, _)| owner != lease);
        self.sending.retain(|(owner, _)| owner != lease);
        self.order(|| Command::Remove { lease: *lease });
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting_points() < MAX_WAITING_POINTS && self.journal.as_ref().is_none_or(Journal::has_room)
    }

    /// Returns when the journal fails to write, or recovers.
    pub(crate) async fn journal_changed(&mut self) {
        match &mut self.journal {
            Some(journal) => journal.changed().await,
            None => std::future::pending().await,
        }
    }

    /// The journal's health; healthy without a journal.
    pub(crate) fn health(&self) -> Health {
        self.journal.as_ref().map(Journal::health).unwrap_or_default()
    }

    /// Writes everything again that could not be written.
    pub(crate) fn write_again(&mut self) {
        for lease in self.health().failed.into_keys() {
            match self.attempts.get(&lease) {
                Some(attempt) => {
                    let records = attempt.records(lease);
                    self.order(|| Command::Replace { lease, records });
                }
                None => self.order(|| Command::Remove { lease }),
            }
        }
    }

    /// Returns when all records so far are on disk, or have failed.
    pub(crate) async fn flush(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.flush().await;
        }
    }

    /// The number of unacknowledged points.
    pub(crate) fn waiting_points(&self) -> usize {
        self.unsent.len() + self.sending.len()
    }

    pub(crate) fn has_points(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Up to `limit` points to send; one batch is in flight at a time.
    pub(crate) fn next_batch(&mut self, limit: usize) -> Vec<v1::Point> {
        let count = limit.min(self.unsent.len());
        self.sending = self.unsent.drain(..count).collect();
        self.sending.iter().filter_map(|key| self.message(key)).collect()
    }

    fn message(&self, (lease, sequence): &Key) -> Option<v1::Point> {
        let metrics = self.attempts.get(lease)?.point(*sequence)?;
        Some(v1::Point { lease: Some(lease.to_wire()), sequence: *sequence, metrics: Some(wire::metrics(metrics)) })
    }

    /// The batch in flight was acknowledged.
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

    /// The batch in flight may be lost: it is sent first again.
    pub(crate) fn batch_failed(&mut self) {
        for key in self.sending.drain(..).rev() {
            self.unsent.push_front(key);
        }
    }

    /// The attempts of the batch in flight.
    pub(crate) fn batch_leases(&self) -> Vec<Lease> {
        let mut leases: Vec<_> = self.sending.iter().map(|(lease, _)| *lease).collect();
        leases.sort();
        leases.dedup();
        leases
    }

    /// An attempt whose ending can be sent now, with the ending. It is in flight until `finish_failed` or `forget`.
    pub(crate) fn next_finish(&mut self) -> Option<(Lease, v1::FinishRequest)> {
        let ready = |attempt: &Attempt| attempt.stage == Stage::Ended && attempt.acknowledged >= attempt.last;
        let (lease, attempt) = self.attempts.iter_mut().find(|(_, attempt)| ready(attempt))?;
        let mut message = attempt.ending.clone()?;
        attempt.stage = Stage::Sending;
        message.lease = Some(lease.to_wire());
        message.last_sequence = attempt.last;
        Some((*lease, message))
    }

    /// Whether the attempt has ended.
    pub(crate) fn has_ended(&self, lease: &Lease) -> bool {
        self.attempts.get(lease).is_some_and(|attempt| attempt.ending.is_some())
    }

    /// Whether the attempt ended with a result.
    pub(crate) fn has_result(&self, lease: &Lease) -> bool {
        let ending = self.attempts.get(lease).and_then(|attempt| attempt.ending.as_ref());
        matches!(ending.and_then(|ending| ending.ending.as_ref()), Some(v1::finish_request::Ending::Result(_)))
    }

    /// The ending in flight may be lost.
    pub(crate) fn finish_failed(&mut self, lease: &Lease) {
        if let Some(attempt) = self.attempts.get_mut(lease) {
            attempt.stage = Stage::Ended;
        }
    }

    /// The coordinator has only the points up to `stored`: the others are sent again. Returns `false` if they are no
    /// longer kept.
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

    /// Drops the attempt's unacknowledged points, because the coordinator rejects them.
    pub(crate) fn drop_points(&mut self, lease: &Lease, stored: u64) {
        if let Some(attempt) = self.attempts.get_mut(lease) {
            attempt.points.clear();
            attempt.last = stored;
            attempt.acknowledged = stored;
        }
        self.unsent.retain(|(owner, _)| owner != lease);
        self.sending.retain(|(owner, _)| owner != lease);
    }

    /// The last acknowledged point.
    pub(crate) fn acknowledged(&self, lease: &Lease) -> u64 {
        self.attempts.get(lease).map_or(0, |attempt| attempt.acknowledged)
    }
}

/// An artifact as the journal records it.
fn header(artifact: &Artifact) -> v1::ArtifactHeader {
    let data_digest = bytes::Bytes::copy_from_slice(artifact.data_digest.as_bytes());
    v1::ArtifactHeader { kind: artifact.kind.into(), data_digest, ..v1::ArtifactHeader::default() }
}

#[cfg(test)]
mod tests;
