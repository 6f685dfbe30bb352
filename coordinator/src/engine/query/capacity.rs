//! Whether the limits allow more unfinished trials, and why a stage waits.

use sweep_analysis::number::{count, plural};
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;

use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::capacity::{Unended, Wanted};
use crate::engine::messages::command::Command;

impl Handle {
    /// Whether the limits allow these trials beside the others. Trials with a known result do not count.
    pub(in crate::engine) async fn room_for_trials(&self, ids: &[TrialId], fresh: bool) -> Result<(), Error> {
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

    /// Whether a stage may open now. If not, it waits, and the sweep's status shows the reason.
    pub(in crate::engine) async fn may_open(&self, sweep: SweepId, trials: u64) -> Result<bool, Error> {
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

    /// Why the next stage of a sweep is not open yet, if it waits for capacity.
    pub(in crate::engine) fn waits_for_room(&self, sweep: SweepId, unended: Unended) -> Option<String> {
        let trials = *self.waiting_stages.lock().ok()?.get(&sweep)?;
        why_it_waits(trials, self.limits.live_trials, unended)
    }
}

/// Why this many trials of a next stage wait if `most` trials may be live. `None` if no trial is live: then the stage
/// opens in a moment.
fn why_it_waits(trials: u64, most: u64, Unended { own, others }: Unended) -> Option<String> {
    let have = |number: u64| if number == 1 { "has" } else { "have" };
    let of_others = |number: u64| format!("{} of other sweeps", plural(number, "trial"));
    let live = match (own, others) {
        (0, 0) => return None,
        (own, 0) => format!("{} of this sweep {} not ended", plural(own, "trial"), have(own)),
        (0, others) => format!("{} {} not ended", of_others(others), have(others)),
        (own, others) => format!("{} of its own and {} have not ended", count(own), of_others(others)),
    };
    let opens = if trials > most { ", and a larger stage opens when all of those have ended" } else { "" };
    let waits = if trials == 1 { "waits" } else { "wait" };
    Some(format!(
        "its next {} {waits} for room: {live}. This coordinator keeps at most {} at a time (max_live_trials){opens}",
        plural(trials, "trial"),
        plural(most, "trial")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(trials: u64, most: u64, own: u64, others: u64) -> String {
        why_it_waits(trials, most, Unended { own, others }).unwrap_or_default()
    }

    #[test]
    fn a_stage_that_waits_for_room_says_whose_trials_take_it() {
        assert_eq!(
            said(8, 10, 0, 3),
            "its next 8 trials wait for room: 3 trials of other sweeps have not ended. This coordinator keeps at most 10 trials at \
             a time (max_live_trials)"
        );
        assert!(said(8, 10, 4, 3).contains(": 4 of its own and 3 trials of other sweeps have not ended."));
        assert!(
            said(1, 10, 0, 1).starts_with("its next 1 trial waits for room: 1 trial of other sweeps has not ended.")
        );
        let alone = said(8, 10, 4, 0);
        assert!(alone.contains(": 4 trials of this sweep have not ended.") && !alone.contains("other"), "{alone}");
    }

    #[test]
    fn a_stage_above_the_limit_says_when_it_opens() {
        let large = said(20, 10, 0, 1_000_000);
        assert!(large.ends_with("(max_live_trials), and a larger stage opens when all of those have ended"), "{large}");
        assert_eq!(said(20, 10, 0, 0), "", "it opens in a moment");
    }
}
