//! The lifecycle of an attempt in the agent, from its assignment until its ending is acknowledged.

use bytes::Bytes;
use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;
use sweep_spec::trainer::{Described, Failed};
use sweep_spec::{Dataset, FailureClass, Trial, settings};
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use super::{Agent, Attempt, Describing, SlotHandle};
use crate::artifact::{self, Artifact};
use crate::describer;
use crate::files;
use crate::slot::{self, Ended, Job, SlotEvent};
use crate::wire::{self, Lease};

/// Jobs that may wait for one slot: one regular, one assigned before the slot was free, and some reserve.
const MAX_WAITING_JOBS: usize = 4;

/// Attempts of a worker, running or unreported. The coordinator accepts no longer list in one message.
const MAX_ATTEMPTS: usize = 4096;

/// Pending requests to describe a data set.
pub(crate) const MAX_DESCRIBES: usize = 64;

/// Data sets whose thumbnails are known to be uploaded.
const MAX_THUMBNAILS: usize = 4096;

/// A report of an ending. The remaining fields are filled in when it is sent.
fn ending(how: Ending) -> v1::FinishRequest {
    v1::FinishRequest { ending: Some(how), ..v1::FinishRequest::default() }
}

fn failure(class: FailureClass, reason: String) -> v1::FinishRequest {
    ending(Ending::Failure(wire::failure(class, reason)))
}

impl Agent {
    pub(super) fn start(&mut self, assignment: v1::Assignment) {
        let Some(lease) = assignment.lease.as_ref().and_then(Lease::from_wire) else {
            return tracing::error!("the coordinator assigned a lease without a trial id");
        };
        if self.attempts.contains_key(&lease) {
            // Assigned twice.
            return;
        }
        if self.attempts.len() >= MAX_ATTEMPTS {
            // The coordinator repeats the assignment as long as it is valid.
            return tracing::warn!("{MAX_ATTEMPTS} attempts are unreported, refusing new ones");
        }
        tracing::debug!(trial_id = %lease.trial_id, attempt = lease.attempt, slot = assignment.slot, "assigned");
        let stop = CancellationToken::new();
        self.hold(lease, assignment.slot, stop.clone());
        match self.checked(&lease, assignment) {
            Ok(_) if self.shutdown_deadline.is_some() => {
                let reason = "the worker is shutting down".to_owned();
                self.outbox.close(lease, ending(Ending::Stopped(v1::Stopped { reason })));
            }
            Ok((slot, trial)) => {
                let job = Job { lease, trial, stop };
                if let Some(handle) = self.parts.slot_handles.get_mut(slot) {
                    handle.waiting.push_back(job);
                    start_next_job(handle);
                }
            }
            Err(reason) => {
                tracing::error!(trial_id = %lease.trial_id, attempt = lease.attempt, reason, "the assignment is invalid");
                self.outbox.close(lease, failure(FailureClass::Coordinator, reason));
            }
        }
    }

    fn hold(&mut self, lease: Lease, slot: u32, stop: CancellationToken) {
        self.outbox.open(lease, slot);
        self.attempts.insert(lease, Attempt::new(slot, stop));
    }

    /// The slot and the trial of an assignment, or the reason why it is invalid.
    fn checked(&self, lease: &Lease, assignment: v1::Assignment) -> Result<(usize, Trial), String> {
        let slots = self.parts.slot_handles.len();
        let slot = assignment.slot as usize;
        let handle =
            self.parts.slot_handles.get(slot).ok_or_else(|| format!("there is no slot {slot}, only {slots}"))?;
        if handle.waiting.len() >= MAX_WAITING_JOBS {
            return Err(format!("slot {slot} already has {MAX_WAITING_JOBS} waiting trials"));
        }
        let trial: Trial = unflatten(assignment.settings)
            .map_err(|reason| format!("the settings do not describe a trial: {reason}"))?;
        let id = trial.id().map_err(|error| format!("cannot compute the trial's id: {error}"))?;
        if id != lease.trial_id {
            return Err(format!(
                "the settings describe trial {}, but the lease is for {}",
                id.short(),
                lease.trial_id.short()
            ));
        }
        let ours = self.parts.registration.trainer_semantics;
        if trial.semantics != ours {
            return Err(format!("the trial needs trainer semantics {}, but the trainer has {ours}", trial.semantics));
        }
        Ok((slot, trial))
    }

    /// Stops an attempt because the coordinator requests it. An unknown attempt needs no answer: the next poll omits
    /// it.
    pub(super) fn stop_requested(&mut self, lease: &Lease) {
        if !self.attempts.contains_key(lease) {
            return tracing::debug!(trial_id = %lease.trial_id, attempt = lease.attempt, "dropping an attempt that the coordinator stopped");
        }
        let reason = "the coordinator stopped it";
        self.outbox.stopping(*lease, reason);
        self.stop(lease, reason);
    }

    /// Stops an attempt unless it has ended. Its slot reports when all its processes are gone.
    pub(super) fn stop(&mut self, lease: &Lease, reason: &str) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.stopped.get_or_insert_with(|| reason.to_owned());
        attempt.stop.cancel();
        let waiting = self.parts.slot_handles.get_mut(attempt.slot as usize).is_some_and(|handle| {
            let before = handle.waiting.len();
            handle.waiting.retain(|job| job.lease != *lease);
            handle.waiting.len() < before
        });
        if waiting {
            let reason = reason.to_owned();
            self.outbox.close(*lease, ending(Ending::Stopped(v1::Stopped { reason })));
        }
    }

    /// Stops attempts whose leases have expired and drops their reports. Also ends the parked poll, which lists these
    /// leases: the coordinator would keep their slots busy until it ended.
    pub(super) fn drop_expired(&mut self, leases: &[v1::Lease]) {
        for lease in leases.iter().filter_map(Lease::from_wire) {
            if self.attempts.contains_key(&lease) {
                self.end_poll();
                if self.outbox.has_ended(&lease) {
                    // The report may have arrived although its acknowledgement did not.
                    tracing::info!(trial_id = %lease.trial_id, attempt = lease.attempt, "the coordinator needs no report of this attempt");
                } else {
                    tracing::info!(trial_id = %lease.trial_id, attempt = lease.attempt, "the lease has expired, stopping the attempt");
                }
                self.stop(&lease, "its lease has expired");
                self.forget(&lease);
                if !self.runs(&lease) {
                    self.clean_up(&lease);
                }
            }
        }
    }

    fn forget(&mut self, lease: &Lease) {
        self.outbox.forget(lease);
        self.attempts.remove(lease);
    }

    /// Stops an attempt whose reports the coordinator rejects; the rejection becomes its ending.
    pub(super) fn give_up(&mut self, lease: &Lease, reason: String) {
        tracing::error!(trial_id = %lease.trial_id, attempt = lease.attempt, reason, "giving up an attempt");
        self.outbox.drop_points(lease, self.outbox.acknowledged(lease));
        self.stop(lease, &reason);
        let runs = self.runs(lease);
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.refused = Some(reason.clone());
        attempt.uploads.clear();
        if !runs {
            self.outbox.close(*lease, failure(FailureClass::Coordinator, reason));
        }
    }

    fn runs(&self, lease: &Lease) -> bool {
        self.parts.slot_handles.iter().any(|handle| handle.running.as_ref() == Some(lease))
    }

    pub(super) fn slot_event(&mut self, event: SlotEvent) {
        match event {
            SlotEvent::Point { lease, metrics } => {
                if self.attempts.get(&lease).is_some_and(|attempt| attempt.refused.is_none()) {
                    self.outbox.push(lease, metrics);
                }
            }
            SlotEvent::Ended { slot, lease, ended } => self.ended(slot, lease, *ended),
            SlotEvent::Described { key, answer } => self.described(key, answer),
        }
    }

    fn ended(&mut self, slot: u32, lease: Lease, ended: Ended) {
        let outcome = outcome(&ended.how);
        self.parts.metrics.attempts.with_label_values(&[outcome]).inc();
        if let slot::AttemptEnd::Failed(Failed { reason, .. }) = &ended.how {
            tracing::warn!(trial_id = %lease.trial_id, attempt = lease.attempt, outcome, reason, "attempt failed");
        } else {
            tracing::debug!(trial_id = %lease.trial_id, attempt = lease.attempt, outcome, "attempt ended");
        }
        if let Some(handle) = self.parts.slot_handles.get_mut(slot as usize) {
            handle.running = None;
            start_next_job(handle);
        }
        let Some(attempt) = self.attempts.get_mut(&lease) else {
            return self.clean_up(&lease);
        };
        let how = match (attempt.refused.clone(), ended.how) {
            (Some(reason), _) => Ending::Failure(wire::failure(FailureClass::Coordinator, reason)),
            (None, slot::AttemptEnd::Finished(finished)) => {
                Ending::Result(wire::result(*finished, &self.parts.registration))
            }
            (None, slot::AttemptEnd::Failed(failed)) => Ending::Failure(wire::failure(failed.class, failed.reason)),
            (None, slot::AttemptEnd::Stopped) => {
                Ending::Stopped(v1::Stopped { reason: attempt.stopped.clone().unwrap_or_default() })
            }
        };
        let message = v1::FinishRequest { phases: Some(ended.phases), log_tail: ended.log_tail, ..ending(how) };
        let sent = &self.thumbnails_sent;
        let wanted = |artifact: &Artifact| {
            artifact.kind != v1::ArtifactKind::Thumbnails
                || (!sent.contains(&artifact.data_digest) && sent.len() < MAX_THUMBNAILS)
        };
        if attempt.refused.is_none() {
            attempt.uploads = ended.artifacts.into_iter().filter(wanted).collect();
        }
        self.outbox.close_after_uploads(lease, message, &attempt.uploads);
    }

    /// Releases the ending once all files are uploaded.
    pub(super) fn release_if_uploaded(&mut self, lease: &Lease) {
        if self.attempts.get(lease).is_some_and(|attempt| attempt.uploads.is_empty()) {
            self.outbox.release(lease);
        }
    }

    /// The coordinator has stored the ending, or does not want it.
    pub(super) fn ending_stored(&mut self, lease: &Lease) {
        self.forget(lease);
        self.clean_up(lease);
    }

    fn clean_up(&self, lease: &Lease) {
        let folder = artifact::folder(&self.parts.state_folder, lease);
        self.cleaning.spawn_blocking(move || match files::remove_folder(&folder) {
            Ok(()) => {}
            // The folder does not exist if the attempt never reached its slot.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove the files of a reported attempt");
            }
        });
    }

    pub(super) fn points_missing(&mut self, lease: &Lease, stored: u64) {
        tracing::warn!(trial_id = %lease.trial_id, attempt = lease.attempt, stored, "the coordinator lacks points, sending them again");
        if !self.outbox.rewind(lease, stored) {
            self.outbox.drop_points(lease, stored);
            let reason = format!("the coordinator lost the points after {stored}, and the worker no longer has them");
            self.outbox.close(*lease, failure(FailureClass::Coordinator, reason));
        }
    }

    pub(super) fn finish_refused(&mut self, lease: &Lease, reason: String) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        if attempt.refused.is_some() {
            tracing::error!(trial_id = %lease.trial_id, attempt = lease.attempt, reason, "the coordinator refused an ending twice, dropping it");
            return self.ending_stored(lease);
        }
        let reason = format!("the coordinator refused its ending: {reason}");
        self.outbox.finish_failed(lease);
        self.give_up(lease, reason);
    }

    /// Returns `false` if the queue is full: the coordinator asks again.
    pub(super) fn describe(&mut self, task: v1::DescribeTask) -> bool {
        let key = task.dataset_key;
        if self.describing.contains_key(&key) {
            return true;
        }
        if self.describing.len() >= MAX_DESCRIBES {
            tracing::warn!("too many data sets to describe at a time");
            return false;
        }
        match unflatten::<Dataset>(task.settings) {
            Ok(dataset) => match self.parts.describer.try_send(describer::Task { key: key.clone(), dataset }) {
                Ok(()) => {
                    self.describing.insert(key, Describing::Working);
                    true
                }
                Err(TrySendError::Full(_)) => false,
                // The describer has stopped because the worker shuts down.
                Err(TrySendError::Closed(_)) => true,
            },
            Err(reason) => {
                let reason = format!("the settings do not describe a data set: {reason}");
                self.described(key, Err(Failed { class: FailureClass::Coordinator, reason }));
                true
            }
        }
    }

    fn described(&mut self, key: Bytes, answer: Result<Described, Failed>) {
        if let Err(failed) = &answer {
            tracing::warn!(class = failed.class.name(), reason = failed.reason, "cannot describe a data set");
        }
        let request =
            v1::DescribeRequest { session: 0, dataset_key: key.clone(), answer: Some(wire::description(answer)) };
        self.describing.insert(key, Describing::Answered(request));
    }
}

pub(crate) fn unflatten<T: serde::de::DeserializeOwned>(message: Vec<v1::Setting>) -> Result<T, String> {
    let list = wire::settings(message).map_err(|path| format!("`{path}` has no value"))?;
    settings::unflatten(&list).map_err(|error| match error {
        settings::Error::Json(source) => source.to_string(),
        other => other.to_string(),
    })
}

/// Gives the next waiting job to a free slot.
fn start_next_job(handle: &mut SlotHandle) {
    if handle.running.is_some() {
        return;
    }
    let Some(job) = handle.waiting.pop_front() else { return };
    let lease = job.lease;
    match handle.jobs.try_send(job) {
        Ok(()) => handle.running = Some(lease),
        // The queue cannot be full, because one job runs at a time. A closed queue belongs to a slot that was
        // stopped.
        Err(TrySendError::Full(job) | TrySendError::Closed(job)) => handle.waiting.push_front(job),
    }
}

fn outcome(how: &slot::AttemptEnd) -> &'static str {
    match how {
        slot::AttemptEnd::Finished(finished) => match finished.outcome {
            sweep_spec::Outcome::Converged => "converged",
            sweep_spec::Outcome::Diverged => "diverged",
        },
        slot::AttemptEnd::Failed(failed) => failed.class.name(),
        slot::AttemptEnd::Stopped => "stopped",
    }
}
