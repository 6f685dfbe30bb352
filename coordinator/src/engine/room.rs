//! How much there may be at a time: workers, sweeps, and trials that have not ended.

use sweep_analysis::number::plural;
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;

use super::command::{Command, Reply};
use super::driver::Driver;
use super::{Error, Handle};

/// What wants room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A sweep to begin, or to open again, with so many trials that have no answer.
    Sweep { trials: u64 },
    /// So many trials of a stage of a sweep that lives.
    Stage { sweep: SweepId, trials: u64 },
}

impl Driver {
    /// Whether another worker may connect. One that is connected comes back whenever it likes.
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
        let most = self.parts.limits.sweeps;
        let full = || Error::TooMany {
            what: format!("{most} sweeps are unfinished, the maximum of this coordinator (max_sweeps)"),
        };
        if self.live.sweeps.len() < most { Ok(()) } else { Err(full()) }
    }

    /// Whether so many trials more may live.
    pub(crate) fn room_for_trials(&self, trials: u64) -> Result<(), Error> {
        let (most, live) = (self.parts.limits.live_trials, self.scheduler.live_trials());
        if trials == 0 || live.saturating_add(trials) <= most {
            return Ok(());
        }
        let next =
            if trials > most { "ask for fewer trials, or in stages" } else { "wait until some end, or cancel a sweep" };
        let (wanted, live) = (plural(trials, "trial"), plural(live, "trial"));
        let what = format!(
            "{wanted} without results would join {live} unfinished trials, but the maximum of this coordinator is \
            {most} (max_live_trials): {next}"
        );
        Err(Error::TooMany { what })
    }

    /// A stage may always be opened where nothing else lives: otherwise a large one would wait for ever.
    fn room_for_a_stage(&self, sweep: SweepId, trials: u64) -> Result<(), Error> {
        if self.scheduler.live_trials() == 0 || !self.live.sweeps.contains_key(&sweep) {
            return Ok(());
        }
        self.room_for_trials(trials)
    }
}

impl Handle {
    /// Whether these trials may live beside the others. Those that have an answer never do.
    pub(super) async fn room_for_trials(&self, ids: &[TrialId], fresh: bool) -> Result<(), Error> {
        let room = |trials: usize| {
            let wanted = Wanted::Sweep { trials: trials as u64 };
            self.ask(move |reply| Command::Room(wanted, reply))
        };
        match room(ids.len()).await {
            Err(Error::TooMany { .. }) if !fresh => {
                let known = self.store.answered(ids).await?;
                room(ids.len().saturating_sub(known.len())).await
            }
            answer => answer,
        }
    }

    /// Whether a stage may be opened now. One that may not waits, and its sweep's status says so.
    pub(super) async fn may_open(&self, sweep: SweepId, trials: u64) -> Result<bool, Error> {
        let may = match self.ask(|reply| Command::Room(Wanted::Stage { sweep, trials }, reply)).await {
            Ok(()) => true,
            Err(Error::TooMany { .. }) => false,
            Err(error) => return Err(error),
        };
        if let Ok(mut waiting) = self.waiting_stages.lock() {
            if may {
                waiting.remove(&sweep);
            } else {
                waiting.insert(sweep, trials);
            }
        }
        Ok(may)
    }

    /// Why the next stage of a sweep is not open yet, if it waits for room.
    pub(super) fn waits_for_room(&self, sweep: SweepId) -> Option<String> {
        let trials = *self.waiting_stages.lock().ok()?.get(&sweep)?;
        let (trials, most) = (plural(trials, "trial"), self.limits.live_trials);
        Some(format!(
            "its next {trials} wait for room: the maximum of unfinished trials of all sweeps is {most} \
            (max_live_trials)"
        ))
    }
}
