//! Commits a choice together with the stages that it opens.

use sweep_scheduler::SweepId;
use sweep_store::write::StageChange;

use crate::engine::audit::COORDINATOR;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::command::{Begin, Command};
use crate::engine::submission::expansion::{Expanded, Expansion};

/// What became of a decision.
pub(super) enum Decided {
    /// It is made, or there was none to make.
    Done,
    /// It would open so many trials, for which there is no room yet.
    Waits { sweep: SweepId, trials: u64 },
}

impl Handle {
    /// Commits a choice with what it opens and what it makes impossible, unless there is no room for what it opens.
    pub(super) async fn open(
        &self,
        mut expansion: Expansion,
        choice: StageChange,
        fail: Vec<(u32, String)>,
    ) -> Result<Decided, Error> {
        let sweep = expansion.sweep;
        let trials = expansion.ids().len() as u64;
        if trials > 0 && !self.may_open(sweep, trials).await? {
            return Ok(Decided::Waits { sweep, trials });
        }
        expansion.write(self.store.as_ref()).await?;
        let ticket = self.ask(Command::Ticket).await?;
        let Expanded { open, configurations, trials } = expansion.known(self.store.as_ref()).await?;
        let (actor, choice) = (COORDINATOR.to_owned(), Some(choice));
        let begin =
            Begin { ticket, sweep, new: None, actor, extends: None, choice, open, fail, configurations, trials };
        self.ask(|reply| Command::Begin(Box::new(begin), reply)).await.map(|_| Decided::Done)
    }
}
