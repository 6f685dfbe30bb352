//! Commits a choice together with the stages that it opens.

use sweep_scheduler::SweepId;
use sweep_store::write::StageChange;

use crate::engine::audit::COORDINATOR;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::command::{Begin, Command};
use crate::engine::submission::expansion::{Expanded, Expansion};

/// The outcome of a decision.
pub(super) enum Decided {
    /// The decision was made, or none was due.
    Done,
    /// The decision would open this many trials, which exceed the limit for now.
    Waits { sweep: SweepId, trials: u64 },
}

impl Handle {
    /// Commits a choice together with the stages that it opens and those that it makes impossible, unless the opened
    /// trials would exceed the limit.
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
