//! Actions of users on live sweeps and workers: each becomes an event, and a row of the audit log with its actor.

use sweep_analysis::number::plural;
use sweep_scheduler::event::Service;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Effect, Event, Hold, Ignored, SweepId, WorkerName};
use sweep_store::codes::{AuditAction, StageState};
use sweep_store::deletions::DeletionRow;
use sweep_store::write::{AuditRow, HoldRow, ServiceRow, StageChange};
use tracing::{info, warn};

use crate::engine::audit::audit;
use crate::engine::error::Error;
use crate::engine::messages::command::Retry;
use crate::engine::messages::follow_up::FollowUp;
use crate::engine::owner::driver::Driver;
use crate::engine::reply::Reply;
use crate::engine::state::from_store;
use crate::unix_ms;

impl Driver {
    pub(crate) fn note(&mut self, row: AuditRow) {
        self.batch.commit.audit.push(row);
    }

    pub(crate) fn cancel(&mut self, sweep: SweepId, actor: &str, reply: Reply<()>) {
        let ignored = self.event(Event::CancelSweep { sweep });
        if ignored.is_empty() {
            self.note(AuditRow { sweep: Some(sweep), ..audit(actor, AuditAction::Cancelled) });
        }
        // Cancelling a large sweep takes a while; the caller gets the answer when it is complete.
        match self.live.sweeps.get_mut(&sweep) {
            Some(live) if self.scheduler.is_stopping(sweep) => live.cancels.push(reply),
            Some(_) | None => self.batch.say(reply, living(&ignored, sweep)),
        }
    }

    pub(crate) fn pause(&mut self, (sweep, paused): (SweepId, bool), actor: &str, reply: Reply<()>) {
        let ignored = self.event(Event::PauseSweep { sweep, paused });
        if ignored.is_empty() {
            let action = if paused { AuditAction::Paused } else { AuditAction::Resumed };
            self.note(AuditRow { sweep: Some(sweep), ..audit(actor, action) });
        }
        self.batch.say(reply, living(&ignored, sweep));
    }

    pub(crate) fn set_priority(&mut self, (sweep, priority): (SweepId, i32), actor: &str, reply: Reply<()>) {
        let ignored = self.event(Event::SetPriority { sweep, priority });
        if ignored.is_empty() {
            let detail = priority.to_string();
            self.note(AuditRow { sweep: Some(sweep), detail, ..audit(actor, AuditAction::PriorityChanged) });
        }
        self.batch.say(reply, living(&ignored, sweep));
    }

    /// Retries the failed trials of a sweep. Returns their number.
    pub(crate) fn retry(&mut self, mut retry: Retry, reply: Reply<u64>) {
        if retry.ticket.generation != self.generation {
            return self.batch.say(reply, Err(Error::Unavailable));
        }
        let sweep = retry.sweep;
        if self.live.deleted.contains(&sweep) {
            return self.batch.say(reply, Err(Error::not_found(format!("sweep {sweep}"))));
        }
        let ended = retry.ended.take().filter(|_| !self.live.sweeps.contains_key(&sweep)).map(|mut ended| {
            self.bring_up_to_date(&mut ended.snapshot);
            ended.live.complete(&mut ended.snapshot);
            ended
        });
        let failed = |driver: &Self| driver.scheduler.sweep(sweep).map_or(0, |view| view.counts.failed);
        let before = match &ended {
            Some(ended) => from_store::failed(&ended.snapshot),
            None => failed(self),
        };
        if let Err(full) = self.room_for_trials(before) {
            return self.batch.say(reply, Err(full));
        }
        let snapshot = ended.as_ref().map(|ended| Box::new(ended.snapshot.clone()));
        let effects = self.apply(Event::RetrySweep { sweep, ended: snapshot });
        if effects.iter().any(|effect| matches!(effect, Effect::SweepReopened { .. }))
            && let Some(ended) = ended
        {
            self.live.sweeps.insert(sweep, ended.live);
        }
        let ignored = self.carry_out(effects, None);
        self.count_left(sweep);
        let answer = match ignored.first() {
            None => {
                let detail = plural(before, "trial");
                self.note(AuditRow { sweep: Some(sweep), detail, ..audit(&retry.actor, AuditAction::Retried) });
                info!(sweep_id = %sweep, trials = before, "failed trials are retried");
                Ok(before)
            }
            Some(Ignored::NothingFailed) => Ok(0),
            Some(_) => Err(Error::not_found(format!("sweep {sweep}"))),
        };
        self.batch.say(reply, answer);
    }

    /// Deletes a sweep that has ended.
    pub(crate) fn delete(&mut self, sweep: SweepId, row: AuditRow, reply: Reply<()>) {
        if self.scheduler.sweep(sweep).is_some() {
            return self.batch.say(reply, Err(Error::StillRuns { sweep }));
        }
        info!(sweep_id = %sweep, actor = row.actor, "a sweep is deleted");
        let deletion = DeletionRow { sweep, actor: row.actor.clone(), at_ms: row.at_ms };
        if self.live.deleted.insert(sweep) {
            self.note(row);
            self.batch.commit.sweeps_deleted.push(deletion);
            self.batch.changed.insert(sweep);
        }
        self.batch.say(reply, Ok(()));
    }

    /// Counts the unfinished trials of a sweep again, after some that had ended were reopened.
    fn count_left(&mut self, id: SweepId) {
        let Some(sweep) = self.live.sweeps.get_mut(&id) else { return };
        sweep.left.clear();
        for trial in self.scheduler.unended(id) {
            if let Some((configuration, _)) = sweep.trials.get(&trial) {
                *sweep.left.entry(*configuration).or_default() += 1;
            }
        }
    }

    /// Adds the changes since the snapshot was read from the store.
    fn bring_up_to_date(&self, snapshot: &mut SweepSnapshot) {
        for (_, trials) in &mut snapshot.stages {
            trials.iter_mut().for_each(|wanted| self.journal.bring_up_to_date(wanted));
        }
    }

    pub(crate) fn set_service(&mut self, worker: String, service: Service, actor: &str, reply: Reply<()>) {
        let name = WorkerName(worker.clone());
        let effects = self.apply(Event::SetService { worker: name, service });
        let ignored = self.carry_out_for(effects, None, actor);
        let answer = if ignored.contains(&Ignored::UnknownWorker) {
            Err(Error::not_found(format!("worker `{worker}`")))
        } else {
            Ok(())
        };
        self.batch.say(reply, answer);
    }

    /// The service of a worker has changed: it gets trials from now on, or gets none.
    pub(crate) fn service_changed(&mut self, worker: String, service: Service, actor: &str) {
        let (action, detail) = match &service {
            Service::Active => (AuditAction::WorkerReturned, String::new()),
            Service::Draining => (AuditAction::WorkerDraining, String::new()),
            Service::Leaving => (AuditAction::WorkerLeaving, String::new()),
            Service::Suspended { reason, .. } => (AuditAction::WorkerSuspended, reason.clone()),
        };
        info!(worker_id = worker, action = action.name(), detail, actor, "a worker's service changed");
        self.note(AuditRow { worker: worker.clone(), detail, ..audit(actor, action) });
        let row = ServiceRow { worker, service, actor: actor.to_owned(), at_ms: self.parts.clock.unix_ms() };
        self.batch.commit.services.push(row);
    }

    /// The remaining trials of a sweep are held back or released.
    pub(crate) fn hold_changed(&mut self, sweep: SweepId, hold: Option<Hold>, actor: &str) {
        let (action, detail) = match &hold {
            Some(hold) => {
                warn!(sweep_id = %sweep, reason = %hold, "the rest of a sweep is held back");
                (AuditAction::HeldBack, hold.to_string())
            }
            None => {
                info!(sweep_id = %sweep, actor, "the rest of a sweep is no longer held back");
                (AuditAction::Released, String::new())
            }
        };
        self.note(AuditRow { sweep: Some(sweep), detail, ..audit(actor, action) });
        self.batch.commit.holds.push(HoldRow { sweep, hold, at_ms: unix_ms() });
        self.batch.changed.insert(sweep);
    }

    pub(crate) fn stage_reopened(&mut self, sweep: SweepId, stage: u32, open: bool) {
        let state = if open { StageState::Open } else { StageState::Waiting };
        // If the stage ended in this very batch, the row of its end is removed.
        let ended =
            |row: &StageChange| row.sweep == sweep && row.stage == stage && row.state == Some(StageState::Ended);
        self.batch.commit.stages.retain(|row| !ended(row));
        self.batch.commit.stages_reopened.push((sweep, stage, state));
        self.batch.changed.insert(sweep);
        let Some(live) = self.live.sweeps.get_mut(&sweep) else { return };
        let Some(row) = live.record.stages.get_mut(stage as usize) else { return };
        row.state = state;
        if row.winner.is_none() && (row.keep_best || !open) {
            row.choice.clear();
        }
        // A stage that waits again is decided again: by the stages that have ended already, or when they end again.
        if !open {
            let ended = self.scheduler.sweep(sweep).map(|view| view.ended_stages).unwrap_or_default();
            self.batch.follow_ups.extend(ended.into_iter().map(|ended| FollowUp::Winner(sweep, ended)));
        }
    }
}

/// An error if the scheduler does not know the sweep. It has ended then: sweeps that never existed are refused before.
fn living(ignored: &[Ignored], sweep: SweepId) -> Result<(), Error> {
    if ignored.contains(&Ignored::UnknownSweep) {
        return Err(Error::Ended { sweep, how: String::new() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sweep_scheduler::Config;
    use tokio::sync::oneshot;

    use super::*;
    use crate::engine::messages::command::Command;
    use crate::engine::testing::driver::TestDriver;

    const SPEC: &str = "
version: 1
name: some
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: [0, 1, 2]
baseline: { family: cnn, filters: 1 }
stages: [ { name: all, grid: { filters: [1, 2, 3, 4, 5, 6, 7, 8, 9] } } ]
";

    #[tokio::test]
    async fn a_large_sweep_is_cancelled_in_bounded_batches_and_its_caller_hears_of_the_last() {
        let mut test = TestDriver::with(Config { release_batch: 10, ..Config::default() }).await;
        let sweep = test.submit(SPEC).await;
        test.committed();
        let (reply, mut answer) = oneshot::channel();
        let mut rows = Vec::new();
        test.driver.command(Command::Cancel(sweep, "me".into(), reply));
        while test.driver.scheduler.has_more_to_release() {
            rows.push(std::mem::take(&mut test.driver.batch.commit).rounds_ended.len());
            test.committed();
            assert!(answer.try_recv().is_err(), "it is not cancelled yet");
            test.driver.event(Event::ReleaseMore);
        }
        rows.push(test.driver.batch.commit.rounds_ended.len());
        test.committed();
        assert_eq!(rows, [10, 10, 7]);
        assert!(matches!(answer.try_recv(), Ok(Ok(()))));
        assert!(!test.driver.live.sweeps.contains_key(&sweep));
    }
}
