//! Retries the failed trials of a sweep.

use sweep_scheduler::SweepId;
use sweep_store::codes::SweepState;

use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::capacity::Wanted;
use crate::engine::messages::command::{Command, Ended, Retry};
use crate::engine::state::from_store;

impl Handle {
    /// Retries only the failed trials of a sweep. Returns their number.
    ///
    /// # Errors
    /// There is no such sweep, it was cancelled, it needs other trainer semantics, or the commit failed.
    pub async fn retry(&self, sweep: SweepId, actor: &str) -> Result<u64, Error> {
        let ticket = self.ask(Command::Ticket).await?;
        let record = self.store.sweep(sweep).await?.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
        if record.state == SweepState::Cancelled {
            return Err(Error::Cancelled { sweep });
        }
        if record.state != SweepState::Running {
            let wanted = Wanted::Sweep { trials: 0 };
            self.ask(|reply| Command::Room(wanted, reply)).await?;
        }
        let ended = match self.store.ended(sweep).await? {
            Some((row, mut snapshot)) => {
                let live = from_store::live_sweep(&row, &snapshot, &self.clock)?;
                if from_store::is_of_other_semantics(&live) {
                    return Err(Error::OtherSemantics { sweep });
                }
                from_store::narrow(&live, &mut snapshot);
                Some(Ended { live, snapshot })
            }
            None => None,
        };
        let retry = Retry { ticket, sweep, ended, actor: actor.to_owned() };
        let trials = self.ask(|reply| Command::Retry(Box::new(retry), reply)).await?;
        self.forget(sweep);
        Ok(trials)
    }
}
