//! Changes of trials since the oldest ticket.

use std::collections::HashMap;

use sweep_scheduler::event::{History, WantedTrial};
use sweep_spec::TrialId;

/// Changes of trials since the oldest ticket.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) tickets: Vec<std::sync::Weak<()>>,
    pub(crate) entries: HashMap<TrialId, History>,
}

impl Journal {
    /// Adds the changes since the trial was read from the store.
    pub(crate) fn bring_up_to_date(&self, wanted: &mut WantedTrial) {
        let Some(newer) = self.entries.get(&wanted.id) else { return };
        wanted.history.rounds = wanted.history.rounds.max(newer.rounds);
        wanted.history.attempts = wanted.history.attempts.max(newer.attempts);
        if newer.known.is_some() {
            wanted.history.known = newer.known.clone();
        }
    }
}
