//! Limits on workers, sweeps and unfinished trials, as the owner task enforces them.

use sweep_analysis::number::plural;
use sweep_scheduler::SweepId;

use crate::engine::error::Error;
use crate::engine::messages::capacity::Wanted;
use crate::engine::owner::driver::Driver;
use crate::engine::reply::Reply;

impl Driver {
    /// Whether the limit allows this worker to connect. A connected worker may always register again.
    pub(crate) fn room_for(&self, worker: &str) -> Result<(), Error> {
        let most = self.parts.limits.workers;
        if self.live.sessions.len() < most {
            return Ok(());
        }
        let connected = self.scheduler.workers();
        if connected.len() < most || connected.iter().any(|known| known.name.0 == worker) {
            return Ok(());
        }
        Err(Error::TooMany {
            what: format!("{most} workers are connected, the maximum of this coordinator (max_workers)"),
        })
    }

    pub(crate) fn room(&mut self, wanted: Wanted, reply: Reply<()>) {
        let answer = match wanted {
            Wanted::Sweep { trials } => self.room_for_a_sweep().and_then(|()| self.room_for_trials(trials)),
            Wanted::Stage { sweep, trials } => self.room_for_a_stage(sweep, trials),
        };
        self.batch.say(reply, answer);
    }

    fn room_for_a_sweep(&self) -> Result<(), Error> {
        if !self.unsent.is_empty() {
            let most = self.parts.follow_ups.max_capacity();
            let what =
                format!("{most} decisions about ended stages and sweeps are due, the maximum of this coordinator");
            return Err(Error::Busy { what });
        }
        let most = self.parts.limits.sweeps;
        let full = || Error::TooMany {
            what: format!("{most} sweeps are unfinished, the maximum of this coordinator (max_sweeps)"),
        };
        if self.live.sweeps.len() < most { Ok(()) } else { Err(full()) }
    }

    /// Whether the limit allows this many more live trials.
    pub(crate) fn room_for_trials(&self, trials: u64) -> Result<(), Error> {
        let (most, live) = (self.parts.limits.live_trials, self.scheduler.live_trials());
        if trials == 0 || live.saturating_add(trials) <= most {
            return Ok(());
        }
        let next = if trials > most {
            "submit fewer trials, or split the sweep into stages"
        } else {
            "wait until some end, or cancel a sweep"
        };
        let (wanted, live) = (plural(trials, "trial"), plural(live, "trial"));
        let what = format!(
            "{wanted} without results would join {live} that have not ended, but the maximum of this coordinator is \
            {most} (max_live_trials): {next}"
        );
        Err(Error::TooMany { what })
    }

    /// A stage may always open if no other trial is live. Otherwise a large stage would wait forever.
    fn room_for_a_stage(&self, sweep: SweepId, trials: u64) -> Result<(), Error> {
        if self.scheduler.live_trials() == 0 || !self.live.sweeps.contains_key(&sweep) {
            return Ok(());
        }
        self.room_for_trials(trials)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::messages::command::Command;
    use crate::engine::messages::follow_up::FollowUp;
    use crate::engine::testing::driver::TestDriver;

    use super::*;

    async fn room(test: &mut TestDriver) -> Result<(), Error> {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        test.driver.command(Command::Room(Wanted::Sweep { trials: 1 }, reply));
        test.committed();
        answer.try_recv().unwrap()
    }

    #[tokio::test]
    async fn new_sweeps_are_refused_while_follow_ups_do_not_fit_into_their_queue() {
        let mut test = TestDriver::new().await;
        while test.driver.parts.follow_ups.try_send(FollowUp::Files).is_ok() {}
        let last = FollowUp::MoreSeeds(SweepId(1));
        test.driver.unsent.push_back(last);
        test.driver.send_follow_ups();
        let refused = room(&mut test).await.unwrap_err().to_string();
        assert!(refused.contains("65536 decisions about ended stages and sweeps are due"), "{refused}");

        assert_eq!(test.follow_ups.recv().await, Some(FollowUp::Files));
        test.driver.send_follow_ups();
        room(&mut test).await.unwrap();
        let mut sent = None;
        while let Ok(next) = test.follow_ups.try_recv() {
            sent = Some(next);
        }
        assert_eq!(sent, Some(last), "it is not lost");
    }
}
